"""The real server process: its first start, its first session, its end."""

import json
import signal
import sqlite3
import stat
import subprocess

import httpx
from running_box import WAIT_S, clean_environment, running, scribebox
from speech_fixtures import SPEECH, words_wrong

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


def test_ctrl_c_ends_the_server(tmp_path):
    with running("--port", "0", "--data", str(tmp_path), SCRIBEBOX_MODEL="absent") as box:
        assert box.url
        assert box.stop(signal.SIGINT) in (0, 130, -signal.SIGINT)
        assert "Traceback" not in box.output
    assert "SCRIBEBOX_MODEL" not in clean_environment()


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
