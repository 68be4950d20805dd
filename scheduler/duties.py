"""The table of what the box does by the clock: each duty, and how often."""

import threading
from collections.abc import Callable

from appliance.box import Box
from scheduler.backup import Nightly
from scheduler.clock import Duty
from scheduler.delivery import Deliverer
from scheduler.pruning import Pruning
from scheduler.retention import Days, Retention
from scheduler.sweep import Sweep

SECOND, MINUTE, HOUR = 1.0, 60.0, 3600.0


class Duties:
    """What duties work with; `give_up` ends those that last, within a moment."""

    def __init__(self, box: Box, deliverer: Deliverer, write_last_used: Callable[[], None]) -> None:
        self._stopping = stopping = threading.Event()
        settings, database = box.settings, box.database
        days = Days(settings.retention_audio_days, settings.retention_text_days)
        retention = Retention(database, box.uploads, box.history_audio, days, stopping)
        self.sweep = Sweep(database, box.uploads, box.history_audio, box.recorder, stopping)
        self.nightly = Nightly(settings, box.folder)
        self.table = (
            Duty("delivery", SECOND, deliverer.wake),
            Duty("last_used", MINUTE, write_last_used, at_stop=True),
            Duty("unattached_audio", HOUR, box.history_audio.remove_unattached),
            Duty("retention", HOUR, retention.run),
            Duty("pruning", HOUR, Pruning(database, days, stopping).run),
            Duty("sweep", HOUR, self.sweep.run),
            Duty("backup", HOUR, self.nightly.carry_out),
            Duty("checkpoint", HOUR, database.checkpoint),
        )

    def give_up(self) -> None:
        """Say that the box is about to stop."""
        self._stopping.set()
        self.nightly.close()
