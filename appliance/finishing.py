"""A take that has been heard becomes a session: its FLAC, its text, its rows, in that order.

The FLAC is written beside the audio of the box as `NAME.part`, verified by decoding, fsynced; then
one transaction completes the session; then the file gets its name and the journal goes. A crash
anywhere leaves what the next start completes. Without room for a FLAC the journal stays the audio.
"""

import contextlib
import hashlib
import logging
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from appliance import notes, periods
from appliance.audio_folder import PART, AudioFolder
from appliance.capturing import Capturing
from appliance.engines import NO_ENGINE, NO_TEXT, cloud_warning, main_engine
from appliance.store import accounts, recordings, sessions, vocabulary
from appliance.store.database import Database
from appliance.store.entities import Recording, RecordingState, SessionRow
from engine.audio import SAMPLE_RATE, Samples, sync_folder, write_part
from engine.journal import PCM, JournalReader
from engine.transcript import Segment, Transcript
from engine.worker import Worker

log = logging.getLogger(__name__)
READ_SAMPLES = 60 * SAMPLE_RATE
FLAC, RAW = "audio/flac", "audio/x-raw; format=S16LE; rate=16000; channels=1"


@dataclass(frozen=True, slots=True)
class Kept:
    """The audio of a take as it stays."""

    path: str  # relative to the data folder
    bytes: int
    sha256: str
    media_type: str


class Finishing:
    """Finish takes."""

    def __init__(self, database: Database, worker: Worker, audio: AudioFolder) -> None:
        self._database, self._worker, self._audio = database, worker, audio

    def finish(self, recording_id: int, capturing: Capturing, *, recovered: bool) -> None:
        """Make the session; raise what can be waited out."""
        folder, name = capturing.folder, name_of(recording_id)
        with self._database.read() as session:
            if recordings.still(session, recording_id).state not in recordings.OPEN:
                self._settle(name, folder)  # all but that was done
                return
        captured_seconds = JournalReader(folder).samples / SAMPLE_RATE
        if captured_seconds == 0:
            self._fail(recording_id)
            shutil.rmtree(folder, ignore_errors=True)
            return
        kept = self.keep(folder, name)
        with self._database.read() as session:
            row = recordings.still(session, recording_id)
            segments = sessions.segments(session, row.session_id)
            heard = self._transcript(row, segments, captured_seconds)
            replacements = vocabulary.of(session, row.account_id).replacements
            gaps = recordings.events_of(session, recording_id, recordings.GAP)
            zone = periods.zone_of(accounts.numbered(session, row.account_id).timezone)
        note = notes.note(heard.spoken, heard.language, replacements)
        begun = row.started_at.astimezone(zone)
        with self._database.write() as session:
            row = recordings.still(session, recording_id)
            made = session.get_one(SessionRow, row.session_id)
            made.audio_path, made.audio_bytes = kept.path, kept.bytes
            made.audio_sha256, made.audio_type = kept.sha256, kept.media_type
            sessions.finish(
                session,
                made,
                title=made.title or notes.title(note) or f"Recording of {begun:%Y-%m-%d %H:%M}",
                note=note,
                original_transcript=heard.text,
                language=heard.language,
                engine=self._engine(segments),
                captured_seconds=captured_seconds,
                elapsed_seconds=capturing.elapsed_seconds or captured_seconds,
                warning=warning_of(gaps, segments),
                audio_type=kept.media_type,
            )
            state = RecordingState.RECOVERED if recovered else RecordingState.DONE
            recordings.change_state(session, row, state)
        if kept.media_type == FLAC:
            self._settle(name, folder)
        log.info("recording %d done: %.1f s of sound", recording_id, captured_seconds)

    def remove(self, recording_id: int) -> None:
        """Delete what a recording that was discarded may have made already."""
        (self._audio.path / (name_of(recording_id) + PART)).unlink(missing_ok=True)

    def _settle(self, name: str, folder: Path) -> None:
        """Give the FLAC its name and delete the journal, after the commit."""
        with contextlib.suppress(FileNotFoundError):  # it has it already
            self._audio.settle(name)
        if (self._audio.path / name).exists():
            shutil.rmtree(folder, ignore_errors=True)

    def keep(self, folder: Path, name: str) -> Kept:
        """Write the FLAC, not yet under its name; or say that the journal is the audio."""
        pcm, part = folder / PCM, self._audio.path / (name + PART)
        size = pcm.stat().st_size
        try:
            if shutil.disk_usage(self._audio.path).free < size:  # more than a FLAC ever needs
                raise OSError("no room")
            write_part(part, blocks(folder))
        except Exception as error:  # whatever it is, it must not keep the session from being
            part.unlink(missing_ok=True)
            log.error("no FLAC of recording %s (%s): its PCM stays", folder.name, error)
            path = f"{folder.parent.name}/{folder.name}/{PCM}"
            with pcm.open("rb") as file:  # a capture that was killed has not synced its last second
                os.fsync(file.fileno())
            return Kept(path, size, digest(pcm), RAW)
        sync_folder(self._audio.path)
        return Kept(f"{self._audio.path.name}/{name}", part.stat().st_size, digest(part), FLAC)

    def _transcript(
        self, row: Recording, segments: list[Segment], captured_seconds: float
    ) -> Transcript:
        return Transcript(
            segments=tuple(segments),
            model=self._engine(segments).removeprefix("whisper-"),
            language=row.language,
            duration_ms=round(captured_seconds * 1000),
        )

    def _engine(self, segments: list[Segment]) -> str:
        """Return the label of the engine that heard most; or of the one there is."""
        heard = main_engine(segments)
        if heard is not None:
            return heard
        return self._worker.model(0).model.label if self._worker.state == "ready" else NO_ENGINE

    def _fail(self, recording_id: int) -> None:
        """Note that nothing was captured: there is no session of it."""
        with self._database.write() as session:
            row = recordings.still(session, recording_id)
            sessions.fail(session, session.get_one(SessionRow, row.session_id))
            recordings.change_state(session, row, RecordingState.FAILED)


def blocks(folder: Path) -> Iterator[Samples]:
    """Yield all of a journal's samples."""
    reader = JournalReader(folder)
    while len(samples := reader.read(READ_SAMPLES)):
        yield samples


def digest(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def name_of(recording_id: int) -> str:
    """Return the name of a recording's FLAC."""
    return f"recording-{recording_id}"


def warning_of(gaps: list[dict[str, object]], segments: list[Segment]) -> str | None:
    """Return what is missing, and what was heard elsewhere, in words; None if nothing is."""
    said = []
    if gaps:
        missing = sum(float(str(gap["seconds"])) for gap in gaps)
        causes = ", ".join(sorted({str(gap["cause"]) for gap in gaps}))
        said.append(f"{missing:.1f} s are missing in {len(gaps)} gaps ({causes})")
    without = sum(segment.suppressed == NO_TEXT for segment in segments)
    if without:
        said.append(f"{without} stretches have no text: the engine failed at them")
    if sent := cloud_warning(segments):
        said.append(sent)
    return "; ".join(said) or None
