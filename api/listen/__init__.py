"""`/v1/listen` as Deepgram speaks it: live over a WebSocket, and files by POST."""
