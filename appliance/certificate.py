"""The certificate that the box shows: its owner's, or one that it signed itself.

Its own is made once, in `tls/` of the data folder: clients that were told to trust it keep doing
so. Only one that can't be used any more (expired, damaged, not that of its key) is made anew.
"""

import logging
import ssl
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import NoReturn

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from appliance.errors import SettingRefused
from appliance.self_signed import CERT, KEY, make
from appliance.settings import LOOPBACK, Settings

log = logging.getLogger(__name__)
FOLDER = "tls"
END = b"-----END CERTIFICATE-----"


class Unusable(Exception):
    """A pair of files is no certificate with its key; the message says why."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """A pair of files that OpenSSL takes, and what stands in it."""

    path: Path
    key: Path
    names: frozenset[str]  # names and addresses
    fingerprint: str  # SHA-256, as `openssl x509 -fingerprint -sha256` writes it
    expires: datetime
    self_signed: bool = False


def certificate_of(settings: Settings, names: Iterable[str]) -> Certificate | None:
    """Return what the box has to show where it listens; None if that is plain HTTP.

    `names` are those by which clients may call it: they go into a certificate that is made.
    """
    if settings.tls_cert is not None and settings.tls_key is not None:
        return owners(settings.tls_cert, settings.tls_key)
    if settings.host in LOOPBACK:
        return None
    return self_signed(settings.data_dir / FOLDER, names)


def owners(path: Path, key: Path) -> Certificate:
    """Return the owner's certificate, or raise what is wrong with it."""
    for setting, file in (("tls_cert", path), ("tls_key", key)):
        try:
            file.open("rb").close()
        except OSError as error:
            raise SettingRefused(
                f"{setting}: '{file}' can't be read: {error.strerror}; "
                "let the user that the box runs as read it"
            ) from None
    try:
        found = load(path, key)
    except Unusable as reason:
        raise SettingRefused(
            f"tls_cert: '{path}' with tls_key '{key}' is refused: {reason}"
        ) from None
    if found.expires <= datetime.now(UTC):
        log.warning("the certificate of tls_cert has expired: clients will refuse it; renew it")
    return found


def self_signed(folder: Path, names: Iterable[str]) -> Certificate:
    """Return the box's own certificate, which is made if there is none that can be used."""
    path, key = folder / CERT, folder / KEY
    reason: str | None
    try:
        found = load(path, key, own=True)
    except FileNotFoundError:
        reason = "its key is gone" if path.exists() else None
    except Unusable as why:
        reason = str(why)
    else:
        if found.expires > datetime.now(UTC):
            return found
        reason = f"it expired on {found.expires:%Y-%m-%d}"
    make(folder, names)
    if reason is None:
        log.info("made a self-signed certificate, valid for ten years")
    else:
        log.warning(
            "the self-signed certificate was made anew (%s): tell clients to trust the new one",
            reason,
        )
    return load(path, key, own=True)


def load(path: Path, key: Path, *, own: bool = False) -> Certificate:
    """Read a pair; raise Unusable, or FileNotFoundError."""
    content = path.read_bytes()
    key.open("rb").close()
    if END not in content:
        raise Unusable("the certificate file holds no certificate in PEM")
    try:
        shown = x509.load_pem_x509_certificate(leaf(content))
        names = names_in(shown)
    except ValueError:
        raise Unusable("the certificate is damaged") from None
    try:  # whatever these two say, OpenSSL is what will use them
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(path, key, ask_nobody)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise Unusable("the key is not that of the certificate") from None
        said = (error.reason or "no key in PEM").replace("_", " ").lower()
        raise Unusable(f"OpenSSL can't use the certificate or its key: {said}") from None
    return Certificate(
        path=path,
        key=key,
        names=names,
        fingerprint=shown.fingerprint(hashes.SHA256()).hex(":").upper(),
        expires=shown.not_valid_after_utc,
        self_signed=own,
    )


def leaf(chain: bytes) -> bytes:
    """Return the first certificate of a PEM file: the one that is shown."""
    return chain.partition(END)[0] + END + b"\n"


def ask_nobody() -> NoReturn:
    """Refuse a key with a password: OpenSSL would ask for it on the terminal."""
    raise Unusable("the key has a password; write it without: openssl pkey -in KEY -out NEW")


def names_in(shown: x509.Certificate) -> frozenset[str]:
    """Return the names and addresses that a certificate is for."""
    try:
        names = shown.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return frozenset()
    addresses = names.get_values_for_type(x509.IPAddress)
    return frozenset(names.get_values_for_type(x509.DNSName)) | frozenset(map(str, addresses))
