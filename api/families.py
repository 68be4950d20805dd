"""The metrics as Prometheus has them: families of samples, one prefix, base units.

Labels are few and from lists of our own: never an id, a name or an address.
"""

from collections.abc import Mapping

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)

from engine.tally import Spread

PREFIX = "scribebox"


def gauge(name: str, meaning: str, value: float) -> Metric:
    """Return what goes up and down."""
    return GaugeMetricFamily(f"{PREFIX}_{name}", meaning, value=value)


def gauges(name: str, meaning: str, label: str, values: Mapping[str, float]) -> Metric:
    """Return the same for each value of a label."""
    family = GaugeMetricFamily(f"{PREFIX}_{name}", meaning, labels=[label])
    for of, value in values.items():
        family.add_metric([of], value)
    return family


def fact(name: str, meaning: str, **labels: str) -> Metric:
    """Return something that is known and not a number: the number is 1."""
    family = GaugeMetricFamily(f"{PREFIX}_{name}", meaning, labels=list(labels))
    family.add_metric(list(labels.values()), 1)
    return family


def counter(name: str, meaning: str, value: float) -> Metric:
    """Return what only goes up; its name is that without _total."""
    return CounterMetricFamily(f"{PREFIX}_{name}", meaning, value=value)


def counters(name: str, meaning: str, label: str, values: Mapping[str, float]) -> Metric:
    """Return the same for each value of a label."""
    family = CounterMetricFamily(f"{PREFIX}_{name}", meaning, labels=[label])
    for of, value in values.items():
        family.add_metric([of], value)
    return family


def histogram(
    name: str, meaning: str, spreads: Mapping[str, Spread], label: str | None = None
) -> Metric:
    """Return how times are spread; without a label there is one spread, under the name ""."""
    labels = [label] if label else []
    family = HistogramMetricFamily(f"{PREFIX}_{name}", meaning, labels=labels)
    for of, spread in spreads.items():
        bounds = [*(f"{bound:g}" for bound in spread.bounds_s), "+Inf"]
        buckets = list(zip(bounds, map(float, spread.counts), strict=True))
        family.add_metric([of] if label else [], buckets, spread.sum_s)
    return family
