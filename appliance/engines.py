"""Which engines made a transcript, for its session: the box's, the cloud's, or both."""

from collections import Counter
from collections.abc import Iterable, Sequence

from engine.transcript import Segment

NO_ENGINE, NO_TEXT = "none", "engine error"


def main_engine(segments: Iterable[Segment]) -> str | None:
    """Return the label of the engine that made most of it, by time; None if none made anything."""
    spoken_ms: Counter[str] = Counter()
    for segment in segments:
        if segment.engine != NO_ENGINE:
            spoken_ms[segment.engine] += segment.end_ms - segment.start_ms
    return max(spoken_ms, key=lambda label: spoken_ms[label], default=None)


def cloud_warning(segments: Sequence[Segment]) -> str | None:
    """Return in words how much of the speech left the box, and why; None if nothing did."""
    sent = [segment for segment in segments if segment.engine_reason is not None]
    if not sent:
        return None
    seconds = sum(segment.end_ms - segment.start_ms for segment in sent) / 1000
    labels = ", ".join(sorted({segment.engine for segment in sent}))
    reasons = ", ".join(sorted({str(segment.engine_reason) for segment in sent}))
    return f"{seconds:.1f} s were heard in the cloud by {labels} ({reasons})"
