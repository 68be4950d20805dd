"""Decide for one stretch of speech: the box or the cloud, and why. Plain values in, words out.

The words are those that the API shows. Who asks carries it out; nothing here has a clock.
"""

import enum
from dataclasses import dataclass
from typing import Literal

FAILURES = 3  # of the engine in a row: then it is failing
CAUGHT_UP = 0.25  # of the limit: with so little lag the box takes over again
ENGINE_REST_S = 30.0  # a failing engine is tried again after that
CLOUD_REST_S, LONGEST_REST_S = 5.0, 60.0

Cause = Literal["behind", "modelMissing", "engineFailing"]
Hindrance = Literal["noCloudKey", "dailyLimit", "weeklyLimit", "cloudRefused", "cloudUnreachable"]
CAUSES: tuple[Cause, ...] = ("behind", "modelMissing", "engineFailing")
HINDRANCES: tuple[Hindrance, ...] = (
    "noCloudKey", "dailyLimit", "weeklyLimit", "cloudRefused", "cloudUnreachable",
)  # fmt: skip


class Mode(enum.StrEnum):
    """When the cloud may hear what the box should: behind includes down."""

    NEVER = "never"
    WHEN_BEHIND = "when-behind"
    WHEN_DOWN = "when-down"


@dataclass(frozen=True, slots=True)
class Engine:
    """How the engine of the box is, as far as it matters here."""

    missing: bool = False  # there is no model
    failures: int = 0  # in a row
    since_failure_s: float = 0.0  # since the last of them
    busy_s: float = 0.0  # at the window at hand


@dataclass(frozen=True, slots=True)
class Backing:
    """How the cloud is for one account."""

    configured: bool = True
    limit: Literal["daily", "weekly"] | None = None  # of the account's plan, reached
    resting: Literal["cloudRefused", "cloudUnreachable"] | None = None  # after its own failure


@dataclass(frozen=True, slots=True)
class Decision:
    """Where to, and why: the cause if the box is in need, the hindrance if that is in vain."""

    cause: Cause | None = None
    hindrance: Hindrance | None = None

    @property
    def to_cloud(self) -> bool:
        """Tell whether it goes to the cloud."""
        return self.cause is not None and self.hindrance is None

    @property
    def reason(self) -> str | None:
        """Return the word to show: the cause, or what is in its way."""
        return self.hindrance or self.cause


BOX = Decision()


def decide(
    mode: Mode,
    engine: Engine,
    backing: Backing,
    *,
    lag_s: float = 0.0,
    limit_s: float = 20.0,
    was_behind: bool = False,
) -> Decision:
    """Return where a stretch goes. `was_behind`: the one before went to the cloud for that."""
    cause = cause_of(mode, engine, lag_s=lag_s, limit_s=limit_s, was_behind=was_behind)
    return BOX if cause is None else Decision(cause, hindrance_of(backing))


def cause_of(
    mode: Mode, engine: Engine, *, lag_s: float, limit_s: float, was_behind: bool
) -> Cause | None:
    """Return why the box needs the cloud; None if it doesn't, or must not have it."""
    if mode is Mode.NEVER:
        return None
    if engine.missing:
        return "modelMissing"
    if is_failing(engine) or is_stuck(engine, limit_s):
        return "engineFailing"
    begins = limit_s * CAUGHT_UP if was_behind else limit_s
    return "behind" if mode is Mode.WHEN_BEHIND and lag_s > begins else None


def hindrance_of(backing: Backing) -> Hindrance | None:
    """Return what keeps the cloud from being asked."""
    if not backing.configured:
        return "noCloudKey"
    if backing.limit is not None:
        return "weeklyLimit" if backing.limit == "weekly" else "dailyLimit"
    return backing.resting


def is_failing(engine: Engine) -> bool:
    """Tell whether the engine fails, and has not rested for long enough to be tried again."""
    return engine.failures >= FAILURES and engine.since_failure_s < ENGINE_REST_S


def is_stuck(engine: Engine, limit_s: float) -> bool:
    """Tell whether the engine has been at one window for longer than text may be late."""
    return engine.busy_s > limit_s


def next_rest_s(last_s: float) -> float:
    """Return how long the cloud rests after a failure, twice as long as the time before."""
    return min(max(CLOUD_REST_S, 2 * last_s), LONGEST_REST_S)
