"""Recordings from the microphone: begun, stopped, discarded, looked at; one take each.

Guarantee: a recording that was begun is a row with a folder before the microphone runs, and it
becomes exactly one session whatever happens to this process meanwhile.
"""

import logging
import shutil
import time
from dataclasses import dataclass, field
from pathlib import Path

from appliance.audio_folder import AudioFolder
from appliance.capture_tally import CaptureTally
from appliance.capturing import CaptureOptions, Capturing
from appliance.errors import Conflict, NoRoom, Refused
from appliance.finishing import Finishing
from appliance.hearing import PROFILES
from appliance.microphones import Microphones
from appliance.recording_status import Status, status_of
from appliance.standby import Standby
from appliance.store import recordings, sessions
from appliance.store.database import Database
from appliance.store.entities import Recording, RecordingState, Source
from appliance.take import Take
from engine.microphone import Device
from engine.worker import Worker

log = logging.getLogger(__name__)
DEFAULT_DEVICE = "default"
CLOSE_S = 8.0
LET_GO_S = 5.0
LOOK_S = 0.05


@dataclass(frozen=True, slots=True)
class RecorderOptions:
    """What the settings say about recordings."""

    device: str | None = None
    profile: str = "meeting"
    language: str | None = None
    refuse_bytes: int = 0
    capture: CaptureOptions = field(default_factory=CaptureOptions)


class Recorder:
    """Hold the takes of this box."""

    def __init__(
        self,
        database: Database,
        worker: Worker,
        audio: AudioFolder,
        folder: Path,
        options: RecorderOptions,
        standby: Standby | None = None,
    ) -> None:
        self.folder, self.tally, self.microphones = folder, CaptureTally(), Microphones()
        self._database, self._worker, self.options = database, worker, options
        self._standby = standby
        self._finishing = Finishing(database, worker, audio)
        self._takes: dict[int, Take] = {}
        self._closing = False

    def devices(self) -> list[Device]:
        """Return the microphones of this machine; raise MicrophoneUnavailable without PortAudio."""
        return self.microphones.listed()

    def start(
        self,
        account_id: int,
        *,
        title: str = "",
        tags: str = "",
        language: str | None = None,
        device: str | None = None,
        profile: str | None = None,
        max_seconds: float | None = None,
    ) -> Status:
        """Begin to record; the model may still be loading."""
        profile = profile or self.options.profile
        if profile not in PROFILES:
            raise Refused(f"profile '{profile[:40]}': there are {', '.join(PROFILES)}")
        self._check_room()
        row = self._add(
            account_id,
            device or self.options.device or DEFAULT_DEVICE,
            title=title,
            tags=tags,
            language=language or self.options.language,
            profile=profile,
            max_seconds=max_seconds,
        )
        assert row.id is not None
        capturing = self.capturing(row)
        try:
            self._wait_for(row.device)
            capturing.folder.mkdir(parents=True, mode=0o700)
            with self.microphones.left_alone():
                capturing.begin()
            take = self.follow(row, capturing, new=True)
            with self._database.read() as session:  # it may have been stopped meanwhile
                state = recordings.get(session, account_id, row.id).state
        except BaseException:
            self._forget(row.id, capturing)
            raise
        if self._closing or state is not RecordingState.RECORDING:
            take.end()
            capturing.ask_to_end()
        return self.status(account_id, row.id)

    def stop(self, account_id: int, recording_id: int) -> Status:
        """End a recording; its session comes by itself. Twice is fine."""
        with self._database.write() as session:
            row = recordings.get(session, account_id, recording_id)
            if row.state is RecordingState.RECORDING:
                recordings.change_state(session, row, RecordingState.FINISHING)
        take = self._takes.get(recording_id)
        if take is not None:
            take.end()
        return self.status(account_id, recording_id)

    def discard(self, account_id: int, recording_id: int) -> None:
        """Delete a recording, its sound and its text; nobody is told."""
        with self._database.write() as session:
            row = recordings.get(session, account_id, recording_id)
            if row.state not in recordings.OPEN:
                raise Conflict(
                    f"recording {recording_id} is {row.state.value} already; delete its session"
                )
            recordings.delete(session, row)
        take = self._takes.pop(recording_id, None)
        capturing = take.capturing if take is not None else self.capturing(row)
        capturing.ask_to_end()
        if take is not None:
            take.close(CLOSE_S)
        self._clear(recording_id, capturing)

    def status(self, account_id: int, recording_id: int) -> Status:
        """Return what is known of a recording."""
        with self._database.read() as session:
            row = recordings.get(session, account_id, recording_id)
            return status_of(session, row, self._takes.get(recording_id))

    def statuses(self, account_id: int) -> list[Status]:
        """Return the account's recordings, the newest first, at most a hundred."""
        with self._database.read() as session:
            rows = recordings.newest(session, account_id)
            return [status_of(session, row, self._takes.get(row.id or 0)) for row in rows]

    def follow(
        self, row: Recording, capturing: Capturing, *, forsaken: bool = False, new: bool = False
    ) -> Take:
        """Start a take for a recording that has none; `forsaken`: it is over, nobody ended it."""
        assert row.id is not None
        self._takes = {number: one for number, one in self._takes.items() if not one.over.is_set()}
        take = Take(
            self._database,
            self._worker,
            self._finishing,
            capturing,
            row,
            self.tally,
            self._standby,
        )
        if forsaken:
            take.end(forsaken=True)
        self._takes[row.id] = take
        return take.start(new=new)

    def capturing(self, row: Recording) -> Capturing:
        """Return the capture of a recording, whether one runs or not."""
        device = None if row.device == DEFAULT_DEVICE else row.device
        return Capturing(self.folder / str(row.id), device, self.options.capture)

    @property
    def takes(self) -> list[Take]:
        """Return the takes that are not over."""
        return [take for take in list(self._takes.values()) if not take.over.is_set()]

    def close(self, timeout_s: float = CLOSE_S) -> None:
        """End all recordings; text that isn't ready in time comes after the next start."""
        self._closing = True
        takes, deadline = self.takes, time.monotonic() + timeout_s
        for take in takes:  # the captures first: whatever keeps a take, its microphone ends now
            take.end()
            take.capturing.ask_to_end()
        for take in takes:
            while time.monotonic() < deadline and not take.over.wait(LOOK_S):
                if self._worker.failure is not None and not take.capturing.alive:
                    break  # there will be no text before another start
        for take in takes:
            take.close(max(0.1, deadline + 1 - time.monotonic()))

    def _add(
        self,
        account_id: int,
        device: str,
        *,
        title: str,
        tags: str,
        language: str | None,
        profile: str,
        max_seconds: float | None,
    ) -> Recording:
        with self._database.write() as session:
            busy = recordings.recording_now(session, device)
            if busy is not None:
                whose = f" by recording {busy.id}" if busy.account_id == account_id else ""
                raise Conflict(f"the microphone '{device}' is in use{whose}; stop that one first")
            hidden = sessions.open_one(
                session, account_id, Source.MICROPHONE, title=title, tags=tags
            )
            assert hidden.id is not None
            return recordings.add(
                session,
                account_id,
                hidden.id,
                device=device,
                profile=profile,
                language=language,
                max_seconds=max_seconds,
            )

    def _wait_for(self, device: str) -> None:
        """Wait a moment for a recording that was just stopped to let the microphone go."""
        deadline = time.monotonic() + LET_GO_S
        for take in self.takes:
            while take.device == device and take.capturing.alive and time.monotonic() < deadline:
                time.sleep(0.02)

    def _check_room(self) -> None:
        self.folder.mkdir(exist_ok=True, mode=0o700)
        free = shutil.disk_usage(self.folder).free
        if free < self.options.refuse_bytes:
            raise NoRoom(
                f"the disk has {free // 10**6} MB left; a recording begins only with "
                f"{self.options.refuse_bytes // 10**6} MB (disk_refuse_bytes); make room"
            )

    def _forget(self, recording_id: int, capturing: Capturing) -> None:
        """Take back what could not begin."""
        take = self._takes.pop(recording_id, None)
        if take is not None:
            take.close(LET_GO_S)
        capturing.end()
        with self._database.write() as session:
            row = session.get(Recording, recording_id)
            if row is not None:
                recordings.delete(session, row)
        self._clear(recording_id, capturing)

    def _clear(self, recording_id: int, capturing: Capturing) -> None:
        """Delete what lies on the disk of a recording that has no row any more."""
        capturing.end()
        shutil.rmtree(capturing.folder, ignore_errors=True)
        self._finishing.remove(recording_id)
