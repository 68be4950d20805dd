"""The real server process: its first start, its first session, its end."""

import contextlib
import json
import queue
import signal
import sqlite3
import stat
import subprocess
import threading
import time
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from box_client import BASE
from running_box import WAIT_S, clean_environment, running, scribebox
from speech_fixtures import SPEECH, fixture, quiet_flac, words_wrong

from engine.writers import FORMATS

REFERENCE = (SPEECH.parent.parent / "appliance" / "sample" / "welcome.txt").read_text()


def test_the_first_start_proves_that_the_box_works_and_sigterm_ends_it(tmp_path):
    data = tmp_path / "my box"
    with running("--port", "0", "--data", str(data), SCRIBEBOX_MODEL="tiny.en") as box:
        health = httpx.get(f"{box.url}/health", timeout=WAIT_S)
        assert health.status_code == 200
        box.wait_for(r"It heard its sample as: .+")
        wrong = box.wait_for(r"(\d+) of \d+ words wrong; .* s of speech in .* s.*session 1$")
        assert int(wrong[1]) <= 1
        key_file = data / "admin.key"
        assert stat.S_IMODE(key_file.stat().st_mode) == 0o600
        key = key_file.read_text().strip()
        curl = box.wait_for(r"^  (curl .*)$")[1]
        pasted = subprocess.run(
            ["sh", "-c", curl.replace("curl ", "curl -sS ", 1)],
            capture_output=True, text=True, timeout=WAIT_S, check=False,
        )  # fmt: skip
        assert pasted.returncode == 0, pasted.stderr
        assert json.loads(pasted.stdout)[0]["title"] == "Welcome to Scribebox"

        made = scribebox(
            "keys", "create", "laptop", "--scope", "sessions:read", "--json", "--data", data
        )
        headers = {"Authorization": f"Bearer {json.loads(made.stdout)['key']}"}
        listed = httpx.get(
            f"{box.url}/api/v1/audioscribe/sessions/", headers=headers, timeout=WAIT_S
        )
        assert [session["id"] for session in listed.json()] == [1]

        second = scribebox("serve", "--port", "0", "--data", data)
        assert second.returncode == 1
        assert f"process {box.process.pid}" in second.stderr and box.url in second.stderr
        assert len(second.stderr.splitlines()) == 1

        assert box.stop() in (0, -signal.SIGTERM)
        assert key not in box.output and "Traceback" not in box.output
    with sqlite3.connect(data / "scribebox.db") as database:
        title, text, state = database.execute(
            "SELECT title, original_transcript, state FROM session WHERE id = 1"
        ).fetchone()
        (usage,) = database.execute("SELECT words FROM usage_event").fetchone()
    database.close()
    assert (title, state) == ("Welcome to Scribebox", "done")
    assert words_wrong(REFERENCE, text) <= 1
    assert usage == len(text.split())


@pytest.mark.long
def test_a_server_killed_in_the_first_job_finishes_it_after_the_next_start(tmp_path):
    arguments = ("--port", "0", "--data", str(tmp_path))
    with running(*arguments, SCRIBEBOX_MODEL="tiny.en") as box:
        assert box.url
        box.stop(signal.SIGKILL)
    with running(*arguments, SCRIBEBOX_MODEL="tiny.en") as box:
        key = (tmp_path / "admin.key").read_text().strip()
        box.wait_for(r"It heard its sample as")
        found = httpx.get(
            f"{box.url}/api/v1/audioscribe/sessions/",
            headers={"Authorization": f"Bearer {key}"},
            timeout=WAIT_S,
        ).json()
        assert [session["id"] for session in found] == [1]
        box.stop()


def test_a_port_that_is_taken_is_one_clear_line(tmp_path):
    with running("--port", "0", "--data", str(tmp_path / "a"), SCRIBEBOX_MODEL="absent") as box:
        port = box.url.rsplit(":", 1)[1]
        second = scribebox("serve", "--port", port, "--data", tmp_path / "b")
    assert second.returncode == 2
    assert port in second.stderr and "--port" in second.stderr
    assert len(second.stderr.splitlines()) == 1


def test_a_box_without_a_model_starts_says_so_and_goes_on(tmp_path):
    with running("--port", "0", "--data", str(tmp_path), SCRIBEBOX_MODEL="absent") as box:
        box.wait_for(r"model 'absent' is not installed")
        health = httpx.get(f"{box.url}/health", timeout=WAIT_S)
        assert (health.status_code, health.json()["status"]) == (200, "degraded")
        box.stop()
        assert "Traceback" not in box.output


@pytest.mark.long
def test_a_signal_while_it_starts_ends_it_without_a_trace(tmp_path):
    for wait_s in (0.6, 0.9, 1.2, 1.5):
        with running("--port", "0", "--data", str(tmp_path), SCRIBEBOX_MODEL="absent") as box:
            with contextlib.suppress(subprocess.TimeoutExpired):
                box.process.wait(wait_s)
            box.stop()
            assert "AttributeError" not in box.output, box.output


def test_ctrl_c_ends_the_server(tmp_path):
    with running("--port", "0", "--data", str(tmp_path), SCRIBEBOX_MODEL="absent") as box:
        assert box.url
        assert box.stop(signal.SIGINT) in (0, 130, -signal.SIGINT)
        assert "Traceback" not in box.output
    assert "SCRIBEBOX_MODEL" not in clean_environment()


@pytest.mark.long
def test_the_sample_waits_for_a_model_and_for_other_commands(tmp_path):
    data = ("--data", str(tmp_path))
    assert scribebox("accounts", "list", *data).returncode == 0  # makes the box before `serve`
    with running("--port", "0", *data, SCRIBEBOX_MODEL="absent") as box:
        box.wait_for(r"model 'absent' is not installed")
        assert box.url
        box.stop()
    with running("--port", "0", *data, SCRIBEBOX_MODEL="tiny.en") as box:
        box.wait_for(r"words wrong; .* it is session 1$")
        box.stop()


def test_a_file_goes_in_over_http_and_comes_out_as_everything_there_is(tmp_path):
    speech = fixture("meeting")
    with running("--port", "0", "--data", str(tmp_path), SCRIBEBOX_MODEL="tiny.en") as box:
        url = f"{box.url}{BASE}"
        admin = {"Authorization": f"Bearer {(tmp_path / 'admin.key').read_text().strip()}"}
        client = httpx.Client(headers=admin, timeout=WAIT_S)
        with client, speech.path.open("rb") as file:
            accepted = client.post(
                f"{url}/", params={"tags": "weekly"}, files={"file": ("../../x", file)}
            )
            assert accepted.status_code == 202
            job = done(client, box.url + accepted.json()["statusUrl"])
            assert (job["state"], job["progress"]) == ("done", 1.0)
            one = f"{url}/{job['sessionId']}"
            found = client.get(f"{one}/").json()
            assert words_wrong(speech.text, found["originalTranscript"]) <= 1
            assert found["title"].startswith("Good morning") and found["tags"] == "weekly"
            timed = client.get(f"{one}/segments").json()
            assert timed["text"] == found["originalTranscript"] and timed["segments"][0]["words"]
            for format in FORMATS:
                exported = client.get(f"{one}/export", params={"format": format})
                assert exported.status_code == 200 and len(exported.content) > 100
            part = client.get(f"{one}/audio", headers={"Range": "bytes=100-199"})
            assert part.status_code == 206 and part.headers["Content-Type"] == "audio/flac"
            assert part.content == speech.path.read_bytes()[100:200]
            waited = client.post(
                f"{url}/?wait=true", content=(SPEECH / "dictation.flac").read_bytes()
            )
            assert waited.status_code == 201
            assert client.get(f"{url}/?q=join").json()[0]["id"] == job["sessionId"]
            failed = client.post(f"{url}/?wait=true", content=b"this is no audio")
            assert failed.status_code == 422 and "not an audio file" in failed.json()["detail"]

            client.post(f"{box.url}/api/v1/accounts", json={"name": "bob"})
            headers = new_key(client, box.url, ["sessions:read"], account="bob")
            assert client.get(f"{url}/", headers=headers).json() == []
            assert client.get(f"{one}/", headers=headers).status_code == 404
            scopeless = new_key(client, box.url, ["metrics"])
            assert client.get(f"{url}/", headers=scopeless).status_code == 403
            soon = (datetime.now(UTC) + timedelta(seconds=3)).isoformat()
            expired = new_key(client, box.url, ["sessions:read"], expiresAt=soon)
            revoked = new_key(client, box.url, ["sessions:read"])
            key_id = revoked["Authorization"].split("_")[2]
            assert client.delete(f"{box.url}/api/v1/keys/{key_id}").status_code == 204
            assert client.get(f"{url}/", headers=revoked).status_code == 401
            deadline = time.monotonic() + WAIT_S
            while client.get(f"{url}/", headers=expired).status_code == 200:
                assert time.monotonic() < deadline
                time.sleep(0.5)
        box.stop()
        assert "Traceback" not in box.output and found["originalTranscript"] not in box.output


@pytest.mark.long
def test_whoever_waits_for_a_job_is_told_when_the_box_stops(tmp_path):
    with running("--port", "0", "--data", str(tmp_path), SCRIBEBOX_MODEL="tiny.en") as box:
        box.wait_for("it is session 1$")
        key = (tmp_path / "admin.key").read_text().strip()
        answers: queue.Queue[httpx.Response] = queue.Queue()

        def wait() -> None:
            answers.put(
                httpx.post(
                    f"{box.url}{BASE}/?wait=true",
                    headers={"Authorization": f"Bearer {key}"},
                    content=quiet_flac(tmp_path / "hour.flac", 60).read_bytes(),
                    timeout=WAIT_S,
                )
            )

        waiting = threading.Thread(target=wait)
        waiting.start()
        with sqlite3.connect(tmp_path / "scribebox.db") as database:
            deadline = time.monotonic() + WAIT_S
            while not database.execute("SELECT 1 FROM job WHERE id = 2").fetchone():
                assert time.monotonic() < deadline
                time.sleep(0.05)
        database.close()
        box.stop()
        waiting.join(WAIT_S)
        assert answers.get(timeout=1).status_code in (201, 202)
        assert "Traceback" not in box.output


def done(client, url):
    """Wait for the end of a job."""
    deadline = time.monotonic() + WAIT_S
    while (job := client.get(url).json())["state"] in ("queued", "running"):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return job


def new_key(client, url, scopes, **more):
    """Return the header of a new key."""
    made = client.post(f"{url}/api/v1/keys", json={"name": "x", "scopes": scopes, **more})
    return {"Authorization": f"Bearer {made.json()['key']}"}
