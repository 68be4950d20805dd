"""Accounts have names, plans and time zones that exist."""

import json

import pytest
from box_client import bearer
from litestar.testing import TestClient
from running_box import scribebox

from api import app
from api.head import Head
from appliance.errors import Conflict, NotFound, Refused
from appliance.settings import Settings
from appliance.store import accounts


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
