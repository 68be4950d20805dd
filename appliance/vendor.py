"""Tokens for dictation clients: the cloud's if it may and can be had, else this box's own.

Limits are checked before vending; they stop the cloud's tokens and never those of the box. Every
token is a line of the ledger and one of the audit table before its client gets it.
"""

import enum
import logging
from dataclasses import dataclass

import anyio.to_thread

from appliance.errors import CloudUnavailable, LimitReached
from appliance.plans import Plans
from appliance.quota import Standing, standing
from appliance.store import accounts, audit, usage
from appliance.store.database import Database
from appliance.store.keys import Caller
from appliance.tokens import LocalTokens
from engine import deepgram
from engine.errors import CloudRefused, CloudUnreachable

log = logging.getLogger(__name__)
LIFETIME_S = 30
CLOUD, LOCAL = "cloud", "local"
NO_KEY = "the box has no cloud key; set SCRIBEBOX_DEEPGRAM_API_KEY"


class Wanted(enum.StrEnum):
    """Which engine a client asks for."""

    AUTO = "auto"
    CLOUD = "cloud"
    LOCAL = "local"


@dataclass(frozen=True, slots=True)
class Vended:
    """A token, and what it opens."""

    token: str
    expires_in_s: float
    engine: str
    url: str
    remaining: int | None  # words
    reason: str | None  # why it isn't the cloud's, if that was the first choice


class Vendor:
    """Vend tokens to callers."""

    def __init__(
        self,
        database: Database,
        tokens: LocalTokens,
        plans: Plans,
        cloud: deepgram.Cloud | None,
    ) -> None:
        self._database, self._tokens, self._plans, self._cloud = database, tokens, plans, cloud

    async def vend(
        self, caller: Caller, wanted: Wanted, listen_url: str, address: str | None
    ) -> Vended:
        """Return a token; `listen_url` is where this client reaches the box's own engine.

        Raises LimitReached or CloudUnavailable if only the cloud's will do.
        """
        now = await anyio.to_thread.run_sync(self._standing, caller)
        grant, reason = None, None
        if wanted is not Wanted.LOCAL:
            grant, reason = await self._ask_cloud(now, must=wanted is Wanted.CLOUD)
        if grant is not None and self._cloud is not None:
            vended = Vended(
                grant.token, grant.expires_in_s, CLOUD, self._cloud.listen_url, now.remaining, None
            )
        else:
            token = self._tokens.mint(caller, LIFETIME_S)
            vended = Vended(token, LIFETIME_S, LOCAL, listen_url, now.remaining, reason)
        await anyio.to_thread.run_sync(self._record, caller, vended.engine, address)
        return vended

    async def local(self, caller: Caller, lifetime_s: float, address: str | None) -> str:
        """Return a token for the box's own engine, for any client that has a key."""
        await anyio.to_thread.run_sync(self._record, caller, LOCAL, address)
        return self._tokens.mint(caller, lifetime_s)

    async def _ask_cloud(
        self, now: Standing, must: bool
    ) -> tuple[deepgram.Grant | None, str | None]:
        """Return the cloud's grant, or why there is none."""
        if self._cloud is None:
            if must:
                raise CloudUnavailable(NO_KEY)
            return None, "noCloudKey"
        if not now.allowed:
            if must:
                raise LimitReached(now)
            return None, f"{now.limit_type}Limit"
        try:
            return await deepgram.grant(self._cloud, LIFETIME_S), None
        except (CloudUnreachable, CloudRefused) as error:
            log.warning("no token of the cloud: %s", error)
            if must:
                raise CloudUnavailable(str(error)) from None
            return None, "cloudRefused" if isinstance(error, CloudRefused) else "cloudUnreachable"

    def _standing(self, caller: Caller) -> Standing:
        with self._database.read() as session:
            account = accounts.numbered(session, caller.account_id)
            return standing(session, account, self._plans)

    def _record(self, caller: Caller, engine: str, address: str | None) -> None:
        with self._database.write() as session:
            usage.add(session, caller.account_id, "token", engine=engine, reference=caller.key_id)
            audit.by(session, caller, address, "token.vend", engine)
