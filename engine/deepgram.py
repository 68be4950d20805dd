"""Ask Deepgram's cloud for a token with which a client opens its own socket there.

`POST /v1/auth/grant`, as Deepgram's OpenAPI description of 2026-07 has it. At most 64 KiB of the
answer are read; `engine.cloud` tells what else is done and left undone with it.
"""

import asyncio
import json
import math
from dataclasses import dataclass, field

import httpx

from engine.cloud import Cloud as Cloud
from engine.cloud import Post, graphic, post
from engine.errors import CloudRefused

DEADLINE_S = 5.0
FIRST_TRY_S = 2.5
LONGEST_S = 3600  # that a token of Deepgram lasts
ANSWER_LIMIT_BYTES = 64 << 10
TOKEN_LIMIT_BYTES = 16 << 10
WHAT_TO_DO = {
    400: "did not accept the API key; check SCRIBEBOX_DEEPGRAM_API_KEY",  # seen for a wrong key
    401: "did not accept the API key; check SCRIBEBOX_DEEPGRAM_API_KEY",
    402: "has no credit left for the project of this API key; add some in its console",
    403: "gives no tokens to this API key, whose role is below Member; make a key of that role "
    "and set SCRIBEBOX_DEEPGRAM_API_KEY",
    404: "has no token grant at this address; check SCRIBEBOX_DEEPGRAM_URL",
    429: "had too many requests; try again later",
}


@dataclass(frozen=True, slots=True)
class Grant:
    """A token, opaque to all but Deepgram. It must live when a socket opens, not longer."""

    token: str = field(repr=False)
    expires_in_s: float


async def grant(cloud: Cloud, ttl_seconds: int = 30) -> Grant:
    """Return a token, within 5 s; raise CloudRefused or CloudUnreachable.

    Asks a second time if there was no connection, a 5xx or no whole answer within 2.5 s.
    """
    cloud.check_key()
    wanted = json.dumps({"ttl_seconds": ttl_seconds}).encode()
    asked = Post("/v1/auth/grant", wanted, "application/json", DEADLINE_S, ANSWER_LIMIT_BYTES)
    start = asyncio.get_running_loop().time()
    failure = ""
    for ends in (start + FIRST_TRY_S, start + DEADLINE_S):
        answer = await post(cloud, asked, ends)
        if isinstance(answer, str):
            failure = answer
            continue
        status, body = answer
        if status < 500:
            return granted(cloud, status, body, ttl_seconds)
        failure = f"is in trouble itself: it answered {status}"
    raise cloud.unreachable(failure)


def granted(cloud: Cloud, status: int, body: bytes, ttl_seconds: int) -> Grant:
    """Return what the answer grants; raise what it amounts to otherwise."""
    if 400 <= status < 500:
        said = WHAT_TO_DO.get(status, "refused a token; check the API key and its project")
        raise CloudRefused(f"Deepgram answered {status}: it {said}.", status)
    if status != httpx.codes.OK:
        raise cloud.unreachable(f"answered {status}, which is no grant")
    found = read(body, ttl_seconds)
    if found is None:
        raise cloud.unreachable(f"answered {status}, but without a token that can be used")
    return found


def read(body: bytes, ttl_seconds: int) -> Grant | None:
    """Return the grant that the JSON holds, None if it holds none."""
    try:
        said = json.loads(body.decode())
        expires_in = said.get("expires_in") if isinstance(said, dict) else None
        if expires_in is not None and type(expires_in) not in (int, float):
            return None
        expires_in_s = float(ttl_seconds if expires_in is None else expires_in)
    except (ValueError, RecursionError, OverflowError):
        return None
    token = said.get("access_token") if isinstance(said, dict) else None
    if not isinstance(token, str) or not graphic(token) or len(token) > TOKEN_LIMIT_BYTES:
        return None
    if not (math.isfinite(expires_in_s) and 1 <= expires_in_s <= LONGEST_S):
        return None
    return Grant(token, expires_in_s)
