"""Carry one delivery to its endpoint, signed for this moment, one at a time for each endpoint."""

import asyncio
import contextlib
import logging
from collections import defaultdict
from collections.abc import Callable
from datetime import datetime
from typing import Protocol

from appliance.errors import StoreUnusable
from appliance.store.outbox import Claim, Tried
from appliance.webhook_secrets import WebhookSecrets, signature_headers
from scheduler.sending import Outcome, Outgoing

log = logging.getLogger(__name__)
BAD_SECRET, FAULT = "bad secret", "failed"  # error classes beside those of `scheduler.sending`


class Sends(Protocol):
    """Send one request and raise nothing; `scheduler.sending.Sender` does."""

    async def send(self, outgoing: Outgoing) -> Outcome: ...

    async def close(self) -> None: ...


class Courier:
    """Sign and send, on one event loop."""

    def __init__(self, sender: Sends, secrets: WebhookSecrets, now: Callable[[], datetime]) -> None:
        self._sender, self._secrets, self._now = sender, secrets, now
        self._turns = defaultdict[int, asyncio.Lock](asyncio.Lock)

    async def carry(self, claim: Claim) -> Outcome:
        """Send a delivery when its endpoint has no other; what goes wrong is in the outcome.

        A row that nobody can make sense of is a failed try like any other: it ends by itself.
        """
        async with self._turns[claim.webhook_id]:
            try:
                secrets = self._opened(claim)
            except Exception as error:
                log.error("webhook %d: %s", claim.webhook_id, error)
                return Outcome(None, BAD_SECRET, 0, None)
            try:
                headers = signature_headers(secrets, claim.id, claim.event, claim.body, self._now())
                return await self._sender.send(Outgoing(claim.url, headers, claim.body))
            except Exception as fault:  # its text may hold the URL
                log.error("delivery %s can't be sent: %s", claim.id, type(fault).__name__)
                return Outcome(None, FAULT, 0, None)

    def _opened(self, claim: Claim) -> list[str]:
        """Return the secrets to sign with; of the old ones those that can still be read."""
        present, *old = claim.secrets
        found = [self._secrets.open(present)]
        for sealed in old:
            with contextlib.suppress(StoreUnusable):
                found.append(self._secrets.open(sealed))
        return found

    async def close(self) -> None:
        """Let go of what the sender holds."""
        await self._sender.close()


def tried(claim: Claim, outcome: Outcome, next_due: datetime | None) -> Tried:
    """Return what is to be recorded of a try."""
    return Tried(
        id=claim.id,
        tries=claim.tries,
        received=outcome.received,
        status=outcome.status,
        error=outcome.error,
        ms=outcome.ms,
        next_due=next_due,
    )
