"""One loaded model, many callers: a priority queue in front of one thread.

Guarantee: tickets are served by priority (live, partial, short, long), in order of arrival
within one; a ticket that has waited `patience_s` goes first, so that files never starve. A caller
with a long job submits it window by window, so the next live utterance waits for one window at
most. The thread named "engine" is the only one that touches the model.

Cancelling a ticket that waits takes it out of the queue; the one that runs can't be interrupted
inside CTranslate2, its result is thrown away.
"""

import contextlib
import enum
import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError

from engine.audio import SAMPLE_RATE, Samples
from engine.errors import Cancelled, EngineError, ModelUnavailable
from engine.tally import Tally
from engine.whisper import Heard, Request, Whisper

log = logging.getLogger(__name__)


class Priority(enum.IntEnum):
    """Who goes first."""

    LIVE = 0
    PARTIAL = 1  # what is shown for a moment, until the final words come
    SHORT = 2
    LONG = 3

    @property
    def label(self) -> str:
        """Return its name as it is shown."""
        return self.name.lower()


class Ticket:
    """One window waiting for its turn, or done."""

    def __init__(self, samples: Samples, request: Request, priority: Priority) -> None:
        self.samples, self.request, self.priority = samples, request, priority
        self.submitted = time.monotonic()
        self.begun = False  # the engine is at it, or was
        self._future: Future[Heard] = Future()

    def result(self, timeout_s: float | None = None) -> Heard:
        """Wait for the text; raise Cancelled, TimeoutError, or what went wrong."""
        return self._future.result(timeout_s)

    def cancel(self) -> None:
        """Give the ticket up; whoever waits for it gets Cancelled."""
        self.fail(Cancelled("the ticket was cancelled"))

    def fail(self, error: BaseException) -> None:
        """End the ticket with an error unless it has ended already."""
        with contextlib.suppress(InvalidStateError):
            self._future.set_exception(error)

    def finish(self, heard: Heard) -> None:
        """End the ticket with its text unless it was given up meanwhile."""
        with contextlib.suppress(InvalidStateError):
            self._future.set_result(heard)

    @property
    def done(self) -> bool:
        """Tell whether it has a result, an error or was cancelled."""
        return self._future.done()

    @property
    def heard(self) -> Heard | None:
        """Return the text; None if there is none yet, or none at all."""
        if not self._future.done() or self._future.exception() is not None:
            return None
        return self._future.result()

    def when_done(self, call: Callable[[], None]) -> None:
        """Call something once it is done, in whichever thread that happens."""
        self._future.add_done_callback(lambda _: call())


class Worker:
    """Load a model in a thread of its own and transcribe what is submitted."""

    def __init__(self, load: Callable[[], Whisper], patience_s: float = 20.0) -> None:
        self.tally = Tally(tuple(priority.label for priority in Priority))
        self._load = load
        self._patience_s = patience_s
        self._waiting: list[Ticket] = []
        self._changed = threading.Condition()
        self._closing = False
        self._indulged = False  # the last one served was not live
        self._whisper: Whisper | None = None
        self._failure: EngineError | None = None
        self._loaded = threading.Event()
        self._began_s: float | None = None  # the window at hand
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)

    def start(self) -> "Worker":
        """Begin to load the model; tickets may be submitted at once."""
        self._thread.start()
        return self

    def stop(self, timeout_s: float = 5.0) -> None:
        """Cancel what waits and end the thread after the window it is at."""
        with self._changed:
            self._closing = True
            for ticket in self._waiting:
                ticket.cancel()
            self._waiting.clear()
            self._changed.notify_all()
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    def model(self, timeout_s: float | None = None) -> Whisper:
        """Wait until the model is loaded and return it, or raise why it can't be."""
        if not self._loaded.wait(timeout_s):
            raise TimeoutError("the model is still being loaded")
        if self._failure is not None:
            raise self._failure
        assert self._whisper is not None
        return self._whisper

    @property
    def state(self) -> str:
        """Return "loading", "ready" or "failed"."""
        if self._failure is not None:
            return "failed"
        return "ready" if self._loaded.is_set() else "loading"

    @property
    def alive(self) -> bool:
        """Tell whether its thread runs, or has nothing to do because there is no model."""
        return self._thread.is_alive() or self._failure is not None

    @property
    def busy_s(self) -> float:
        """Return for how long it has been at the window at hand; 0 if it is at none."""
        began_s = self._began_s
        return 0.0 if began_s is None else time.monotonic() - began_s

    @property
    def failure(self) -> EngineError | None:
        """Return why the model can't be used, if so."""
        return self._failure

    @property
    def waiting(self) -> int:
        """Return how many tickets are in the queue."""
        with self._changed:
            return sum(not ticket.done for ticket in self._waiting)

    @property
    def queue(self) -> dict[Priority, int]:
        """Return how many tickets wait, by their priority."""
        with self._changed:
            waiting = [ticket.priority for ticket in self._waiting if not ticket.done]
        return {priority: waiting.count(priority) for priority in Priority}

    def submit(self, samples: Samples, request: Request, priority: Priority) -> Ticket:
        """Queue one window; return at once."""
        ticket = Ticket(samples, request, priority)
        with self._changed:
            if self._closing:
                raise Cancelled("the engine is stopping")
            if self._failure is not None:
                raise self._failure
            self._waiting.append(ticket)
            self._changed.notify()
        return ticket

    def _run(self) -> None:
        try:
            whisper = self._load()
        except Exception as error:  # whatever it is, callers must learn of it
            self._fail(error)
            return
        self._whisper = whisper
        self._loaded.set()
        while (ticket := self._next()) is not None:
            self._began_s = time.monotonic()
            self._serve(whisper, ticket, self._began_s)
            self._began_s = None

    def _serve(self, whisper: Whisper, ticket: Ticket, began: float) -> None:
        label, audio_s = ticket.priority.label, len(ticket.samples) / SAMPLE_RATE
        ticket.begun = True
        self.tally.began(label, began - ticket.submitted)
        try:
            heard = whisper.transcribe(ticket.samples, ticket.request)
        except Exception as error:
            self.tally.failed(time.monotonic() - began)
            log.warning("a window could not be transcribed: %s", type(error).__name__)
            ticket.fail(error if not isinstance(error, RuntimeError) else engine_error(error))
            return
        held_back = tuple(s.suppressed for s in heard.segments if s.suppressed is not None)
        self.tally.ended(label, audio_s, time.monotonic() - began, held_back)
        ticket.finish(heard)

    def _fail(self, error: Exception) -> None:
        with self._changed:
            if isinstance(error, EngineError):
                self._failure = error
            else:
                log.error("the model can't be loaded", exc_info=error)
                self._failure = ModelUnavailable(f"the model can't be loaded: {error}")
            log.error("nothing can be transcribed: %s", self._failure)
            for ticket in self._waiting:
                ticket.fail(self._failure)
            self._waiting.clear()
        self._loaded.set()

    def _next(self) -> Ticket | None:
        """Wait for the ticket whose turn it is; None when the worker is to end."""
        with self._changed:
            while True:
                self._waiting = [ticket for ticket in self._waiting if not ticket.done]
                if self._closing:
                    return None
                if self._waiting:
                    ticket = choose(
                        self._waiting, time.monotonic() - self._patience_s, self._indulged
                    )
                    self._indulged = ticket.priority is not Priority.LIVE
                    self._waiting.remove(ticket)
                    return ticket
                self._changed.wait()


def engine_error(error: RuntimeError) -> EngineError:
    """Return what CTranslate2 says (out of memory, a lost GPU) as an error of the engine."""
    return EngineError(f"a window could not be transcribed: {error}")


def choose(waiting: list[Ticket], patient_since: float, indulged: bool = False) -> Ticket:
    """Return the oldest ticket if it lost patience, else the first of the best priority.

    `indulged` says that the last one was not live: then a live one does not wait once more.
    """
    first = min(waiting, key=lambda ticket: (ticket.priority, ticket.submitted))
    oldest = min(waiting, key=lambda ticket: ticket.submitted)
    if oldest.submitted > patient_since or (indulged and first.priority is Priority.LIVE):
        return first
    return oldest
