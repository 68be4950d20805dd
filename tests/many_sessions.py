"""A data folder with many finished sessions, written straight into its database."""

import contextlib
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path

from appliance import welcome
from appliance.data_folder import DataFolder
from appliance.store import accounts
from appliance.store.database import Database
from appliance.store.entities import SessionRow, SessionState, Source
from appliance.store.search import labels_of

TOPICS = (
    "Weekly planning", "Board meeting", "Interview with the architect", "Customer call",
    "Lecture on acoustics", "Stand-up", "Budget review", "Site visit", "Podcast, raw take",
    "Design critique",
)  # fmt: skip
TAGS = ("meeting", "board", "customer", "lecture", "draft", "Köln", "podcast")
SPOKEN = (
    "the budget for next year is almost settled and we moved the release to march because the "
    "supplier needs two more weeks which nobody liked yet everyone agreed that the roof over the "
    "workshop comes first then the windows and after that the heating whatever it costs"
)
EVERY = timedelta(hours=3)


def folder_with(path: Path, count: int, now: datetime | None = None) -> DataFolder:
    """Make a box with so many sessions, one each three hours, the same ones each time."""
    now = now or datetime.now(UTC)
    dice = random.Random(count)
    folder = DataFolder(path).make()
    with contextlib.closing(Database(folder.database)) as database:
        welcome.bootstrap(database, folder)
        with database.write() as session:
            owner = accounts.named(session, accounts.DEFAULT).id
            for number in range(count):
                title = f"{dice.choice(TOPICS)} {number + 1}"
                note = sentence(dice, 20 + dice.randrange(160))
                tags = ",".join(dice.sample(TAGS, dice.randrange(3)))
                at = now - EVERY * (count - number)
                session.add(finished(owner, at, title, note, tags))
    return folder


def finished(
    owner: int, at: datetime, title: str, note: str, tags: str = "", original: str = ""
) -> SessionRow:
    """Return the row of a session that is there for everybody."""
    return SessionRow(
        account_id=owner, source=Source.UPLOAD, state=SessionState.DONE, title=title, note=note,
        original_transcript=original or note, tags=tags, labels=labels_of(owner, tags),
        language="en", engine="whisper-tiny.en", captured_seconds=60, elapsed_seconds=6,
        created_at=at, finished_at=at,
    )  # fmt: skip


def sentence(dice: random.Random, words: int) -> str:
    """Return text of so many words."""
    spoken = SPOKEN.split()
    start = dice.randrange(len(spoken))
    said = [spoken[(start + at) % len(spoken)] for at in range(words)]
    return " ".join(said).capitalize() + "."
