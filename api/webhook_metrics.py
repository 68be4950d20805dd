"""Metrics of the webhooks: what is to be delivered, and what the sender does."""

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from prometheus_client.core import Metric

from api.families import counters, gauge, gauges
from appliance.store import deliveries, figures
from appliance.store.database import Database
from appliance.store.endpoints import ASKED, FAILING, GONE


class Stats(Protocol):
    """What tries have come to since the start, and how many are in flight by lane."""

    @property
    def delivered(self) -> int: ...

    @property
    def failed(self) -> int: ...

    @property
    def dead(self) -> int: ...

    @property
    def in_flight(self) -> Mapping[Any, int]: ...


class Sending(Protocol):
    """What is asked of the deliverer."""

    def stats(self) -> Stats: ...


def stored(database: Database) -> Iterable[Metric]:
    """Yield how many deliveries there are, and how long the oldest one waits."""
    with database.read() as session:
        states, standing = figures.deliveries(session), deliveries.standing(session)
    yield gauges("webhook_deliveries", "Deliveries that are kept.", "state", states)
    yield gauge(
        "webhook_oldest_pending_seconds",
        "How long the oldest delivery has waited for its first try.",
        standing.oldest_pending_s,
    )
    yield gauges(
        "webhook_endpoints_disabled",
        "Endpoints to which nothing is sent.",
        "reason",
        {why: standing.disabled.get(why, 0) for why in (ASKED, GONE, FAILING)},
    )


def sent(sending: Sending) -> Iterable[Metric]:
    """Yield how tries have ended, and how many are in flight."""
    stats = sending.stats()
    outcomes = {"delivered": stats.delivered, "failed": stats.failed, "dead": stats.dead}
    yield counters(
        "webhook_attempts",
        "Tries by outcome: failed ones come again, dead was the last.",
        "outcome",
        outcomes,
    )
    yield gauges(
        "webhook_in_flight",
        "Tries under way.",
        "lane",
        {str(lane): count for lane, count in stats.in_flight.items()},
    )
