"""At start: every recording without an end gets one, without anybody's help.

A capture that is alive is adopted. A fault less than ten minutes ago: the capture starts again
into the same take, the outage is a gap. Older: what is there becomes the session, as `recovered`.
A folder that no recording needs any more goes.
"""

import logging
import re
import shutil
import time

from appliance.capturing import OUTAGE, Capturing
from appliance.recorder import Recorder
from appliance.store import audit, recordings
from appliance.store.database import Database
from appliance.store.entities import Recording, RecordingState, SessionRow

log = logging.getLogger(__name__)
RESUMED_WITHIN_S = 600
NUMBER = re.compile("[0-9]{1,18}")


def recover(database: Database, recorder: Recorder, now_s: float | None = None) -> int:
    """Look at every recording without an end; return how many there were."""
    now_s = time.time() if now_s is None else now_s
    with database.read() as session:
        rows = recordings.unfinished(session)
    for row in rows:
        try:
            take_up(database, recorder, row, now_s)
        except Exception:  # one that can't be taken up must not keep the box from starting
            log.exception("recording %s can't be taken up", row.id)
    sweep(database, recorder)
    return len(rows)


def take_up(database: Database, recorder: Recorder, row: Recording, now_s: float) -> None:
    """Go on with one recording, or bring it to its end."""
    capturing = recorder.capturing(row)
    capturing.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    capturing.look()
    action = decide(row, capturing, now_s)
    log.warning("recording %s had no end: %s", row.id, action)
    with database.write() as session:
        target = f"recording {row.id}"
        audit.note(session, f"recording.{action}", target, account_id=row.account_id)
    if action == "resume":
        capturing.keep_alive(OUTAGE)
    recorder.follow(row, capturing, forsaken=action == "recover")


def decide(row: Recording, capturing: Capturing, now_s: float) -> str:
    """Return what to do: adopt, finish, resume or recover."""
    if row.state is RecordingState.FINISHING or capturing.ended:
        return "finish"
    if capturing.alive:
        return "adopt"
    last_s = capturing.last_sample_s or row.started_at.timestamp()
    return "resume" if now_s - last_s < RESUMED_WITHIN_S else "recover"


def sweep(database: Database, recorder: Recorder) -> None:
    """Delete folders of recordings that are finished, discarded or unknown."""
    if not recorder.folder.is_dir():
        return
    for folder in recorder.folder.iterdir():
        if not (folder.is_dir() and NUMBER.fullmatch(folder.name)):
            continue  # not ours
        with database.read() as session:
            row = session.get(Recording, int(folder.name))
            made = session.get(SessionRow, row.session_id) if row is not None else None
        if row is not None and row.state in recordings.OPEN:
            continue
        if made is not None and (made.audio_path or "").startswith(f"{folder.parent.name}/"):
            continue  # there was no room for a FLAC: the journal is the audio
        capturing = Capturing(folder, None, recorder.options.capture)
        if capturing.alive:
            log.warning("a capture of a recording that is gone is ended: %s", folder.name)
            capturing.end()
        shutil.rmtree(folder, ignore_errors=True)
