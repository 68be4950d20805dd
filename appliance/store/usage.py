"""The ledger of words, audio and cost, and its sums by quarter of an hour."""

from datetime import datetime

from sqlalchemy.dialects.sqlite import insert
from sqlmodel import Session

from appliance.store.entities import UsageEvent, UsageQuarter, now

QUARTER_S = 900  # every UTC offset in use is a multiple of a quarter of an hour


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
    quarter = int(at.timestamp()) // QUARTER_S
    statement = insert(UsageQuarter).values(
        account_id=account_id, kind=kind, quarter=quarter, **amounts
    )
    raised = {name: getattr(UsageQuarter, name) + amount for name, amount in amounts.items()}
    session.exec(
        statement.on_conflict_do_update(
            index_elements=["account_id", "kind", "quarter"], set_=raised
        )
    )


def count_words(text: str) -> int:
    """Return the box's own count of words: what white space separates."""
    return len(text.split())
