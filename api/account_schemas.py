"""The shapes of accounts and of who calls as they come in and go out, camelCase."""

from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

from appliance.store.accounts import MAX_DAYS

Days = Annotated[int, Meta(ge=0, le=MAX_DAYS)]  # 0: for ever


class NewAccount(msgspec.Struct, rename="camel", kw_only=True, forbid_unknown_fields=True):
    """An account to be made; null for days of retention: those of the settings."""

    name: str
    plan: str = "selfhosted"
    timezone: str = "UTC"
    retention_audio_days: Days | None = None
    retention_text_days: Days | None = None


class AccountChange(msgspec.Struct, rename="camel", kw_only=True, forbid_unknown_fields=True):
    """What may be changed of an account; null for days of retention: those of the settings."""

    plan: str | None = None
    timezone: str | None = None
    retention_audio_days: Days | UnsetType | None = UNSET
    retention_text_days: Days | UnsetType | None = UNSET


class Account(msgspec.Struct, rename="camel"):
    """An account; its days of retention are null where those of the settings hold, 0: for ever."""

    id: int
    name: str
    plan: str
    timezone: str
    retention_audio_days: int | None
    retention_text_days: int | None
    created_at: str


class OwnAccount(msgspec.Struct, rename="camel"):
    """What an account may know of itself."""

    id: int
    name: str
    plan: str
    timezone: str


class Me(msgspec.Struct, rename="camel"):
    """Who calls: the account and the key, what that may, and until when (null: for ever)."""

    account: OwnAccount
    key_id: str
    key_name: str
    scopes: list[str]
    expires_at: str | None


class SignIn(msgspec.Struct, rename="camel", kw_only=True, forbid_unknown_fields=True):
    """A key that is to be kept as a cookie."""

    key: Annotated[str, Meta(max_length=200)]
