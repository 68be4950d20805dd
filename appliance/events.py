"""Tell other parts of the process what has been committed.

Guarantee: a subscriber hears of an event after its transaction is on the disk, at most once, in
the thread that committed; a subscriber must not block. What must not be lost is a row, not an
event: an event only says that it is worth looking.
"""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Event:
    """What happened: a name such as "job.changed" and plain values."""

    name: str
    values: dict[str, Any] = field(default_factory=dict)


Subscriber = Callable[[Event], None]


class Bus:
    """Hold the subscribers of one process."""

    def __init__(self) -> None:
        self._subscribers: list[Subscriber] = []
        self._lock = threading.Lock()

    def subscribe(self, subscriber: Subscriber) -> Callable[[], None]:
        """Call `subscriber` with every event from now on; return the call that ends it."""
        with self._lock:
            self._subscribers.append(subscriber)

        def unsubscribe() -> None:
            with self._lock:
                if subscriber in self._subscribers:
                    self._subscribers.remove(subscriber)

        return unsubscribe

    def publish(self, event: Event) -> None:
        """Call every subscriber; one that fails is logged and harms no other."""
        with self._lock:
            subscribers = list(self._subscribers)
        for subscriber in subscribers:
            try:
                subscriber(event)
            except Exception:
                log.exception("a subscriber of %s failed", event.name)
