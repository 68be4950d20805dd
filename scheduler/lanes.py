"""The slots that tries of deliveries take while they last, in three lanes.

Who answers at once shares eight slots; who failed three times in a row has two of its own. A try
that lasts gives its healthy slot up and goes on as a late one: else receivers that never answer
would hold it for 15 s, three times each, before they are known to be dead. Late ones are bounded
too; beyond that a try keeps its healthy slot to its end.
"""

import enum
from collections import Counter
from collections.abc import Mapping

LATE_AFTER_S = 0.25


class Lane(enum.StrEnum):
    """Where a try in flight is counted."""

    HEALTHY = "healthy"
    SLOW = "slow"
    LATE = "late"


SLOTS = {Lane.HEALTHY: 8, Lane.SLOW: 2, Lane.LATE: 100}


class Lanes:
    """Know which delivery holds which slot while it is tried; used by one thread."""

    def __init__(self, slots: Mapping[Lane, int] = SLOTS) -> None:
        self._slots = slots
        self._held: dict[str, Lane] = {}
        self._counts = Counter[Lane]()

    def free(self) -> dict[Lane, int]:
        """Return how many slots of each lane nobody holds."""
        return {lane: self._slots[lane] - self._counts[lane] for lane in Lane}

    def held(self) -> dict[Lane, int]:
        """Return how many slots of each lane are held."""
        return {lane: self._counts[lane] for lane in Lane}

    def lane_of(self, delivery_id: str) -> Lane | None:
        """Return where a delivery is tried, None if it is not."""
        return self._held.get(delivery_id)

    def enter(self, delivery_id: str, lane: Lane) -> None:
        """Give a delivery a slot."""
        assert delivery_id not in self._held and self._counts[lane] < self._slots[lane]
        self._held[delivery_id] = lane
        self._counts[lane] += 1

    def make_late(self, delivery_id: str) -> bool:
        """Free the healthy slot of a delivery whose try lasts, if there is room for late ones."""
        if self.lane_of(delivery_id) is not Lane.HEALTHY or self.free()[Lane.LATE] == 0:
            return False
        self.leave(delivery_id)
        self.enter(delivery_id, Lane.LATE)
        return True

    def leave(self, delivery_id: str) -> None:
        """Take a slot back."""
        self._counts[self._held.pop(delivery_id)] -= 1
