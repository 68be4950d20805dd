"""One recording on its way: watch the capture, tell of gaps and alarms, hear, and finish.

The journal is the only thing between capture and take: the take may be late, be restarted, or
adopt a capture that outlived its server, and loses nothing.
"""

import logging
import math
import threading
import time

from sqlalchemy.exc import OperationalError

from appliance.capture_tally import CaptureTally
from appliance.capturing import FINAL, Capturing
from appliance.errors import NotFound
from appliance.finishing import Finishing
from appliance.hearing import Hearing
from appliance.partials import Line
from appliance.standby import Standby
from appliance.store import recordings
from appliance.store.database import Database
from appliance.store.entities import Recording, RecordingState
from engine.audio import SAMPLE_RATE
from engine.errors import Cancelled
from engine.failover import BOX, Decision
from engine.journal import JournalEvent, JournalReader
from engine.levels import Levels
from engine.worker import Worker

log = logging.getLogger(__name__)
TICK_S = 0.1
RETRY_S = 2.0
LEVEL_EVERY_S = 1.0
WATCHED_S = 5.0  # so long a listener counts: it says every two seconds that it is there
READ_SAMPLES = 10 * SAMPLE_RATE
LEVEL_SAMPLES = 120 * SAMPLE_RATE


class Take:
    """Follow one recording to its end in a thread of its own."""

    def __init__(
        self,
        database: Database,
        worker: Worker,
        finishing: Finishing,
        capturing: Capturing,
        row: Recording,
        tally: CaptureTally,
        standby: Standby | None = None,
    ) -> None:
        assert row.id is not None
        self.id, self.account_id, self.device = row.id, row.account_id, row.device
        self.capturing = capturing
        self.over = threading.Event()  # the session is there, or the recording was discarded
        self._database, self._worker, self._finishing = database, worker, finishing
        self._state, self._max_seconds, self._told = row.state, row.max_seconds, row.told_events
        self._lane = (
            standby.lane(row.account_id, f"recording {row.id}", patient=True) if standby else None
        )
        self._hearing = Hearing(database, worker, capturing.folder, row, self._lane)
        self._watch = JournalReader(capturing.folder)
        self._tally, self._counted_samples = tally, 0
        self._hearing.on_text = self._note_text
        self._hearing.on_line = self._tell_line
        self._watched_s = -math.inf
        self._levels, self._level_told_s = Levels(), 0.0
        self._alarms: frozenset[str] = frozenset()
        self._ending, self._closing = threading.Event(), False
        self._forsaken = False  # nobody ended it
        self._wake = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"take {row.id}", daemon=True)

    def start(self, *, new: bool) -> "Take":
        """Begin to follow; of one that isn't new, another server has counted what is there."""
        self._counted_samples = 0 if new else self._watch.samples
        if self._state is RecordingState.FINISHING:
            self._ending.set()
        with self._database.read() as session:
            told = recordings.events_of(session, self.id, recordings.ALARM)
        last = {alarm["alarm"]: alarm["active"] for alarm in told}
        self._alarms = frozenset(name for name, active in last.items() if active)
        self._thread.start()
        return self

    def end(self, *, forsaken: bool = False) -> None:
        """Stop the capture, hear the rest, make the session; `forsaken`: nobody asked for it."""
        self._forsaken = forsaken
        self._ending.set()
        self._wake.set()

    def close(self, timeout_s: float) -> None:
        """Leave it as it is; the next start goes on."""
        self._closing = True
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    def watch(self) -> None:
        """Show for the next seconds what is being said: somebody looks."""
        self._watched_s = time.monotonic()

    @property
    def recording(self) -> bool:
        """Tell whether the microphone is meant to run."""
        return not self._ending.is_set() and not self.over.is_set()

    @property
    def level(self) -> float | None:
        """Return the level of the last second in dBFS."""
        return self._levels.dbfs

    @property
    def alarms(self) -> tuple[str, ...]:
        """Return what is wrong now."""
        return tuple(sorted(self._alarms))

    @property
    def captured_seconds(self) -> float:
        """Return how much sound there is."""
        return self._watch.samples / SAMPLE_RATE

    @property
    def transcribed_seconds(self) -> float:
        """Return up to where the text is there."""
        return self._hearing.settled_samples / SAMPLE_RATE

    @property
    def decision(self) -> Decision:
        """Return who hears it now, the box or the cloud, and why."""
        return BOX if self._lane is None else self._lane.decision

    def _run(self) -> None:
        try:
            self._follow()
        finally:
            if self._lane is not None:
                self._lane.close()

    def _follow(self) -> None:
        while not self._closing and not self.over.is_set():
            pause_s = RETRY_S
            try:
                self._step()
                pause_s = TICK_S
            except NotFound:
                self._finishing.remove(self.id)  # discarded
                self.over.set()
            except Cancelled:
                return  # the engine is stopping, and so are we
            except OperationalError as error:  # locked or full: that passes, the journal waits
                log.error("recording %d waits for the database: %s", self.id, error.orig)
            except Exception as error:
                if self._worker.failure is None:
                    log.exception("recording %d stumbled; it goes on", self.id)
                else:
                    log.debug("recording %d waits for an engine: %s", self.id, error)
            self._wake.wait(pause_s)
            self._wake.clear()

    def _step(self) -> None:
        ending = self._ending.is_set()  # asked once: it may be set at any moment
        if ending:
            self.capturing.end()  # before anything that may have to wait
        self._observe(ending)
        if ending:
            self._note_finishing()
        else:
            self.capturing.keep_alive()
            self._worker.expect_speech()
            if self.capturing.ended or self._is_long_enough():
                self._ending.set()
        heard_all = self._hearing.listen()
        self._hearing.collect()
        if heard_all and not ending and time.monotonic() - self._watched_s < WATCHED_S:
            self._hearing.show()
        if ending and heard_all and not self.capturing.alive:
            self._hearing.flush()
            self._hearing.collect()
            if self._hearing.done:
                self._finishing.finish(self.id, self.capturing, recovered=self._forsaken)
                self.over.set()

    def _is_long_enough(self) -> bool:
        return self._max_seconds is not None and self.captured_seconds >= self._max_seconds

    def _observe(self, ending: bool) -> None:
        """Take note of the level, of alarms, and of what the capture tells."""
        self._count()
        if self._watch.samples - self._watch.position > LEVEL_SAMPLES:
            # of what was captured without a server, only the end is of the moment
            self._watch.position = self._watch.samples - LEVEL_SAMPLES
        while len(samples := self._watch.read(READ_SAMPLES)):
            self._levels.push(samples)
        self.capturing.look()
        self._tell_events()
        lost = frozenset({"deviceLost"} if self.capturing.device_lost else ())
        self._tell_alarms(frozenset() if ending else self._levels.alarms | lost)
        if time.monotonic() - self._level_told_s >= LEVEL_EVERY_S and not ending:
            self._level_told_s = time.monotonic()
            self._database.bus.publish(
                recordings.level(self.id, self.account_id, self._levels.dbfs)
            )

    def _count(self) -> None:
        samples = self._watch.samples
        if samples > self._counted_samples:
            self._tally.captured((samples - self._counted_samples) / SAMPLE_RATE)
            self._counted_samples = samples

    def _note_text(self, ended_sample: int) -> None:
        if self.recording:  # else the journal grows no more, and tells no time
            self._tally.text_delays.note((self._watch.samples - ended_sample) / SAMPLE_RATE)

    def _tell_line(self, line: Line, after: int) -> None:
        told = recordings.partial(self.id, self.account_id, after, line.as_dict())
        self._database.bus.publish(told)

    def _tell_events(self) -> None:
        """Store the gaps of the journal; each of its lines counts once."""
        untold = self.capturing.events[self._told :]
        if not untold:
            return
        before = [self.capturing.events[self._told - 1] if self._told else None, *untold]
        gaps = [
            gap for event, last in zip(untold, before, strict=False) if (gap := gap_of(event, last))
        ]
        with self._database.write() as session:
            row = recordings.still(session, self.id)
            for gap in gaps:
                recordings.append_event(session, row, recordings.GAP, gap)
            row.told_events = self._told + len(untold)
            session.add(row)
        self._told += len(untold)
        for gap in gaps:
            self._tally.gap(str(gap["cause"]), float(str(gap["seconds"])))

    def _tell_alarms(self, alarms: frozenset[str]) -> None:
        if alarms == self._alarms:
            return
        with self._database.write() as session:
            row = recordings.still(session, self.id)
            for name in sorted(alarms ^ self._alarms):
                told = {"alarm": name, "active": name in alarms}
                recordings.append_event(session, row, recordings.ALARM, told)
        self._alarms = alarms

    def _note_finishing(self) -> None:
        if self._state is RecordingState.RECORDING:
            with self._database.write() as session:
                row = recordings.still(session, self.id)
                recordings.change_state(session, row, RecordingState.FINISHING)
            self._state = RecordingState.FINISHING


def gap_of(event: JournalEvent, before: JournalEvent | None) -> dict[str, object] | None:
    """Return the gap that a line of the journal tells of, if it does.

    A device that was still away when the recording ended, and a disk that ended it, are gaps too.
    """
    seconds, cause = event.seconds or 0.0, event.cause
    ended = event.kind == "stopped" and cause in FINAL
    if ended and before is not None and before.kind == "lost":
        seconds, cause = max(0.0, event.at - before.at), before.cause
    elif event.kind != "gap" and (event.kind, cause) != ("stopped", "disk"):
        return None
    at_seconds = round(event.sample / SAMPLE_RATE, 3)
    return {"atSeconds": at_seconds, "seconds": round(seconds, 3), "cause": cause}
