"""Signatures of links: whoever has one may do one thing with one file until a moment.

Signed are the action, the path, the account, the expiry (whole seconds since 1970) and a nonce, by
HMAC-SHA256 (itsdangerous). Base64 has several spellings of the same bytes: only the one that was
given out is accepted, so no altered character passes.
"""

import hashlib
import hmac
import math
import secrets
import time

from itsdangerous import BadData, URLSafeSerializer

from appliance.errors import Forbidden

UPLOAD, DOWNLOAD = "upload", "download"
MAX_CHARACTERS = 1000


class Signatures:
    """Sign and check."""

    def __init__(self, key: bytes) -> None:
        self._serializer = URLSafeSerializer(
            key,
            salt="link",
            signer_kwargs={"key_derivation": "hmac", "digest_method": hashlib.sha256},
        )

    def sign(
        self, action: str, path: str, account_id: int, lifetime_s: float, now_s: float | None = None
    ) -> str:
        """Return the signature, letters that need no quoting in a URL."""
        expires = math.floor((time.time() if now_s is None else now_s) + lifetime_s)
        return self._spell([action, path, account_id, expires, secrets.token_hex(8)])

    def check(self, signature: str, action: str, path: str, now_s: float | None = None) -> int:
        """Return the account it was given to; raise Forbidden if it is not valid (any more)."""
        try:
            if len(signature) > MAX_CHARACTERS or not signature.isascii():
                raise BadData("too long")
            signed = self._serializer.loads(signature)
        except BadData:
            raise Forbidden(ALTERED) from None
        if not hmac.compare_digest(self._spell(signed), signature) or signed[:2] != [action, path]:
            raise Forbidden(ALTERED)
        account_id, expires = int(signed[2]), int(signed[3])
        if (time.time() if now_s is None else now_s) >= expires:
            raise Forbidden("the link has expired; ask for a new one")
        return account_id

    def _spell(self, signed: list[str | int]) -> str:
        text = self._serializer.dumps(signed)
        return text if isinstance(text, str) else text.decode()


ALTERED = "the link's signature is missing or wrong; use the link exactly as the box gave it"
