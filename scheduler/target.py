"""What a webhook's URL says, read one way by whoever registers it and whoever sends to it.

The grammar is narrower than httpx's, whose URL does the rest (IDNA, quoting): no user name, no
zone, a port in plain digits. What a name stands for is judged elsewhere, at every connection.
"""

import functools
import re
from dataclasses import dataclass

import httpx

from appliance.errors import Refused
from appliance.urls import MAX_LENGTH

SHAPE = re.compile(
    r"(?:https?)://(?P<authority>[^/?#\\]*)(?:[/?#].*)?", re.IGNORECASE | re.DOTALL | re.ASCII
)
AUTHORITY = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[^\[\]:%\s]+)(?::(?P<port>[0-9]{1,5})?)?")
NAME = re.compile(
    r"(?=.{1,253}\Z)(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.)*"
    r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.?"
)
PORTS = {"http": 80, "https": 443}
REMEMBERED = 1024  # endpoints are few and get many deliveries


@dataclass(frozen=True, slots=True)
class Target:
    """Where a request goes, and what it says of itself there."""

    scheme: str
    host: str  # a name, or an address without brackets
    port: int
    netloc: bytes  # for the Host header
    path: bytes  # with the query


@functools.lru_cache(REMEMBERED)
def read(url: str) -> Target:
    """Return what a URL says; Refused tells what is wrong with it, without repeating it."""
    if len(url) > MAX_LENGTH:
        raise Refused(f"the URL is longer than {MAX_LENGTH} characters")
    if any(character.isspace() or not character.isprintable() for character in url):
        raise Refused("the URL holds a space or a character that can't be printed; encode it")
    shape = SHAPE.fullmatch(url)
    if shape is None:
        raise Refused("the URL does not begin with http://HOST or https://HOST")
    if "@" in shape["authority"]:
        raise Refused("the URL holds a user name or a password; leave them out")
    authority = AUTHORITY.fullmatch(shape["authority"])
    if authority is None:
        raise Refused("the URL's host or port can't be called; a port has digits, a zone no place")
    try:
        parsed = httpx.URL(url)
    except (httpx.InvalidURL, ValueError):  # ValueError: half a pair of UTF-16, for one
        raise Refused("the URL's host is no name and no address") from None
    host = parsed.raw_host.decode("ascii")
    if not (shape["authority"].startswith("[") or NAME.fullmatch(host)):
        raise Refused("the URL's host is no name and no address")
    port = int(authority["port"] or PORTS[parsed.scheme])
    if not 1 <= port <= 65535:
        raise Refused(f"the URL's port is {port}; there is none beyond 1 to 65535")
    return Target(parsed.scheme, host, port, parsed.netloc, parsed.raw_path)
