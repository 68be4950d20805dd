"""`kill -9` while dictations and their audio come and go: rows and files stay one.

Each client keeps book: what was answered must be so after the restart, what was not answered may
have happened or not, and nothing lies between. Checked after every kill, once the server is back.
"""

import hashlib
import random
import signal
import sqlite3
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field

import httpx
import numpy as np
import pytest
from running_box import WAIT_S, successive
from speech_fixtures import fixture, write_wav
from virtual_microphone import wait_until

HISTORY = "/v1/transcribe/history"
ENTRY = {"rawTranscript": "two words", "cleanedText": "two words", "durationMs": 900}
WORDS = 2
CLIENTS = 3
MOST_ANSWERS = 30  # before a kill
UNSURE = object()  # a request was cut off: it may have been carried out


@dataclass
class Client:
    """One client: posts, uploads, attaches, replaces and deletes, until the server is dead."""

    chance: random.Random
    sounds: list[bytes]
    entries: dict[str, object] = field(default_factory=dict)  # id: storage id, None or UNSURE
    uploads: dict[str, object] = field(default_factory=dict)  # storage id: digest, None: gone
    deleted: set[str] = field(default_factory=set)
    posted: int = 0
    cut_off: int = 0
    answers: Counter[str] = field(default_factory=Counter)

    def work(self, url: str, key: str) -> None:
        """Do one thing after another."""
        headers = {"Authorization": f"Bearer {key}"}
        with httpx.Client(base_url=url, headers=headers, timeout=WAIT_S, trust_env=False) as client:
            try:
                while True:
                    self.chance.choice((self._dictate, self._dictate, self._replace, self._delete))(
                        client
                    )
            except httpx.TransportError:
                self.answers["cut off"] += 1

    def _dictate(self, client: httpx.Client) -> None:
        self.cut_off += 1
        entry = client.post(HISTORY, json=ENTRY).raise_for_status().json()["id"]
        self.cut_off -= 1
        self.posted += 1
        self.entries[entry] = None
        if self.chance.random() < 0.8:
            self._attach(client, entry)

    def _attach(self, client: httpx.Client, entry: str) -> None:
        sound = self.chance.choice(self.sounds)
        link = client.post(f"{HISTORY}/audio/upload-url").raise_for_status().json()["uploadUrl"]
        storage_id = link.partition("?")[0].rpartition("/")[2]
        self.uploads[storage_id] = UNSURE
        client.put(link, content=self._slowly(sound)).raise_for_status()
        self.uploads[storage_id] = hashlib.sha256(sound).hexdigest()
        self.answers["uploaded"] += 1
        if self.chance.random() < 0.1:
            return  # never attached
        before, self.entries[entry] = self.entries[entry], UNSURE
        kept = self.uploads.get(before)
        if before is not None:
            self.uploads[before] = UNSURE
        done = client.post(f"{HISTORY}/{entry}/audio", json={"storageId": storage_id})
        if done.status_code == 404:  # what was uploaded before the kill, or its entry, is not there
            assert before is UNSURE or kept is UNSURE, done.text
            return
        done.raise_for_status()
        self.entries[entry] = storage_id
        if before is not None:
            self.uploads[before] = None
        self.answers["attached"] += 1

    def _slowly(self, sound: bytes):
        for at in range(0, len(sound), 1 << 16):
            yield sound[at : at + (1 << 16)]
            time.sleep(self.chance.uniform(0, 0.004))

    def _known(self) -> list[str]:
        return [entry for entry, audio in self.entries.items() if audio is not UNSURE]

    def _replace(self, client: httpx.Client) -> None:
        known = self._known()
        if known:
            self._attach(client, self.chance.choice(known))

    def _delete(self, client: httpx.Client) -> None:
        known = self._known()
        if not known:
            return
        entry = self.chance.choice(known)
        audio, self.entries[entry] = self.entries[entry], UNSURE
        if audio is not None:
            self.uploads[audio] = UNSURE
        client.delete(f"{HISTORY}/{entry}").raise_for_status()
        del self.entries[entry]
        self.deleted.add(entry)
        if audio is not None:
            self.uploads[audio] = None
        self.answers["deleted"] += 1


def storm(tmp_path, rounds: int, seed: int) -> None:
    """Kill the server in each of the rounds, and check after each start."""
    chance, data = random.Random(seed), tmp_path / "box"
    noise = np.random.default_rng(seed).integers(-900, 900, 500_000).astype(np.int16)
    sounds = [
        fixture("dictation").path.read_bytes(),
        write_wav(tmp_path / "noise.wav", noise).read_bytes(),
        write_wav(tmp_path / "short.wav", noise[:3000]).read_bytes(),
    ]
    clients = [Client(random.Random(f"{seed} {n}"), sounds) for n in range(CLIENTS)]
    with successive("--port", "0", "--data", str(data), SCRIBEBOX_MODEL="absent") as run_next:
        for _ in range(rounds):
            with run_next() as box, ThreadPoolExecutor() as pool:
                url, key = box.url, (data / "admin.key").read_text().strip()
                check(data, clients)
                wanted = answered(clients) + chance.randrange(MOST_ANSWERS)
                working = [pool.submit(client.work, url, key) for client in clients]
                wait_until(lambda wanted=wanted: answered(clients) >= wanted, "answers")
                time.sleep(chance.uniform(0, 0.05))
                assert box.stop(signal.SIGKILL) == -signal.SIGKILL, box.output
            for one in working:
                one.result()
        with run_next() as box:
            assert box.url
            check(data, clients)
            assert box.stop() in (0, -signal.SIGTERM)
            assert "Traceback" not in box.output, box.output
    print(seed, sum((client.answers for client in clients), Counter()))


def answered(clients) -> int:
    """Return how much was done for all of them."""
    return sum(client.posted + client.answers.total() for client in clients)


def check(data, clients) -> None:
    """Check that rows and files are one, and that what was answered is so."""
    with closing(sqlite3.connect(f"{(data / 'scribebox.db').as_uri()}?mode=ro", uri=True)) as it:
        files = {
            i: (p, s) for i, p, s in it.execute("SELECT storage_id, path, sha256 FROM audio_file")
        }
        entries = dict(it.execute("SELECT id, storage_id FROM history_entry"))
        welcome = [p for (p,) in it.execute("SELECT audio_path FROM session")]
        used = it.execute("SELECT count(*), total(words) FROM usage_event WHERE kind = 'dictation'")
        lines, words = used.fetchone()
        summed = it.execute("SELECT total(words) FROM usage_quarter WHERE kind = 'dictation'")
        assert summed.fetchone()[0] == words == lines * WORDS
    for path, digest in files.values():
        assert hashlib.sha256((data / path).read_bytes()).hexdigest() == digest
    named = {path for path, _ in files.values()} | set(welcome)
    assert {f"audio/{path.name}" for path in (data / "audio").iterdir()} == named
    assert set(entries.values()) - {None} <= files.keys()
    for client in clients:
        for entry, audio in client.entries.items():
            if audio is not UNSURE:
                assert entries.get(entry, "not there") == audio
        for storage_id, digest in client.uploads.items():
            if digest is not UNSURE:
                assert files.get(storage_id, (None, None))[1] == digest
        assert not client.deleted & entries.keys()
    posted = sum(client.posted for client in clients)
    assert posted <= lines <= posted + sum(client.cut_off for client in clients)


@pytest.mark.long
def test_kill_9_fifty_times_leaves_rows_and_files_one(tmp_path):
    storm(tmp_path, rounds=50, seed=6)
