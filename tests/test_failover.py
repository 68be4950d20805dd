"""The decision on plain values: where a stretch goes, and in which word that is told."""

from hypothesis import given
from hypothesis import strategies as st

from engine.failover import (
    BOX,
    CAUGHT_UP,
    CLOUD_REST_S,
    ENGINE_REST_S,
    FAILURES,
    LONGEST_REST_S,
    Backing,
    Decision,
    Engine,
    Mode,
    decide,
    next_rest_s,
)

WELL, READY = Engine(), Backing()
SECONDS = st.floats(0, 1e6)
ENGINES = st.builds(Engine, st.booleans(), st.integers(0, 10), SECONDS, SECONDS)
BACKINGS = st.builds(
    Backing,
    st.booleans(),
    st.sampled_from([None, "daily", "weekly"]),
    st.sampled_from([None, "cloudRefused", "cloudUnreachable"]),
)
SITUATIONS = {
    "engine": ENGINES,
    "backing": BACKINGS,
    "lag_s": SECONDS,
    "limit_s": st.floats(1, 3600),
    "was_behind": st.booleans(),
}


@given(**SITUATIONS)
def test_never_is_never(**situation):
    assert decide(Mode.NEVER, **situation) == BOX


@given(**SITUATIONS)
def test_whatever_is_down_is_behind_too(**situation):
    down, behind = decide(Mode.WHEN_DOWN, **situation), decide(Mode.WHEN_BEHIND, **situation)
    assert down.cause != "behind"
    assert down == behind or (down == BOX and behind.cause == "behind")


@given(mode=st.sampled_from(Mode), **SITUATIONS)
def test_nothing_goes_to_a_cloud_without_key_beyond_a_limit_or_at_rest(mode, backing, **more):
    decision = decide(mode, backing=backing, **more)
    free = backing.configured and backing.limit is None and backing.resting is None
    assert decision.to_cloud == (decision.cause is not None and free)
    assert decision.hindrance is None or decision.cause is not None
    assert decision.reason == (decision.hindrance or decision.cause)


@given(mode=st.sampled_from([Mode.WHEN_BEHIND, Mode.WHEN_DOWN]), **SITUATIONS)
def test_more_lag_never_brings_a_stretch_back_to_the_box(mode, lag_s, **more):
    before = decide(mode, lag_s=lag_s, **more)
    after = decide(mode, lag_s=lag_s + 1, **more)
    assert after.cause == (before.cause or after.cause)


@given(**{name: SITUATIONS[name] for name in ("lag_s", "limit_s")})
def test_behind_begins_above_the_limit_and_ends_at_a_quarter_of_it(lag_s, limit_s):
    def is_behind(was_behind):
        lag = {"lag_s": lag_s, "limit_s": limit_s, "was_behind": was_behind}
        return decide(Mode.WHEN_BEHIND, WELL, READY, **lag).cause == "behind"

    assert is_behind(False) == (lag_s > limit_s)
    assert is_behind(True) == (lag_s > limit_s * CAUGHT_UP)


def test_a_box_without_a_model_is_down_however_late_it_is():
    assert decide(Mode.WHEN_DOWN, Engine(missing=True), READY) == Decision("modelMissing")
    assert decide(Mode.WHEN_BEHIND, Engine(missing=True), READY, lag_s=99).cause == "modelMissing"


def test_three_failures_in_a_row_are_a_failing_engine_until_it_has_rested():
    def cause(failures, since_s):
        engine = Engine(failures=failures, since_failure_s=since_s)
        return decide(Mode.WHEN_DOWN, engine, READY).cause

    assert cause(FAILURES - 1, 0) is None
    assert cause(FAILURES, 0) == "engineFailing"
    assert cause(FAILURES, ENGINE_REST_S) is None


def test_an_engine_that_is_at_one_window_for_too_long_is_failing():
    assert decide(Mode.WHEN_DOWN, Engine(busy_s=21), READY).cause == "engineFailing"
    assert decide(Mode.WHEN_DOWN, Engine(busy_s=21), READY, limit_s=30) == BOX


def test_what_is_in_the_way_is_told_in_this_order():
    def hindrance(*backing):
        return decide(Mode.WHEN_DOWN, Engine(missing=True), Backing(*backing)).hindrance

    assert hindrance(False, "daily", "cloudRefused") == "noCloudKey"
    assert hindrance(True, "daily", "cloudRefused") == "dailyLimit"
    assert hindrance(True, "weekly", None) == "weeklyLimit"
    assert hindrance(True, None, "cloudRefused") == "cloudRefused"
    assert hindrance(True, None, None) is None


def test_the_cloud_rests_longer_each_time_and_a_minute_at_most():
    rests, last_s = [], 0.0
    for _ in range(6):
        last_s = next_rest_s(last_s)
        rests.append(last_s)
    assert rests == [CLOUD_REST_S, 10, 20, 40, LONGEST_REST_S, LONGEST_REST_S]
