"""Metrics of what is recorded and of what the engine makes of it."""

import time
from collections.abc import Iterable

from prometheus_client.core import Metric

from api.families import counter, counters, fact, gauge, gauges, histogram
from appliance.recorder import Recorder
from appliance.standby import Standby
from engine.worker import Worker

ALARMS = ("silent", "clipping", "deviceLost")
STATES = ("loading", "ready", "failed")


def capture(recorder: Recorder) -> Iterable[Metric]:
    """Yield what all recordings of this process add up to, and how those that run are."""
    captured = recorder.tally.now()
    takes = [take for take in recorder.takes if take.recording]
    yield counter("captured_seconds", "Sound that was recorded.", captured.seconds)
    yield counters("capture_gaps", "Stretches without sound.", "cause", captured.gaps)
    yield counters(
        "capture_gap_seconds", "Time without sound in recordings.", "cause", captured.gap_seconds
    )
    overflows = captured.gaps["overflow"]
    yield counter("capture_overflows", "Times the machine was too slow to take sound.", overflows)
    yield histogram(
        "utterance_text_delay_seconds",
        "Time from the end of an utterance of a recording until its text is stored.",
        {"": captured.text_delays},
    )
    yield gauge("captures_running", "Recordings that run.", len(takes))
    alarms = [alarm for take in takes for alarm in take.alarms]
    yield gauges(
        "capture_alarms",
        "Running recordings with something wrong.",
        "alarm",
        {alarm: alarms.count(alarm) for alarm in ALARMS},
    )
    if takes:
        yield gauge(
            "capture_last_sample_age_seconds",
            "Time since the last sound was written, of the recording where that is longest.",
            max(max(0.0, time.time() - take.capturing.last_sample_s) for take in takes),
        )
        yield gauge(
            "capture_behind_seconds",
            "Sound without text yet, of the recording that has most.",
            max(max(0.0, take.captured_seconds - take.transcribed_seconds) for take in takes),
        )
    levels = [take.level for take in takes if take.level is not None]
    if levels:
        yield gauge(
            "capture_level_dbfs", "Level of the last second, of the quietest one.", min(levels)
        )


def engine(worker: Worker) -> Iterable[Metric]:
    """Yield what the engine is, what it has done and what waits for it."""
    state, work = worker.state, worker.tally.now()
    yield gauges(
        "engine_state",
        "1 for the state that the engine is in.",
        "state",
        {name: float(name == state) for name in STATES},
    )
    if state == "ready":
        whisper = worker.model(0)
        yield fact("engine_model_info", "The model in use.", model=whisper.model.label)
    yield counters("engine_windows", "Windows that were transcribed.", "priority", work.windows)
    yield counter("engine_failed_windows", "Windows without a result.", work.failed)
    yield counter("engine_audio_seconds", "Sound that was transcribed.", work.audio_s)
    yield counter(
        "engine_busy_seconds",
        "Time spent on it: its rate by that of the sound is the real-time factor.",
        work.busy_s,
    )
    yield counters("engine_suppressed", "Texts that a gate held back.", "reason", work.suppressed)
    yield gauges(
        "engine_queue_windows",
        "Windows that wait.",
        "priority",
        {priority.label: count for priority, count in worker.queue.items()},
    )
    yield histogram(
        "engine_wait_seconds", "Time windows waited for their turn.", work.waits, "priority"
    )


def failover(standby: Standby) -> Iterable[Metric]:
    """Yield what the cloud has heard for the box, and for how many it does so now."""
    told, decisions = standby.tally.now(), standby.decisions
    yield gauge(
        "failover_active",
        "Takes and files heard by the cloud.",
        sum(decision.to_cloud for decision in decisions),
    )
    yield counters(
        "failover_seconds", "Sound that the cloud heard for the box.", "reason", told.seconds
    )
    yield counters(
        "failover_requests", "Stretches that the cloud was sent.", "outcome", told.requests
    )
    yield counters(
        "failover_failures",
        "Times that a take or a file needed the cloud and could not have it.",
        "reason",
        told.hindered,
    )
