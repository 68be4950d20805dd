"""The doctor's looks at the way in and out: port, certificate, cloud."""

import asyncio
import contextlib
import errno
import json
import os
import socket
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

from cryptography import x509

from appliance.addresses import own_addresses
from appliance.certificate import FOLDER, Certificate, Unusable, leaf, load
from appliance.data_folder import DataFolder
from appliance.finding import Finding, failed, ok, warning
from appliance.self_signed import CERT, KEY
from appliance.settings import LOOPBACK, Settings
from engine.cloud import Cloud
from engine.deepgram import grant
from engine.errors import CloudRefused, CloudUnreachable

SOON_DAYS = 14
TTL_S = 1  # of the token that is asked for: nobody uses it
SHOWN_NAMES = 6


def port(settings: Settings) -> Finding:
    """Look whether the port can be had, or whether the box holds it already."""
    where = f"{settings.host}:{settings.port}"
    url = url_of_server(settings.data_dir)
    if url is not None and urlsplit(url).port == settings.port:
        return ok("port", f"{where} is held by the box itself, which runs")
    if settings.port == 0:
        return ok("port", "any free one")
    kind = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    with socket.socket(kind) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.host, settings.port))
        except OSError as error:
            mend = "choose another with SCRIBEBOX_PORT=8081"
            if error.errno not in (errno.EADDRINUSE, errno.EACCES):
                mend = "choose an address of this machine with SCRIBEBOX_HOST"
            if error.errno == errno.EADDRINUSE:
                mend = f"see who has it: sudo ss -tlnp 'sport = :{settings.port}'; or {mend}"
            return failed("port", f"{where} can't be had: {error.strerror}", mend)
    return ok("port", f"{where} is free")


def url_of_server(data_dir: Path) -> str | None:
    """Return where the server of this folder is, None if there is none."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        said = json.loads(DataFolder(data_dir).lock.read_text())
        with contextlib.suppress(PermissionError):  # it is there, and somebody else's
            os.kill(int(said["pid"]), 0)
        return str(said["url"])
    return None


def certificate(settings: Settings, now: datetime | None = None) -> Finding:
    """Look at the certificate that clients are shown."""
    own = settings.tls_cert is None or settings.tls_key is None
    if own and settings.host in LOOPBACK:
        return ok("certificate", "none is needed: only this machine is served")
    folder = settings.data_dir / FOLDER
    path, key = settings.tls_cert or folder / CERT, settings.tls_key or folder / KEY
    if own and not path.exists():
        return ok("certificate", "a self-signed one will be made at the next start")
    renew = f"rm -r '{folder}', then restart the box" if own else f"renew '{path}', then restart"
    try:
        found = load(path, key, own=own)
        begins = x509.load_pem_x509_certificate(leaf(path.read_bytes())).not_valid_before_utc
    except (Unusable, OSError) as error:
        said = error.strerror if isinstance(error, OSError) else str(error)
        return failed("certificate", f"can't be used: {said}", renew)
    now = now or datetime.now(UTC)
    days = (found.expires - now).days
    if found.expires <= now:
        return failed("certificate", f"has expired on {found.expires:%Y-%m-%d}", renew)
    if begins > now:
        said = f"is valid only from {begins:%Y-%m-%d %H:%M} UTC on; is the clock right?"
        return failed("certificate", said, "timedatectl")
    if days < SOON_DAYS:
        return warning("certificate", f"expires in {days} days", renew)
    addresses = {str(address) for address in own_addresses() if not address.is_loopback}
    names = {socket.gethostname().lower(), *addresses, *settings.allowed_hosts}
    if settings.public_url is not None:
        names.add(urlsplit(settings.public_url).hostname or "")
    if not names & found.names:
        said = f"is for none of this machine's names: {described(found, days)}"
        return warning("certificate", said, renew)
    return ok("certificate", described(found, days))


def described(found: Certificate, days: int) -> str:
    """Return what clients see of it, and how long it lasts."""
    known = sorted(found.names)
    more = f" and {len(known) - SHOWN_NAMES} more" if len(known) > SHOWN_NAMES else ""
    said = f"for {', '.join(known[:SHOWN_NAMES])}{more}; {days} days left"
    return f"self-signed, SHA-256 {found.fingerprint}, {said}" if found.self_signed else said


def cloud(settings: Settings) -> Finding:
    """Ask Deepgram for a token, if there is a key to ask with."""
    if settings.deepgram_api_key is None and settings.failover != "never":
        said = f"failover is {settings.failover}, but there is no key: the cloud hears nothing"
        return warning("cloud", said, "set SCRIBEBOX_DEEPGRAM_API_KEY, or SCRIBEBOX_FAILOVER=never")
    if settings.deepgram_api_key is None:
        return ok("cloud", "no key of Deepgram's: everything is heard on this machine")
    asked = Cloud(settings.deepgram_url, settings.deepgram_api_key.get_secret_value())
    try:
        asyncio.run(grant(asked, TTL_S))
    except CloudRefused as error:
        return failed("cloud", f"refused: {error}", "see the key at console.deepgram.com")
    except CloudUnreachable as error:
        mend = f"curl --head {settings.deepgram_url}"
        return warning("cloud", f"unreachable: {error}; until then the box hears by itself", mend)
    return ok("cloud", f"{asked.host} gives tokens to the key")
