"""The query of `/v1/listen` as names and texts, and how a value that can't be taken is refused."""

import re
from collections.abc import Sequence

from appliance.errors import Refused

MAX_SHOWN = 60
WHOLE = re.compile(r"[0-9]{1,9}")


class InvalidOption(Refused):
    """A parameter has a value that can't be taken."""


class Query:
    """The parameters by name."""

    def __init__(self, pairs: Sequence[tuple[str, str]]) -> None:
        self._values: dict[str, list[str]] = {}
        for name, value in pairs:
            self._values.setdefault(name, []).append(value)

    def every(self, name: str) -> list[str]:
        """Return all values of a parameter that may be repeated."""
        return self._values.get(name, [])

    def one(self, name: str) -> str | None:
        """Return the value of a parameter, None if it is not there."""
        return self.every(name)[-1] if name in self._values else None

    def flag(self, name: str) -> bool:
        """Return whether it is true."""
        value = self.one(name)
        if value is None:
            return False
        truth = truth_of(value)
        if truth is None:
            raise wrong(name, value, "want true or false")
        return truth

    def whole(self, name: str, least: int, most: int) -> int | None:
        """Return a whole number, None if it is not there."""
        value = self.one(name)
        if value is None:
            return None
        if not WHOLE.fullmatch(value) or not least <= int(value) <= most:
            raise wrong(name, value, f"want a whole number from {least} to {most}")
        return int(value)


def within(name: str, values: Sequence[str], most: int, longest: int) -> tuple[str, ...]:
    """Return the values, or refuse too many or too long ones."""
    if len(values) > most:
        raise InvalidOption(f"{name}: there are {len(values)}; want {most} at most")
    for value in values:
        if len(value) > longest:
            raise wrong(name, value, f"want {longest} characters at most")
    return tuple(values)


def truth_of(value: str) -> bool | None:
    """Return what the SDKs of several languages mean by it; None if it is no truth."""
    return {"true": True, "false": False}.get(value.lower())


def wrong(name: str, value: str, wanted: str) -> InvalidOption:
    """Return what is wrong with a value, without repeating all of a long one."""
    shown = value if len(value) <= MAX_SHOWN else f"{value[:MAX_SHOWN]}…"
    return InvalidOption(f"{name} {shown!r}: {wanted}")
