"""What has been kept for as long as it was to be, and how it goes.

Found are pages of rows in the order of their keys; gone is a row only if it still is as it was
found, so that whoever changes it meanwhile (gives it the tag `keep`) wins. The ledger is never
touched.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlmodel import Session, col, delete, exists, select, update

from appliance.store import recordings
from appliance.store.entities import (
    AudioFile,
    HistoryEntry,
    Recording,
    SessionRow,
    SessionState,
)
from appliance.store.search import split_tags, tag_label

KEEP = tag_label("keep")
FIRST_SESSION, FIRST_ENTRY = 0, ""


@dataclass(frozen=True, slots=True)
class Old:
    """A session or a dictation that is old enough to go, with its audio or but for its audio."""

    key: Any  # the id: a number of a session, a text of a dictation
    audio_path: str | None
    tags: str = ""
    storage_id: str | None = None
    protected: bool = False


def sessions(
    session: Session,
    account_id: int,
    before: datetime,
    after: Any,
    limit: int,
    *,
    state: SessionState,
    with_audio: bool = False,
) -> list[Old]:
    """Return sessions that came to their end by that moment, only those with audio if asked."""
    found = select(SessionRow.id, SessionRow.audio_path, SessionRow.tags).where(
        SessionRow.account_id == account_id,
        SessionRow.state == state,
        col(SessionRow.id) > after,
        col(SessionRow.finished_at) <= before,
    )
    if with_audio:
        found = found.where(col(SessionRow.audio_path).is_not(None))
    done = state is SessionState.DONE  # nobody can see a failed one: its tags keep nothing
    return [
        Old(number, path, tags, protected=done and is_kept(tags))
        for number, path, tags in session.exec(found.order_by(col(SessionRow.id)).limit(limit))
    ]


def dictations(
    session: Session,
    account_id: int,
    before: datetime,
    after: Any,
    limit: int,
    *,
    with_audio: bool = False,
) -> list[Old]:
    """Return dictations of that moment or before it, only those with audio if asked."""
    attached = HistoryEntry.storage_id == AudioFile.storage_id
    found = (
        select(HistoryEntry.id, AudioFile.path, HistoryEntry.storage_id)
        .join(AudioFile, attached, isouter=not with_audio)  # type: ignore[arg-type]
        .where(
            HistoryEntry.account_id == account_id,
            HistoryEntry.id > after,
            HistoryEntry.created_at <= before,
        )
    )
    return [
        Old(number, path, storage_id=storage_id)
        for number, path, storage_id in session.exec(
            found.order_by(col(HistoryEntry.id)).limit(limit)
        )
    ]


def is_kept(tags: str) -> bool:
    """Tell whether the tag `keep` is among them, however it is spelt."""
    return any(tag_label(tag) == KEEP for tag in split_tags(tags))


def delete_session(session: Session, old: Old) -> bool:
    """Delete a session with all that is its own, if it is as it was found."""
    return changed(session, delete(SessionRow).where(*unchanged(old)))


def forget_audio(session: Session, old: Old) -> bool:
    """Note that a session has no audio any more, if it is as it was found."""
    nothing = {"audio_path": None, "audio_bytes": None, "audio_sha256": None}
    return changed(session, update(SessionRow).where(*unchanged(old)).values(nothing))


def unchanged(old: Old) -> Sequence[Any]:
    """Return what must hold of a session for it to go: as found, and no recording of it runs."""
    running = exists().where(
        col(Recording.session_id) == SessionRow.id, col(Recording.state).in_(recordings.OPEN)
    )
    return (
        col(SessionRow.id) == old.key,
        col(SessionRow.state) != SessionState.OPEN,
        col(SessionRow.tags) == old.tags,
        col(SessionRow.audio_path).is_not_distinct_from(old.audio_path),
        ~running,
    )


def delete_dictation(session: Session, old: Old) -> bool:
    """Delete a dictation with its audio, if it is as it was found."""
    as_found = col(HistoryEntry.storage_id).is_not_distinct_from(old.storage_id)
    gone = changed(session, delete(HistoryEntry).where(HistoryEntry.id == old.key, as_found))
    return gone and _without_file(session, old)


def detach_audio(session: Session, old: Old) -> bool:
    """Take the audio of a dictation away, if it is as it was found."""
    attached = (col(HistoryEntry.id) == old.key, col(HistoryEntry.storage_id) == old.storage_id)
    gone = changed(session, update(HistoryEntry).where(*attached).values(storage_id=None))
    return gone and _without_file(session, old)


def _without_file(session: Session, old: Old) -> bool:
    if old.storage_id is not None:
        session.exec(delete(AudioFile).where(col(AudioFile.storage_id) == old.storage_id))
    return True


def changed(session: Session, statement: Any) -> bool:
    """Carry out a statement about one row; tell whether there was such a row."""
    options = {"synchronize_session": False}  # nothing of it has been loaded
    return bool(session.exec(statement, execution_options=options).rowcount)


def paths_of_sessions(session: Session, after: Any, limit: int) -> list[tuple[Any, str]]:
    """Return some audio paths of sessions with their ids, which come after one."""
    found = select(SessionRow.id, SessionRow.audio_path).where(
        col(SessionRow.audio_path).is_not(None), col(SessionRow.id) > (after or FIRST_SESSION)
    )
    return [
        (number, str(path))
        for number, path in session.exec(found.order_by(col(SessionRow.id)).limit(limit))
    ]


def paths_of_dictations(session: Session, after: Any, limit: int) -> list[tuple[Any, str]]:
    """Return some paths of the history's audio with their storage ids, which come after one."""
    found = select(AudioFile.storage_id, AudioFile.path).where(
        AudioFile.storage_id > (after or FIRST_ENTRY)
    )
    return list(session.exec(found.order_by(col(AudioFile.storage_id)).limit(limit)))


def named_among(session: Session, paths: Sequence[str]) -> set[str]:
    """Return those of the paths that a row has now."""
    of_sessions = select(SessionRow.audio_path).where(col(SessionRow.audio_path).in_(paths))
    of_dictations = select(AudioFile.path).where(col(AudioFile.path).in_(paths))
    return {str(path) for path in [*session.exec(of_sessions), *session.exec(of_dictations)]}
