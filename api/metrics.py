"""GET /metrics: what a Prometheus fetches, of one app and in a registry of its own.

Parts are asked at each scrape, in a thread for monitors; one that breaks is told of by
`scribebox_scrape_success` and hides no other. What they count is in memory or in an index.
"""

import logging
from collections.abc import Callable, Iterable
from typing import Any

from litestar import Request, Response, get
from prometheus_client import CollectorRegistry, ProcessCollector, disable_created_metrics
from prometheus_client.core import Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector

from api import box_metrics, listen_metrics, sound_metrics, webhook_metrics
from api.auth import needs
from api.families import PREFIX, gauges
from api.health import Nightly
from api.openapi import answer
from api.request_metrics import RequestMetrics
from api.threads import monitoring
from api.webhook_metrics import Sending
from appliance.box import Box
from scheduler.clock import Clock

log = logging.getLogger(__name__)
TEXT = "text/plain; version=0.0.4"  # Litestar adds the charset
Part = Callable[[], Iterable[Metric]]
# it would give each counter a second series, which nobody asked for
disable_created_metrics()  # type: ignore[no-untyped-call]


class Metrics:
    """The registry of an app: requests from the first one on, the box once it runs."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(namespace=PREFIX, registry=self._registry)
        self.requests = RequestMetrics(self._registry)

    def watch(
        self,
        box: Box,
        clock: Clock,
        sending: Sending | None = None,
        nightly: Nightly | None = None,
    ) -> None:
        """Show a box that has just started."""
        parts: dict[str, Part] = {
            "build": box_metrics.build,
            "disk": lambda: box_metrics.disk(box.folder),
            "store": lambda: box_metrics.store(box.database),
            "duties": lambda: box_metrics.duties(clock),
            "capture": lambda: sound_metrics.capture(box.recorder),
            "engine": lambda: sound_metrics.engine(box.worker),
            "failover": lambda: sound_metrics.failover(box.standby),
            "listen": lambda: listen_metrics.listen(box.listeners),
            "webhooks": lambda: webhook_metrics.stored(box.database),
        }
        if sending is not None:
            parts["sending"] = lambda: webhook_metrics.sent(sending)
        if nightly is not None:
            parts["backup"] = lambda: box_metrics.backup(nightly)
        self._registry.register(Parts(parts))

    def text(self) -> bytes:
        """Return everything in Prometheus's text format."""
        return generate_latest(self._registry)


class Parts(Collector):
    """Ask one part after the other."""

    def __init__(self, parts: dict[str, Part]) -> None:
        self._parts = parts

    def describe(self) -> Iterable[Metric]:
        """Return nothing: the names are known once a part is asked."""
        return []

    def collect(self) -> Iterable[Metric]:
        """Yield what every part tells, and which ones told nothing."""
        went_well = {}
        for name, part in self._parts.items():
            try:
                told = list(part())  # whole or not at all
            except Exception as error:
                log.warning("no metrics of the %s: %s", name, type(error).__name__)
                told = []
                went_well[name] = 0.0
            else:
                went_well[name] = 1.0
            yield from told
        yield gauges("scrape_success", "1 if a part could be read.", "part", went_well)


@get(
    "/metrics",
    operation_id="metrics",
    tags=["box"],
    **needs("metrics", {200: answer(str, "the metrics", "text/plain")}),
)
@monitoring
def metrics(request: Request[Any, Any, Any]) -> Response[bytes]:
    """Return what the box counts, in Prometheus's text format."""
    found: Metrics = request.app.state.metrics
    return Response(found.text(), media_type=TEXT)
