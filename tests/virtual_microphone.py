"""A microphone without hardware: a private PulseAudio whose null sink is heard by PortAudio.

    with VirtualMicrophone() as microphone:
        ... start a process with microphone.environment, then microphone.play(path)

Server, socket and settings lie in a folder of their own, so that runs beside each other, and the
sound of whoever runs the tests, never meet. PortAudio's names for it are "pulse" and "default".
"""

import ctypes.util
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

WAIT_S = 60  # however busy the machine is
PACKAGES = "pulseaudio pulseaudio-utils libasound2-plugins libportaudio2"
PROGRAMS = ("pulseaudio", "pactl", "pacat", "paplay")
PLUGIN = "alsa-lib/libasound_module_pcm_pulse.so"
ALSA_CONFIGURATION = "pcm.pulse { type pulse }\npcm.default { type pulse }\n"
SINK = "module-null-sink sink_name=mic rate=48000 channels=1 format=s16le norewinds=1"


def missing() -> str | None:
    """Return why it can't run here, None if it can."""
    lacking = [program for program in PROGRAMS if shutil.which(program) is None]
    if ctypes.util.find_library("portaudio") is None:
        lacking.append("libportaudio")
    libraries = [path for each in ("/usr/lib", "/usr/lib64") for path in (each, f"{each}/*")]
    if not any(list(Path("/").glob(f"{path[1:]}/{PLUGIN}")) for path in libraries):
        lacking.append("ALSA's PulseAudio plugin")
    return f"no virtual microphone: {lacking} missing, apt install {PACKAGES}" if lacking else None


class VirtualMicrophone:
    """A microphone that hears what `play` plays, and that can be unplugged."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="microphone-"))  # a socket's path must be short
        self._socket = self.folder / "native"
        alsa, client = self.folder / "alsa.conf", self.folder / "client.conf"
        alsa.write_text(ALSA_CONFIGURATION)
        client.write_text("autospawn = no\n")
        self.environment = {
            "PULSE_SERVER": f"unix:{self._socket}",
            "PULSE_CLIENTCONFIG": str(client),
            "PULSE_COOKIE": str(self.folder / "cookie"),
            "PULSE_RUNTIME_PATH": str(self.folder),
            "PULSE_STATE_PATH": str(self.folder),
            "XDG_RUNTIME_DIR": str(self.folder),
            "ALSA_CONFIG_PATH": str(alsa),
        }
        self._server: subprocess.Popen[bytes] | None = None
        self._keep_alive: subprocess.Popen[bytes] | None = None
        self._sink = ""

    def __enter__(self) -> Self:
        try:
            self.restart_server()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.kill_server()
        shutil.rmtree(self.folder, ignore_errors=True)

    def play(self, path: Path) -> None:
        """Let it hear a file at real speed; return when it has."""
        self._run("paplay", "--device=mic", str(path), timeout_s=600)

    def unplug(self) -> None:
        """Take the microphone away; whoever records from it is cut off."""
        self._run("pactl", "unload-module", self._sink)
        self._end_keep_alive()

    def plug(self) -> None:
        """Put it back; return when it gives sound."""
        self._sink = self._run("pactl", "load-module", *SINK.split())
        self._run("pactl", "set-default-source", "mic.monitor")
        # without a stream that plays, the first second of what is recorded would be lost
        silence = "--rate=16000 --channels=1 --format=s16le --latency-msec=30 /dev/zero"
        self._keep_alive = self._start("pacat", "--playback", "--device=mic", *silence.split())
        wait_until(lambda: "RUNNING" in self._run("pactl", "list", "short", "sinks"), "sound")

    def kill_server(self) -> None:
        """End the sound server as a crash would."""
        if self._server is not None:
            self._server.kill()
            self._server.wait(WAIT_S)
            self._server = None
        self._end_keep_alive()

    def restart_server(self) -> None:
        """Start the sound server, with the microphone plugged in."""
        self._socket.unlink(missing_ok=True)
        protocol = f"module-native-protocol-unix socket={self._socket} auth-anonymous=1"
        self._server = self._start(
            *("pulseaudio", "-n", "--daemonize=no", "--exit-idle-time=-1", "--use-pid-file=no"),
            *("--realtime=no", "--high-priority=no", f"--load={protocol}"),
            HOME=str(self.folder),
        )
        wait_until(self._answers, "a sound server")
        self.plug()

    def _answers(self) -> bool:
        assert self._server is not None
        assert self._server.poll() is None, (self.folder / "pulseaudio.log").read_text()
        tried = subprocess.run(
            ["pactl", "info"], env=self._all(), capture_output=True, timeout=WAIT_S, check=False
        )
        return tried.returncode == 0

    def _end_keep_alive(self) -> None:
        if self._keep_alive is not None:
            self._keep_alive.kill()
            self._keep_alive.wait(WAIT_S)
            self._keep_alive = None

    def _all(self, **more: str) -> dict[str, str]:
        return {**os.environ, **self.environment, **more}

    def _start(self, program: str, *arguments: str, **more: str) -> "subprocess.Popen[bytes]":
        with (self.folder / f"{program}.log").open("ab") as log:
            return subprocess.Popen(
                [program, *arguments],
                env=self._all(**more),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C in the tests is not the sound server's
            )

    def _run(self, *command: str, timeout_s: float = WAIT_S) -> str:
        ended = subprocess.run(
            command,
            env=self._all(),
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
        assert ended.returncode == 0, f"{command}: {ended.stderr}"
        return ended.stdout.strip()


def wait_until(holds: Callable[[], bool], what: str, timeout_s: float = WAIT_S) -> None:
    """Wait until it holds, at most so long."""
    deadline = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < deadline, f"no {what} in {timeout_s} s"
        time.sleep(0.02)
