"""What Prometheus gets: names that keep its rules, labels that stay few, nothing private."""

import asyncio
import threading
from datetime import timedelta
from types import SimpleNamespace

import numpy as np
import pytest
from box_client import BASE, account, bearer, box_of, session_of
from litestar.testing import TestClient
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families
from recording_box import RecordingBox
from speech_fixtures import fixture
from virtual_microphone import VirtualMicrophone, missing, wait_until

from api import app, box_metrics, sound_metrics
from api.head import Head
from api.metrics import Metrics, Parts
from api.request_metrics import Counted, RequestMetrics
from api.server import configuration
from appliance.capture_tally import CaptureTally
from appliance.settings import Settings
from appliance.standby_tally import StandbyTally
from appliance.store import accounts
from appliance.store.entities import Webhook, now
from engine.failover import Decision
from engine.transcript import Segment
from engine.whisper import Heard, Request
from engine.worker import Priority, Worker
from scheduler.clock import Clock, Duty

LABELS = {
    "alarm", "cause", "duty", "kind", "lane", "le", "method", "model", "outcome", "part",
    "priority", "reason", "route", "state", "status", "version",
}  # fmt: skip
URL = "https://hooks.example/secret-token"
SENDING = SimpleNamespace(
    stats=lambda: SimpleNamespace(delivered=5, failed=2, dead=1, in_flight={"slow": 2})
)


def parsed(text):
    """Return every sample by its name and its labels; a sample that comes twice is an error."""
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            key = (sample.name.removeprefix("scribebox_"), *sorted(sample.labels.items()))
            assert key not in found, key
            found[key] = sample.value
    return found


def samples(part):
    """Return the samples of one part."""
    registry = CollectorRegistry()
    registry.register(Parts({"one": lambda: part}))
    return parsed(generate_latest(registry).decode())


@pytest.fixture
def watched(started):
    """Return a client and the metrics of its box, with everything there is to watch."""
    metrics = Metrics()
    state = started.application.state
    nightly = SimpleNamespace(last=SimpleNamespace(at=now() - timedelta(hours=3), error=None))
    metrics.watch(state.box, state.clock, SENDING, nightly)
    with_counter = Head(Counted(started.application, metrics.requests))
    client = TestClient(with_counter, raise_server_exceptions=False)
    client.application, client.metrics = started.application, metrics
    return client


def test_the_route_wants_its_scope_and_answers_in_prometheus_own_format(started):
    assert started.get("/metrics").status_code == 401
    assert started.get("/metrics", headers=bearer(started, "sessions:read")).status_code == 403
    answer = started.get("/metrics", headers=bearer(started, "metrics"))
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    found = parsed(answer.text)
    assert found[("jobs", ("state", "queued"))] == 1  # the sample of the first start
    assert {value for (name, *_), value in found.items() if name == "scrape_success"} == {1.0}


def test_the_running_box_counts_its_requests(tmp_path):
    settings = Settings(data_dir=tmp_path, model="absent")
    application = app.create(settings, "http://127.0.0.1:1")
    with TestClient(configuration(application, settings).app) as client:
        client.application = application
        for host in ("127.0.0.1", "evil.example"):
            client.get("/health", headers={"Host": host})
        headers = {**bearer(client, "metrics"), "Host": "127.0.0.1"}
        found = parsed(client.get("/metrics", headers=headers).text)
    counted = {key[1:]: value for key, value in found.items() if key[0] == "http_requests_total"}
    health = (("method", "GET"), ("route", "/health"), ("status", "200"))
    assert counted[health] == 1
    assert counted[(("method", "GET"), ("route", "unmatched"), ("status", "400"))] == 1


def test_names_and_labels_keep_the_rules(watched):
    watched.get("/health")
    text = watched.metrics.text().decode()
    for family in text_string_to_metric_families(text):
        name = family.name
        assert name.startswith("scribebox_"), name
        assert family.documentation.endswith("."), name
        if family.type != "counter":
            assert not name.endswith(("_total", "_count", "_sum", "_bucket")), name
        for sample in family.samples:
            assert sample.labels.keys() <= LABELS, sample
            if family.type == "counter":
                assert sample.name.endswith("_total"), sample
        for unit in ("_ms", "milli", "minute", "hour", "_kb", "_mb", "percent"):
            assert unit not in name, name
        for unit in ("seconds", "bytes"):
            stem = name.removesuffix("_total")
            assert unit not in stem or stem.endswith(unit), name


def test_nothing_private_is_in_it(watched, tmp_path):
    account(watched, "Alice Example")
    number = session_of(watched, title="Layoffs")
    with box_of(watched).database.write() as session:
        owner = accounts.named(session, "Alice Example").id
        values = {"enabled": False, "disabled_because": "failing"}
        session.add(Webhook(account_id=owner, url=URL, events=[], secret=b"x", **values))
    headers = bearer(watched, "sessions:read")
    watched.get(f"{BASE}/{number}", headers=headers)
    watched.get(f"{BASE}/987654", headers=headers)
    watched.get("/a/private/path", headers=headers)
    text = watched.metrics.text().decode()
    private = ("Alice", "Layoffs", "hooks.example", str(tmp_path), "987654", "/a/private", "/1}")
    for word in (*private, headers["Authorization"].split()[1]):
        assert word not in text


def test_two_apps_of_one_process_count_for_themselves():
    first, second = Metrics(), Metrics()
    scope = {"type": "http", "method": "GET", "path_template": "/health"}
    first.requests.answered(scope, 200)
    key = ("http_requests_total", ("method", "GET"), ("route", "/health"), ("status", "200"))
    assert parsed(first.text().decode())[key] == 1
    assert key not in parsed(second.text().decode())


def requests_of(metrics):
    """Return how many requests were counted, by method, route and status."""
    found = parsed(metrics.text().decode())
    return {
        tuple(value for _, value in key[1:]): count
        for key, count in found.items()
        if key[0] == "http_requests_total"
    }


def test_requests_are_counted_by_template_method_and_status(watched):
    headers = bearer(watched, "sessions:read")
    for number in range(3):
        watched.get(f"{BASE}/{900 + number}/", headers=headers)
    watched.head(BASE, headers=headers)
    watched.request("BREW", "/health")
    one = "/api/v1/audioscribe/sessions/{session_id}"
    assert requests_of(watched.metrics) == {
        ("GET", one, "404"): 3,
        ("HEAD", "/api/v1/audioscribe/sessions", "200"): 1,
        ("other", "unmatched", "405"): 1,
    }
    found = parsed(watched.metrics.text().decode())
    assert found[("http_request_duration_seconds_count", ("route", one))] == 3


def test_whatever_strangers_ask_for_there_is_one_series_of_it(watched):
    for number in range(50):
        watched.get(f"/wp-admin/{number}")
        watched.request(f"METHOD{number}", f"/{number}")
    counted = requests_of(watched.metrics)
    assert counted[("GET", "unmatched", "404")] == 50
    assert len(counted) <= 3


def test_refusals_for_a_key_are_counted_by_their_reason(watched, monkeypatch):
    attempts = watched.application.state.authenticator.attempts
    monkeypatch.setattr(attempts, "_clock", lambda: 1000.0)  # all within the same second
    for key in ("wrong", "wrong", "wrong"):
        watched.get(BASE, headers={"Authorization": f"Bearer {key}"})
    watched.get(BASE, headers=bearer(watched, "metrics"))
    found = parsed(watched.metrics.text().decode())
    reasons = {key[1][1]: n for key, n in found.items() if key[0] == "auth_failures_total"}
    assert reasons == {"unauthorized": 1, "throttled": 2, "forbidden": 1}


def test_a_limit_of_a_plan_is_no_failure_of_a_key():
    metrics = Metrics()
    metrics.requests.answered({"type": "http", "method": "GET", "user": object()}, 429)
    found = parsed(metrics.text().decode())
    assert found[("auth_failures_total", ("reason", "throttled"))] == 0


def asked(metrics, kind, *messages, during=lambda: None):
    """Pass one request through the counter to an app that sends these messages."""

    async def application(scope, receive, send):
        scope["path_template"] = "/events/{number:int}"
        for message in messages:
            await send(message)
        during()

    async def send(_):
        pass

    scope = {"type": kind, "method": "GET"}
    asyncio.run(Counted(application, metrics.requests)(scope, None, send))
    return parsed(metrics.text().decode())


def test_a_stream_of_events_is_counted_when_it_begins_and_in_no_duration():
    metrics, seen = Metrics(), {}
    headers = [(b"content-type", b"text/event-stream; charset=utf-8")]
    after = asked(
        metrics,
        "http",
        {"type": "http.response.start", "status": 200, "headers": headers},
        during=lambda: seen.update(parsed(metrics.text().decode())),
    )
    labels = (("method", "GET"), ("route", "/events/{number}"), ("status", "200"))
    assert seen[("http_requests_total", *labels)] == 1
    assert seen[("http_streams_open", ("kind", "events"))] == 1
    assert after[("http_streams_open", ("kind", "events"))] == 0
    assert not [key for key in after if key[0].startswith("http_request_duration")]


@pytest.mark.parametrize(
    ("message", "status", "open_meanwhile"),
    [
        ({"type": "websocket.accept"}, "101", 1),
        ({"type": "websocket.close", "code": 4001}, "403", 0),
        ({"type": "websocket.http.response.start", "status": 401}, "401", 0),
    ],
)
def test_a_websocket_is_counted_by_what_its_handshake_is_answered(message, status, open_meanwhile):
    metrics, seen = Metrics(), {}
    during = lambda: seen.update(parsed(metrics.text().decode()))  # noqa: E731
    after = asked(metrics, "websocket", message, during=during)
    labels = (("method", "GET"), ("route", "/events/{number}"), ("status", status))
    assert after[("http_requests_total", *labels)] == 1
    assert seen[("http_streams_open", ("kind", "websocket"))] == open_meanwhile
    assert after[("http_streams_open", ("kind", "websocket"))] == 0


def test_a_request_without_an_answer_is_counted_too():
    found = asked(Metrics(), "http")
    labels = (("method", "GET"), ("route", "/events/{number}"), ("status", "none"))
    assert found[("http_requests_total", *labels)] == 1


def test_a_part_that_breaks_hides_no_other(watched, monkeypatch, caplog):
    def broken(_):
        raise OSError("/a/private/path")

    monkeypatch.setattr(box_metrics, "disk", broken)
    found = parsed(watched.metrics.text().decode())
    assert found[("scrape_success", ("part", "disk"))] == 0
    assert found[("scrape_success", ("part", "store"))] == 1
    assert not [key for key in found if key[0].startswith("disk_")]
    assert "private" not in caplog.text


def test_what_is_stored_and_sent_is_counted_by_state(watched):
    session_of(watched)
    found = parsed(watched.metrics.text().decode())
    assert found[("sessions", ("state", "done"))] == 1
    assert found[("recordings", ("state", "recording"))] == 0
    assert found[("webhook_deliveries", ("state", "dead"))] == 0
    assert found[("webhook_attempts_total", ("outcome", "delivered"))] == 5
    assert found[("webhook_in_flight", ("lane", "slow"))] == 2
    assert found[("backup_last_run_success",)] == 1
    assert found[("disk_size_bytes",)] > found[("disk_free_bytes",)] > 0
    assert found[("database_size_bytes",)] > 0 and ("process_cpu_seconds_total",) in found


def test_duties_tell_when_they_ran_and_how_that_ended():
    def fail():
        raise ValueError

    good, bad = Duty("good", 60, lambda: None), Duty("bad", 60, fail)
    clock = Clock((good, bad)).start()
    clock.carry_out(good)
    clock.carry_out(bad)
    found = samples(box_metrics.duties(clock))
    clock.stop()
    assert found[("duty_last_run_success", ("duty", "good"))] == 1
    assert found[("duty_last_run_success", ("duty", "bad"))] == 0
    at = found[("duty_last_run_timestamp_seconds", ("duty", "bad"))]
    assert at == pytest.approx(now().timestamp(), abs=60)


def test_the_engine_tells_what_it_is_what_it_did_and_what_waits():
    began, go = threading.Event(), threading.Event()
    held_back = Segment(0, 1000, "Thanks for watching.", (), "whisper-fake", 0.1, "no speech")

    class Fake:
        model = SimpleNamespace(label="fake")

        def transcribe(self, audio, request):
            began.set()
            assert go.wait(60)
            if not len(audio):
                raise ValueError("nothing")
            return Heard((held_back,), "en")

    worker = Worker(Fake).start()
    audio = np.zeros(32_000, np.int16)
    tickets = [worker.submit(audio, Request(), p) for p in (Priority.LIVE, Priority.LONG)]
    assert began.wait(60)
    tickets.append(worker.submit(audio[:0], Request(), Priority.SHORT))
    busy = samples(sound_metrics.engine(worker))
    assert busy[("engine_queue_windows", ("priority", "short"))] == 1
    go.set()
    for ticket in tickets[:2]:
        ticket.result(60)
    with pytest.raises(ValueError, match="nothing"):
        tickets[2].result(60)
    worker.stop()
    found = samples(sound_metrics.engine(worker))
    assert found[("engine_state", ("state", "ready"))] == 1
    assert found[("engine_model_info", ("model", "fake"))] == 1
    assert found[("engine_windows_total", ("priority", "live"))] == 1
    assert found[("engine_failed_windows_total",)] == 1
    assert found[("engine_audio_seconds_total",)] == 4
    assert found[("engine_busy_seconds_total",)] > 0
    assert found[("engine_suppressed_total", ("reason", "no speech"))] == 2
    assert found[("engine_wait_seconds_count", ("priority", "short"))] == 1
    assert found[("engine_wait_seconds_bucket", ("le", "+Inf"), ("priority", "long"))] == 1


def test_what_the_cloud_heard_for_the_box_is_counted_by_its_reason():
    tally = StandbyTally()
    tally.heard("behind", 2.5)
    tally.heard("behind", 1.5)
    tally.failed("cloudRefused")
    tally.hindered("dailyLimit")
    decisions = [Decision("behind"), Decision("behind", "dailyLimit")]
    found = samples(sound_metrics.failover(SimpleNamespace(tally=tally, decisions=decisions)))
    assert found[("failover_active",)] == 1
    assert found[("failover_seconds_total", ("reason", "behind"))] == 4
    assert found[("failover_seconds_total", ("reason", "modelMissing"))] == 0
    assert found[("failover_requests_total", ("outcome", "heard"))] == 2
    assert found[("failover_requests_total", ("outcome", "cloudRefused"))] == 1
    assert found[("failover_failures_total", ("reason", "dailyLimit"))] == 1


def test_recordings_that_run_tell_of_the_worst_one():
    tally = CaptureTally()
    tally.captured(12.5)
    tally.gap("overflow", 0.25)
    tally.gap("a cause of tomorrow", 1.0)
    tally.text_delays.note(1.2)

    def take(behind_s, level, *alarms, recording=True):
        return SimpleNamespace(
            recording=recording,
            alarms=alarms,
            level=level,
            captured_seconds=100.0,
            transcribed_seconds=100.0 - behind_s,
            capturing=SimpleNamespace(last_sample_s=now().timestamp() - behind_s),
        )

    takes = [take(2, -30.0), take(50, -40.0, "silent"), take(99, -99.0, recording=False)]
    found = samples(sound_metrics.capture(SimpleNamespace(tally=tally, takes=takes)))
    assert found[("captures_running",)] == 2
    assert found[("captured_seconds_total",)] == 12.5
    assert found[("capture_gaps_total", ("cause", "other"))] == 1
    assert found[("capture_overflows_total",)] == 1
    assert found[("capture_gap_seconds_total", ("cause", "overflow"))] == 0.25
    assert found[("capture_alarms", ("alarm", "silent"))] == 1
    assert found[("capture_behind_seconds",)] == 50
    assert found[("capture_last_sample_age_seconds",)] == pytest.approx(50, abs=20)
    assert found[("capture_level_dbfs",)] == -40
    assert found[("utterance_text_delay_seconds_bucket", ("le", "1.5"))] == 1
    assert found[("utterance_text_delay_seconds_bucket", ("le", "1"))] == 0
    idle = samples(sound_metrics.capture(SimpleNamespace(tally=tally, takes=[])))
    assert ("capture_last_sample_age_seconds",) not in idle


def test_counting_survives_what_is_read_meanwhile():
    metrics = RequestMetrics(registry := CollectorRegistry())
    scopes = [{"method": "GET", "path_template": f"/{n}"} for n in range(200)]

    def count():
        for scope in scopes:
            metrics.answered(scope, 200)
            metrics.lasted(scope, 0.1)

    counting = threading.Thread(target=count)
    counting.start()
    while counting.is_alive():
        list(registry.collect())
    counting.join()
    assert sum(len(family.samples) for family in registry.collect()) > 200


@pytest.mark.long
@pytest.mark.skipif(missing() is not None, reason=str(missing()))
def test_a_recording_is_seen_by_those_who_watch_and_so_is_its_loss(tmp_path):
    with VirtualMicrophone() as own, RecordingBox(tmp_path / "box", own) as box:

        def health():
            return box.client.get("/health").json()["checks"]["microphone"]

        def counted():
            return parsed(box.client.get("/metrics").text)

        number = box.start()
        box.play(fixture("dictation").path)
        box.wait_for_seconds(number, 2)
        assert health() == {"status": "ok", "detail": "recording"}
        wait_until(lambda: counted()[("captured_seconds_total",)] >= 2, "count of it")
        running = counted()
        assert running[("captures_running",)] == 1
        assert running[("capture_last_sample_age_seconds",)] < 5
        own.unplug()
        wait_until(lambda: "lost" in str(health()["detail"]), "word of the loss")
        own.plug()
        wait_until(lambda: health()["status"] == "ok", "an end of the loss")
        text = ("utterance_text_delay_seconds_count",)
        wait_until(lambda: counted()[text] >= 1, "text")
        box.stop(number)
        done = box.wait_for_state(number, "done")
        over = counted()
    assert over[("captures_running",)] == 0
    assert over[("capture_gaps_total", ("cause", "device lost"))] == 1
    assert over[("captured_seconds_total",)] == pytest.approx(done["capturedSeconds"], abs=0.01)
    lost = over[("capture_gap_seconds_total", ("cause", "device lost"))]
    assert lost == pytest.approx(done["gaps"][0]["seconds"], abs=0.01)
    assert over[("engine_windows_total", ("priority", "live"))] >= 1
