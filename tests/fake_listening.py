"""What the fake of Deepgram hears and says on one socket: shapes and order as the live service's.

The text comes with the first audio, `last_words` only after CloseStream, as a real engine has
some words left when the audio ends.
"""

import json
import uuid
from dataclasses import dataclass, field

from websockets.frames import Frame, Opcode
from websockets.protocol import State
from websockets.server import ServerProtocol

RATE_BYTES = 32_000  # of a second of 16 kHz linear16: what it takes the audio for
MODEL_ID = "30089e05-99d1-4376-b32e-c263170674af"
MODEL = {"name": "2-general-nova", "version": "2026-01-09.29447", "arch": "nova-3"}


@dataclass
class Listening:
    """One socket that was opened: with what, and what came through it."""

    token: str
    scheme: str  # "bearer" or "token", in lower case
    query: dict[str, list[str]]
    audio_bytes: int = 0
    commands: list[str] = field(default_factory=list)  # types of the text messages, in order
    close_code: int | None = None
    request_id: str = field(default_factory=lambda: str(uuid.uuid4()))


class Session:
    """What one client says and what it is told."""

    def __init__(
        self, listening: Listening, protocol: ServerProtocol, transcript: str, last_words: str
    ) -> None:
        self.listening, self.protocol = listening, protocol
        self.transcript, self.left = transcript, last_words
        self.told_s = 0.0
        self.fragments: list[bytes] = []
        self.opcode = Opcode.BINARY

    def take(self, frame: object) -> None:
        """Put messages together and answer them."""
        if not isinstance(frame, Frame) or self.protocol.state is not State.OPEN:
            return
        if frame.opcode in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
            if frame.opcode is not Opcode.CONT:
                self.opcode, self.fragments = frame.opcode, []
            self.fragments.append(bytes(frame.data))
            if frame.fin:
                message = b"".join(self.fragments)
                self.hear(message) if self.opcode is Opcode.BINARY else self.obey(message)

    @property
    def heard_s(self) -> float:
        return self.listening.audio_bytes / RATE_BYTES

    def hear(self, audio: bytes) -> None:
        first = self.listening.audio_bytes == 0
        self.listening.audio_bytes += len(audio)
        if not audio:
            self.close()  # the old way to say so
        elif first:
            if self.listening.query.get("interim_results") == ["true"]:
                self.tell(self.transcript, is_final=False)
            self.tell(self.transcript)

    def obey(self, message: bytes) -> None:
        kind = json.loads(message)["type"]
        self.listening.commands.append(kind)
        if kind == "Finalize":
            self.tell(self.left, from_finalize=True)
            self.left = ""
        elif kind == "CloseStream":
            self.close()

    def close(self) -> None:
        self.tell(self.left)
        self.send(
            {
                "type": "Metadata",
                "transaction_key": "deprecated",
                "request_id": self.listening.request_id,
                "sha256": "incomplete",
                "created": "2026-11-21T12:00:00.000Z",
                "duration": self.heard_s,
                "channels": 1,
                "models": [MODEL_ID],
                "model_info": {MODEL_ID: MODEL},
            }
        )
        self.protocol.send_close(1000)

    def tell(self, text: str, is_final: bool = True, from_finalize: bool = False) -> None:
        """Send Results for the audio since the last final ones."""
        start, end = self.told_s, self.heard_s
        spoken = text.split()
        step = (end - start) / max(len(spoken), 1)
        words = [
            {
                "word": "".join(c for c in word.lower() if c.isalnum() or c == "'"),
                "start": start + n * step,
                "end": start + (n + 1) * step,
                "confidence": 0.98,
                "punctuated_word": word,
            }
            for n, word in enumerate(spoken)
        ]
        said = {"transcript": text, "confidence": 0.98 if spoken else 0.0, "words": words}
        self.send(
            {
                "type": "Results",
                "channel_index": [0, 1],
                "duration": end - start,
                "start": start,
                "is_final": is_final,
                "speech_final": is_final,
                "channel": {"alternatives": [said]},
                "metadata": {
                    "request_id": self.listening.request_id,
                    "model_info": MODEL,
                    "model_uuid": MODEL_ID,
                },
                "from_finalize": from_finalize,
            }
        )
        if is_final:
            self.told_s = end

    def send(self, message: dict) -> None:
        self.protocol.send_text(json.dumps(message).encode())
