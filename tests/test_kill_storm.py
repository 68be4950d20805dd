"""`kill -9` at random moments: what was accepted becomes exactly one session, nothing is left over.

Whoever sends keeps book of each title: `MAYBE` while an answer is owed (and for ever if the kill
came first), `THERE` after a 202, `GONE` after an answered cancel or delete.
"""

import random
import signal
import sqlite3
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import httpx
import numpy as np
import pytest
from running_box import WAIT_S, RunningBox, running, successive
from speech_fixtures import fixture, words_wrong, write_wav

from appliance.welcome import TITLE as WELCOME

MAYBE, THERE, GONE = "maybe", "there", "gone"
SESSIONS = "/api/v1/audioscribe/sessions"
SENDERS = 3
BIG_RATE, BIG_SECONDS = 192_000, 26  # 20 MB of silence in stereo, soon listened to
DICTATION = fixture("dictation")


class Sender:
    """One client: sends, sometimes cancels and deletes what is its own, keeps book of it."""

    def __init__(self, number: int, seed: int, big: bytes) -> None:
        self.fates: dict[str, str] = {}
        self.prefix = f"sender {number}, "
        self.answers: Counter[str] = Counter()
        self._random = random.Random(f"{seed} {number}")
        self._small, self._big = DICTATION.path.read_bytes(), big

    def send(self, client: httpx.Client, small: int) -> None:
        """Send some small files and a big one in any order, until the server is dead."""
        kinds = [*self._random.choices(["raw", "form"], k=small), "big"]
        self._random.shuffle(kinds)
        try:
            for kind in kinds:
                job = self._upload(client, kind)
                if self._random.random() < 0.15:
                    self._cancel(client, *job)
                if self._random.random() < 0.3:
                    self._delete_one(client)
                time.sleep(self._random.uniform(0, 0.15))
        except httpx.TransportError:
            self.answers["cut off"] += 1

    def _upload(self, client: httpx.Client, kind: str) -> tuple[str, str]:
        title = f"{self.prefix}{kind} {len(self.fates)}"
        body = {
            "raw": {"content": self._small},
            "form": {"files": {"file": ("dictation.flac", self._small)}, "data": {"title": title}},
            "big": {"content": self._slowly()},
        }[kind]
        query, self.fates[title] = {} if kind == "form" else {"title": title}, MAYBE
        answer = client.post(f"{SESSIONS}/", params=query, **body)
        assert answer.status_code == 202, answer.text
        self._note(title, THERE, "accepted")
        return title, answer.headers["Location"]

    def _slowly(self) -> Iterator[bytes]:
        for at in range(0, len(self._big), 1 << 20):
            time.sleep(self._random.uniform(0, 0.06))
            yield self._big[at : at + (1 << 20)]

    def _cancel(self, client: httpx.Client, title: str, status_url: str) -> None:
        self.fates[title] = MAYBE
        answer = client.post(f"{status_url}/cancel")
        assert answer.status_code in (200, 409), answer.text
        done = answer.status_code == 409
        self._note(title, THERE if done else GONE, "cancelled too late" if done else "cancelled")

    def _delete_one(self, client: httpx.Client) -> None:
        own = [s for s in listed(client) if s["title"].startswith(self.prefix)]
        if own:
            one = self._random.choice(own)
            self.fates[one["title"]] = MAYBE
            answer = client.delete(f"{SESSIONS}/{one['id']}/")
            assert answer.status_code == 204, answer.text
            self._note(one["title"], GONE, "deleted")

    def _note(self, title: str, fate: str, answer: str) -> None:
        self.fates[title] = fate
        self.answers[answer] += 1


def storm(tmp_path: Path, rounds: int, seed: int, small: int = 4, wait_s: float = WAIT_S) -> None:
    """Kill the server in each of the rounds, let it work off what is left, and check it all."""
    chance, data = random.Random(seed), tmp_path / "box"
    arguments = ("--port", "0", "--data", str(data))
    still = np.zeros(BIG_SECONDS * BIG_RATE, np.int16)
    big = write_wav(tmp_path / "big.wav", still, still, rate=BIG_RATE).read_bytes()
    senders = [Sender(n, seed, big) for n in range(SENDERS)]
    with successive(*arguments, SCRIBEBOX_MODEL="tiny.en") as run_next:
        for number in range(rounds):
            with (
                run_next() as box,
                client_of(box, data) as client,
                ThreadPoolExecutor() as pool,
            ):
                while number % 2 and "being loaded" in client.get("/health").text:
                    time.sleep(0.1)  # in every other round the kill hits jobs, not the loading
                sending = [pool.submit(sender.send, client, small) for sender in senders]
                time.sleep(chance.uniform(0.05, 1.5))
                assert box.stop(signal.SIGKILL) == -signal.SIGKILL, box.output
            for sent in sending:
                sent.result()
    fates = {title: fate for sender in senders for title, fate in sender.fates.items()}
    print(seed, sum((sender.answers for sender in senders), Counter()), Counter(fates.values()))
    with running(*arguments, SCRIBEBOX_MODEL="tiny.en") as box:
        wait_until_idle(data, wait_s)
        with client_of(box, data) as client:
            check_sessions(client, fates)
        assert box.stop() in (0, -signal.SIGTERM)
        assert "Traceback" not in box.output, box.output
    check_data(data, fates)


def client_of(box: RunningBox, data: Path) -> httpx.Client:
    """Return a client with the admin key, once the server answers."""
    url = box.url  # waits: the key is there after that
    headers = {"Authorization": f"Bearer {(data / 'admin.key').read_text().strip()}"}
    return httpx.Client(base_url=url, headers=headers, timeout=WAIT_S, trust_env=False)


def listed(client: httpx.Client) -> list[dict]:
    """Return the sessions of all pages."""
    found: list[dict] = []
    while True:
        query = {"perPage": 100, "page": len(found) // 100}
        found += client.get(f"{SESSIONS}/", params=query).raise_for_status().json()
        if len(found) < 100 * (query["page"] + 1):
            return found


def rows_of(data: Path, statement: str) -> list[tuple]:
    """Return what the database says, without writing to it."""
    with closing(sqlite3.connect(f"{(data / 'scribebox.db').as_uri()}?mode=ro", uri=True)) as it:
        return it.execute(statement).fetchall()


def wait_until_idle(data: Path, wait_s: float) -> None:
    """Wait until no job is queued or running."""
    deadline = time.monotonic() + wait_s
    while left := rows_of(data, "SELECT id FROM job WHERE state IN ('queued', 'running')"):
        assert time.monotonic() < deadline, f"{len(left)} jobs are left after {wait_s} s"
        time.sleep(0.1)


def check_sessions(client: httpx.Client, fates: dict[str, str]) -> None:
    """Check by the API that each title is there as it should be, and whole."""
    found = listed(client)
    times = Counter(session["title"] for session in found)
    assert times.pop(WELCOME) == 1
    assert {title: n for title, n in times.items() if n > 1} == {}
    assert [title for title in times if fates.get(title, GONE) == GONE] == []
    assert [title for title, fate in fates.items() if fate == THERE and title not in times] == []
    for session in found:
        one, text = f"{SESSIONS}/{session['id']}", session["originalTranscript"]
        assert client.head(f"{one}/audio").status_code == 200, session
        segments = client.get(f"{one}/segments").raise_for_status().json()["segments"]
        said = [s["text"] for s in segments if not s.get("suppressed")]
        assert " ".join(said) == text, session
        if session["title"] != WELCOME:
            wanted = "" if ", big " in session["title"] else DICTATION.text
            assert words_wrong(wanted, text) <= 3, session


def check_data(data: Path, fates: dict[str, str]) -> None:
    """Check on the disk that rows and files are one, and nothing is done twice or left over."""
    rows = rows_of(data, "SELECT s.title, s.state, j.state FROM session s"
                         " LEFT JOIN job j ON j.session_id = s.id")  # fmt: skip
    assert {row[1:] for row in rows} <= {("done", "done"), ("failed", "cancelled")}
    assert Counter(title for title, *_ in rows).most_common(1)[0][1] == 1
    assert {title for title, *_ in rows} <= {WELCOME, *fates}
    named = rows_of(data, "SELECT audio_path, audio_bytes FROM session WHERE audio_path NOT NULL")
    there = [(f"audio/{path.name}", path.stat().st_size) for path in (data / "audio").iterdir()]
    assert sorted(there) == sorted(named)
    assert len(named) == sum(state == "done" for _, state, _ in rows)
    used = Counter(rows_of(data, "SELECT reference FROM usage_event WHERE kind = 'session'"))
    assert set(used.values()) == {1}, "a session was made twice"
    assert rows_of(data, "PRAGMA integrity_check") == [("ok",)]


@pytest.mark.long
def test_kill_9_over_and_over_loses_and_doubles_nothing(tmp_path):
    storm(tmp_path, rounds=20, seed=2, small=3, wait_s=600)
