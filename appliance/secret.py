"""The one secret of a box, from which every use gets a key of its own.

256 random bits, made at the first start, mode 0600. Keys are derived as in the expand step of
RFC 5869 with a single block, so that no two uses share a key and none tells of another.
"""

import hashlib
import hmac
import secrets
from pathlib import Path

from appliance.data_folder import write_private
from appliance.errors import StoreUnusable

SECRET_BYTES = 32
SIGNED_URLS, LOCAL_TOKENS = "signed urls", "local tokens"
WEBHOOK_SECRETS, PAGE_TOKENS = "webhook secrets", "page tokens"


class BoxSecret:
    """Hold the secret; hand out 32 bytes for each purpose."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def __repr__(self) -> str:
        return "BoxSecret(…)"

    def key(self, purpose: str) -> bytes:
        """Return the key for one purpose, always the same."""
        return hmac.digest(self._secret, f"scribebox {purpose}\x01".encode(), hashlib.sha256)


def load(path: Path) -> BoxSecret:
    """Read the secret of a box, which is made if there is none."""
    if not path.exists():
        write_private(path, secrets.token_hex(SECRET_BYTES) + "\n")
    try:
        secret = bytes.fromhex(path.read_text(encoding="ascii"))
    except (OSError, ValueError) as error:
        raise StoreUnusable(f"{path}: can't be read ({type(error).__name__}); {MEND}") from None
    if len(secret) != SECRET_BYTES:
        raise StoreUnusable(f"{path}: has {len(secret)} bytes, not {SECRET_BYTES}; {MEND}")
    return BoxSecret(secret)


MEND = (
    "restore it from a backup, or delete it and start again (signed links and local tokens that "
    "were given out then end, and the secret of each webhook must be rotated)"
)
