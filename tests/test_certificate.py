"""The certificate: made once, kept, made anew only if it has to be; the owner's is looked at."""

import hashlib
import logging
import shutil
import ssl
import stat
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest
from certificates import issued, private_key, written
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID
from traced_disk import Disk, calls, reason_not_to_trace, tracer
from virtual_microphone import wait_until

from appliance import certificate, self_signed
from appliance.certificate import Unusable, certificate_of
from appliance.errors import SettingRefused
from appliance.settings import Settings

NAMES = ("box", "box.local", "10.1.2.3", "scribe.lan")


def beyond(folder, **more):
    """Return settings of a box that listens beyond loopback."""
    return Settings(data_dir=folder, host="0.0.0.0", **more)


def shown(found):
    """Return what stands in it."""
    return x509.load_pem_x509_certificate(found.path.read_bytes())


def test_on_loopback_there_is_none(tmp_path):
    for host in ("127.0.0.1", "::1", "localhost"):
        assert certificate_of(Settings(data_dir=tmp_path, host=host), NAMES) is None
    assert list(tmp_path.iterdir()) == []


def test_it_is_made_once_for_its_owner_alone(tmp_path):
    first = certificate_of(beyond(tmp_path), NAMES)
    assert first.self_signed
    assert certificate_of(beyond(tmp_path), ("another",)) == first
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "tls").iterdir()}
    assert modes == {"cert.pem": 0o600, "key.pem": 0o600}
    assert stat.S_IMODE((tmp_path / "tls").stat().st_mode) == 0o700


def test_it_is_for_every_name_and_address_of_the_machine(tmp_path):
    found = certificate_of(
        beyond(tmp_path), (*NAMES, "0.0.0.0", "::", "Köln.lan", "a..b", "ff02::1")
    )
    assert found.names >= {*NAMES, "localhost", "127.0.0.1", "::1", "xn--kln-sna.lan"}
    assert not found.names & {"0.0.0.0", "::", "a..b", "ff02::1"}
    addresses = {str(address) for address in self_signed.own_addresses()}
    assert {each for each in addresses if not each.startswith("fe80")} <= found.names


def test_it_is_of_the_kind_that_clients_take(tmp_path):
    found = shown(certificate_of(beyond(tmp_path), NAMES))
    assert isinstance(found.public_key().curve, ec.SECP256R1)
    extensions = found.extensions
    purposes = extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(purposes) == [ExtendedKeyUsageOID.SERVER_AUTH]
    assert not extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    years = (found.not_valid_after_utc - datetime.now(UTC)) / timedelta(days=365.2425)
    assert 9.99 < years < 10.01
    assert found.not_valid_before_utc < datetime.now(UTC)


def test_its_fingerprint_is_what_openssl_says(tmp_path):
    found = certificate_of(beyond(tmp_path), NAMES)
    digest = hashlib.sha256(ssl.PEM_cert_to_DER_cert(found.path.read_text())).hexdigest().upper()
    assert found.fingerprint.replace(":", "") == digest
    if shutil.which("openssl"):
        said = subprocess.run(
            ["openssl", "x509", "-noout", "-fingerprint", "-sha256", "-in", found.path],
            capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip
        assert said.partition("=")[2].strip() == found.fingerprint


def expire(folder):
    key = private_key()
    written(folder, issued(key, days=-1), key)


def mismatch(folder):
    written(folder, issued(private_key()), private_key())


def damage(folder):
    path = folder / "cert.pem"
    path.write_text(path.read_text().replace("M", "N"))


def empty(folder):
    (folder / "key.pem").write_bytes(b"")


def lose(folder):
    (folder / "key.pem").unlink()


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (expire, "it expired on"),
        (mismatch, "the key is not that of the certificate"),
        (damage, "damaged"),
        (empty, "OpenSSL can't use"),
        (lose, "its key is gone"),
    ],
)
def test_one_that_can_not_be_used_is_made_anew_and_the_log_says_why(tmp_path, caplog, spoil, said):
    first = certificate_of(beyond(tmp_path), NAMES)
    spoil(tmp_path / "tls")
    caplog.clear()
    second = certificate_of(beyond(tmp_path), NAMES)
    assert second.fingerprint != first.fingerprint
    assert second.expires > datetime.now(UTC)
    (record,) = caplog.records
    assert record.levelno == logging.WARNING and said in record.message
    assert certificate_of(beyond(tmp_path), NAMES) == second


def test_a_clock_that_is_behind_makes_no_new_one(tmp_path):
    key = private_key()
    (tmp_path / "tls").mkdir()
    written(tmp_path / "tls", issued(key, begins_in_days=400, days=800), key)
    before = (tmp_path / "tls" / "cert.pem").read_bytes()
    certificate_of(beyond(tmp_path), NAMES)
    assert (tmp_path / "tls" / "cert.pem").read_bytes() == before


def test_a_power_cut_at_any_moment_leaves_a_pair_or_none(tmp_path):
    if why := reason_not_to_trace():
        pytest.skip(why)
    data, trace = tmp_path / "data", tmp_path / "trace"
    data.mkdir()
    script = "import sys, pathlib; from appliance.self_signed import make\n" + (
        "make(pathlib.Path(sys.argv[1]) / 'tls', ['box'])\n" * 2
    )
    subprocess.run([*tracer(trace), sys.executable, "-c", script, data], check=True, timeout=240)
    wait_until(lambda: "+++ exited" in trace.read_text(), "trace")
    disk, states = Disk(data), []
    for number, call in enumerate(calls(trace.read_text())):
        if not disk.carry_out(call):
            continue
        for kind, leave in (("now", disk.copy), ("certain", disk.leave)):
            left = tmp_path / f"{kind}-{number}"
            leave(left)
            try:
                certificate.load(left / "tls" / "cert.pem", left / "tls" / "key.pem")
                states.append("a pair")
            except FileNotFoundError:
                states.append("none")
            shutil.rmtree(left)
    assert states[0] == "none" and states[-1] == "a pair"
    assert len(states) > 20 and set(states) == {"none", "a pair"}


@pytest.fixture
def authority():
    """Return the key and the certificate of an authority of the owner's."""
    key = private_key()
    return key, issued(key, common="Office CA", is_authority=True)


def owned(folder, authority, **more):
    """Write a certificate that an authority signed, with its chain; return settings for it."""
    key = private_key()
    leaf = issued(key, common="scribe.example", names=["scribe.example"], signer=authority, **more)
    written(folder, leaf, key, chain=[authority[1]])
    return Settings(data_dir=folder, tls_cert=folder / "cert.pem", tls_key=folder / "key.pem")


def test_the_owners_comes_before_all(tmp_path, authority):
    settings = owned(tmp_path, authority)
    found = certificate_of(settings, NAMES)
    assert not found.self_signed
    assert found.names == {"scribe.example"}
    assert not (tmp_path / "tls").exists()


def test_the_owners_is_shown_also_after_its_time_with_a_warning(tmp_path, authority, caplog):
    found = certificate_of(owned(tmp_path, authority, days=-1), NAMES)
    assert found.expires < datetime.now(UTC)
    assert "has expired" in caplog.text


def of_another(folder):
    written(folder, issued(private_key()), private_key())


def with_password(folder):
    key = private_key()
    written(folder, issued(key), key, password=b"secret word")


def no_certificate(folder):
    (folder / "cert.pem").write_text("hello")


def no_key(folder):
    (folder / "key.pem").write_text(
        "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"
    )


def swapped(folder):
    (folder / "cert.pem").rename(folder / "x")
    (folder / "key.pem").rename(folder / "cert.pem")
    (folder / "x").rename(folder / "key.pem")


def cut_short(folder):
    content = (folder / "cert.pem").read_bytes()
    (folder / "cert.pem").write_bytes(content[:200])


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (of_another, "the key is not that of the certificate"),
        (with_password, "the key has a password; write it without: openssl pkey"),
        (no_certificate, "holds no certificate in PEM"),
        (cut_short, "holds no certificate in PEM"),
        (damage, "the certificate is damaged"),
        (swapped, "holds no certificate in PEM"),
        (no_key, "OpenSSL can't use the certificate or its key"),
        (empty, "OpenSSL can't use the certificate or its key"),
    ],
)
def test_a_damaged_one_of_the_owners_is_one_clear_line(tmp_path, authority, spoil, said):
    settings = owned(tmp_path, authority)
    spoil(tmp_path)
    with pytest.raises(SettingRefused) as refused:
        certificate_of(settings, NAMES)
    assert said in str(refused.value)
    assert str(settings.tls_cert) in str(refused.value) and "\n" not in str(refused.value)
    assert "secret word" not in str(refused.value)


def test_one_that_is_gone_since_the_settings_were_read_names_its_setting(tmp_path, authority):
    settings = owned(tmp_path, authority)
    settings.tls_key.unlink()
    with pytest.raises(SettingRefused, match=r"tls_key: .*No such file"):
        certificate_of(settings, NAMES)


def test_a_pair_is_unusable_for_a_reason(tmp_path):
    with pytest.raises(FileNotFoundError):
        certificate.load(tmp_path / "cert.pem", tmp_path / "key.pem")
    written(tmp_path, issued(private_key()), private_key())
    with pytest.raises(Unusable):
        certificate.load(tmp_path / "cert.pem", tmp_path / "key.pem")
