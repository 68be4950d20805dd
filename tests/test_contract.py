"""The OpenAPI document is valid, and the server does what it says: schemathesis tries to catch it.

Examples are drawn at random for each operation; only documented answers may come, none of them 5xx.
"""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from fake_deepgram import fake_deepgram
from openapi_spec_validator import validate
from running_box import clean_environment, running

from api import app
from appliance.settings import Settings

CHECKS = (
    "not_a_server_error", "status_code_conformance", "content_type_conformance",
    "response_schema_conformance",
)  # fmt: skip
NEED_A_MICROPHONE = ("startRecording", "listDevices")  # 503 without one, as it should be
DECODE = ("transcribeFile", "createTranscription", "createTranslation")  # a child for each body
LAST = ("revokeKey",)  # it may hit the key in use
SCHEMATHESIS = Path(sys.executable).with_name("schemathesis")


def try_to_catch(tmp_path, examples: int, timeout_s: float) -> None:
    """Try every operation; the one that may revoke the key in use by a guess comes last."""
    data = tmp_path / "box"
    with (
        fake_deepgram() as cloud,  # without one, engine=cloud is 503 as it should be
        running(
            "--port", "0", "--data", str(data),
            SCRIBEBOX_MODEL="tiny.en",
            SCRIBEBOX_DEEPGRAM_URL=cloud.url,
            SCRIBEBOX_DEEPGRAM_API_KEY="key",
            NO_PROXY="127.0.0.1",
        ) as box,
    ):  # fmt: skip
        url = box.url
        box.wait_for("it is session 1$")
        key = (data / "admin.key").read_text().strip()
        for which, operations, checks, most in (
            ("--exclude-operation-id", (*NEED_A_MICROPHONE, *DECODE, *LAST), CHECKS, examples),
            ("--include-operation-id", DECODE, CHECKS, min(examples, 60)),
            ("--include-operation-id", NEED_A_MICROPHONE, CHECKS[1:], min(examples, 50)),
            ("--include-operation-id", LAST, CHECKS, examples),
        ):
            chosen = [part for operation in operations for part in (which, operation)]
            done = subprocess.run(
                [
                    SCHEMATHESIS, "run", f"{url}/schema/openapi.json",
                    "-H", f"Authorization: Bearer {key}", "--checks", ",".join(checks),
                    "--max-examples", str(most), "--phases", "fuzzing", "--mode", "all",
                    "--suppress-health-check", "all", "--generation-database", "none",
                    "--request-timeout", "60", "--no-color", "--continue-on-failure",
                    *chosen,
                ],
                capture_output=True, text=True, timeout=timeout_s, check=False, cwd=tmp_path,
                env=clean_environment(),
            )  # fmt: skip
            assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
            assert not re.search(r"\b429\b", done.stdout), done.stdout[-3000:]  # not in a seed
        box.stop()
        assert "Traceback" not in box.output, box.output[-6000:]


def test_the_document_is_valid():
    document = app.create(Settings(), "http://127.0.0.1:1").openapi_schema.to_schema()
    validate(document)


def test_a_few_examples_find_nothing_undocumented(tmp_path):
    try_to_catch(tmp_path, 2, 300)


@pytest.mark.long
def test_five_hundred_examples_for_each_route_find_nothing_undocumented(tmp_path):
    try_to_catch(tmp_path, 500, 2400)
