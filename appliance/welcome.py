"""The first start: an account, an admin key, and a sample of speech sent through the whole path.

The sample is the proof that the box works: it becomes the first session, and the log says what
was heard, how many words were wrong and how fast it went. (It is the one text that is logged.)
"""

import logging
import re
import time
from importlib.resources import as_file, files
from pathlib import Path

from sqlmodel import col, select

from appliance.data_folder import DataFolder, write_private
from appliance.events import Event
from appliance.store import accounts, audit, jobs, keys
from appliance.store.database import Database
from appliance.store.entities import Job, JobState, SessionRow
from appliance.uploads import Uploads

log = logging.getLogger(__name__)
TITLE = "Welcome to Scribebox"


def bootstrap(database: Database, folder: DataFolder) -> str | None:
    """Make the account `default` and its admin key; return the key at the first start only."""
    with database.write() as session:
        if accounts.every(session):
            return None
        account = accounts.create(session, accounts.DEFAULT)
        key, plain = keys.create(session, account, "admin", ["admin"])
        audit.note(session, "key.create", key.id, account_id=account.id)
        write_private(folder.admin_key, plain + "\n")  # before the commit: never a key unknown
    return plain


def say_hello(database: Database, uploads: Uploads) -> None:
    """Queue the sample if there is no session yet, and log how it goes; before `uploads` start."""
    sample = files("appliance").joinpath("sample")
    reference = sample.joinpath("welcome.txt").read_text(encoding="utf-8")
    with database.read() as session:
        first = session.exec(select(SessionRow).order_by(col(SessionRow.id)).limit(1)).first()
        owner = accounts.every(session)[0].id
        job = None
        if first is not None:
            waiting = select(Job).where(Job.session_id == first.id, col(Job.state).in_(jobs.OPEN))
            job = session.exec(waiting).first()
    if first is None and owner is not None:
        with as_file(sample.joinpath("welcome.flac")) as path:
            job_id = uploads.add_copy(Path(path), owner, title=TITLE, language="en")
    elif first is not None and first.title == TITLE and job is not None and job.id is not None:
        job_id = job.id  # an earlier start was cut off, or had no model
    else:
        return
    started = time.monotonic()

    def listen(event: Event) -> None:
        if event.name != "job.changed" or event.values["job_id"] != job_id:
            return
        if event.values["state"] in (JobState.QUEUED, JobState.RUNNING):
            return
        unsubscribe()
        report(database, job_id, reference, time.monotonic() - started)

    unsubscribe = database.bus.subscribe(listen)


def report(database: Database, job_id: int, reference: str, elapsed_s: float) -> None:
    """Log what became of the sample."""
    with database.read() as session:
        job = session.get_one(Job, job_id)
        row = session.get_one(SessionRow, job.session_id)
    if job.state is not JobState.DONE:
        log.error("the sample could not be transcribed: %s; try scribebox doctor", job.error)
        return
    wrong, words = words_wrong(reference, row.original_transcript), len(normal(reference))
    log.info("the box works. It heard its sample as: %s", row.original_transcript)
    log.info(
        "%d of %d words wrong; %.1f s of speech in %.1f s, model and all (%s); it is session %s",
        wrong, words, row.captured_seconds, elapsed_s, row.engine, row.id,
    )  # fmt: skip


def words_wrong(reference: str, heard: str) -> int:
    """Return the words to insert, delete or replace to get from one text to the other."""
    wanted, got = normal(reference), normal(heard)
    costs = list(range(len(got) + 1))
    for i, word in enumerate(wanted, 1):
        diagonal, costs[0] = costs[0], i
        for j, other in enumerate(got, 1):
            best = min(costs[j] + 1, costs[j - 1] + 1, diagonal + (word != other))
            diagonal, costs[j] = costs[j], best
    return costs[-1]


def normal(text: str) -> list[str]:
    """Return the words of a text, lower case and without punctuation."""
    return re.findall(r"[\w']+", text.lower())
