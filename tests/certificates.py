"""Certificates as owners have them: of an authority, expired, not yet valid, with a password."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

PEM = serialization.Encoding.PEM


def private_key() -> ec.EllipticCurvePrivateKey:
    """Return a new key."""
    return ec.generate_private_key(ec.SECP256R1())


def issued(
    key: ec.EllipticCurvePrivateKey,
    *,
    common: str = "test",
    names: Sequence[str] = (),
    days: float = 30,
    begins_in_days: float = -40,
    signer: tuple[ec.EllipticCurvePrivateKey, x509.Certificate] | None = None,
    is_authority: bool = False,
) -> x509.Certificate:
    """Return a certificate, signed by itself if there is no signer."""
    now = datetime.now(UTC)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])
    alternatives = x509.SubjectAlternativeName([x509.DNSName(name) for name in names or [common]])
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(signer[1].subject if signer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + timedelta(days=begins_in_days))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(alternatives, critical=False)
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        .sign(signer[0] if signer else key, hashes.SHA256())
    )


def written(
    folder: Path,
    certificate: x509.Certificate,
    key: ec.EllipticCurvePrivateKey,
    *,
    chain: Sequence[x509.Certificate] = (),
    password: bytes | None = None,
) -> None:
    """Write cert.pem, with its chain, and key.pem."""
    sealed = (
        serialization.BestAvailableEncryption(password)
        if password
        else serialization.NoEncryption()
    )
    whole = b"".join(each.public_bytes(PEM) for each in (certificate, *chain))
    (folder / "cert.pem").write_bytes(whole)
    pkcs8 = serialization.PrivateFormat.PKCS8
    (folder / "key.pem").write_bytes(key.private_bytes(PEM, pkcs8, sealed))
