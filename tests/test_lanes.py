"""Slots are counted in the lane where a try is, and one that lasts gives its healthy slot up."""

import pytest

from scheduler.lanes import SLOTS, Lane, Lanes

FEW = {Lane.HEALTHY: 2, Lane.SLOW: 1, Lane.LATE: 1}


def test_the_slots_are_the_contracts():
    assert (SLOTS[Lane.HEALTHY], SLOTS[Lane.SLOW]) == (8, 2)


def test_a_slot_is_held_from_entering_to_leaving():
    lanes = Lanes(FEW)
    lanes.enter("a", Lane.HEALTHY)
    lanes.enter("b", Lane.SLOW)
    assert lanes.free() == {Lane.HEALTHY: 1, Lane.SLOW: 0, Lane.LATE: 1}
    assert (lanes.lane_of("b"), lanes.lane_of("c")) == (Lane.SLOW, None)
    lanes.leave("b")
    assert lanes.held() == {Lane.HEALTHY: 1, Lane.SLOW: 0, Lane.LATE: 0}
    with pytest.raises(AssertionError):
        lanes.enter("a", Lane.SLOW)


def test_only_a_healthy_try_becomes_late_and_only_while_there_is_room():
    lanes = Lanes(FEW)
    for one in ("a", "b"):
        lanes.enter(one, Lane.HEALTHY)
    lanes.enter("c", Lane.SLOW)
    assert not lanes.make_late("c") and not lanes.make_late("not there")
    assert lanes.make_late("a") and not lanes.make_late("a")
    assert lanes.free()[Lane.HEALTHY] == 1
    assert not lanes.make_late("b")
    lanes.leave("a")
    assert lanes.make_late("b")
    assert lanes.held() == {Lane.HEALTHY: 0, Lane.SLOW: 1, Lane.LATE: 1}
