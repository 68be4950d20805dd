"""The vendors' real SDKs: each version in an environment of its own, since they conflict.

Made once in `.sdk/` (git ignores it) and kept. pip and npm run as this machine has them set up, so
that the registry is the machine's business. Without a registry the tests are skipped, with the
reason, which `.ci/run` prints.
"""

import contextlib
import functools
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import pytest
from running_box import clean_environment

SCRIPTS = Path(__file__).resolve().parent
KEPT = SCRIPTS.parent.parent / ".sdk"
INSTALL_S = 300
RUN_S = 180
OLDEST_NODE = 18
FOREIGN = ("DEEPGRAM_", "OPENAI_", "PYTHON", "NODE_")  # settings of whoever runs the tests
out_of_reach: dict[str, str] = {}  # a registry that didn't answer is not asked again


@dataclass(frozen=True, slots=True)
class Kit:
    """An SDK as installed, and what runs scripts for it."""

    program: str
    variables: tuple[tuple[str, str], ...] = ()

    def run(self, script: str, within_s: float = RUN_S, **plan: object) -> dict:
        """Give a script of this folder its plan; return what it tells."""
        __tracebackhide__ = True  # the plan holds a key
        kept = {k: v for k, v in clean_environment().items() if not k.startswith(FOREIGN)}
        done = subprocess.run(
            [self.program, str(SCRIPTS / script)],
            input=json.dumps(plan),
            capture_output=True,
            text=True,
            timeout=within_s,
            env={**kept, "NO_PROXY": "*", "no_proxy": "*", **dict(self.variables)},
            check=False,
        )
        assert done.returncode == 0, f"{script} ended with {done.returncode}:\n{done.stderr}"
        return json.loads(done.stdout)


@functools.cache
def python_kit(package: str, version: str) -> Kit:
    """Return Python with one version of a package."""

    def make(folder: Path) -> None:
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
        fetch("pip", [sys.executable, "-m", "pip", "--python", folder, "install", "-q",
                      "--no-compile", "--disable-pip-version-check",
                      f"{package}=={version}"])  # fmt: skip

    here = f"py{sys.version_info.major}.{sys.version_info.minor}"
    folder = kept(f"{here}-{package}-{version}", make)
    return Kit(str(folder / "bin" / "python"))


@functools.cache
def node_kit(package: str, version: str) -> Kit:
    """Return Node with one version of a package."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        pytest.skip(f"needs Node {OLDEST_NODE} or newer with npm: sudo apt install nodejs npm")
    said = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout
    if int(said.removeprefix("v").partition(".")[0]) < OLDEST_NODE:
        pytest.skip(f"needs Node {OLDEST_NODE} or newer, {node} is {said.strip()}")

    def make(folder: Path) -> None:
        folder.mkdir()
        fetch("npm", [npm, "install", "--no-audit", "--no-fund", "--prefix", folder,
                      f"{package}@{version}"])  # fmt: skip

    folder = kept(f"node-{package.replace('/', '-')}-{version}", make)
    return Kit(node, (("NODE_PATH", str(folder / "node_modules")),))


def kept(name: str, make: Callable[[Path], None]) -> Path:
    """Return the folder of that name, made beside it and renamed once it is whole."""
    folder = KEPT / name
    if not folder.exists():
        KEPT.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=KEPT, ignore_cleanup_errors=True) as place:
            make(Path(place) / name)
            with contextlib.suppress(OSError):  # another run was faster
                (Path(place) / name).rename(folder)
        assert folder.is_dir(), f"{folder} can't be made"
    return folder


def fetch(registry: str, command: list[str | Path]) -> None:
    """Run an installer; skip the test if it can't."""
    if registry in out_of_reach:
        give_up(out_of_reach[registry])
    try:
        done = subprocess.run(
            list(map(str, command)), capture_output=True, text=True, timeout=INSTALL_S, check=False
        )
        if done.returncode == 0:
            return
        lines = done.stderr.splitlines()
        said = [line for line in lines if line.lower().startswith(("error", "npm err"))]
    except subprocess.TimeoutExpired:
        said = [f"no end in {INSTALL_S} s"]
    out_of_reach[registry] = f"{registry} can't install {command[-1]}: {' '.join(said[:1])}"
    give_up(out_of_reach[registry])


def give_up(reason: str) -> NoReturn:
    """End the test as skipped."""
    pytest.skip(reason)
