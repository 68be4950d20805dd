"""Webhook endpoints over HTTP: who is told, with which secret, and whether it gets there.

Zapier's REST hooks work with the same routes: it subscribes by POST with its `hookUrl`, keeps the
`id` of the answer and unsubscribes by DELETE.
"""

from typing import Any

from litestar import Request, Response, delete, get, patch, post
from litestar.datastructures import CacheControlHeader
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from msgspec import UNSET

from api.auth import address_of, needs
from api.threads import threaded, writing
from api.webhook_schemas import (
    MAX_DESCRIPTION,
    CreatedWebhook,
    NewWebhook,
    RotatedWebhook,
    Webhook,
    WebhookChange,
)
from appliance.box import Box
from appliance.errors import Refused
from appliance.store import audit, endpoints, entities
from appliance.store.entities import now
from appliance.store.keys import Caller
from appliance.store.sessions import timestamp
from appliance.store.webhooks import EVENTS
from scheduler.destinations import Destinations

PATH = "/api/v1/webhooks"
ONE = f"{PATH}/{{webhook_id:int}}"
MISSING = "There is no such endpoint."
TOO_LARGE = "The body is too large."
# an answer has the address of the endpoint, which often has a token in it
WEBHOOKS: dict[str, Any] = {
    "tags": ["webhooks"],
    "cache_control": CacheControlHeader(no_store=True),
}


@get(PATH, operation_id="listWebhooks", **needs("webhooks"), **WEBHOOKS)
@threaded
def list_webhooks(box: NamedDependency[Box], caller: NamedDependency[Caller]) -> list[Webhook]:
    """Return the account's endpoints, the newest first, never their secrets."""
    with box.database.read() as session:
        return [Webhook(**described(row)) for row in endpoints.every(session, caller.account_id)]


@post(
    PATH,
    operation_id="createWebhook",
    **needs("webhooks", _409="There are too many endpoints.", _413=TOO_LARGE),
    **WEBHOOKS,
)
@writing
def create_webhook(
    data: JSONBody[NewWebhook],
    request: Request[Any, Any, Any],
    box: NamedDependency[Box],
    destinations: NamedDependency[Destinations],
    caller: NamedDependency[Caller],
) -> Response[CreatedWebhook]:
    """Make an endpoint; the answer is the only place where its secret is ever shown."""
    url, events, description = wanted_url(data), checked(data.events), printable(data.description)
    destinations.check_url(url)
    secret = box.webhook_secrets.new()
    sealed = box.webhook_secrets.seal(secret)
    with box.database.write() as session:
        row = endpoints.create(session, caller.account_id, url, sealed, events, description)
        audit.by(session, caller, address_of(request), "webhook.create", str(row.id))
    made = CreatedWebhook(**described(row), secret=secret)
    return Response(made, headers={"Location": f"{PATH}/{row.id}"})


@get(ONE, operation_id="getWebhook", **needs("webhooks", _404=MISSING), **WEBHOOKS)
@threaded
def get_webhook(
    box: NamedDependency[Box], webhook_id: FromPath[int], caller: NamedDependency[Caller]
) -> Webhook:
    """Return an endpoint and how it is."""
    with box.database.read() as session:
        return Webhook(**described(endpoints.get(session, caller.account_id, webhook_id)))


@patch(
    ONE,
    operation_id="changeWebhook",
    **needs("webhooks", _404=MISSING, _413=TOO_LARGE),
    **WEBHOOKS,
)
@writing
def change_webhook(
    data: JSONBody[WebhookChange],
    request: Request[Any, Any, Any],
    box: NamedDependency[Box],
    destinations: NamedDependency[Destinations],
    webhook_id: FromPath[int],
    caller: NamedDependency[Caller],
) -> Webhook:
    """Change where and what is told; disabling cancels what waits, enabling forgives failures."""
    changes = wanted_changes(data, destinations)
    with box.database.write() as session:
        row = endpoints.get(session, caller.account_id, webhook_id)
        endpoints.change(session, row, **changes)
        if data.enabled is True:
            endpoints.enable(session, row)
        elif data.enabled is False:
            endpoints.disable(session, row, endpoints.ASKED)
        audit.by(session, caller, address_of(request), "webhook.change", str(row.id))
    return Webhook(**described(row))


@delete(ONE, operation_id="deleteWebhook", **needs("webhooks", _404=MISSING), tags=["webhooks"])
@writing
def delete_webhook(
    request: Request[Any, Any, Any],
    box: NamedDependency[Box],
    webhook_id: FromPath[int],
    caller: NamedDependency[Caller],
) -> None:
    """Delete an endpoint; what still waits for it is cancelled."""
    with box.database.write() as session:
        row = endpoints.get(session, caller.account_id, webhook_id)
        endpoints.delete(session, row)
        audit.by(session, caller, address_of(request), "webhook.delete", str(row.id))


@post(
    f"{ONE}/rotate",
    operation_id="rotateWebhook",
    status_code=200,
    **needs("webhooks", _404=MISSING),
    **WEBHOOKS,
)
@writing
def rotate_webhook(
    request: Request[Any, Any, Any],
    box: NamedDependency[Box],
    webhook_id: FromPath[int],
    caller: NamedDependency[Caller],
) -> RotatedWebhook:
    """Give an endpoint a new secret, shown this once; the old one signs too for a day."""
    secret = box.webhook_secrets.new()
    with box.database.write() as session:
        row = endpoints.get(session, caller.account_id, webhook_id)
        endpoints.rotate(session, row, box.webhook_secrets.seal(secret), now())
        audit.by(session, caller, address_of(request), "webhook.rotate", str(row.id))
    assert row.old_secret_until is not None
    until = timestamp(row.old_secret_until)
    return RotatedWebhook(**described(row), secret=secret, old_secret_until=until)


def wanted_url(data: NewWebhook) -> str:
    """Return the address, by whichever of its two names it was given."""
    given = {url for url in (data.url, data.hook_url) if url is not UNSET}
    if len(given) != 1:
        raise Refused(
            "url and hookUrl are two names of the same and differ: give one of them"
            if given
            else "an endpoint needs a url (or hookUrl, as Zapier calls it)"
        )
    return given.pop()


def wanted_changes(data: WebhookChange, destinations: Destinations) -> dict[str, Any]:
    """Return what is to be changed beside `enabled`, if all of it can be."""
    changes: dict[str, Any] = {}
    if data.url is not UNSET:
        destinations.check_url(data.url)
        changes["url"] = data.url
    if data.events is not UNSET:
        changes["events"] = checked(data.events)
    if data.description is not UNSET:
        changes["description"] = printable(data.description)
    return changes


def checked(events: list[str]) -> list[str]:
    """Return the events, if each is known and there once."""
    for event in events:
        if event not in EVENTS:
            raise Refused(f"event {event[:50]!r}: there is {', '.join(EVENTS)}")
    if not events or len(set(events)) < len(events):
        raise Refused(f"events {events[:5]}: want each once and at least one: {', '.join(EVENTS)}")
    return events


def printable(description: str) -> str:
    """Return the description, if it can be shown on one line."""
    if not description.isprintable():
        raise Refused(f"description: want up to {MAX_DESCRIPTION} printable characters on one line")
    return description


def described(row: entities.Webhook) -> dict[str, Any]:
    """Return what may be known of an endpoint."""
    return {
        "id": row.id,
        "url": row.url,
        "events": row.events,
        "description": row.description,
        "enabled": row.enabled,
        "disabled_because": row.disabled_because,
        "failures": row.failures,
        "failing_since": timestamp(row.failing_since) if row.failing_since else None,
        "created_at": timestamp(row.created_at),
    }
