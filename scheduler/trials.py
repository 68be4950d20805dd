"""Which endpoints are being tested by their owners: each by one test at a time."""

import contextlib
import threading
from collections.abc import Iterator

from appliance.errors import Conflict


class Trials:
    """Refuse a test beside another of the same endpoint: dead endpoints must hold up nobody."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._under_test: set[int] = set()

    @contextlib.contextmanager
    def alone(self, webhook_id: int) -> Iterator[None]:
        """Be the one test of an endpoint, or raise Conflict."""
        with self._lock:
            if webhook_id in self._under_test:
                raise Conflict(f"webhook {webhook_id} is being tested; wait for that outcome")
            self._under_test.add(webhook_id)
        try:
            yield
        finally:
            with self._lock:
                self._under_test.discard(webhook_id)
