"""What a setting may say as the address of a service: http or https, a host, perhaps a path."""

import ipaddress
import re
from urllib.parse import urlsplit, urlunsplit

MAX_LENGTH = 2000
CHARACTERS = re.compile(r"[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=%]+")  # those of RFC 3986
HOST = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_.])?")
NETLOC = re.compile(r"(\[[^]]+\]|[^:\[\]]+)(:[0-9]{1,5})?")


def checked(value: str) -> str:
    """Return the address without a slash at its end; ValueError says what is wrong with it.

    It holds no user name, query or fragment, so that it is no secret and a path can be appended.
    """
    if len(value) > MAX_LENGTH:
        raise ValueError(f"that is longer than {MAX_LENGTH} characters")
    if not CHARACTERS.fullmatch(value):
        raise ValueError("that holds characters which no URL may have")
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("that does not begin with http://HOST or https://HOST")
    if "@" in parts.netloc:
        raise ValueError("that holds a user name or a password")
    if "?" in value or "#" in value:
        raise ValueError("that holds a query or a fragment")
    if not NETLOC.fullmatch(parts.netloc):
        raise ValueError("that host or port can't be called")
    if parts.netloc.startswith("["):
        ipaddress.IPv6Address(parts.hostname)  # says itself what is wrong
    elif not HOST.fullmatch(parts.hostname):
        raise ValueError("that host is no name and no address")
    if parts.port == 0:  # urlsplit refuses those that are too large
        raise ValueError("there is no port 0 to call")
    return urlunsplit(parts).rstrip("/")
