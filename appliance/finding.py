"""What a look of the doctor gives: how something is, and the command that mends it."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from appliance.settings import Settings


@dataclass(frozen=True, slots=True)
class Finding:
    """What one look gave; `skipped`: it could not be looked at, which tells nothing."""

    check: str
    state: str  # "ok", "warning" (the box works without), "failed" or "skipped"
    detail: str
    mend: str = ""


Look = Callable[[Settings], Finding | Iterable[Finding]]


def ok(check: str, detail: str) -> Finding:
    """Return that all is well."""
    return Finding(check, "ok", detail)


def warning(check: str, detail: str, mend: str = "") -> Finding:
    """Return what the box works without."""
    return Finding(check, "warning", detail, mend)


def failed(check: str, detail: str, mend: str = "") -> Finding:
    """Return what must be mended."""
    return Finding(check, "failed", detail, mend)


def skipped(check: str, detail: str) -> Finding:
    """Return that nothing can be said, and why."""
    return Finding(check, "skipped", detail)
