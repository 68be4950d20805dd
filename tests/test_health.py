"""What monitors are told: every part, what is the matter with it, and nothing private."""

import dataclasses
import sqlite3
import threading
import time
from datetime import timedelta
from types import SimpleNamespace

import anyio
import anyio.to_thread
import pytest
from box_client import account, box_of

from api import health
from api.health_schemas import Check
from api.threads import monitoring
from appliance.microphones import Listing
from appliance.store import accounts
from appliance.store.endpoints import FAILING, GONE
from appliance.store.entities import Delivery, DeliveryState, Message, Webhook, now
from engine.failover import Decision, Mode
from engine.microphone import Device
from scheduler.clock import Clock, Duty, Run

PARTS = {"database", "disk", "engine", "microphone", "scheduler", "webhooks", "failover"}
URL = "https://hooks.example/secret-token"
JABRA = Device("Jabra: USB Audio (hw:1,0)", 1, 16_000, True)
WAIT_S = 60


def checks(client):
    """Return what the health says, its parts by name."""
    return client.get("/health").json()["checks"]


def endpoint(database, **values):
    """Make an endpoint."""
    with database.write() as session:
        owner = accounts.every(session)[0].id
        row = Webhook(account_id=owner, url=URL, events=[], secret=b"sealed", **values)
        session.add(row)
        session.flush()
        return row.id


def delivery(database, webhook_id, event="session.created", **values):
    """Make a delivery."""
    with database.write() as session:
        owner = session.get_one(Webhook, webhook_id).account_id
        message = Message(account_id=owner, event=event, body=b"{}")
        session.add(message)
        session.flush()
        number = f"msg_{message.id}"
        session.add(Delivery(id=number, webhook_id=webhook_id, message_id=message.id, **values))


class Capturing:
    """A capture that wrote the last sound so long ago, whenever it is asked."""

    def __init__(self, age_s):
        self.age_s = age_s

    @property
    def last_sample_s(self):
        return time.time() - self.age_s


def take(*alarms, age_s=0.0):
    """Return a recording that runs, as the health sees it."""
    return SimpleNamespace(recording=True, alarms=alarms, capturing=Capturing(age_s))


def recording(client, takes=(), listing=None, **settings):
    """Return the box with such recordings and such microphones."""
    box = box_of(client)
    recorder = SimpleNamespace(
        takes=list(takes), microphones=SimpleNamespace(known=lambda: listing)
    )
    changed = box.settings.model_copy(update=settings)
    return dataclasses.replace(box, recorder=recorder, settings=changed)


def test_every_part_is_told_of_and_nothing_private(started, tmp_path):
    account(started, "Alice Example")
    database = box_of(started).database
    delivery(database, endpoint(database, enabled=False, disabled_because=FAILING))
    answer = started.get("/health")
    assert answer.status_code == 200 and answer.json()["checks"].keys() >= PARTS
    for private in (str(tmp_path), "Alice", "hooks.example", "secret", accounts.DEFAULT):
        assert private not in answer.text


def test_a_database_that_can_not_be_read_is_503_and_the_rest_is_told_all_the_same(started):
    with sqlite3.connect(box_of(started).database.path) as other:
        other.execute("ALTER TABLE account RENAME TO elsewhere")
    other.close()
    answer = started.get("/health")
    assert answer.status_code == 503 and answer.json()["status"] == "failed"
    assert answer.json()["checks"]["database"]["detail"] == "can't be read: OperationalError"
    assert answer.json()["checks"].keys() >= PARTS


def test_a_look_that_breaks_hides_no_other(started, monkeypatch, caplog):
    def broken(_):
        raise OSError("/a/private/path")

    monkeypatch.setattr(health, "disk", broken)
    answer = started.get("/health")
    assert answer.json()["checks"]["disk"]["status"] == "degraded"
    assert "private" not in answer.text + caplog.text


def test_a_disk_where_nothing_begins_is_degraded(started):
    assert health.disk(box_of(started)).status == "ok"
    assert health.disk(recording(started, disk_refuse_bytes=1 << 60)).status == "degraded"


def test_an_engine_that_hangs_or_has_ended_is_told(started):
    def engine(alive=True, busy_s=0.0):
        worker = SimpleNamespace(alive=alive, failure=None, busy_s=busy_s, state="ready")
        return health.engine(dataclasses.replace(box_of(started), worker=worker))

    assert engine().status == "ok"
    assert engine(busy_s=1000).status == "degraded"
    assert engine(alive=False).status == "failed"


@pytest.mark.parametrize(
    ("takes", "listing", "settings", "status", "said"),
    [
        ([], None, {}, "ok", "not looked for yet"),
        ([], Listing((), 0), {}, "ok", "no microphone"),  # a box that never records
        ([], Listing((JABRA,), 0), {}, "ok", None),
        ([], Listing((), 0), {"input_device": "Jabra"}, "degraded", "input_device"),
        ([], Listing((JABRA,), 0), {"input_device": "Jabra: USB Audio (hw:2,0)"}, "ok", None),
        ([take()], None, {"input_device": "Jabra"}, "ok", "recording"),
        ([take(), take("deviceLost")], None, {}, "degraded", "lost its microphone"),
        ([take("silent")], None, {}, "degraded", "silence"),
        ([take("clipping")], None, {}, "ok", "recording"),
        ([take(age_s=60)], None, {}, "degraded", "no sound"),
    ],
)
def test_the_microphone_matters_if_it_is_wanted(started, takes, listing, settings, status, said):
    found = health.microphone(recording(started, takes, listing, **settings))
    assert found.status == status
    assert found.detail == said if said is None else said in found.detail


def test_nobody_waits_for_portaudio_to_list_the_microphones(started):
    asked, go = threading.Event(), threading.Event()

    def hanging():
        asked.set()
        assert go.wait(WAIT_S)
        return []

    box_of(started).recorder.microphones._look = hanging
    assert checks(started)["microphone"]["detail"] == "not looked for yet"
    assert asked.wait(WAIT_S)
    assert checks(started)["microphone"]["detail"] == "not looked for yet"
    go.set()
    for thread in threading.enumerate():
        if thread.name == "microphones":
            thread.join(WAIT_S)
    assert checks(started)["microphone"]["detail"] == "no microphone"


@pytest.mark.parametrize(
    ("mode", "cloud", "decisions", "status", "said"),
    [
        (Mode.NEVER, None, [], "ok", "nothing leaves"),
        (Mode.WHEN_DOWN, None, [], "degraded", "no key"),
        (Mode.WHEN_DOWN, "cloud", [], "ok", "the box hears by itself; the last time: behind"),
        (Mode.WHEN_BEHIND, "cloud", [Decision("behind")], "degraded", "hears for the box: behind"),
        (
            Mode.WHEN_DOWN,
            "cloud",
            [Decision("behind"), Decision("behind", "dailyLimit")],
            "degraded",
            "dailyLimit",
        ),
    ],
)
def test_who_hears_for_the_box_is_told(mode, cloud, decisions, status, said):
    options = SimpleNamespace(mode=mode, cloud=cloud)
    standby = SimpleNamespace(
        options=options, on=mode != "never", decisions=decisions, last_cause="behind", alive=True
    )
    found = health.failover(standby)
    assert found.status == status and said in found.detail and mode in found.detail
    standby.alive = False
    assert health.failover(standby).status == ("failed" if standby.on else "ok")


def clock_of(every_s=3600.0, run=None, carry_out=lambda: None):
    """Return a clock that runs, with one duty."""
    clock = Clock((Duty("tidy", every_s, carry_out),)).start()
    if run is not None:
        clock.last["tidy"] = run
    return clock


def test_every_duty_tells_when_it_ran_for_how_long_and_how_that_ended(started):
    def fail():
        raise ValueError

    clock = started.application.state.clock
    assert {run["outcome"] for run in checks(started)["scheduler"]["duties"].values()} == {
        "not yet"
    }
    by_name = {duty.name: duty for duty in clock.duties}
    clock.carry_out(by_name["last_used"])
    clock.carry_out(dataclasses.replace(by_name["pruning"], carry_out=fail))
    told = checks(started)["scheduler"]
    assert told["duties"]["last_used"]["outcome"] == "ok"
    assert told["duties"]["last_used"]["seconds"] >= 0
    assert told["duties"]["last_used"]["at"].startswith("20")
    assert told["duties"]["pruning"]["outcome"] == "failed"
    assert (told["status"], told["detail"]) == ("degraded", "failed: pruning")


@pytest.mark.parametrize(("ago_s", "status"), [(3 * 100 + 50, "ok"), (3 * 100 + 70, "degraded")])
def test_a_duty_is_late_after_three_intervals_and_a_minute(ago_s, status):
    clock = clock_of(100, Run(now() - timedelta(seconds=ago_s), 0.0, None))
    assert health.scheduler(clock).status == status
    clock.stop()


def test_a_duty_that_has_never_run_is_late_by_the_start():
    clock = clock_of(100)
    assert health.scheduler(clock).status == "ok"
    clock.started_at = now() - timedelta(seconds=400)
    assert health.scheduler(clock).detail == "late: tidy"
    clock.stop()


def test_a_clock_that_has_stopped_is_a_failure():
    clock = clock_of()
    clock.stop()
    assert health.scheduler(clock).status == "failed"


@pytest.fixture
def outbox(database, account):
    """Return a database that nobody delivers from."""
    return database


def test_an_endpoint_that_its_owner_disabled_is_as_it_should_be(outbox):
    endpoint(outbox)
    endpoint(outbox, enabled=False, disabled_because="asked")
    assert health.webhooks(outbox) == Check("ok")


def test_endpoints_that_the_box_gave_up_are_counted(outbox):
    for because in (FAILING, FAILING, GONE):
        endpoint(outbox, enabled=False, disabled_because=because)
    endpoint(outbox, enabled=False, disabled_because=GONE, deleted_at=now())
    found = health.webhooks(outbox)
    assert (found.status, found.detail) == ("degraded", "endpoints disabled: 1 gone, 2 failing")


def test_deliveries_that_died_of_late_are_counted_and_tests_are_none(outbox):
    number = endpoint(outbox)
    dead = {"state": DeliveryState.DEAD}
    delivery(outbox, number, finished_at=now() - timedelta(days=4), **dead)
    delivery(outbox, number, event="ping", finished_at=now(), **dead)
    assert health.webhooks(outbox).status == "ok"
    delivery(outbox, number, finished_at=now() - timedelta(days=2), **dead)
    found = health.webhooks(outbox)
    assert (found.status, found.detail) == ("degraded", "deliveries given up in 3 days: 1")


def test_a_sender_that_stands_still_is_degraded(outbox):
    number = endpoint(outbox)
    delivery(outbox, number, due_at=now() - timedelta(minutes=4))
    assert health.webhooks(outbox).status == "ok"
    delivery(outbox, number, due_at=now() - timedelta(minutes=6))
    found = health.webhooks(outbox)
    assert found.status == "degraded" and "first try" in found.detail
    ended = health.webhooks(outbox, SimpleNamespace(alive=False, waits_for_database=False))
    assert ended.status == "degraded" and "restart" in ended.detail
    waits = health.webhooks(outbox, SimpleNamespace(alive=True, waits_for_database=True))
    assert (waits.status, "wait" in waits.detail) == ("degraded", True)


@pytest.mark.parametrize(
    ("last", "status"),
    [
        (None, "ok"),
        (SimpleNamespace(at=now(), error=None), "ok"),
        (SimpleNamespace(at=now(), error="/mnt/nas: no room"), "degraded"),
        (SimpleNamespace(at=now() - timedelta(days=3), error=None), "degraded"),
    ],
)
def test_a_backup_that_failed_or_is_old_is_degraded(last, status):
    found = health.backup(SimpleNamespace(last=last))
    assert found.status == status and "/mnt" not in str(found.detail)


def test_monitors_never_wait_for_the_threads_of_others():
    go = threading.Event()

    async def main():
        async with anyio.create_task_group() as busy:
            for _ in range(60):  # more than AnyIO has
                busy.start_soon(anyio.to_thread.run_sync, go.wait, WAIT_S)
            await anyio.lowlevel.checkpoint()
            answer = await monitoring(lambda: "here")()
            assert not go.is_set()
            go.set()
            return answer

    assert anyio.run(main) == "here"


def test_a_database_whose_file_is_gone_is_a_failure(database, tmp_path):
    assert health.database(database).status == "ok"
    database.path.rename(tmp_path / "elsewhere.db")
    assert health.database(database).status == "failed"
