"""The shapes of the webhooks API, camelCase as in `api/schemas.py`."""

from typing import Annotated

import msgspec
from litestar.openapi.spec import Schema
from litestar.openapi.spec.enums import OpenAPIType
from msgspec import UNSET, Meta, UnsetType

from appliance.store.webhooks import EVENTS, SESSION_CREATED

MAX_DESCRIPTION = 300  # characters
# as the document shows them; `api.webhooks` checks them, and says more
EVENT = Schema(type=OpenAPIType.STRING, enum=list(EVENTS))
ONCE_EACH = {"items": EVENT, "min_items": 1, "unique_items": True}
Events = Annotated[list[str], Meta(extra_json_schema={"extra": ONCE_EACH})]
Url = Annotated[str, Meta(extra_json_schema={"extra": {"format": "uri"}})]
Description = Annotated[str, Meta(max_length=MAX_DESCRIPTION)]


class NewWebhook(msgspec.Struct, rename="camel", kw_only=True, forbid_unknown_fields=True):
    """An endpoint to be told; `hookUrl` is what Zapier calls the `url`: one of the two."""

    url: Url | UnsetType = UNSET
    hook_url: Url | UnsetType = UNSET
    events: Events = msgspec.field(default_factory=lambda: [SESSION_CREATED])
    description: Description = ""


class WebhookChange(msgspec.Struct, rename="camel", kw_only=True, forbid_unknown_fields=True):
    """What may be changed of an endpoint; `enabled` true also forgives its failures."""

    url: Url | UnsetType = UNSET
    events: Events | UnsetType = UNSET
    description: Description | UnsetType = UNSET
    enabled: bool | UnsetType = UNSET


class Webhook(msgspec.Struct, rename="camel", kw_only=True):
    """An endpoint; `disabledBecause` asked, gone (it answered 410) or failing (for five days)."""

    id: int
    url: str
    events: list[str]
    description: str
    enabled: bool
    disabled_because: str | None
    failures: int
    failing_since: str | None
    created_at: str


class CreatedWebhook(Webhook, rename="camel", kw_only=True):
    """The same with the secret that its deliveries are signed with, shown this once."""

    secret: str


class RotatedWebhook(CreatedWebhook, rename="camel", kw_only=True):
    """The same with a new secret; the old one signs too until `oldSecretUntil`."""

    old_secret_until: str


class Ping(msgspec.Struct, rename="camel"):
    """What came of a test: the HTTP status, or what went wrong before there was one."""

    delivered: bool
    status: int | None
    error: str | None
    ms: int
    id: str


class Attempt(msgspec.Struct, rename="camel"):
    """One try of a delivery; of the answer only its status is known."""

    at: str
    status: int | None
    error: str | None
    ms: int


class Delivery(msgspec.Struct, rename="camel", kw_only=True):
    """A message for an endpoint: pending, retrying, delivered, dead or cancelled.

    `id` is its `webhook-id`; `tries` counts those since it was last begun, `attempts` has all.
    """

    id: str
    endpoint: int
    event: str
    state: str
    attempts: list[Attempt]
    tries: int
    next_try_at: str | None
    created_at: str


class Deliveries(msgspec.Struct, rename="camel"):
    """A stretch of the deliveries, the newest first; `total` is how many there are in all."""

    items: list[Delivery]
    total: int
    limit: int
    offset: int


class Replayed(msgspec.Struct, rename="camel"):
    """How many deliveries begin again."""

    replayed: int
