"""Every mood of a receiver once for real, and then what that means for 76 hours, by a clock that
the test moves: state, next try and the time it takes are the contract's.
"""

import asyncio
from dataclasses import dataclass
from itertools import chain, repeat
from random import Random
from unittest.mock import ANY

import pytest
import receiver
from delivering import (
    FakeSender,
    VirtualClock,
    delivering,
    hooked,
    real_sender,
    rows,
    tell_all,
    until,
)

from appliance.store.entities import Attempt, DeliveryState, Webhook
from scheduler.retries import DELAYS_S
from scheduler.sending import Outgoing

TRIES, HOUR_S = 11, 3600
PATIENT_S = 60.0
DEAD, DELIVERED = DeliveryState.DEAD, DeliveryState.DELIVERED


@dataclass(frozen=True)
class Mood:
    """What a receiver does, and what is to come of it."""

    path: str
    status: object = None
    error: str | None = None
    ends: DeliveryState = DEAD
    tries: int = TRIES
    least_s: float = 0.0  # before another try, whatever the schedule says
    asked_s: float = 0.0  # by Retry-After


MOODS = [
    Mood("/down", error="reset"),
    Mood("refused", error="refused"),
    Mood("/never", error="timeout"),
    Mood("/drip-headers", error="timeout"),
    Mood("/drip-body", 200, "timeout"),
    Mood("/huge", 200, ends=DELIVERED, tries=1),
    Mood("/reset", ANY, "reset"),  # a reset may overtake the head of the answer
    Mood("/redirect?to=http://127.0.0.1:9/", 302, "redirect"),
    Mood("/429?after=7200", 429, least_s=60, asked_s=7200),
    Mood("/503", 503, least_s=60),
    Mood("/410", 410, ends=DeliveryState.CANCELLED, tries=1),
    Mood("/500-then-200", 500, ends=DELIVERED, tries=2),
]


@pytest.fixture(scope="module")
def there():
    """Run a receiver for the module."""
    with receiver.receiving() as running:
        yield running


def tried_for_real(there, *moods, **options):
    """Return what the real sender says of each, all at the same time, and then of each again."""

    async def send(url):
        return await sender.send(Outgoing(url, {"webhook-id": "msg_1"}, b"{}"))

    async def send_all():
        return await asyncio.gather(*map(send, urls))

    sender = real_sender(**options)
    with receiver.refusing() as refused:
        urls = [refused if mood.path == "refused" else there.url(mood.path) for mood in moods]
        return asyncio.run(send_all()), asyncio.run(send_all())


@pytest.mark.parametrize("mood", MOODS, ids=lambda mood: mood.path.strip("/").partition("?")[0])
def test_76_hours_of_a_receiver_go_as_the_contract_says(there, database, account, mood):
    deadline_s = 0.5 if mood.error == "timeout" else PATIENT_S
    (first,), (second,) = tried_for_real(there, mood, deadline_s=deadline_s)
    assert (first.status, first.error) == (mood.status, mood.error)
    assert first.retry_after_s == (mood.asked_s or None)
    assert second.received is (mood.ends is DELIVERED)
    clock, held = VirtualClock(), []
    answers = chain([first], repeat(second))
    sender = FakeSender(lambda _: next(answers))
    hooked(database, account, "http://10.0.0.1/")
    tell_all(database, account)
    options = {"now": clock.now, "monotonic_s": clock.monotonic_s, "random": Random(7)}
    with delivering(database, sender, **options) as deliverer:
        for tries in range(1, mood.tries + 1):
            until(lambda tries=tries: len(rows(database, Attempt)) == tries)
            (row,) = rows(database)
            assert (row.tries, row.leased_until) == (tries, None)
            if tries == mood.tries:
                break
            assert row.state is DeliveryState.RETRYING
            wait_s = (row.due_at - clock.now()).total_seconds()
            least_s = max(DELAYS_S[tries], mood.least_s)
            assert max(least_s, mood.asked_s) <= wait_s <= max(least_s * 1.2, mood.asked_s)
            held.append(wait_s)
            clock.pass_s(wait_s)
            deliverer.wake()
        clock.pass_s(1000 * HOUR_S)
        deliverer.wake()
    (row,), (endpoint,) = rows(database), rows(database, Webhook)
    assert row.state is mood.ends and row.finished_at is not None
    assert len(sender.sent) == mood.tries
    assert endpoint.enabled is (mood.ends is not DeliveryState.CANCELLED)
    if mood.tries == TRIES and not mood.asked_s:
        assert 75.5 * HOUR_S <= sum(held) <= 76 * HOUR_S * 1.2
    kept = {(attempt.status, attempt.error, attempt.ms) for attempt in rows(database, Attempt)}
    assert kept <= {(first.status, first.error, first.ms), (second.status, second.error, second.ms)}
    assert {one.headers["webhook-id"] for one in sender.sent} == {row.id}


@pytest.mark.long
def test_a_receiver_holds_a_delivery_for_15_s_at_most(there):
    outcomes, _ = tried_for_real(there, *MOODS)
    for mood, outcome in zip(MOODS, outcomes, strict=True):
        # beyond the 15 s only what a busy machine adds
        least_ms, most_ms = (15_000, 18_000) if outcome.error == "timeout" else (0, 14_000)
        assert least_ms <= outcome.ms <= most_ms, (mood, outcome)
