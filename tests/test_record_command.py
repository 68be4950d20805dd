"""`scribebox record` and `scribebox devices`: with a server and without, to the session's end."""

import contextlib
import json
import os
import pty
import re
import signal
import subprocess
import threading

import httpx
import pytest
from running_box import SCRIBEBOX, WAIT_S, clean_environment, running, scribebox
from speech_fixtures import SPEECH, fixture, words_wrong
from virtual_microphone import VirtualMicrophone, missing, wait_until

from api import cli
from api.commands import record
from appliance.data_folder import DataFolder
from engine import microphone
from engine.errors import MicrophoneUnavailable
from engine.microphone import Device

needs_microphone = pytest.mark.skipif(missing() is not None, reason=str(missing()))
TINY = {"SCRIBEBOX_MODEL": "tiny.en"}
SPEECH_S = 120  # however busy the machine is


@pytest.fixture(scope="module")
def hearing():
    """Plug a microphone in for the tests of this module."""
    with VirtualMicrophone() as plugged:
        yield plugged


@pytest.fixture
def sound(hearing):
    """Return the environment of processes that are to hear."""
    return {**hearing.environment, **TINY}


class Recording:
    """`scribebox record` as a process, its text line by line."""

    def __init__(self, data, *arguments, **more):
        self.process = subprocess.Popen(
            [*SCRIBEBOX, "record", "--data", str(data), *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=clean_environment(**more),
        )
        self.lines = []
        self._came = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        for line in self.process.stdout:
            with self._came:
                self.lines.append(line.rstrip("\n"))
                self._came.notify_all()

    def wait_for_text(self, pattern):
        """Wait until a line of text matches."""
        with self._came:
            found = self._came.wait_for(
                lambda: any(re.search(pattern, line, re.I) for line in self.lines), SPEECH_S
            )
        assert found, (self.lines, self.process.poll())

    def end(self, sign=None):
        """Send a signal, if one is given; return exit code, text and what was said about it."""
        if sign is not None:
            self.process.send_signal(sign)
        status = self.process.wait(SPEECH_S)
        self._reader.join(WAIT_S)
        return status, "\n".join(self.lines), self.process.stderr.read()


@contextlib.contextmanager
def recording(data, *arguments, **more):
    """Record until the block ends."""
    command = Recording(data, *arguments, **more)
    try:
        yield command
    finally:
        if command.process.poll() is None:
            command.process.kill()
            command.process.wait(WAIT_S)
        command._reader.join(WAIT_S)
        command.process.stdout.close()
        command.process.stderr.close()


def wait_for_sound(data):
    """Wait until the recording of a data folder captures."""
    wait_until(
        lambda: any(p.stat().st_size > 16_000 for p in data.glob("recordings/*/audio.pcm")), "sound"
    )


def ask(box, data, method, path):
    """Ask a running box as its admin."""
    headers = {"Authorization": f"Bearer {(data / 'admin.key').read_text().strip()}"}
    url = f"{box.url}{path}"
    return httpx.request(method, url, headers=headers, timeout=WAIT_S, trust_env=False)


def get(box, data, path):
    """Return what it answers."""
    return ask(box, data, "GET", path)


def test_the_devices_are_a_table_or_json(monkeypatch, capsys):
    found = [Device("Built-in", 2, 44_100, False), Device("Jabra", 1, 16_000, True)]
    monkeypatch.setattr(microphone, "devices", lambda: found)
    assert cli.main(["devices"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "name\tchannels\tdefaultRate\tdefault",
        "Built-in\t2\t44100\tno",
        "Jabra\t1\t16000\tyes",
    ]
    assert cli.main(["devices", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[1] == {
        "name": "Jabra", "channels": 1, "defaultRate": 16_000, "default": True,
    }  # fmt: skip


def test_without_portaudio_it_is_one_line_and_exit_code_1(monkeypatch, capsys):
    def missing():
        raise MicrophoneUnavailable("PortAudio is missing: sudo apt install libportaudio2")

    monkeypatch.setattr(microphone, "devices", missing)
    assert cli.main(["devices", "--json"]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == "scribebox: PortAudio is missing: sudo apt install libportaudio2\n"


def test_without_any_device_the_list_is_empty_and_said_to_be(monkeypatch, capsys):
    monkeypatch.setattr(microphone, "devices", list)
    assert cli.main(["devices", "--json"]) == 0
    said = capsys.readouterr()
    assert json.loads(said.out) == [] and "no input device" in said.err


@pytest.mark.parametrize("seconds", ["0", "-1", "nan", "inf", "x", "86401"])
def test_a_length_that_can_not_be_is_wrong_use(seconds, capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(["record", "--seconds", seconds])
    assert ended.value.code == 2 and "--seconds" in capsys.readouterr().err


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """Return the data folder of a server that runs."""
    data = tmp_path_factory.mktemp("served")
    with running("--port", "0", "--data", str(data), **TINY) as box:
        assert box.url
        yield data
        box.stop()


@pytest.mark.long
def test_what_makes_no_sense_is_wrong_use_with_a_server_and_without(tmp_path, served):
    for wish, data in ((["--title", "x" * 301], served), (["--language", "english"], tmp_path)):
        done = scribebox("record", *wish, "--data", data, **TINY)
        assert done.returncode == 2 and wish[0][2:] in done.stderr, done.stderr


@pytest.mark.long
def test_without_that_microphone_it_is_one_line_and_exit_code_1(tmp_path, served):
    wish = ("record", "--device", "none of that name", "--data")
    alone, through = (scribebox(*wish, data, **TINY) for data in (tmp_path, served))
    for done in (alone, through):
        assert (done.returncode, done.stdout) == (1, ""), done
        last = done.stderr.splitlines()[-1]
        assert "input device" in last or "PortAudio" in last, done.stderr


def test_without_a_model_nothing_is_recorded(tmp_path):
    done = scribebox("record", "--data", tmp_path, SCRIBEBOX_MODEL="absent")
    assert done.returncode == 1 and "absent" in done.stderr.splitlines()[-1]
    assert not list((tmp_path / "recordings").iterdir())


@pytest.mark.long
def test_a_folder_held_by_something_that_serves_nothing_is_said_to_be(tmp_path):
    with DataFolder(tmp_path).make().held("restore"):
        done = scribebox("record", "--data", tmp_path)
    assert done.returncode == 1 and "scribebox restore" in done.stderr


def test_the_level_is_a_bar():
    assert record.bar(None).strip("[]") == " " * 20
    assert record.bar(-30.0) == "[##########          ]  -30 dBFS"
    assert record.bar(-200.0) == "[                    ] -120 dBFS"
    assert record.bar(3.0).startswith("[####################]")


@needs_microphone
@pytest.mark.parametrize("served", [pytest.param(False, marks=pytest.mark.long), True])
def test_what_was_said_becomes_text_and_after_ctrl_c_a_session(tmp_path, hearing, sound, served):
    with contextlib.ExitStack() as stack:
        if served:
            box = stack.enter_context(running("--port", "0", "--data", str(tmp_path), **sound))
            box.wait_for("it is session 1$")
        command = stack.enter_context(recording(tmp_path, "--title", "Kickoff", **sound))
        wait_for_sound(tmp_path)
        hearing.play(SPEECH / "dictation.flac")
        command.wait_for_text("finance")  # while it still records
        status, text, said = command.end(signal.SIGINT)
        assert status == 0, said
        assert words_wrong(fixture("dictation").text, text) <= 3, text
        number = re.search(r"it is session (\d+)\n", said)
        assert number and len(said.splitlines()) <= 2, said
        if not served:
            box = stack.enter_context(running("--port", "0", "--data", str(tmp_path), **sound))
        found = get(box, tmp_path, f"/api/v1/audioscribe/sessions/{number[1]}").json()
        assert found["title"] == "Kickoff"
        assert words_wrong(found["originalTranscript"], text) == 0
        assert get(box, tmp_path, "/api/v1/recordings").json()[0]["state"] == "done"
        box.stop()


@pytest.mark.long
@needs_microphone
@pytest.mark.parametrize("served", [False, True])
def test_json_is_one_document_once_the_seconds_are_over(tmp_path, hearing, sound, served):
    with contextlib.ExitStack() as stack:
        if served:
            box = stack.enter_context(running("--port", "0", "--data", str(tmp_path), **sound))
            assert box.url
        command = stack.enter_context(
            recording(tmp_path, "--json", "--seconds", "6.5", "--language", "en", **sound)
        )
        wait_for_sound(tmp_path)
        hearing.play(SPEECH / "dictation.flac")
        status, text, said = command.end()
    assert status == 0, said
    document = json.loads(text)
    assert document["state"] == "done" and document["sessionId"] and document["gaps"] == []
    assert 6.4 < document["capturedSeconds"] < 16  # a busy machine notices later
    assert "finance" in document["text"].lower() or document["segments"], document
    assert document["text"] == " ".join(s["text"].strip() for s in document["segments"])


@pytest.mark.long
@needs_microphone
def test_a_server_that_is_restarted_meanwhile_loses_nothing(tmp_path, hearing, sound):
    arguments = ("--port", "0", "--data", str(tmp_path))
    with running(*arguments, **sound) as first:
        first.wait_for("it is session 1$")
        with recording(tmp_path, **sound) as command:
            wait_for_sound(tmp_path)
            hearing.play(SPEECH / "dictation.flac")
            command.wait_for_text("finance")
            first.stop(signal.SIGKILL)
            with running(*arguments, **sound) as second:
                assert second.url != first.url
                hearing.play(SPEECH / "dictation.flac")
                status, text, said = command.end(signal.SIGINT)
                second.stop()
    assert status == 0, said
    assert text.lower().count("finance") == 2, text


@pytest.mark.long
@needs_microphone
def test_a_terminal_shows_the_level_and_the_text_stays_clean(tmp_path, hearing, sound):
    ours, theirs = pty.openpty()
    command = subprocess.Popen(
        [*SCRIBEBOX, "record", "--data", str(tmp_path), "--seconds", "6"],
        stdout=subprocess.PIPE,
        stderr=theirs,
        env=clean_environment(**sound),
    )
    os.close(theirs)
    wait_for_sound(tmp_path)
    hearing.play(SPEECH / "dictation.flac")
    text, _ = command.communicate(timeout=SPEECH_S)
    shown = b""
    with contextlib.suppress(OSError):  # the other end is closed
        while piece := os.read(ours, 65536):
            shown += piece
    os.close(ours)
    assert command.returncode == 0, shown
    assert b"dBFS" in shown and b"Ctrl-C ends it" in shown and b"it is session" in shown
    assert text and b"\x1b" not in text and b"dBFS" not in text


@pytest.mark.long
@needs_microphone
def test_a_second_ctrl_c_does_not_wait_and_nothing_is_lost(tmp_path, hearing, sound):
    with recording(tmp_path, **sound) as command:
        wait_for_sound(tmp_path)
        hearing.play(SPEECH / "dictation.flac")
        command.process.send_signal(signal.SIGINT)
        journal = next(tmp_path.glob("recordings/*/events.jsonl"))
        wait_until(lambda: not journal.exists() or "stopped" in journal.read_text(), "end")
        status, _, said = command.end(signal.SIGINT)
    assert status in (0, 130), said
    with running("--port", "0", "--data", str(tmp_path), **sound) as box:
        assert box.url
        path = "/api/v1/recordings/1"
        wait_until(lambda: get(box, tmp_path, path).json()["sessionId"], "session", SPEECH_S)
        assert get(box, tmp_path, path).json()["capturedSeconds"] > fixture("dictation").seconds - 1
        box.stop()


@needs_microphone
@pytest.mark.long
def test_a_recording_that_somebody_discards_has_no_session_and_exit_code_1(tmp_path, sound):
    with running("--port", "0", "--data", str(tmp_path), **sound) as box:
        assert box.url
        with recording(tmp_path, **sound) as command:
            wait_for_sound(tmp_path)
            answer = ask(box, tmp_path, "POST", "/api/v1/recordings/1/discard")
            status, text, said = command.end()
        box.stop()
    assert answer.status_code == 204
    assert (status, text, said) == (1, "", "scribebox: recording 1: somebody has discarded it\n")


@pytest.mark.long
@needs_microphone
def test_a_text_that_can_not_come_is_not_waited_for(tmp_path, hearing, sound):
    absent = {**sound, "SCRIBEBOX_MODEL": "absent"}
    with running("--port", "0", "--data", str(tmp_path), **absent) as box:
        assert box.url
        with recording(tmp_path, **sound) as command:
            wait_for_sound(tmp_path)
            hearing.play(SPEECH / "dictation.flac")
            status, _, said = command.end(signal.SIGINT)
        box.stop()
    assert status == 1 and "recording 1 is kept" in said, said


@pytest.mark.long
@needs_microphone
def test_a_reader_that_goes_away_ends_the_recording(tmp_path, hearing, sound):
    with running("--port", "0", "--data", str(tmp_path), **sound) as box:
        box.wait_for("it is session 1$")
        ours, theirs = os.pipe()
        command = subprocess.Popen(
            [*SCRIBEBOX, "record", "--data", str(tmp_path)],
            stdout=theirs,
            stderr=subprocess.DEVNULL,
            env=clean_environment(**sound),
        )
        os.close(theirs)
        os.close(ours)
        try:
            wait_for_sound(tmp_path)
            hearing.play(SPEECH / "dictation.flac")
            assert command.wait(SPEECH_S) == 0
        finally:
            command.kill()
            command.wait(WAIT_S)
        path = "/api/v1/recordings/1"
        wait_until(lambda: get(box, tmp_path, path).json()["sessionId"], "session", SPEECH_S)
        box.stop()
