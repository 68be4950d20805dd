"""Have the engine of the box hear stretches, and keep in mind how often it failed of late.

`begin` and `look` are for one thread; the engine calls back in its own.
"""

import time
from collections.abc import Callable

from appliance.lane import Stretch
from engine.errors import Cancelled, EngineError
from engine.failover import Engine
from engine.worker import Ticket, Worker

ENGLISH = ("en",)


class BoxEar:
    """Ask the engine; `on_news` is called when it has done with a stretch."""

    def __init__(self, worker: Worker, on_news: Callable[[], None]) -> None:
        self._worker, self._on_news = worker, on_news
        self._error: Exception | None = None  # the last: all of a batch have the same
        self._failures, self._failed_s = 0, 0.0  # in a row, and when the last was

    @property
    def engine(self) -> Engine:
        """Return how the engine is."""
        return Engine(
            missing=self._worker.failure is not None,
            failures=self._failures,
            since_failure_s=time.monotonic() - self._failed_s,
            busy_s=self._worker.busy_s,
        )

    @property
    def language(self) -> str | None:
        """Return the language that the model takes everything for, if it knows but one."""
        if self._worker.state != "ready":
            return None
        return "en" if self._worker.model(0).languages == ENGLISH else None

    def begin(self, stretch: Stretch) -> None:
        """Give a stretch to the engine; without a model it goes on waiting."""
        try:
            inner = self._worker.submit(stretch.samples, stretch.request, stretch.priority)
        except Cancelled as error:
            stretch.fail(error)
            return
        except EngineError:
            return
        stretch.inner = inner
        inner.when_done(lambda: self._heard(stretch, inner))

    def look(self, stretch: Stretch) -> None:
        """Take note if the engine has failed at a stretch."""
        inner = stretch.inner
        if inner is None or not inner.done or stretch.done:
            return
        try:
            stretch.finish(inner.result(0))
        except Cancelled as error:  # the engine is stopping, and so are we
            stretch.fail(error)
        except Exception as error:
            stretch.inner, stretch.error = None, error
            if self._worker.failure is None:
                stretch.failures += 1
                if error is not self._error:
                    self._error = error
                    self._failures += 1
                self._failed_s = time.monotonic()

    def _heard(self, stretch: Stretch, inner: Ticket) -> None:
        heard = inner.heard
        if heard is not None:
            self._failures, self._error = 0, None
            stretch.lane.heard_s = time.monotonic()
            stretch.finish(heard)  # which is thrown away if the cloud was quicker
        self._on_news()
