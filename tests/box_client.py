"""Keys and sessions for tests that talk to the app in this process."""

from appliance.store import accounts, keys, sessions
from appliance.store.entities import Source
from engine.transcript import Segment, Word

BASE = "/api/v1/audioscribe/sessions"
SEGMENT = Segment(0, 900, "Hello there.", (Word("Hello", 0, 400, 0.9),), "whisper-tiny.en", 0.9)


def box_of(client):
    """Return the running box."""
    return client.application.state.box


def key(client, *scopes, account=accounts.DEFAULT):
    """Make a key; return its row and its plain text."""
    with box_of(client).database.write() as session:
        owner = accounts.named(session, account)
        return keys.create(session, owner, "test", list(scopes))


def bearer(client, *scopes, **more):
    """Return the header of a new key."""
    return {"Authorization": f"Bearer {key(client, *scopes, **more)[1]}"}


def account(client, name):
    """Make an account."""
    with box_of(client).database.write() as session:
        accounts.create(session, name)


def session_of(client, account_name=accounts.DEFAULT, title="T", audio=None, **texts):
    """Make a finished session, with audio if its bytes are given."""
    box = box_of(client)
    with box.database.write() as session:
        owner = accounts.named(session, account_name)
        tags = texts.pop("tags", "")
        row = sessions.open_one(session, owner.id, Source.UPLOAD, tags=tags)
        if audio is not None:
            row.audio_path, row.audio_sha256 = f"audio/{row.id}", "ab" * 32
            (box.folder.audio / str(row.id)).write_bytes(audio)
        sessions.add_segments(session, row.id, [SEGMENT])
        values = {"note": "n", "original_transcript": "o", **texts}
        sessions.finish(
            session, row, title=title, language="en", engine="whisper-tiny.en",
            captured_seconds=1, elapsed_seconds=1, **values,
        )  # fmt: skip
        return row.id
