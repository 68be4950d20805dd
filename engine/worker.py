"""One loaded model, many callers: a priority queue in front of the threads of the engine.

Guarantee: tickets are served by priority (live, partial, short, long), in order of arrival
within one; a ticket that has waited `patience_s` goes first, so that files never starve. Windows
of files are transcribed several at a time; while somebody speaks, no more than take about a
second, so the next live utterance waits for one such batch at most. The threads named "engine"
are the only ones that touch the model.

Cancelling a ticket that waits takes it out of the queue; the one that runs can't be interrupted
inside CTranslate2, its result is thrown away.
"""

import logging
import math
import threading
import time
from collections.abc import Callable

from engine.audio import Samples
from engine.errors import Cancelled, EngineError, ModelUnavailable
from engine.pace import SPOKEN_WITHIN_S, Pace
from engine.process import give_back, prepare_process
from engine.tally import Tally
from engine.ticket import Priority, Ticket, batch_of, choose
from engine.whisper import Request, Whisper

__all__ = ["Priority", "Ticket", "Worker"]
log = logging.getLogger(__name__)
IDLE_S = 2.0  # after which the memory that windows of a file were computed in is given back


class Worker:
    """Load a model in a thread of its own and transcribe what is submitted.

    `workers`: how many batches at once, as many as the model's hardware has.
    """

    def __init__(
        self, load: Callable[[], Whisper], patience_s: float = 20.0, *, workers: int = 1
    ) -> None:
        prepare_process()
        self.tally = Tally(tuple(priority.label for priority in Priority))
        self._load = load
        self._patience_s = patience_s
        self._waiting: list[Ticket] = []
        self._changed = threading.Condition()
        self._closing = False
        self._last = Priority.LIVE  # that was served
        self._whisper: Whisper | None = None
        self._failure: EngineError | None = None
        self._loaded = threading.Event()
        self._pace = Pace()
        self._began_s: dict[int, float] = {}  # the batches at hand
        self._ended_s = 0.0  # when the last one ended
        self._rest_s = math.inf  # how long after that its memory is kept; there is none at first
        self._threads = [
            threading.Thread(target=run, name="engine", daemon=True)
            for run in [self._run, *[self._help] * (workers - 1)]
        ]

    def start(self) -> "Worker":
        """Begin to load the model; tickets may be submitted at once."""
        for thread in self._threads:
            thread.start()
        return self

    def stop(self, timeout_s: float = 5.0) -> None:
        """Cancel what waits and end the threads after the windows they are at."""
        with self._changed:
            self._closing = True
            for ticket in self._waiting:
                ticket.cancel()
            self._waiting.clear()
            self._changed.notify_all()
        until = time.monotonic() + timeout_s
        for thread in self._threads:
            if thread.is_alive():
                thread.join(max(until - time.monotonic(), 0))

    def model(self, timeout_s: float | None = None) -> Whisper:
        """Wait until the model is loaded and return it, or raise why it can't be."""
        if not self._loaded.wait(timeout_s):
            raise TimeoutError("the model is still being loaded")
        if self._failure is not None:
            raise self._failure.with_traceback(None)  # it would grow by each raise
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
        """Tell whether its threads run, or have nothing to do because there is no model."""
        return all(each.is_alive() for each in self._threads) or self._failure is not None

    @property
    def busy_s(self) -> float:
        """Return for how long it has been at the oldest window at hand; 0 if it is at none."""
        with self._changed:
            began_s = min(self._began_s.values(), default=None)
        return 0.0 if began_s is None else max(time.monotonic() - began_s, 0.0)

    @property
    def failure(self) -> EngineError | None:
        """Return why the model can't be used, if so."""
        return self._failure

    @property
    def waiting(self) -> int:
        """Return how many tickets are in the queue."""
        return sum(self.queue.values())

    @property
    def queue(self) -> dict[Priority, int]:
        """Return how many tickets wait, by their priority."""
        with self._changed:
            waiting = [ticket.priority for ticket in self._waiting if not ticket.done]
        return {priority: waiting.count(priority) for priority in Priority}

    def expect_speech(self) -> None:
        """Keep batches short for a while: somebody listens, if to silence so far."""
        self._pace.expect_speech()

    def submit(self, samples: Samples, request: Request, priority: Priority) -> Ticket:
        """Queue one window; return at once."""
        ticket = Ticket(samples, request, priority)
        with self._changed:
            if self._closing:
                raise Cancelled("the engine is stopping")
            if self._failure is not None:
                raise self._failure.with_traceback(None)
            if not priority.of_files:
                self.expect_speech()
            self._waiting.append(ticket)
            self._changed.notify()
        return ticket

    def _run(self) -> None:
        try:
            whisper = self._load()
        except Exception as error:  # whatever it is, callers must learn of it
            self._fail(error)
            return
        give_back()
        self._whisper = whisper
        self._loaded.set()
        self._serve_all(whisper)

    def _help(self) -> None:
        """Do the same as the thread that loads the model, once it has."""
        self._loaded.wait()
        if self._whisper is not None:
            self._serve_all(self._whisper)

    def _serve_all(self, whisper: Whisper) -> None:
        while batch := self._next():
            began = time.monotonic()
            for ticket in batch:
                ticket.begun = True
                self.tally.began(ticket.priority.label, began - ticket.submitted)
            self._serve(whisper, batch, began)
            with self._changed:
                del self._began_s[threading.get_ident()]
                self._ended_s = time.monotonic()
                rest_s = IDLE_S if batch[0].priority.of_files else SPOKEN_WITHIN_S
                self._rest_s = min(self._rest_s, rest_s)

    def _serve(self, whisper: Whisper, batch: list[Ticket], began: float) -> None:
        label = batch[0].priority.label
        try:
            if len(batch) == 1:
                heard = [whisper.transcribe(batch[0].samples, batch[0].request)]
            else:
                heard = whisper.transcribe_all([t.samples for t in batch], batch[0].request)
        except Exception as error:
            if len(batch) > 1:  # perhaps there were too many, perhaps one of them is at fault
                for ticket in batch:
                    if not ticket.done:  # its file may have been given up for another's fault
                        with self._changed:
                            self._began_s[threading.get_ident()] = time.monotonic()
                        self._serve(whisper, [ticket], time.monotonic())
                return
            self.tally.failed(time.monotonic() - began)
            log.warning("a window could not be transcribed: %s", type(error).__name__)
            told = engine_error(error) if isinstance(error, RuntimeError) else error
            batch[0].fail(told)
            return
        each_s = (time.monotonic() - began) / len(batch)
        if batch[0].priority.of_files:
            self._pace.took(each_s, max(ticket.seconds for ticket in batch))
        for ticket, result in zip(batch, heard, strict=True):
            held_back = tuple(s.suppressed for s in result.segments if s.suppressed is not None)
            self.tally.ended(label, ticket.seconds, each_s, held_back)
            ticket.finish(result)

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

    def _next(self) -> list[Ticket]:
        """Wait for the tickets whose turn it is; none when the worker is to end."""
        with self._changed:
            while True:
                self._waiting = [ticket for ticket in self._waiting if not ticket.done]
                if self._closing:
                    return []
                if self._waiting:
                    ticket = choose(self._waiting, time.monotonic() - self._patience_s, self._last)
                    self._last = ticket.priority
                    most = self._pace.most_at_once(ticket.seconds)
                    batch = batch_of(ticket, self._waiting, most)
                    self._waiting = [each for each in self._waiting if each not in batch]
                    others_s = sum(self._pace.expected_s(each.seconds) for each in batch[1:])
                    self._began_s[threading.get_ident()] = time.monotonic() + others_s
                    return batch
                self._rest()

    def _rest(self) -> None:
        """Wait for a change; where none comes for a while, give the memory of windows back."""
        left_s = self._ended_s + self._rest_s - time.monotonic()
        if self._began_s or math.isinf(left_s):  # whoever ends last sees to it
            self._changed.wait()
        elif left_s > 0:
            self._changed.wait(left_s)
        else:
            self._rest_s = math.inf
            self._changed.release()
            try:
                give_back()
            finally:
                self._changed.acquire()


def engine_error(error: RuntimeError) -> EngineError:
    """Return what CTranslate2 says (out of memory, a lost GPU) as an error of the engine."""
    return EngineError(f"a window could not be transcribed: {error}")
