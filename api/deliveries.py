"""Deliveries of webhooks over HTTP: how each went, sending it again, and a test of an endpoint."""

import functools
import re
from datetime import UTC, datetime
from typing import Annotated, Any

from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, QueryParameter

from api.auth import address_of, needs
from api.closing import Closing
from api.threads import TESTERS, WRITERS, in_thread, threaded, writing
from api.webhook_schemas import Attempt, Deliveries, Delivery, Ping, Replayed
from api.webhooks import MISSING, ONE, PATH
from appliance.box import Box
from appliance.errors import Conflict, Refused
from appliance.store import audit, deliveries, endpoints
from appliance.store.deliveries import Shown
from appliance.store.entities import DeliveryState
from appliance.store.keys import Caller
from appliance.store.sessions import timestamp
from scheduler.delivery import Deliverer
from scheduler.sending import Outcome

PER_PAGE, MAX_PER_PAGE = 20, 100
LAST_ID = 2**63 - 1  # of any row
STATES = [state.value for state in DeliveryState]
CLOSED = "The endpoint is disabled or deleted."
PLUS = re.compile(r" (?=\d\d:?\d\d$)")  # a + that nobody escaped is a space in a query
MOMENT = "a time with its zone, such as 2026-11-21T08:30:00Z"
DELIVERIES: dict[str, Any] = {"tags": ["webhooks"]}
State = Annotated[str | None, QueryParameter(name="state", enum=STATES)]
Endpoint = Annotated[int | None, QueryParameter(name="endpoint", ge=1, le=LAST_ID)]
Limit = Annotated[int, QueryParameter(name="limit", ge=1, le=MAX_PER_PAGE)]
Offset = Annotated[int, QueryParameter(name="offset", ge=0)]
Since = Annotated[str | None, QueryParameter(name="since", format="date-time", description=MOMENT)]
Required = Annotated[str, QueryParameter(name="since", format="date-time", description=MOMENT)]


@get(
    f"{PATH}/deliveries",
    operation_id="listDeliveries",
    **needs("webhooks"),
    **DELIVERIES,
)
@threaded
def list_deliveries(
    box: NamedDependency[Box],
    in_state: State = None,
    endpoint: Endpoint = None,
    since: Since = None,
    limit: Limit = PER_PAGE,
    offset: Offset = 0,
    *,
    caller: NamedDependency[Caller],
) -> Deliveries:
    """Return deliveries of the account, the newest first, never what they tell."""
    wanted = None if in_state is None else known(in_state)
    earliest = None if since is None else moment(since)
    with box.database.read() as session:
        rows, total = deliveries.page(
            session, caller.account_id, wanted, endpoint, earliest, limit, min(offset, 2**62)
        )
    return Deliveries([described(row) for row in rows], total, limit, offset)


@post(
    f"{ONE}/test",
    operation_id="testWebhook",
    status_code=200,
    **needs(
        "webhooks",
        _404=MISSING,
        _409="The endpoint is disabled or being tested, or the box can't send now.",
    ),
    **DELIVERIES,
)
async def test_webhook(
    request: Request[Any, Any, Any],
    box: NamedDependency[Box],
    deliverer: NamedDependency[Deliverer],
    closing: NamedDependency[Closing],
    webhook_id: FromPath[int],
    caller: NamedDependency[Caller],
) -> Ping:
    """Send an endpoint one `ping` now; it is kept as a delivery and not tried again."""
    address = address_of(request)
    await in_thread(WRITERS, lambda: begin_test(box, caller, address, webhook_id))
    sent: list[tuple[str, Outcome]] = []

    async def send() -> None:
        test = functools.partial(deliverer.send_now, webhook_id)
        sent.append(await in_thread(TESTERS, test, abandon=True))

    if not await closing.before(send()):
        raise Conflict("the box is about to stop; test the webhook after its start")
    number, outcome = sent[0]
    return Ping(outcome.received, outcome.status, outcome.error, outcome.ms, number)


@post(
    f"{PATH}/deliveries/{{delivery_id:str}}/replay",
    operation_id="replayDelivery",
    status_code=202,
    **needs("webhooks", _404="There is no such delivery.", _409=CLOSED),
    **DELIVERIES,
)
@writing
def replay_delivery(
    request: Request[Any, Any, Any],
    box: NamedDependency[Box],
    delivery_id: FromPath[str],
    caller: NamedDependency[Caller],
) -> Delivery:
    """Send a delivery again from its first try on, under the same `webhook-id`."""
    with box.database.write() as session:
        row = deliveries.replay(session, caller.account_id, delivery_id)
        audit.by(session, caller, address_of(request), "webhook.replay", row.id)
        shown = deliveries.get(session, caller.account_id, delivery_id)
    return described(shown)


@post(
    f"{ONE}/replay",
    operation_id="replayDeliveries",
    status_code=202,
    **needs("webhooks", _404=MISSING, _409=CLOSED),
    **DELIVERIES,
)
@writing
def replay_deliveries(
    request: Request[Any, Any, Any],
    box: NamedDependency[Box],
    webhook_id: FromPath[int],
    since: Required,
    caller: NamedDependency[Caller],
) -> Replayed:
    """Send again all that came to be for an endpoint since a time, received or not."""
    earliest = moment(since)
    with box.database.write() as session:
        count = deliveries.replay_since(session, caller.account_id, webhook_id, earliest)
        audit.by(session, caller, address_of(request), "webhook.replay", str(webhook_id))
    return Replayed(count)


def begin_test(box: Box, caller: Caller, address: str, webhook_id: int) -> None:
    """Check that an endpoint can be tested, and note that it is."""
    with box.database.write() as session:
        row = endpoints.get(session, caller.account_id, webhook_id)
        if not row.enabled:
            why = row.disabled_because or endpoints.ASKED
            raise Conflict(f"webhook {row.id} is disabled ({why}); enable it, then test it")
        audit.by(session, caller, address, "webhook.test", str(row.id))


def described(shown: Shown) -> Delivery:
    """Return a delivery as clients see it."""
    row = shown.row
    return Delivery(
        id=row.id,
        endpoint=row.webhook_id,
        event=shown.event,
        state=row.state.value,
        attempts=[
            Attempt(timestamp(one.created_at), one.status, one.error, one.ms)
            for one in shown.attempts
        ],
        tries=row.tries,
        next_try_at=timestamp(row.due_at) if row.state in endpoints.WAITING else None,
        created_at=timestamp(row.created_at),
    )


def known(state: str) -> DeliveryState:
    """Return the state of that name."""
    if state not in STATES:
        raise Refused(f"state {state[:50]!r}: there are {', '.join(STATES)}")
    return DeliveryState(state)


def moment(text: str) -> datetime:
    """Return the moment that a client means, in UTC."""
    try:
        given = datetime.fromisoformat(PLUS.sub("+", text))
        if given.tzinfo is not None:
            return given.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise Refused(f"since {text[:50]!r}: want {MOMENT}")
