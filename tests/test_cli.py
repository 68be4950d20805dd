"""The command line: what it gives, its exit codes, and one clear line for each thing wrong."""

import json
import os
import signal
import subprocess
import time
from types import SimpleNamespace

import numpy as np
import psutil
import pytest
from running_box import SCRIBEBOX, WAIT_S, clean_environment, scribebox
from speech_fixtures import SPEECH, fixture, hiss, quiet_flac, words_wrong, write_wav

from api import cli
from engine.audio import read

TINY = ("--model", "tiny.en")


@pytest.fixture
def command(capfd, monkeypatch):
    """Return what runs a command in this process: the same code, and no start to wait for."""
    for name in set(os.environ) - set(clean_environment()):
        monkeypatch.delenv(name)

    def run(*arguments, **more):
        with monkeypatch.context() as patch:
            for name, value in more.items():
                patch.setenv(name, value)
            try:
                status = cli.main(list(map(str, arguments)))
            except SystemExit as ended:  # wrong use
                status = ended.code
        said = capfd.readouterr()
        return SimpleNamespace(returncode=status, stdout=said.out, stderr=said.err)

    return run


def test_a_file_is_transcribed_without_a_server_and_without_a_database(tmp_path):
    done = scribebox("transcribe", *TINY, SPEECH / "dictation.flac", "--data", tmp_path)
    assert done.returncode == 0
    assert words_wrong(fixture("dictation").text, done.stdout) <= 1
    assert done.stderr == ""
    assert not (tmp_path / "scribebox.db").exists()


def test_json_is_one_document_with_the_fields_of_the_contract(tmp_path, command):
    files = [SPEECH / "dictation.flac", SPEECH / "two-voices.flac"]
    done = command("transcribe", *TINY, "--json", *files, "--data", tmp_path)
    document = json.loads(done.stdout)
    assert [entry["path"] for entry in document["files"]] == list(map(str, files))
    for entry in document["files"]:
        assert entry.keys() >= {
            "path", "model", "language", "durationSeconds", "elapsedSeconds", "text", "segments",
            "suppressed",
        }  # fmt: skip
        assert entry["segments"][0].keys() >= {"start", "end", "text", "words", "confidence"}
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("format", "sign"), [("srt", "-->"), ("vtt", "WEBVTT"), ("md", "#"), ("json", '"segments"')]
)
def test_each_format_goes_to_the_file_asked_for(tmp_path, format, sign, command):
    out = tmp_path / f"out.{format}"
    done = command(
        "transcribe", *TINY, SPEECH / "dictation.flac", "--format", format, "-o", out,
        "--data", tmp_path,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "")
    assert sign in out.read_text()


def test_several_files_go_to_a_folder_by_their_names(tmp_path, command):
    done = command(
        "transcribe", *TINY, SPEECH / "dictation.flac", SPEECH / "long-pause.flac",
        "-o", tmp_path, "--format", "docx", "--data", tmp_path,
    )  # fmt: skip
    assert done.returncode == 0
    assert {p.name for p in tmp_path.glob("*.docx")} == {"dictation.docx", "long-pause.docx"}


def test_a_bad_file_is_one_line_and_exit_code_1_and_the_others_are_done(tmp_path, command):
    (tmp_path / "bad.mp3").write_text("no sound")
    (tmp_path / "empty.wav").touch()
    done = command(
        "transcribe", *TINY, tmp_path / "bad.mp3", tmp_path / "empty.wav", tmp_path / "none.wav",
        SPEECH / "dictation.flac", "--json", "--data", tmp_path,
    )  # fmt: skip
    assert done.returncode == 1
    lines = done.stderr.splitlines()
    assert len(lines) == 3
    assert all(
        name in line for name, line in zip(("bad.mp3", "empty.wav", "none.wav"), lines, strict=True)
    )
    assert "text" in json.loads(done.stdout)["files"][3]


def test_a_file_cut_short_gives_what_is_there_and_says_so_with_exit_code_1(tmp_path, command):
    whole = (SPEECH / "meeting.flac").read_bytes()
    (tmp_path / "cut.flac").write_bytes(whole[: len(whole) // 2])
    done = command("transcribe", *TINY, tmp_path / "cut.flac", "--data", tmp_path)
    assert done.returncode == 1
    assert "Good morning" in done.stdout
    assert "cut short" in done.stderr and len(done.stderr.splitlines()) == 1


def test_a_sentence_that_is_really_said_again_and_again_is_written_down(tmp_path, command):
    sentence = read(SPEECH / "dictation.flac")
    path = write_wav(tmp_path / "again.wav", np.concatenate([sentence] * 4))
    done = command("transcribe", *TINY, path, "--data", tmp_path)
    assert done.stdout.lower().count("finance team") == 4
    assert done.stderr == ""


def test_silence_is_an_empty_text_and_said_to_be(tmp_path, command):
    path = write_wav(tmp_path / "quiet.wav", hiss(3, level=0.001))
    done = command("transcribe", *TINY, path, "--data", tmp_path)
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == f"scribebox: {path}: no speech was found\n"


def test_the_recording_is_never_overwritten_and_no_transcript_by_another(tmp_path, command):
    audio = write_wav(tmp_path / "a.wav", hiss(1))
    before = audio.read_bytes()
    done = command("transcribe", *TINY, audio, "-o", audio, "--data", tmp_path)
    assert done.returncode == 2 and "overwrite" in done.stderr
    assert audio.read_bytes() == before
    twin = write_wav(tmp_path / "a.mp3", hiss(1))
    done = command("transcribe", *TINY, audio, twin, "-o", tmp_path, "--data", tmp_path)
    assert done.returncode == 2 and "a.txt" in done.stderr


def test_the_ending_of_the_output_says_the_format_and_a_slash_makes_a_folder(tmp_path, command):
    audio = SPEECH / "dictation.flac"
    out = tmp_path / "talk.srt"
    assert command("transcribe", *TINY, audio, "-o", out, "--data", tmp_path).returncode == 0
    assert "-->" in out.read_text()
    folder = f"{tmp_path}/new/folder/"
    assert command("transcribe", *TINY, audio, "-o", folder, "--data", tmp_path).returncode == 0
    assert (tmp_path / "new" / "folder" / "dictation.txt").exists()


def test_an_output_on_a_full_disk_is_one_line(tmp_path, command):
    done = command(
        "transcribe", *TINY, SPEECH / "dictation.flac", "-o", "/dev/full", "--data", tmp_path
    )
    assert done.returncode == 1
    assert "No space left" in done.stderr and len(done.stderr.splitlines()) == 1


def test_another_language_than_the_model_knows_is_refused_with_the_extra_that_helps(
    tmp_path, command
):
    done = command(
        "transcribe", *TINY, "--language", "de", SPEECH / "german.flac", "--data", tmp_path
    )
    assert done.returncode == 2
    assert "scribebox[multilingual]" in done.stderr and "'de'" in done.stderr


def test_an_output_that_can_not_be_written_is_refused_before_any_work(tmp_path, command):
    done = command("transcribe", "x.wav", "-o", tmp_path / "no" / "such.txt", "--data", tmp_path)
    assert done.returncode == 2
    assert "there is no folder" in done.stderr


@pytest.mark.parametrize("arguments", [(), ("nonsense",), ("transcribe",), ("keys", "create", "x")])
def test_wrong_use_is_exit_code_2(arguments, command):
    done = command(*arguments)
    assert done.returncode == 2
    assert "usage:" in done.stderr and "Traceback" not in done.stderr


def test_a_wrong_setting_is_exit_code_2_and_names_itself(tmp_path, command):
    done = command("doctor", "--data", tmp_path, SCRIBEBOX_PORT="eighty")
    assert done.returncode == 2
    assert done.stderr == (
        "scribebox: SCRIBEBOX_PORT: 'eighty' is refused: allowed: 0 to 65535 (0: any free one)\n"
    )


def test_ctrl_c_ends_a_transcription_with_130_and_no_child_left(tmp_path):
    long_file = quiet_flac(tmp_path / "long.flac", 240)
    process = subprocess.Popen(
        [*SCRIBEBOX, "transcribe", *TINY, str(long_file), "--data", str(tmp_path)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=clean_environment(),
    )  # fmt: skip
    deadline = time.monotonic() + WAIT_S
    while not (children := psutil.Process(process.pid).children()):
        assert time.monotonic() < deadline, "no decoder was started"
        assert process.poll() is None, process.stderr.read()
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=10)  # far less than the file would take
    assert process.returncode == 130
    assert "Traceback" not in said
    _, alive = psutil.wait_procs(children, timeout=WAIT_S)  # init may be slow to collect it
    assert not alive


def test_keys_are_made_listed_and_revoked(tmp_path, command):
    made = command(
        "keys", "create", "laptop", "--scope", "listen", "--scope", "sessions:read",
        "--expires", "90d", "--json", "--data", tmp_path,
    )  # fmt: skip
    key = json.loads(made.stdout)
    assert key.keys() >= {"id", "name", "scopes", "key", "expiresAt"}
    assert key["scopes"] == ["listen", "sessions:read"]
    listed = command("keys", "list", "--json", "--data", tmp_path)
    assert key["key"] not in listed.stdout
    assert {row["name"] for row in json.loads(listed.stdout)} == {"laptop", "admin"}
    assert command("keys", "revoke", key["id"], "--data", tmp_path).returncode == 0
    listed = json.loads(command("keys", "list", "--json", "--data", tmp_path).stdout)
    assert [row["state"] for row in listed if row["id"] == key["id"]] == ["revoked"]


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (("keys", "create", "x", "--scope", "all"), 2, "scope 'all'"),
        (("keys", "create", "x", "--scope", "admin", "--expires", "soon"), 2, "'soon'"),
        (("keys", "create", "x", "--scope", "admin", "--account", "bob"), 1, "'bob'"),
        (("keys", "revoke", "nosuchid"), 1, "'nosuchid'"),
        (("accounts", "create", "x", "--plan", "gold"), 2, "'gold'"),
        (("models", "import", "/no/such/folder"), 1, "/no/such/folder"),
    ],
)
def test_what_can_not_be_done_is_one_line(tmp_path, arguments, status, said, command):
    done = command(*arguments, "--data", tmp_path)
    assert done.returncode == status
    assert said in done.stderr and len(done.stderr.splitlines()) == 1


def test_accounts_are_made_listed_and_changed(tmp_path, command):
    data = ("--data", str(tmp_path))
    assert command("accounts", "create", "sales", "--plan", "hobby", *data).returncode == 0
    assert command("accounts", "set", "sales", "--plan", "pro", *data).returncode == 0
    listed = json.loads(command("accounts", "list", "--json", *data).stdout)
    assert {row["name"]: row["plan"] for row in listed} == {"default": "selfhosted", "sales": "pro"}


def test_models_are_listed_with_the_default_and_verified(tmp_path, command):
    listed = json.loads(command("models", "list", "--json", "--data", tmp_path).stdout)
    assert [row["name"] for row in listed if row["default"]] == ["base"]
    verified = command("models", "verify", "--data", tmp_path)
    assert verified.returncode == 0
    model = tmp_path / "models" / "base" / "model.bin"
    with model.open("r+b") as file:
        file.seek(1000)
        byte = file.read(1)
        file.seek(1000)
        file.write(bytes([byte[0] ^ 1]))
    verified = command("models", "verify", "--data", tmp_path)
    assert verified.returncode == 1
    assert "SHA-256" in verified.stderr and "remove the folder" in verified.stderr


def test_the_openapi_document_is_printed_without_a_box():
    document = json.loads(scribebox("openapi").stdout)
    assert "/health" in document["paths"]


@pytest.mark.long
def test_output_into_a_closed_pipe_is_no_error():
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [*SCRIBEBOX, "openapi"], stdout=writer, stderr=subprocess.PIPE, text=True,
        timeout=WAIT_S, check=False, env=clean_environment(),
    )  # fmt: skip
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, "")
