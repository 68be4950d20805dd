"""Metrics of the box itself: its disk, its database, what is stored, what is done by the clock."""

import shutil
from collections.abc import Iterable
from importlib.metadata import version

from prometheus_client.core import Metric

from api.families import fact, gauge, gauges
from api.health import Nightly
from appliance.data_folder import DataFolder
from appliance.store import figures
from appliance.store.database import Database
from scheduler.clock import Clock


def build() -> Iterable[Metric]:
    """Yield which version runs."""
    yield fact("build_info", "The version that runs.", version=version("scribebox"))


def disk(folder: DataFolder) -> Iterable[Metric]:
    """Yield the room on the disk, and what the database takes of it."""
    room = shutil.disk_usage(folder.path)
    yield gauge("disk_free_bytes", "Room left on the disk of the data folder.", room.free)
    yield gauge("disk_size_bytes", "Size of the disk of the data folder.", room.total)
    yield gauge("database_size_bytes", "Size of the database.", folder.database.stat().st_size)
    log = folder.database.with_name(folder.database.name + "-wal")
    size = log.stat().st_size if log.exists() else 0
    yield gauge("database_wal_size_bytes", "Size of its write-ahead log.", size)


def store(database: Database) -> Iterable[Metric]:
    """Yield how many there are of what is stored."""
    with database.read() as session:
        sessions, recordings, jobs = (
            figures.sessions(session),
            figures.recordings(session),
            figures.jobs(session),
        )
    yield gauges("sessions", "Sessions; those that are done are listed.", "state", sessions)
    yield gauges("recordings", "Recordings.", "state", recordings)
    yield gauges("jobs", "Transcription jobs.", "state", jobs)


def duties(clock: Clock) -> Iterable[Metric]:
    """Yield how every duty of the clock went the last time."""
    runs = dict(clock.last)
    yield gauge("scheduler_running", "1 while duties are carried out.", float(clock.running))
    yield gauges(
        "duty_last_run_timestamp_seconds",
        "When a duty ran last.",
        "duty",
        {name: run.at.timestamp() for name, run in runs.items()},
    )
    yield gauges(
        "duty_last_run_duration_seconds",
        "How long that took.",
        "duty",
        {name: run.seconds for name, run in runs.items()},
    )
    yield gauges(
        "duty_last_run_success",
        "1 if that went well.",
        "duty",
        {name: float(run.error is None) for name, run in runs.items()},
    )


def backup(nightly: Nightly) -> Iterable[Metric]:
    """Yield how the last nightly backup went."""
    last = nightly.last
    if last is not None:
        at = last.at.timestamp()
        yield gauge("backup_last_run_timestamp_seconds", "When a backup was made last.", at)
        well = float(last.error is None)
        yield gauge("backup_last_run_success", "1 if that went well.", well)
