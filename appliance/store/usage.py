"""The ledger of words, audio and cost, and its sums by quarter of an hour."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.dialects.sqlite import insert
from sqlmodel import Session

from appliance.periods import Period
from appliance.store.entities import UsageEvent, UsageQuarter, now

DICTATION = "dictation"  # the kind of a line that a history entry makes
FAILOVER = "failover"  # and of one for each stretch that the cloud heard for the box
QUARTER_S = 900  # every UTC offset in use is a multiple of a quarter of an hour
# one period each: a GROUP BY over all of them would sort every row, which takes twice as long
SUM = text(
    "SELECT coalesce(sum(events), 0), coalesce(sum(words), 0), coalesce(sum(audio_ms), 0), "
    "coalesce(sum(cost_micros), 0) FROM usage_quarter "
    "WHERE account_id = :account_id AND kind = :kind AND quarter >= :first AND quarter < :after"
)


def add(
    session: Session,
    account_id: int,
    kind: str,
    *,
    words: int = 0,
    audio_ms: int = 0,
    cost_micros: int = 0,
    engine: str | None = None,
    reference: str | None = None,
    at: datetime | None = None,
) -> None:
    """Write one line and raise its sums, in the transaction of what it was for."""
    at = at or now()
    session.add(
        UsageEvent(
            account_id=account_id,
            kind=kind,
            words=words,
            audio_ms=audio_ms,
            cost_micros=cost_micros,
            engine=engine,
            reference=reference,
            created_at=at,
        )
    )
    amounts = {"events": 1, "words": words, "audio_ms": audio_ms, "cost_micros": cost_micros}
    quarter = quarter_of(at)
    statement = insert(UsageQuarter).values(
        account_id=account_id, kind=kind, quarter=quarter, **amounts
    )
    raised = {name: getattr(UsageQuarter, name) + amount for name, amount in amounts.items()}
    session.exec(
        statement.on_conflict_do_update(
            index_elements=["account_id", "kind", "quarter"], set_=raised
        )
    )


@dataclass(frozen=True, slots=True)
class Sums:
    """What the lines of a period add up to."""

    events: int
    words: int
    audio_ms: int
    cost_micros: int


def sums(session: Session, account_id: int, kind: str, periods: Sequence[Period]) -> list[Sums]:
    """Return what each period adds up to, in their order, from the sums by quarter of an hour."""
    connection = session.connection()
    found = []
    for period in periods:
        borders = {"first": quarter_of(period.start), "after": quarter_of(period.end)}
        of = {"account_id": account_id, "kind": kind, **borders}
        found.append(Sums(*connection.execute(SUM, of).one()))
    return found


def quarter_of(moment: datetime) -> int:
    """Return the number of the quarter of an hour, since 1970, that the moment is in."""
    return int(moment.timestamp() // QUARTER_S)


def count_words(text: str) -> int:
    """Return the box's own count of words: what white space separates."""
    return len(text.split())
