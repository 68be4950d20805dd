"""Make a certificate that signs itself, for the names and addresses of this machine.

Guarantee: a pair that is there is a whole one. The old certificate goes before a new key comes, and
the new certificate comes last, each step synced, so a power cut leaves a pair, or none.
"""

import ipaddress
import logging
import socket
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from appliance.addresses import own_addresses
from appliance.data_folder import write_private
from appliance.settings import LOOPBACK
from engine.audio import sync_folder

log = logging.getLogger(__name__)
CERT, KEY = "cert.pem", "key.pem"
VALID = timedelta(days=3652)
EARLIER = timedelta(days=1)  # a client's clock may be behind
MAX_NAME = 64  # of a common name


def make(folder: Path, names: Iterable[str]) -> None:
    """Write a new pair."""
    key = ec.generate_private_key(ec.SECP256R1())
    secret = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    shown = signed(key, alternatives(names)).public_bytes(serialization.Encoding.PEM)
    folder.mkdir(mode=0o700, exist_ok=True)
    folder.chmod(0o700)
    sync_folder(folder.parent)
    (folder / CERT).unlink(missing_ok=True)
    sync_folder(folder)
    write_private(folder / KEY, secret.decode())
    write_private(folder / CERT, shown.decode())


def signed(
    key: ec.EllipticCurvePrivateKey, names: list[x509.DNSName | x509.IPAddress]
) -> x509.Certificate:
    """Return a certificate for a server that signs itself and nobody else."""
    host = socket.gethostname().lower()
    common = host if 0 < len(host) <= MAX_NAME else "scribebox"
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Scribebox"),
            x509.NameAttribute(NameOID.COMMON_NAME, common),
        ]
    )
    now = datetime.now(UTC).replace(microsecond=0)
    usage = x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - EARLIER)
        .not_valid_after(now + VALID)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )


def alternatives(names: Iterable[str]) -> list[x509.DNSName | x509.IPAddress]:
    """Return the names and the addresses of this machine, in an order of their own."""
    addresses, plain = set(own_addresses()), set()
    for name in {*LOOPBACK, *names}:
        try:
            addresses.add(ipaddress.ip_address(name))
        except ValueError:
            plain.add(name)
    usable = [a for a in addresses if not (a.is_unspecified or a.is_multicast or is_local_only(a))]
    usable.sort(key=lambda address: (address.version, address))
    return [
        *(x509.DNSName(found) for name in sorted(plain) if (found := ascii_name(name))),
        *(x509.IPAddress(address) for address in usable),
    ]


def is_local_only(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    """Tell whether an address means nothing without the interface beside it."""
    return address.version == 6 and address.is_link_local


def ascii_name(name: str) -> str | None:
    """Return a name as a certificate holds it; None if it can't be a host's."""
    try:
        return name.strip().rstrip(".").lower().encode("idna").decode() or None
    except UnicodeError:
        log.warning("%r can't stand in a certificate: it is no host name", name[:100])
        return None
