"""The box as OpenAI's clients know it: `/v1/audio/*` and `/v1/models`."""
