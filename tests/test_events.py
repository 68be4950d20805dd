"""Subscribers hear of what is committed, and of nothing else."""

import logging

import pytest

from appliance.events import Bus, Event
from appliance.store.database import tell


def test_an_event_is_published_after_the_commit_and_not_before(database):
    heard = []
    database.bus.subscribe(heard.append)
    with database.write() as session:
        tell(session, "it.happened", number=1)
        assert heard == []
    assert heard == [Event("it.happened", {"number": 1})]


def test_what_is_rolled_back_is_never_told(database):
    heard = []
    database.bus.subscribe(heard.append)
    with pytest.raises(RuntimeError), database.write() as session:
        tell(session, "it.happened")
        raise RuntimeError
    assert heard == []


def test_a_subscriber_that_fails_harms_no_other(caplog):
    bus, heard = Bus(), []

    def broken(_event):
        raise RuntimeError("broken")

    bus.subscribe(broken)
    bus.subscribe(heard.append)
    with caplog.at_level(logging.ERROR):
        bus.publish(Event("it.happened"))
    assert len(heard) == 1
    assert "it.happened" in caplog.text


def test_one_who_unsubscribed_hears_nothing_more():
    bus, heard = Bus(), []
    bus.subscribe(heard.append)()
    bus.publish(Event("it.happened"))
    assert heard == []
