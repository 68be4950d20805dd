"""What comes of a delivery, whatever the receiver does; against a real one on loopback."""

import asyncio
import datetime
import logging
import os
import socket
import ssl
import threading
from email.utils import format_datetime
from ipaddress import ip_address

import pytest
import receiver
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st
from network_witness import witnessing
from test_pinning import deaf
from test_resolving import entries

from appliance import networks
from scheduler.destinations import Destinations
from scheduler.pinning import ANSWER_BYTES
from scheduler.resolving import Resolver
from scheduler.sending import ERRORS, Outcome, Outgoing, Sender, retry_after_s, trusted_authorities

QUICK_S, PATIENT_S = 0.4, 60
FOR_A_HEAD_S = 1.2  # time for the head of an answer to come, however busy the machine is
NAME = "hook.example"
HEADERS = {"webhook-id": "msg_01", "Content-Type": "application/json", "User-Agent": "Scribebox/1"}
BODY = b'{"text": "\xc3\xa4 \x00"}'
NOW = datetime.datetime(2026, 11, 5, 12, tzinfo=datetime.UTC)


def sender(*allow, deadline_s=PATIENT_S, **options):
    own = lambda address, port: False  # noqa: E731
    judge = Destinations(networks.read(allow or ["127.0.0.0/8"]), own)
    return Sender(judge, deadline_s, **options)


def send(url, by=None, body=BODY):
    return asyncio.run((by or sender()).send(Outgoing(url, HEADERS, body)))


def named(*addresses):
    """Return a resolver that knows every name to have these addresses."""
    return Resolver(lambda host, port, **kind: entries(*addresses))


@pytest.fixture(scope="module")
def there():
    with receiver.receiving() as running:
        yield running


@pytest.fixture(scope="module")
def elsewhere():
    """Run one that nothing may reach."""
    with receiver.receiving() as running:
        yield running


@pytest.fixture(autouse=True)
def fresh(there):
    there.forget()


def test_the_request_is_a_post_of_the_bytes_as_they_are(there):
    outcome = send(there.url("/ok/%20?a=b&c=%2F"))
    assert (outcome.status, outcome.error, outcome.received) == (200, None, True)
    ((path, headers, body),) = there.received()
    assert (path, body) == ("/ok/%20?a=b&c=%2F", BODY)
    assert headers == {
        **{name.lower(): value for name, value in HEADERS.items()},
        "host": f"127.0.0.1:{there.port}",
        "accept": "*/*",
        "connection": "close",
        "content-length": str(len(BODY)),
    }


@pytest.mark.parametrize("body", [b"", b"a" * 3_000_000])
def test_a_body_of_any_length_arrives(there, body):
    assert send(there.url("/ok"), body=body).received
    assert there.received()[0].body == body


def test_the_name_stays_in_the_host_header_and_the_address_is_the_judged_one(there):
    by = sender(resolver=named("127.0.0.1"))
    assert send(f"http://Büro.example:{there.port}/ok", by).received
    assert there.received()[0].headers["host"] == f"xn--bro-hoa.example:{there.port}"


STATUSES = ["200", "201", "204", "299", "400", "401", "404", "410", "429", "500", "503", "999"]


@pytest.mark.parametrize("status", STATUSES)
def test_only_2xx_is_received_and_no_status_is_an_error_of_sending(there, status):
    outcome = send(there.url(f"/{status}"))
    assert (outcome.status, outcome.error) == (int(status), None)
    assert outcome.received is status.startswith("2")


@pytest.mark.parametrize("status", ["300", "301", "302", "303", "304", "307", "308", "399"])
def test_a_redirect_is_a_failure_and_nobody_follows_it(there, elsewhere, status):
    with witnessing() as seen:
        outcome = send(there.url(f"/{status}?to={elsewhere.url('/ok')}"))
    assert seen.connected == [("127.0.0.1", there.port)]
    assert elsewhere.connections() == 0
    assert (outcome.status, outcome.error, outcome.received) == (int(status), "redirect", False)


@pytest.mark.parametrize(
    ("mood", "status", "error"),
    [
        ("down", None, "reset"),
        ("reset", 200, "reset"),
        ("cut", 200, "reset"),
        ("garbage", None, "bad answer"),
        ("many-headers", None, "bad answer"),
        ("012", None, "bad answer"),
        ("101", None, "bad answer"),  # nobody asked for another protocol
        ("100", None, "reset"),  # and then nothing
        ("huge", 200, None),
        ("endless", 200, None),
    ],
)
def test_a_broken_answer_has_a_class(there, mood, status, error):
    outcome = send(there.url(mood))
    assert (outcome.status, outcome.error) == (status, error)
    assert outcome.received is (status == 200 and error is None)


@pytest.mark.parametrize(
    ("mood", "status"),
    [
        ("never", None),
        ("drip-headers", None),
        ("drip-body", 200),
        ("interim", None),
        ("slow?s=60", None),
    ],
)
def test_the_deadline_is_over_the_whole_answer(there, mood, status):
    deadline_s = FOR_A_HEAD_S if status else QUICK_S
    outcome = send(there.url(mood), sender(deadline_s=deadline_s))
    assert (outcome.status, outcome.error, outcome.received) == (status, "timeout", False)
    assert outcome.ms >= deadline_s * 1000 - 1


def test_a_failure_is_told_by_its_status_without_waiting_for_the_rest(there):
    for status in ("410", "503"):
        there.set("/told", status)
        assert send(there.url("/told")).status == int(status)


def test_no_more_is_taken_of_a_gigabyte_than_64_kib(there, monkeypatch):
    taken = []
    received = asyncio.SelectorEventLoop.sock_recv

    async def counted(loop, connection, size):
        piece = await received(loop, connection, size)
        taken.append(len(piece))
        return piece

    monkeypatch.setattr(asyncio.SelectorEventLoop, "sock_recv", counted)
    for mood in ("huge", "endless", "many-headers"):
        taken.clear()
        send(there.url(mood))
        assert sum(taken) == ANSWER_BYTES


def test_the_deadline_is_over_the_name_lookup_too():
    release = threading.Event()

    def never(host, port, **kind):
        release.wait(PATIENT_S)
        return []

    outcome = send(f"http://{NAME}/", sender(deadline_s=0.1, resolver=Resolver(never)))
    release.set()
    assert (outcome.status, outcome.error) == (None, "dns")


def test_the_deadline_is_over_connecting_too():
    with deaf("127.0.0.1") as port:
        url = f"http://127.0.0.1:{port}/"
        assert send(url, sender(deadline_s=0.1)).error == "timeout"
        assert send(url, sender(connect_s=0.1)).error == "timeout"


def test_a_port_where_nobody_listens_is_refused():
    with receiver.refusing() as url:
        assert send(url).error == "refused"


def test_a_name_without_an_address_is_a_failure_of_dns():
    assert send("http://hook.invalid/", sender(resolver=named())).error == "dns"


def test_what_is_no_url_is_told_and_nothing_is_sent():
    with witnessing() as seen:
        for url in ("", "ftp://a/", "http://a:b@c/", "http://a/\n", "http://[fe80::1%1]/"):
            assert send(url).error == "bad url"
    assert (seen.connected, seen.looked_up) == ([], [])


@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1", "127.1", "0x7f.1", "2130706433", "[::1]", "[::ffff:127.0.0.1]", "localhost"),
        *("169.254.169.254", "[fe80::1]", "[fd00:ec2::254]", "168.63.129.16", NAME),
    ],
)
def test_a_closed_destination_gets_no_packet(there, host):
    judge = Destinations((), lambda address, port: False)
    by = Sender(judge)
    if host == NAME:
        by = Sender(judge, resolver=named("10.0.0.1", "127.0.0.1"))
    for scheme in ("http", "https"):
        with witnessing() as seen:
            outcome = send(f"{scheme}://{host}:{there.port}/ok", by)
        assert (outcome.status, outcome.error) == (None, "forbidden destination")
        assert seen.connected == []
    assert there.connections() == 0


def test_the_environments_proxy_is_not_asked(there, elsewhere, monkeypatch):
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, elsewhere.url())
    assert send(there.url("/ok")).received
    assert elsewhere.connections() == 0


def test_connections_are_not_kept_and_no_file_stays_open(there):
    by = sender(deadline_s=FOR_A_HEAD_S)
    send(there.url("/ok"), by)
    before = len(os.listdir("/proc/self/fd"))
    for mood in ("ok", "ok", "500", "down", "reset", "garbage", "huge", "drip-body", "redirect"):
        send(there.url(mood), by)
    assert len(os.listdir("/proc/self/fd")) == before
    assert there.connections() == there.count() == 10


def test_one_sender_serves_one_loop_after_another_and_many_at_once(there):
    by = sender()

    async def several():
        urls = [there.url(f"/ok/{n}") for n in range(20)]
        return await asyncio.gather(*(by.send(Outgoing(u, HEADERS, BODY)) for u in urls))

    for _ in range(2):
        assert all(outcome.received for outcome in asyncio.run(several()))
    asyncio.run(by.close())


def test_a_cancelled_delivery_is_cancelled_and_leaves_no_connection(there):
    before = len(os.listdir("/proc/self/fd"))

    async def main():
        task = asyncio.create_task(sender().send(Outgoing(there.url("/never"), HEADERS, BODY)))
        await asyncio.to_thread(there.wait_for, 1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_fault_of_the_box_is_an_outcome_too(there, caplog):
    outcome = asyncio.run(sender().send(Outgoing(there.url("/ok"), {"a": "\ud800"}, BODY)))
    assert (outcome.status, outcome.error) == (None, "failed")
    assert [record.message for record in caplog.records] == [
        "a webhook could not be sent: UnicodeEncodeError"
    ]


def test_no_log_or_repr_tells_url_headers_body_or_answer(there, caplog):
    caplog.set_level(logging.DEBUG)
    for mood in ("ok", "500", "garbage", "reset", "redirect?to=http://10.0.0.1/s3cret"):
        path, _, query = mood.partition("?")
        send(there.url(f"/{path}/s3cret?{query}"))
    send("http://s3cret.example/", sender(resolver=named()))
    send("http://user:s3cret@a/")
    assert "s3cret" not in caplog.text and "127.0.0.1" not in caplog.text
    outgoing = Outgoing("http://s3cret/", {"a": "s3cret"}, b"s3cret")
    assert "s3cret" not in repr(outgoing)


def test_every_class_of_failure_is_in_the_list(there):
    told = {send(there.url(mood)).error for mood in ("down", "garbage", "redirect", "500")}
    assert told - {None} <= set(ERRORS)


# TLS


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """Return a PEM file with a certificate of its own making for NAME and 127.0.0.1."""
    key = ec.generate_private_key(ec.SECP256R1())
    called = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, NAME)])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(called)
        .issuer_name(called)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName(
                [x509.DNSName(NAME), x509.IPAddress(ip_address("127.0.0.1"))]
            ),
            critical=False,
        )
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "hook.pem"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + made.public_bytes(serialization.Encoding.PEM)
    )
    return path


@pytest.fixture(scope="module")
def secure(certificate):
    with receiver.receiving(certificate=certificate) as running:
        yield running


@pytest.fixture
def trusting(certificate, secure):
    """Return a sender that trusts the certificate and finds every name on loopback."""
    secure.forget()
    return trusting_sender(certificate)


def trusting_sender(certificate, **options):
    trusted = ssl.create_default_context(cafile=certificate)
    return sender(resolver=named("127.0.0.1"), trusted=trusted, **options)


def test_tls_is_for_the_name_though_the_connection_is_to_the_address(secure, trusting):
    assert send(f"https://{NAME}:{secure.port}/ok", trusting).received
    assert send(f"https://{NAME}.:{secure.port}/ok", trusting).received
    assert secure.names() == [NAME, NAME]
    assert secure.received()[0].headers["host"] == f"{NAME}:{secure.port}"
    assert send(secure.url("/ok"), trusting).received  # by its address, which is in it too


@pytest.mark.parametrize("mood", ["ok", "huge", "endless", "drip-body", "down", "reset", "garbage"])
def test_moods_are_told_through_tls_as_they_are_without(there, secure, certificate, mood):
    deadline_s = FOR_A_HEAD_S if mood == "drip-body" else PATIENT_S
    trusting = trusting_sender(certificate, deadline_s=deadline_s)
    plain, through = (send(one.url(mood), trusting) for one in (there, secure))
    assert (through.status, through.error) == (plain.status, plain.error)


@pytest.mark.parametrize("body", [b"", b"a" * 3_000_000])
def test_a_body_of_any_length_arrives_through_tls(secure, trusting, body):
    assert send(secure.url("/ok"), trusting, body).received
    assert secure.received()[0].body == body


def test_a_certificate_of_another_name_or_of_nobody_is_refused(secure, trusting):
    assert send(f"https://other.example:{secure.port}/ok", trusting).error == "tls"
    assert send(secure.url("/ok")).error == "tls"
    assert secure.count() == 0


def test_what_speaks_no_tls_fails_so(trusting):
    async def plain(reader, writer):
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()
        writer.close()

    async def main():
        async with await asyncio.start_server(plain, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            return await trusting.send(Outgoing(f"https://127.0.0.1:{port}/", HEADERS, BODY))

    assert asyncio.run(main()).error == "tls"


def test_a_handshake_that_never_comes_ends_with_the_time_to_connect():
    with socket.create_server(("127.0.0.1", 0)) as silent:  # it takes the connection, no more
        url = f"https://127.0.0.1:{silent.getsockname()[1]}/"
        assert send(url, sender(connect_s=0.1)).error == "timeout"


def test_public_authorities_are_trusted_and_names_checked():
    trusted = trusted_authorities()
    assert len(trusted.get_ca_certs()) > 50
    assert trusted.verify_mode is ssl.CERT_REQUIRED and trusted.check_hostname


# Retry-After


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0),
        ("7", 7),
        (" 120 ", 120),
        ("-5", 0),
        ("86400", 86400),
        ("86401", 86400),
        ("9" * 5000, 86400),
        ("-" + "9" * 5000, 0),
        ("0" * 5000 + "7", 7),
        (format_datetime(NOW + datetime.timedelta(seconds=90), usegmt=True), 90),
        ("Thursday, 05-Nov-26 12:00:30 GMT", 30),
        ("Thu, 05 Nov 2026 12:00:30 -0000", 30),
        ("Thu, 05 Nov 2026 13:00:30 +0100", 30),
        ("Thu, 05 Nov 2020 12:00:00 GMT", 0),
        ("Thu, 05 Nov 2099 12:00:00 GMT", 86400),
        ("", None),
        ("soon", None),
        ("1.5", None),
        ("1e3", None),
        ("+5", None),
        ("--5", None),
        ("\u0665", None),
        ("Thu, 99 Nov 2026 12:00:00 GMT", None),
        ("nan", None),
    ],
)
def test_a_retry_after_is_seconds_or_a_date_and_at_most_a_day(value, seconds):
    assert retry_after_s(value, NOW) == seconds


@given(value=st.text() | st.from_regex(r"\A[A-Z][a-z]{2}, \d+ [A-Z][a-z]{2} \d+ \d+:\d+:\d+ .*\Z"))
def test_no_retry_after_does_harm(value):
    seconds = retry_after_s(value, NOW)
    assert seconds is None or 0 <= seconds <= 86400


def test_a_retry_after_is_part_of_the_outcome(there):
    assert send(there.url("/429?after=7")).retry_after_s == 7
    assert send(there.url("/503?after=soon")).retry_after_s is None
    assert send(there.url("/503")).retry_after_s is None


def test_an_outcome_is_received_only_if_nothing_went_wrong():
    assert Outcome(200, None, 1).received
    for status, error in ((199, None), (300, None), (None, None), (200, "timeout")):
        assert not Outcome(status, error, 1).received
