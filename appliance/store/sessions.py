"""Sessions and their segments.

A session's row exists from the start of its recording or upload, hidden; `finish` is the one
place where it comes to be for everybody: listed, counted and told of in one transaction.
"""

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import func
from sqlmodel import Session, col, delete, select

from appliance.errors import NotFound, Refused
from appliance.store import usage, webhooks
from appliance.store.database import tell
from appliance.store.entities import SegmentRow, SessionRow, SessionState, Source, now
from appliance.store.search import checked_tags, labels_of, printable
from engine.transcript import Segment, Transcript, Word

MAX_TITLE = 300  # characters
MAX_NOTE_BYTES = 1 << 20


def open_one(
    session: Session,
    account_id: int,
    source: Source,
    *,
    title: str = "",
    tags: str = "",
    language: str | None = None,
    audio_path: str | None = None,
    audio_bytes: int | None = None,
    audio_sha256: str | None = None,
) -> SessionRow:
    """Make a hidden session that waits for its transcript."""
    tags = checked_tags(tags)
    row = SessionRow(
        account_id=account_id,
        source=source,
        title=checked_title(title),
        tags=tags,
        labels=labels_of(account_id, tags),
        language=language,
        audio_path=audio_path,
        audio_bytes=audio_bytes,
        audio_sha256=audio_sha256,
    )
    session.add(row)
    session.flush()
    return row


def add_segments(session: Session, session_id: int, segments: Iterable[Segment]) -> None:
    """Append segments, numbered on from those there are."""
    last = session.exec(
        select(func.max(SegmentRow.sequence)).where(SegmentRow.session_id == session_id)
    ).one()
    first = 0 if last is None else last + 1
    for sequence, segment in enumerate(segments, first):
        session.add(
            SegmentRow(
                session_id=session_id,
                sequence=sequence,
                start_ms=segment.start_ms,
                end_ms=segment.end_ms,
                text=segment.text,
                words=[[w.text, w.start_ms, w.end_ms, w.probability] for w in segment.words],
                engine=segment.engine,
                confidence=segment.confidence,
                suppressed=segment.suppressed,
                engine_reason=segment.engine_reason,
            )
        )


def clear_segments(session: Session, session_id: int) -> None:
    """Delete the segments of a session whose transcription starts again."""
    session.exec(delete(SegmentRow).where(col(SegmentRow.session_id) == session_id))


def segments(session: Session, session_id: int) -> list[Segment]:
    """Return the segments of a session in the order of time."""
    rows = session.exec(
        select(SegmentRow)
        .where(SegmentRow.session_id == session_id)
        .order_by(col(SegmentRow.sequence))
    )
    return [
        Segment(
            start_ms=row.start_ms,
            end_ms=row.end_ms,
            text=row.text,
            words=tuple(Word(*word) for word in row.words),
            engine=row.engine,
            confidence=row.confidence,
            suppressed=row.suppressed,
            engine_reason=row.engine_reason,
        )
        for row in rows
    ]


def finish(
    session: Session,
    row: SessionRow,
    *,
    title: str,
    note: str,
    original_transcript: str,
    language: str | None,
    engine: str,
    captured_seconds: float,
    elapsed_seconds: float,
    warning: str | None = None,
    audio_type: str | None = None,
) -> None:
    """Complete a session, its line of the ledger and its deliveries, in the open transaction."""
    row.state = SessionState.DONE
    row.title, row.note, row.original_transcript = title, note, original_transcript
    row.language, row.engine, row.warning = language, engine, warning
    row.audio_type = audio_type or row.audio_type
    row.captured_seconds, row.elapsed_seconds = captured_seconds, elapsed_seconds
    row.finished_at = now()
    session.add(row)
    session.flush()
    usage.add(
        session,
        row.account_id,
        "session",
        words=usage.count_words(original_transcript),
        audio_ms=round(captured_seconds * 1000),
        engine=engine,
        reference=str(row.id),
    )
    body = json.dumps(public(row), ensure_ascii=False).encode()
    webhooks.enqueue(session, row.account_id, webhooks.SESSION_CREATED, body, row.id)
    tell(session, "session.finished", session_id=row.id, account_id=row.account_id)


def fail(session: Session, row: SessionRow) -> None:
    """Mark a session that will never have a transcript; it stays hidden."""
    row.state, row.finished_at = SessionState.FAILED, now()
    session.add(row)


def change(
    session: Session,
    row: SessionRow,
    *,
    title: str | None = None,
    note: str | None = None,
    tags: str | None = None,
) -> None:
    """Change what people may change; what the engine said is never among it."""
    if title is not None:
        row.title = checked_title(title)
    if note is not None:
        row.note = checked_note(note)
    if tags is not None:
        row.tags = checked_tags(tags)
        row.labels = labels_of(row.account_id, row.tags)
    session.add(row)


def checked_title(title: str) -> str:
    """Return the title on one line."""
    line = " ".join(printable(title).split())
    if len(line) > MAX_TITLE:
        raise Refused(f"title has {len(line)} characters; {MAX_TITLE} are the most")
    return line


def checked_note(note: str) -> str:
    """Return the note without characters that can't be shown."""
    size = len(note.encode())
    if size > MAX_NOTE_BYTES:
        raise Refused(f"note has {size} bytes; {MAX_NOTE_BYTES} are the most")
    return "\n".join(map(printable, note.replace("\r\n", "\n").split("\n")))


def get(session: Session, account_id: int, session_id: int) -> SessionRow:
    """Return a finished session of the account."""
    row = session.get(SessionRow, session_id) if 0 < session_id < 2**63 else None
    if row is None or row.account_id != account_id or row.state is not SessionState.DONE:
        raise NotFound(f"there is no session {session_id}")
    return row


def transcript(session: Session, row: SessionRow) -> Transcript:
    """Return the timed transcript of a session, suppressed text included."""
    assert row.id is not None
    return Transcript(
        segments=tuple(segments(session, row.id)),
        model=(row.engine or "").removeprefix("whisper-"),
        language=row.language,
        duration_ms=round(row.captured_seconds * 1000),
        warning=row.warning,
    )


def page(session: Session, account_id: int, number: int, size: int) -> tuple[list[SessionRow], int]:
    """Return one page of the finished sessions, the newest first, and how many there are in all."""
    listed = (SessionRow.account_id == account_id, SessionRow.state == SessionState.DONE)
    total = session.exec(select(func.count()).select_from(SessionRow).where(*listed)).one()
    if number * size >= total:
        return [], total
    rows = session.exec(
        select(SessionRow)
        .where(*listed)
        .order_by(col(SessionRow.id).desc())
        .offset(number * size)
        .limit(size)
    )
    return list(rows), total


def public(row: SessionRow) -> dict[str, Any]:
    """Return the session object of the API and of the webhook: these six fields and no other."""
    return {
        "id": row.id,
        "title": row.title,
        "note": row.note,
        "originalTranscript": row.original_transcript,
        "tags": row.tags,
        "createdAt": timestamp(row.created_at),
    }


def timestamp(moment: datetime) -> str:
    """Return a moment as the APIs write it: UTC, milliseconds, Z."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
