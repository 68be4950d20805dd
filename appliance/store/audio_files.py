"""The audio files that rows name."""

from collections.abc import Collection

from sqlmodel import Session, col, select

from appliance.store.entities import AudioFile, SessionRow


def known(session: Session, names: Collection[str]) -> set[str]:
    """Return those of the names (without folders) that a row has."""
    paths = [
        *session.exec(select(SessionRow.audio_path).where(col(SessionRow.audio_path).is_not(None))),
        *session.exec(select(AudioFile.path)),
    ]
    return {str(path).rpartition("/")[2] for path in paths} & set(names)
