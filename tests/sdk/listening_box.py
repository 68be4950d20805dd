"""A real box for the SDKs to talk to, with a key that may listen and do nothing else."""

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
from running_box import WAIT_S, running, scribebox


@dataclass(frozen=True, slots=True)
class ListeningBox:
    """Where it is, and what opens it."""

    url: str
    key: str = field(repr=False)

    @property
    def credential(self) -> dict[str, str]:
        """Return what the plan of a script needs of it."""
        return {"url": self.url, "key": self.key}

    def token(self) -> str:
        """Return a token of the box, as Deepgram grants it."""
        answer = httpx.post(
            f"{self.url}/v1/auth/grant",
            headers={"Authorization": f"Token {self.key}"},
            json={"ttl_seconds": 60},
            timeout=WAIT_S,
            trust_env=False,
        )
        return answer.raise_for_status().json()["access_token"]


@contextlib.contextmanager
def listening_box(data: Path, model: str) -> Iterator[ListeningBox]:
    """Run one until the block ends; it logs neither a trace nor the key."""
    with running("--port", "0", "--data", str(data), SCRIBEBOX_MODEL=model) as server:
        url = server.url
        server.wait_for("It heard its sample as")  # so the model is loaded
        made = scribebox(
            "keys", "create", "sdk", "--scope", "listen", "--json", "--data", data
        )  # fmt: skip
        assert made.returncode == 0, made.stderr
        key = json.loads(made.stdout)["key"]
        yield ListeningBox(url, key)
        server.stop()
        assert key not in server.output
        assert "Traceback" not in server.output, server.output
