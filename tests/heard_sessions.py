"""Sessions with a transcript, put into a data folder before its server starts: no engine needed."""

import contextlib
import hashlib
import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
from filled_box import write
from speech_fixtures import encode

from appliance import secret, welcome
from appliance.data_folder import DataFolder
from appliance.store import accounts, sessions
from appliance.store.database import Database
from appliance.store.entities import Source
from engine.transcript import Segment, Word

ENGINE, CLOUD = "whisper-base", "deepgram-nova-3"
RATE = 16_000
WORD_MS, PAUSE_MS = 300, 600
MADE_AT = datetime(2026, 11, 20, 10, 15, 30, tzinfo=UTC)
VOCABULARY = (
    "the box hears what people say and writes it down so that nobody has to take notes we should "
    "look at the figures of last week before we decide about budget and plan for spring"
)


def segment(
    text: str,
    start_ms: int,
    *,
    engine: str = ENGINE,
    suppressed: str | None = None,
    probability: float = 0.9,
) -> Segment:
    """Return a segment whose words follow one another without a gap."""
    words = tuple(
        Word(word, start_ms + at * WORD_MS, start_ms + (at + 1) * WORD_MS, probability)
        for at, word in enumerate(text.split())
    )
    return Segment(start_ms, words[-1].end_ms, text, words, engine, probability, suppressed)


def talk(words: int, seed: int = 7) -> list[Segment]:
    """Return so many words of talk, 5 to 15 in a segment."""
    vocabulary = VOCABULARY.split()
    choose, found, at_ms, left = random.Random(seed), [], 500, words
    while left > 0:
        count = min(left, choose.randint(5, 15))
        text = " ".join(choose.choices(vocabulary, k=count)).capitalize() + "."
        found.append(segment(text, at_ms, probability=choose.choice((0.95, 0.9, 0.8, 0.35))))
        at_ms = found[-1].end_ms + PAUSE_MS
        left -= count
    return found


def babble(path: Path, segments: Sequence[Segment], seconds: float) -> Path:
    """Write sound that swells with each word, as FLAC."""
    level = np.full(round(seconds * 100), 0.004, np.float32)  # a hundredth of a second each
    for one in segments:
        for number, word in enumerate(one.words):
            begin, end = word.start_ms // 10, word.end_ms // 10
            swell = np.sin(np.linspace(0.2, np.pi, max(end - begin, 1)))
            room = level[begin:end]
            room[:] = np.maximum(room, swell[: len(room)] * (0.15 + 0.1 * (number % 4)))
    hum = np.sin(np.arange(RATE) * (2 * np.pi * 220 / RATE)).astype(np.float32)  # packs well
    sound = np.repeat(level, RATE // 100) * np.resize(hum, len(level) * (RATE // 100))
    return encode(path, "flac", "flac", (sound * 32767).astype(np.int16), rate=RATE)


class Planted:
    """A data folder without a server; what is planted there is what a box of it begins with."""

    def __init__(self, path: Path) -> None:
        self.folder = DataFolder(path).make()
        self._database = Database(self.folder.database)
        welcome.bootstrap(self._database, self.folder)
        secret.load(self.folder.secret)

    def __enter__(self) -> "Planted":
        return self

    def __exit__(self, *_: object) -> None:
        self._database.close()

    def session(
        self,
        title: str,
        segments: Sequence[Segment],
        *,
        audio: bytes | None = None,
        audio_type: str = "audio/flac",
        seconds: float | None = None,
        note: str | None = None,
        tags: str = "",
        warning: str | None = None,
    ) -> int:
        """Add a finished session; return its number."""
        said = " ".join(one.text for one in segments if one.suppressed is None)
        with self._database.write() as session:
            row = sessions.open_one(
                session, accounts.named(session, accounts.DEFAULT).id, Source.UPLOAD, tags=tags
            )
            if audio is not None:
                name = f"planted{row.id}"
                write(self.folder.audio / name, audio)
                row.audio_path, row.audio_bytes = f"audio/{name}", len(audio)
                row.audio_sha256 = hashlib.sha256(audio).hexdigest()
            sessions.add_segments(session, row.id, segments)
            length = seconds or (segments[-1].end_ms / 1000 if segments else 1)
            sessions.finish(
                session, row, title=title, note=said if note is None else note,
                original_transcript=said, language="en", engine=ENGINE, audio_type=audio_type,
                captured_seconds=length, elapsed_seconds=length, warning=warning,
            )  # fmt: skip
            row.created_at = MADE_AT + timedelta(minutes=row.id)
            session.add(row)
            return row.id


@contextlib.contextmanager
def planting(path: Path):
    """Plant sessions in a folder until the block ends."""
    with Planted(path) as planted:
        yield planted
