"""Metrics of live streams: how many, and how far text is behind the sound."""

from collections.abc import Iterable

from prometheus_client.core import Metric

from api.families import counter, gauge, histogram
from appliance.listeners import Listeners


def listen(listeners: Listeners) -> Iterable[Metric]:
    """Yield what all live streams of this process add up to."""
    listened = listeners.now()
    yield gauge("listen_streams_open", "Live streams that are open.", listened.open)
    yield counter("listen_streams", "Live streams that were opened.", listened.streams)
    yield counter("listen_audio_seconds", "Sound that live streams brought.", listened.audio_s)
    yield counter(
        "listen_partials_left_out",
        "Interim texts that were left out because the engine had more to do.",
        listened.partials_left_out,
    )
    yield gauge(
        "listen_lag_seconds",
        "Sound that waits for its final text, of the live stream where most does.",
        listened.lag_s,
    )
    yield histogram(
        "listen_final_lag_seconds",
        "Sound that came between the end of an utterance and its final text.",
        {"": listened.final_lags},
    )
