"""What can go wrong in the box, and the HTTP status each becomes at the edge.

ScribeboxError
    SettingRefused          500  a setting is wrong; only ever at start, so on the command line
    FolderBusy              503  another process holds the data folder
    StoreUnusable           503  the database can't be opened, migrated or is newer than the code
    ArchiveDamaged          500  a backup isn't what it was when it was made; command line only
    NotFound                404  nothing of that name or number in this account
    Refused                 400  the request makes no sense
    Forbidden               403  the signature of a link is wrong or has expired
    Conflict                409  it makes sense, but not in the present state
    LimitReached            429  the words of the day or week are used up; holds the standing
    Busy                    429  all places are taken; holds how soon to ask again
    CloudUnavailable        503  the cloud's engine was asked for and can't be had
    TooLarge                413  more bytes than the settings allow
    NoRoom                  507  the disk is too full to take it

Those of `engine.errors` stand beside them:
    AudioUnreadable 415, LanguageUnsupported 400, ModelUnavailable 503, MicrophoneUnavailable 503

Raised low, turned into an answer in exactly one place (`api/problems.py`, `api/cli.py`). Every
message says what is wrong, with which value, and what to do; none holds a secret.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from appliance.quota import Standing


class ScribeboxError(Exception):
    """The root of everything the box raises on purpose."""


class SettingRefused(ScribeboxError):
    """A setting has a value that is not allowed."""


class FolderBusy(ScribeboxError):
    """The data folder is held by another process."""


class StoreUnusable(ScribeboxError):
    """The database can't be used as it is."""


class ArchiveDamaged(ScribeboxError):
    """A backup is not whole, or a byte of it isn't what it was."""


class NotFound(ScribeboxError):
    """There is no such thing, or it belongs to someone else."""


class Refused(ScribeboxError):
    """A value can't be accepted."""


class Forbidden(ScribeboxError):
    """The signature does not allow it."""


class Conflict(ScribeboxError):
    """The state of the thing does not allow it."""


class LimitReached(ScribeboxError):
    """The account's plan allows no more words of the cloud until `standing.resets_at`."""

    def __init__(self, standing: "Standing") -> None:
        left = standing.limit_type
        super().__init__(
            f"the {left} limit of words of the plan '{standing.plan}' is reached; local "
            "transcription goes on: ask with engine=local or auto"
        )
        self.standing = standing


class Busy(ScribeboxError):
    """There is no place left; one may be free in `retry_after_s`."""

    def __init__(self, message: str, retry_after_s: float) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class CloudUnavailable(ScribeboxError):
    """The cloud can't be reached, refuses, or the box has no key for it."""


class TooLarge(ScribeboxError):
    """It has more bytes than the settings allow."""


class NoRoom(ScribeboxError):
    """The disk has too little room left."""
