"""The audio files that rows name, and the rows of the history's own."""

from collections.abc import Collection
from datetime import datetime

from sqlmodel import Session, col, select

from appliance.errors import Conflict, NotFound
from appliance.store import idempotency
from appliance.store.entities import AudioFile, HistoryEntry, SessionRow

LINK_USED = "the link was used for other audio before; ask for a new one"


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


def use_link(session: Session, account_id: int, storage_id: str, sha256: str) -> None:
    """Note what a link was used for; Conflict if it was used for anything else before.

    Noted for a day, longer than any link lasts, also when the audio is deleted.
    """
    key = f"\x01link {storage_id}"  # no client can send such a key
    if idempotency.earlier(session, account_id, key, sha256, LINK_USED) is None:
        idempotency.remember(session, account_id, key, sha256, storage_id)
    elif session.get(AudioFile, storage_id) is None:
        raise Conflict("the audio that came by this link was deleted; ask for a new one")


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
