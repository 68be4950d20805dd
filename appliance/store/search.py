"""Find finished sessions by what is in them: one FTS5 index over title, note and what was said.

The index holds the account and the tags of a session as labels, so that one MATCH answers words,
tag and owner together, newest first, and stops as soon as it has enough. What is counted is
limited: an exact total of a common word would mean to read the whole index.
"""

import hashlib
import re
import unicodedata
from dataclasses import dataclass

from sqlalchemy import text
from sqlmodel import Session, col, select

from appliance.errors import Refused
from appliance.store.entities import SessionRow

MAX_COUNTED = 1000
MAX_QUERY = 500  # characters
MAX_TAGS, MAX_TAG = 50, 100
TERM = re.compile(r'"([^"]*)"|([^\s"]+)')
MATCH = text(
    "SELECT rowid FROM session_fts WHERE session_fts MATCH :expression"
    " ORDER BY rowid DESC LIMIT :limit"
)


@dataclass(frozen=True, slots=True)
class Found:
    """One page of what was found; `total` is a lower bound if `capped`."""

    rows: list[SessionRow]
    total: int
    capped: bool


def find(
    session: Session, account_id: int, number: int, size: int, words: str | None, tag: str | None
) -> Found:
    """Return one page of the account's finished sessions with all the words and the tag."""
    match = expression(account_id, words, tag)
    if match is None:
        return Found([], 0, False)
    first = number * size
    limit = max(first + size, MAX_COUNTED) + 1
    ids = session.connection().execute(MATCH, {"expression": match, "limit": limit}).scalars().all()
    wanted = ids[first : first + size]
    rows = session.exec(
        select(SessionRow).where(col(SessionRow.id).in_(wanted)).order_by(col(SessionRow.id).desc())
    )
    capped = len(ids) == limit
    return Found(list(rows), len(ids) - 1 if capped else len(ids), capped)


def expression(account_id: int, words: str | None, tag: str | None) -> str | None:
    """Return the FTS5 query, every word of the user's quoted; None if nothing can match.

    Words in double quotes are a phrase; the last word, unless in quotes, is a prefix.
    """
    labels = [account_label(account_id)]
    if tag is not None:
        labels.append(tag_label(tag))
    match = "labels : (" + " AND ".join(labels) + ")"
    if words is None:
        return match
    if len(words) > MAX_QUERY:
        raise Refused(f"q has {len(words)} characters; {MAX_QUERY} are the most")
    found = [(phrase or word, bool(word)) for phrase, word in TERM.findall(printable(words))]
    terms = [(term, is_word) for term, is_word in found if any(c.isalnum() for c in term)]
    if not terms:
        return None
    quoted = [f'"{term}"' for term, _ in terms]
    if terms[-1][1]:
        quoted[-1] += "*"
    return f"{{title note spoken}} : ({' AND '.join(quoted)}) AND {match}"


def labels_of(account_id: int, tags: str) -> str:
    """Return what the index holds of the owner and the tags of a session."""
    return " ".join([account_label(account_id), *(tag_label(tag) for tag in split_tags(tags))])


def account_label(account_id: int) -> str:
    """Return the one token that stands for an account."""
    return f"a{account_id}"


def tag_label(tag: str) -> str:
    """Return the one token that stands for a tag, however it is spelt."""
    name = unicodedata.normalize("NFKC", " ".join(printable(tag).split())).casefold()
    return "t" + hashlib.sha256(name.encode()).hexdigest()[:16]


def split_tags(tags: str) -> list[str]:
    """Return the tags of a comma-separated list, each once."""
    names = (" ".join(part.split()) for part in printable(tags).split(","))
    found: dict[str, str] = {}
    for name in filter(None, names):
        found.setdefault(tag_label(name), name)
    return list(found.values())


def checked_tags(tags: str) -> str:
    """Return the list in one spelling: `a,b`, no empty ones, none twice."""
    names = split_tags(tags)
    if len(names) > MAX_TAGS:
        raise Refused(f"{len(names)} tags; {MAX_TAGS} are the most")
    for name in names:
        if len(name) > MAX_TAG:
            raise Refused(f"tag '{name[:20]}…' has {len(name)} characters; {MAX_TAG} are the most")
    return ",".join(names)


def printable(text: str) -> str:
    """Return the text with a space for each character that is not to be seen."""
    return "".join(" " if unicodedata.category(c) in ("Cc", "Cs") else c for c in text)
