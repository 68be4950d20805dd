"""The audio files that rows name, and the rows of the history's own."""

from collections.abc import Collection
from datetime import datetime

from sqlmodel import Session, col, select

from appliance.errors import NotFound
from appliance.store.entities import AudioFile, HistoryEntry, SessionRow


def known(session: Session, names: Collection[str]) -> set[str]:
    """Return those of the names (without folders) that a row has."""
    paths = [
        *session.exec(select(SessionRow.audio_path).where(col(SessionRow.audio_path).is_not(None))),
        *session.exec(select(AudioFile.path)),
    ]
    return {str(path).rpartition("/")[2] for path in paths} & set(names)


def get(session: Session, account_id: int, storage_id: str) -> AudioFile:
    """Return an audio file of the account."""
    row = session.get(AudioFile, storage_id)
    if row is None or row.account_id != account_id:
        raise NotFound(f"there is no audio with the storageId {storage_id[:40]!r}")
    return row


def unattached(session: Session, before: datetime) -> list[AudioFile]:
    """Return the files from before that moment to which no entry belongs."""
    attached = select(HistoryEntry.storage_id).where(col(HistoryEntry.storage_id).is_not(None))
    return list(
        session.exec(
            select(AudioFile).where(
                AudioFile.created_at < before, col(AudioFile.storage_id).not_in(attached)
            )
        )
    )
