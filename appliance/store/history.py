"""The dictation history: what a client posted, counted in the ledger when it came."""

from dataclasses import asdict, dataclass

import uuid6
from sqlalchemy import func
from sqlmodel import Session, col, select

from appliance.errors import NotFound
from appliance.store import usage
from appliance.store.entities import HistoryEntry


@dataclass(frozen=True, slots=True, kw_only=True)
class Dictation:
    """What a client says of one dictation; checked at the edge."""

    raw_transcript: str
    cleaned_text: str
    duration_ms: float
    target_app: str | None = None
    tone: str | None = None
    confidence: float | None = None
    word_count: int | None = None
    audio_duration_sec: float | None = None
    model: str | None = None
    request_id: str | None = None

    @property
    def audio_ms(self) -> int:
        """Return the length of its audio, that of the recording if none was given."""
        seconds = self.audio_duration_sec
        return round(self.duration_ms if seconds is None else seconds * 1000)


def add(session: Session, account_id: int, said: Dictation, cost_micros: int) -> HistoryEntry:
    """Store an entry and its line of the ledger; words are counted from the cleaned text."""
    counted = usage.count_words(said.cleaned_text)
    values = asdict(said)
    given = values.pop("word_count")
    row = HistoryEntry(
        id=str(uuid6.uuid7()),  # inside the transaction: their order is that of the commits
        account_id=account_id,
        word_count=counted if given is None else given,
        counted_words=counted,
        **values,
    )
    session.add(row)
    session.flush()
    usage.add(
        session,
        account_id,
        usage.DICTATION,
        words=counted,
        audio_ms=said.audio_ms,
        cost_micros=cost_micros,
        engine=said.model,
        reference=row.id,
        at=row.created_at,
    )
    return row


def page(
    session: Session, account_id: int, limit: int, offset: int
) -> tuple[list[HistoryEntry], int]:
    """Return some entries, the newest first, and how many there are in all."""
    own = HistoryEntry.account_id == account_id
    total = session.exec(select(func.count()).select_from(HistoryEntry).where(own)).one()
    if offset >= total:
        return [], total
    newest_first = select(HistoryEntry).where(own).order_by(col(HistoryEntry.id).desc())
    return list(session.exec(newest_first.offset(offset).limit(limit))), total


def get(session: Session, account_id: int, entry_id: str) -> HistoryEntry:
    """Return an entry of the account."""
    row = session.get(HistoryEntry, entry_id)
    if row is None or row.account_id != account_id:
        raise NotFound(f"there is no history entry {entry_id[:40]!r}")
    return row


def with_audio(session: Session, storage_id: str) -> HistoryEntry | None:
    """Return the entry to which that audio is attached."""
    return session.exec(select(HistoryEntry).where(HistoryEntry.storage_id == storage_id)).first()
