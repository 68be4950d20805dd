"""Accounts have names, plans and time zones that exist."""

import contextlib
import json

import pytest
from box_client import bearer, box_of
from litestar.testing import TestClient
from running_box import scribebox
from sqlmodel import select

from api import app, cli
from api.head import Head
from appliance.errors import Conflict, NotFound, Refused
from appliance.settings import Settings
from appliance.store import accounts
from appliance.store.entities import Audit


def test_an_account_can_be_made_found_and_changed(database):
    with database.write() as session:
        accounts.create(session, "alice", "hobby", "Europe/Berlin")
    with database.write() as session:
        accounts.change(session, "alice", plan="pro")
    with database.read() as session:
        alice = accounts.named(session, "alice")
        assert (alice.plan, alice.timezone) == ("pro", "Europe/Berlin")


def test_a_name_is_taken_once(database):
    with database.write() as session:
        accounts.create(session, "alice")
        with pytest.raises(Conflict, match="alice"):
            accounts.create(session, "alice")


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (("",), "1 to 64"),
        (("a\nb",), "printable"),
        (("a", "gold"), "hobby"),
        (("a", "pro", "Mars/Olympus"), "Europe/Berlin"),
        (("a", "pro", "../etc/passwd"), "Europe/Berlin"),
        (("a", "pro", "localtime"), "Europe/Berlin"),
        (("a", "pro", "UTC", ["basic"]), "there are basic"),
    ],
)
def test_what_does_not_exist_is_refused_with_what_does(database, values, said):
    with database.write() as session, pytest.raises(Refused, match=said):
        accounts.create(session, *values)


def test_an_unknown_account_is_named(database):
    with database.read() as session, pytest.raises(NotFound, match="carol"):
        accounts.named(session, "carol")


def test_the_plans_there_are_can_be_given(database):
    with database.write() as session:
        accounts.create(session, "alice", "team", plans=["team", "basic"])
        assert accounts.change(session, "alice", plan="basic", plans=["basic"]).plan == "basic"
        with pytest.raises(Refused, match="'team': there are basic"):
            accounts.change(session, "alice", plan="team", plans=["basic"])


def test_the_command_knows_the_plans_of_the_settings(tmp_path):
    def run(*arguments, **more):
        return scribebox("accounts", *arguments, "--json", "--data", tmp_path, **more)

    made = run("create", "sales", "--plan", "team", SCRIBEBOX_PLANS="team=5/10")
    assert json.loads(made.stdout)[0]["plan"] == "team", made.stderr
    refused = run("set", "sales", "--plan", "team")
    assert refused.returncode == 2 and "hobby, pro, selfhosted" in refused.stderr


def test_the_route_knows_the_plans_of_the_settings(tmp_path):
    settings = Settings(data_dir=tmp_path, model="absent", plans="team=5/10")
    application = app.create(settings, "http://127.0.0.1:1")
    with TestClient(Head(application)) as client:
        client.application = application
        client.headers.update(bearer(client, "admin"))
        made = client.post("/api/v1/accounts", json={"name": "sales", "plan": "team"})
        assert (made.status_code, made.json()["plan"]) == (201, "team")
        path = f"/api/v1/accounts/{made.json()['id']}"
        assert client.patch(path, json={"plan": "hobby"}).json()["plan"] == "hobby"
        refused = client.patch(path, json={"plan": "gold"})
        assert refused.status_code == 400 and "team" in refused.json()["detail"]


def test_an_account_may_keep_things_for_days_of_its_own(database):
    with database.write() as session:
        made = accounts.create(session, "alice", kept={"retention_audio_days": 30})
        assert (made.retention_audio_days, made.retention_text_days) == (30, None)
        accounts.change(session, "alice", kept={"retention_text_days": 0})
        accounts.change(session, "alice", plan="pro")
    with database.write() as session:
        alice = accounts.named(session, "alice")
        assert (alice.retention_audio_days, alice.retention_text_days) == (30, 0)
        accounts.change(session, "alice", kept=dict.fromkeys(accounts.RETENTION))
        assert (alice.retention_audio_days, alice.retention_text_days) == (None, None)
        for days in (-1, 36501):
            with pytest.raises(Refused, match="0 \\(for ever\\) to 36500"):
                accounts.change(session, "alice", kept={"retention_audio_days": days})


def test_the_command_says_how_long_things_are_kept(tmp_path, capsys):
    def run(*arguments):
        assert cli.main(["accounts", *arguments, "--data", str(tmp_path)]) == 0
        return capsys.readouterr().out

    def days(*arguments):
        (account,) = json.loads(run(*arguments, "--json"))
        return account["retentionAudioDays"], account["retentionTextDays"]

    assert days("create", "sales", "--keep-audio-days", "30") == (30, None)
    assert days("set", "sales", "--keep-text-days", "0") == (30, 0)
    assert days("set", "sales", "--keep-audio-days", "default") == (None, 0)
    assert "\tretentionAudioDays\tretentionTextDays\t" in run("list")


@pytest.mark.parametrize("wrong", ["soon", "-1", "1.5", "36501", "9" * 5000])
def test_the_command_refuses_what_is_no_number_of_days(tmp_path, capsys, wrong):
    cli.main(["accounts", "create", "sales", "--data", str(tmp_path)])
    words = ["accounts", "set", "sales", f"--keep-text-days={wrong}", "--data", str(tmp_path)]
    with contextlib.suppress(SystemExit):
        assert cli.main(words) == 2
    assert "days" in capsys.readouterr().err


def test_the_route_says_how_long_things_are_kept(started):
    started.headers.update(bearer(started, "admin"))
    made = started.post("/api/v1/accounts", json={"name": "sales", "retentionTextDays": 90}).json()
    assert (made["retentionAudioDays"], made["retentionTextDays"]) == (None, 90)
    path = f"/api/v1/accounts/{made['id']}"
    changed = started.patch(path, json={"retentionAudioDays": 7}).json()
    assert (changed["retentionAudioDays"], changed["retentionTextDays"]) == (7, 90)
    assert started.get("/api/v1/accounts").json()[0] == changed
    changed = started.patch(path, json={"retentionTextDays": None, "plan": "pro"}).json()
    assert (changed["retentionAudioDays"], changed["retentionTextDays"]) == (7, None)
    for wrong in (-1, 36501, 1.5, True, "soon"):
        refused = started.patch(path, json={"retentionAudioDays": wrong})
        assert refused.status_code == 400 and "retentionAudioDays" in refused.text, wrong
    with box_of(started).database.read() as session:
        lines = session.exec(select(Audit.action, Audit.target)).all()
    assert lines.count(("account.set", "sales")) == 2
