"""What the plans allow: words a day and words a week, from the settings."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from appliance.prices import pairs

NAME = re.compile("[a-z0-9_-]{1,32}")
MAX_WORDS = 1_000_000_000
UNLIMITED = "unlimited"
ALLOWED = (
    "a table for each plan with daily_words and weekly_words, each 0 to "
    f"{MAX_WORDS} or absent for unlimited, its name 1 to 32 of a-z 0-9 _ -; in the environment "
    "hobby=1000/3000,pro=10000/unlimited,selfhosted=unlimited"
)


@dataclass(frozen=True, slots=True)
class Plan:
    """The words that a plan allows; None is unlimited."""

    daily_words: int | None = None
    weekly_words: int | None = None


Plans = Mapping[str, Plan]
BUILT_IN: Plans = {
    "hobby": Plan(1000, 3000),
    "pro": Plan(10_000, 50_000),
    "selfhosted": Plan(),
}


def read(value: Any) -> Plans:
    """Return what a setting says, laid over the built-in plans; ValueError if it makes no sense.

    The setting is a table of tables in the file, or "hobby=1000/3000" in the environment. A plan
    that is given is given whole: a limit it doesn't name is none.
    """
    given = pairs(value) if isinstance(value, str) else value
    if not isinstance(given, Mapping):
        raise ValueError("that is no table")
    found = dict(BUILT_IN)
    for name, limits in given.items():
        if not NAME.fullmatch(name):
            raise ValueError(f"{name!r} can't be the name of a plan")
        found[name] = plan(name, limits)
    return found


def plan(name: str, limits: Any) -> Plan:
    """Return one plan from its table, or from a text such as "1000/3000" or "unlimited"."""
    if isinstance(limits, Plan):
        return limits
    if isinstance(limits, str):
        daily, slash, weekly = limits.partition("/")
        if daily == UNLIMITED and not slash:
            weekly = UNLIMITED
        elif not (daily.strip() and weekly.strip()):
            raise ValueError(f"{name}: {limits!r} is not DAILY/WEEKLY and not {UNLIMITED}")
        limits = {"daily_words": number(daily), "weekly_words": number(weekly)}
    if not isinstance(limits, Mapping):
        raise ValueError(f"{name}: {limits!r} is no table")
    for field, words in limits.items():
        if field not in Plan.__dataclass_fields__:
            raise ValueError(f"{name}: there is no {field!r}, but daily_words and weekly_words")
        if words is not None and (not isinstance(words, int) or isinstance(words, bool)):
            raise ValueError(f"{name}: {field} {words!r} is no whole number")
        if words is not None and not 0 <= words <= MAX_WORDS:
            raise ValueError(f"{name}: {field} {words!r} is not 0 to {MAX_WORDS}")
    return Plan(**limits)


def number(text: str) -> int | str | None:
    """Return the number that a text is, None for unlimited, else the text."""
    text = text.strip()
    if text in ("", UNLIMITED):
        return None
    return int(text) if re.fullmatch(r"[0-9]{1,18}", text) else text
