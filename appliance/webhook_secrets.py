"""The secrets of webhook endpoints and what they sign: Standard Webhooks 1.0.0, HMAC-SHA256.

A secret is shown once, to whoever made the endpoint; the database holds it encrypted (Fernet), by
a key that is made of the box's secret.
"""

import base64
import hashlib
import hmac
from collections.abc import Sequence
from datetime import datetime
from importlib.metadata import version
from secrets import token_bytes

from cryptography.fernet import Fernet, InvalidToken

from appliance.errors import StoreUnusable

PREFIX = "whsec_"
SECRET_BYTES = 32
USER_AGENT = f"Scribebox/{version('scribebox')}"


class WebhookSecrets:
    """Make secrets; seal them for the database and open them again."""

    def __init__(self, key: bytes) -> None:
        self._fernet = Fernet(base64.urlsafe_b64encode(key))

    def __repr__(self) -> str:
        return "WebhookSecrets(…)"

    def new(self) -> str:
        """Return a new secret, 256 random bits in the spelling of Standard Webhooks."""
        return PREFIX + base64.b64encode(token_bytes(SECRET_BYTES)).decode()

    def seal(self, plain: str) -> bytes:
        """Return what may lie in the database."""
        return self._fernet.encrypt(plain.encode())

    def open(self, sealed: bytes) -> str:
        """Return the secret; raise StoreUnusable if it was sealed by another box."""
        try:
            return self._fernet.decrypt(sealed).decode()
        except InvalidToken:
            raise StoreUnusable(
                "the secret of a webhook can't be read: it is damaged, or the file `secret` in the "
                "data folder is not the one it was sealed with; restore that file from a backup, "
                "or rotate the webhook's secret"
            ) from None


def signature_headers(
    secrets: Sequence[str], message_id: str, event: str, body: bytes, at: datetime
) -> dict[str, str]:
    """Return the headers of a delivery, signed at a moment by each of some secrets."""
    seconds = int(at.timestamp())
    signed = f"{message_id}.{seconds}.".encode() + body
    return {
        "Content-Type": "application/json",
        "User-Agent": USER_AGENT,
        "webhook-id": message_id,
        "webhook-timestamp": str(seconds),
        "webhook-signature": " ".join(signature(secret, signed) for secret in secrets),
        "webhook-event": event,
    }


def signature(secret: str, signed: bytes) -> str:
    """Return one signature, with the version of its scheme."""
    key = base64.b64decode(secret.removeprefix(PREFIX))
    return "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
