"""The words an account's transcriptions should know and those they should replace."""

from collections.abc import Sequence

from sqlmodel import Session

from appliance.errors import Refused
from appliance.store.entities import Vocabulary
from appliance.store.search import printable

MAX_HOTWORDS, MAX_REPLACEMENTS, MAX_LENGTH = 200, 500, 100


def of(session: Session, account_id: int) -> Vocabulary:
    """Return the account's vocabulary, empty if it has set none."""
    return session.get(Vocabulary, account_id) or Vocabulary(account_id=account_id)


def put(
    session: Session,
    account_id: int,
    hotwords: Sequence[str],
    replacements: Sequence[tuple[str, str]],
) -> Vocabulary:
    """Set the whole vocabulary; replacements are pairs of what is heard and what is meant."""
    if len(hotwords) > MAX_HOTWORDS:
        raise Refused(f"{len(hotwords)} hotwords; {MAX_HOTWORDS} are the most")
    if len(replacements) > MAX_REPLACEMENTS:
        raise Refused(f"{len(replacements)} replacements; {MAX_REPLACEMENTS} are the most")
    words = [checked(word, "hotword") for word in hotwords]
    pairs = [
        {"from": checked(heard, "replacement of"), "to": checked(meant, "replacement", 0)}
        for heard, meant in replacements
    ]
    seen: set[str] = set()
    for pair in pairs:
        name = pair["from"].casefold()
        if name in seen:
            raise Refused(f"replacement of '{pair['from']}' is there twice")
        seen.add(name)
    row = session.merge(
        Vocabulary(account_id=account_id, hotwords=list(dict.fromkeys(words)), replacements=pairs)
    )
    session.flush()
    return row


def checked(word: str, what: str, least: int = 1) -> str:
    """Return a word or a few on one line."""
    line = " ".join(printable(word).split())
    if not least <= len(line) <= MAX_LENGTH:
        raise Refused(f"{what} {line[:30]!r}: want {least} to {MAX_LENGTH} characters")
    return line
