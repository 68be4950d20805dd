"""The server beyond loopback: its certificate, the address it prints, clients of every kind."""

import contextlib
import hashlib
import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import time
from types import SimpleNamespace

import httpx
import pytest
from certificates import issued, private_key, written
from running_box import SCRIBEBOX, WAIT_S, clean_environment, running, scribebox
from virtual_microphone import VirtualMicrophone, missing

from api import server
from api.commands import serve
from api.commands.at_server import AtServer, trusted
from appliance.certificate import certificate_of
from appliance.errors import FolderBusy
from appliance.settings import Settings

ABSENT = {"SCRIBEBOX_MODEL": "absent"}
SESSIONS = "/api/v1/audioscribe/sessions/"
HERE = socket.gethostname().lower()


@pytest.fixture(scope="module")
def open_box(tmp_path_factory):
    """Run a box that the network can reach."""
    data = tmp_path_factory.mktemp("open") / "the box's"  # a path that has to be quoted
    arguments = ("--host", "0.0.0.0", "--port", "0", "--data", str(data))
    with running(*arguments, **ABSENT) as box:
        box.data, box.key = data, (data / "admin.key")
        box.port = int(box.url.rpartition(":")[2]) if box.url else 0
        box.cert = data / "tls" / "cert.pem"
        yield box


def client(box, **more):
    key = box.key.read_text().strip()
    return httpx.Client(headers={"Authorization": f"Bearer {key}"}, trust_env=False, **more)


def trusting(path):
    """Return what httpx is to trust: that file."""
    return ssl.create_default_context(cafile=str(path))


def test_its_clients_need_the_certificate_and_nothing_else(open_box):
    with client(open_box, verify=trusting(open_box.cert)) as known:
        for name in ("localhost", "127.0.0.1"):
            answer = known.get(f"https://{name}:{open_box.port}{SESSIONS}")
            assert (answer.status_code, answer.json()) == (200, [])
    with client(open_box) as stranger, pytest.raises(httpx.ConnectError, match="CERTIFICATE"):
        stranger.get(f"https://localhost:{open_box.port}{SESSIONS}")


def test_the_fingerprint_is_shown_and_logged_at_each_start(open_box):
    shown = open_box.wait_for(r"SHA-256 fingerprint ([0-9A-F:]{95})$")[1]
    open_box.wait_for(r"INFO scribebox: .*fingerprint: ([0-9A-F:]{95})$")
    with socket.create_connection(("127.0.0.1", open_box.port), WAIT_S) as connection:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with context.wrap_socket(connection) as tls:
            certificate = tls.getpeercert(binary_form=True)
            assert tls.version() in ("TLSv1.2", "TLSv1.3")
    assert hashlib.sha256(certificate).digest().hex(":").upper() == shown


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is missing: apt install curl")
def test_the_line_it_prints_works_when_pasted(open_box):
    line = open_box.wait_for(r"^  (curl .*)")[1]
    assert "--cacert" in line and "--insecure" not in line
    pasted = subprocess.run(
        ["sh", "-c", line.replace("curl", "curl -sS --fail", 1)],
        capture_output=True, text=True, timeout=WAIT_S, check=False,
        env=clean_environment(no_proxy="*"),
    )  # fmt: skip
    assert (pasted.returncode, pasted.stdout) == (0, "[]"), pasted.stderr


def test_plain_http_on_its_port_harms_nobody(open_box):
    for garbage in (b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n", b"\x16\x03", os.urandom(500), b""):
        with socket.create_connection(("127.0.0.1", open_box.port), WAIT_S) as connection:
            connection.sendall(garbage)
            connection.shutdown(socket.SHUT_WR)
            with contextlib.suppress(ConnectionResetError):
                assert b"200" not in connection.recv(1000)
    assert open_box.process.poll() is None
    with client(open_box, verify=trusting(open_box.cert)) as known:
        assert known.get(f"https://localhost:{open_box.port}{SESSIONS}").status_code == 200


def test_who_never_ends_the_handshake_holds_up_nobody(open_box):
    with contextlib.ExitStack() as stack:
        for number in range(60):
            connection = socket.create_connection(("127.0.0.1", open_box.port), WAIT_S)
            stack.callback(connection.close)
            if number % 2:
                connection.sendall(b"\x16\x03\x01\x02\x00\x01")  # the beginning of a greeting
        with client(open_box, verify=trusting(open_box.cert), timeout=WAIT_S) as known:
            for _ in range(3):
                assert known.get(f"https://localhost:{open_box.port}{SESSIONS}").is_success


def test_old_tls_is_refused(open_box):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with pytest.warns(DeprecationWarning):
        context.minimum_version = ssl.TLSVersion.TLSv1_1
    with pytest.warns(DeprecationWarning):
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    with (
        socket.create_connection(("127.0.0.1", open_box.port), WAIT_S) as connection,
        pytest.raises((ssl.SSLError, ConnectionError)),
        context.wrap_socket(connection),
    ):
        pass


def test_other_programs_of_the_machine_are_told_where_by_the_lock(open_box):
    said = json.loads((open_box.data / "lock").read_text())
    assert said["url"] == f"https://127.0.0.1:{open_box.port}"
    with contextlib.closing(at(Settings(data_dir=open_box.data, model="absent"))) as used:
        assert "no model is loaded" in used.trouble()


def at(settings):
    """Return what `scribebox record` uses to reach the server."""
    return AtServer(settings, FolderBusy("busy"))


def owned(folder, **more):
    """Write a certificate of the owner's for another name; return what the environment says."""
    folder.mkdir()
    authority = private_key()
    signer = (authority, issued(authority, common="Office CA", is_authority=True))
    key = private_key()
    written(folder, issued(key, common="scribe.example", signer=signer, **more), key)
    paths = {"SCRIBEBOX_TLS_CERT": "cert.pem", "SCRIBEBOX_TLS_KEY": "key.pem"}
    return {name: str(folder / path) for name, path in paths.items()}


def test_the_owners_certificate_is_served_and_trusted_though_it_is_for_another_name(tmp_path):
    tls = owned(tmp_path / "tls")
    data = tmp_path / "box"
    with running("--port", "0", "--data", str(data), **ABSENT, **tls) as box:
        assert box.url.startswith("https://127.0.0.1:")
        assert "curl --insecure " in box.wait_for(r"^  (curl .*)")[1]
        assert "fingerprint" not in box.output
        settings = Settings(
            data_dir=data, tls_cert=tls["SCRIBEBOX_TLS_CERT"], tls_key=tls["SCRIBEBOX_TLS_KEY"]
        )
        with contextlib.closing(at(settings)) as used:
            assert "no model is loaded" in used.trouble()
        untold = Settings(data_dir=data)
        with (
            contextlib.closing(at(untold)) as used,
            pytest.raises(FolderBusy, match="shows another certificate"),
        ):
            used.start({})


def test_a_certificate_of_the_same_authority_is_not_trusted_instead(tmp_path):
    authority = private_key()
    ca = issued(authority, common="CA", is_authority=True)
    for name in ("ours", "theirs"):
        (tmp_path / name).mkdir()
        key = private_key()
        leaf = issued(key, common=name, signer=(authority, ca))
        written(tmp_path / name, leaf, key, chain=[ca])
    ours = Settings(tls_cert=tmp_path / "ours/cert.pem", tls_key=tmp_path / "ours/key.pem")
    assert handshake(trusted(ours), tmp_path / "ours")
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(trusted(ours), tmp_path / "theirs")


def handshake(client_side, folder):
    """Let a client meet a server that shows the certificate of a folder, in memory."""
    server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_side.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [client_side.wrap_bio(down, up), server_side.wrap_bio(up, down, server_side=True)]
    for _ in range(4):
        for end in ends:
            with contextlib.suppress(ssl.SSLWantReadError):
                end.do_handshake()
    return ends[0].getpeercert(binary_form=True)


def test_a_damaged_certificate_of_the_owners_is_one_line_at_the_start(tmp_path):
    tls = owned(tmp_path / "tls")
    (tmp_path / "tls" / "cert.pem").write_text("-----BEGIN CERTIFICATE-----\nxx\n")
    done = scribebox("serve", "--port", "0", "--data", tmp_path / "box", **ABSENT, **tls)
    assert done.returncode == 2 and done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    assert "cert.pem" in done.stderr and "holds no certificate" in done.stderr


def listener(host="0.0.0.0"):
    """Return what only knows its port."""
    return SimpleNamespace(getsockname=lambda: (host, 8443))


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_listening_everywhere_is_told_as_a_name_that_leads_here(tmp_path, monkeypatch, host):
    settings = Settings(data_dir=tmp_path, host=host)
    certificate = certificate_of(settings, server.names_of(settings))
    loopback = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}[host]
    monkeypatch.setattr(server, "is_own", lambda name: name == HERE)
    assert server.url_of(listener(), settings, certificate) == f"https://{HERE}:8443"
    monkeypatch.setattr(server, "is_own", lambda name: False)  # of a name service without it
    assert server.url_of(listener(), settings, certificate) == f"https://{loopback}:8443"
    monkeypatch.setattr(server, "is_own", lambda name: True)
    monkeypatch.setattr(socket, "gethostname", lambda: "renamed")  # since it was made
    assert server.url_of(listener(), settings, certificate) == f"https://{loopback}:8443"
    assert server.local_url_of(listener(), settings, certificate) == f"https://{loopback}:8443"


def test_an_address_of_its_own_is_told_as_it_is(tmp_path):
    settings = Settings(data_dir=tmp_path, host="10.1.2.3")
    certificate = certificate_of(settings, server.names_of(settings))
    url = server.url_of(listener(), settings, certificate)
    assert url == server.local_url_of(listener(), settings, certificate) == "https://10.1.2.3:8443"
    assert serve.trusting(url, certificate).startswith("--cacert ")
    assert serve.trusting("https://10.9.9.9:8443", certificate) == "--insecure "
    assert serve.trusting("http://127.0.0.1:8080", None) == ""


def test_its_names_are_those_it_answers_to_and_the_public_one(tmp_path):
    settings = Settings(
        data_dir=tmp_path,
        host="0.0.0.0",
        allowed_hosts="scribe.lan",
        public_url="https://Text.example:8443/scribe",
    )
    names = server.names_of(settings)
    assert names >= {"scribe.lan", "text.example", HERE, f"{HERE.split('.')[0]}.local", "localhost"}
    assert names <= certificate_of(settings, names).names | {"0.0.0.0"}


@pytest.mark.long
@pytest.mark.skipif(missing() is not None, reason=str(missing()))
@pytest.mark.parametrize("kind", ["its own", "the owner's"])
def test_a_recording_is_made_through_a_server_with_tls(tmp_path, kind):
    tls = owned(tmp_path / "tls") if kind == "the owner's" else {"SCRIBEBOX_HOST": "0.0.0.0"}
    data = tmp_path / "box"
    with VirtualMicrophone() as microphone:
        environment = {**microphone.environment, **tls, "SCRIBEBOX_MODEL": "tiny.en"}
        with running("--port", "0", "--data", str(data), **environment) as box:
            assert box.url.startswith("https://")
            done = subprocess.run(
                [*SCRIBEBOX, "record", "--data", str(data), "--seconds", "2", "--json"],
                capture_output=True, text=True, timeout=WAIT_S, check=False,
                env=clean_environment(**environment),
            )  # fmt: skip
            assert done.returncode == 0, done.stderr
            assert re.search(r'"state": *"done"', done.stdout), done.stdout


@pytest.mark.long
def test_a_signal_ends_it_in_time_though_handshakes_are_unfinished(tmp_path):
    arguments = ("--host", "0.0.0.0", "--port", "0", "--data", str(tmp_path))
    with running(*arguments, **ABSENT) as box, contextlib.ExitStack() as stack:
        port = int(box.url.rpartition(":")[2])
        for _ in range(20):
            connection = socket.create_connection(("127.0.0.1", port), WAIT_S)
            stack.callback(connection.close)
            connection.sendall(b"\x16\x03\x01\x02\x00\x01")
        began = time.monotonic()
        box.stop()
        assert time.monotonic() - began < 10
