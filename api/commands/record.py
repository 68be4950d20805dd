"""`scribebox record`: from the microphone of this machine into a session.

Works through the running server if there is one, else it is the box itself for that long. Text
goes to stdout as it comes; Ctrl-C ends the recording, and the session is waited for.
"""

import argparse
import contextlib
import json
import math
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

from api.commands.at_server import Told, is_end
from api.commands.recorders import Recorder, recorder
from appliance.settings_loader import load
from engine.errors import ModelUnavailable

TICK_S = 0.25
TROUBLE_EVERY_S = 3.0
METER_CELLS, METER_LOWEST_DBFS = 20, -60.0
MAX_SECONDS = 86_400.0


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--title", help="of the session (default: its first words)")
    parser.add_argument("--seconds", type=seconds, metavar="N", help="end by itself after so long")
    parser.add_argument("--language", help="ISO 639-1 code (default: detected)")
    parser.add_argument("--device", metavar="NAME", help="one of `scribebox devices`")
    parser.add_argument(
        "--profile", choices=("meeting", "dictation"), help="dictation: text comes sooner"
    )
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")
    parser.add_argument("--data", metavar="DIR", help="data folder")


def seconds(text: str) -> float:
    """Return a number of seconds that a recording can last."""
    value = float(text)  # argparse says what is wrong with a ValueError
    if not (math.isfinite(value) and 0 < value <= MAX_SECONDS):
        raise argparse.ArgumentTypeError(f"{text}: want more than 0 and at most a day (86400)")
    return value


def plain(text: str | None) -> str | None:
    """Return what was typed, in characters that can be sent, whatever bytes it was."""
    return None if text is None else os.fsencode(text).decode(errors="replace")


def run(arguments: argparse.Namespace) -> int:
    """Record, show what is heard, and wait for the session."""
    settings = load(overrides={"data_dir": arguments.data})
    asked = {
        "title": plain(arguments.title),
        "language": plain(arguments.language),
        "device": plain(arguments.device),
        "profile": arguments.profile,
        "maxSeconds": arguments.seconds,
    }
    os.umask(0o077)  # whatever the box writes is its owner's
    told: queue.SimpleQueue[Told] = queue.SimpleQueue()
    with recorder(settings) as used, interrupts(told):
        number = used.start({name: value for name, value in asked.items() if value})
        watching = Watching(used, number, told, quiet=arguments.json)
        threading.Thread(target=watching.listen, name="events", daemon=True).start()
        outcome = watching.until_the_end()
        if arguments.json:
            print(json.dumps(watching.document(outcome), ensure_ascii=False, indent=2))
        watching.tell_outcome(outcome)
    return 0 if outcome.get("sessionId") else 1


@contextlib.contextmanager
def interrupts(told: queue.SimpleQueue[Told]) -> Iterator[None]:
    """Turn the first Ctrl-C (or SIGTERM) into an event; the second is as ever."""

    def on_signal(_: int, __: Any) -> None:
        for sign in before:
            signal.signal(sign, signal.default_int_handler)
        told.put(("interrupted", {}))

    before = {sign: signal.getsignal(sign) for sign in (signal.SIGINT, signal.SIGTERM)}
    for sign in before:
        signal.signal(sign, on_signal)
    try:
        yield
    finally:
        for sign, handler in before.items():
            signal.signal(sign, handler)


class Watching:
    """Follow one recording and show it; `listen` runs in a thread beside."""

    def __init__(
        self, used: Recorder, number: int, told: queue.SimpleQueue[Told], *, quiet: bool
    ) -> None:
        self._recorder, self._number, self._told, self._quiet = used, number, told, quiet
        self._meter = Meter()
        self._segments: list[dict[str, Any]] = []
        self._finishing_s: float | None = None

    def listen(self) -> None:
        """Pass on what the recording tells."""
        try:
            for event in self._recorder.events():
                self._told.put(event)
        except Exception as error:  # raised where somebody can tell of it
            self._told.put(("failed", {"error": error}))

    def until_the_end(self) -> dict[str, Any]:
        """Return the last event; whatever goes wrong here, no microphone stays open."""
        try:
            while True:
                with contextlib.suppress(queue.Empty):
                    kind, content = self._told.get(timeout=TICK_S)
                    self._take(kind, content)
                    if is_end(kind, content):
                        return content
                self._look_for_trouble()
                self._meter.draw()
        except BaseException:
            with contextlib.suppress(Exception):
                self._recorder.stop()
            raise
        finally:
            self._meter.clear()

    def _take(self, kind: str, content: dict[str, Any]) -> None:
        if kind == "interrupted":
            self._meter.phase = "stopping"
            self._meter.draw()
            self._recorder.stop()
        elif kind == "failed":
            raise content["error"]
        elif kind == "level":
            self._meter.dbfs = content["dbfs"]
        elif kind == "state" and content["state"] == "finishing":
            self._meter.phase, self._finishing_s = "transcribing", time.monotonic()
        elif kind == "segment":
            self._segments.append(content)
            if not self._quiet and "reason" not in content:
                self._meter.clear()
                sys.stdout.buffer.write(content["text"].strip().encode() + b"\n")
                sys.stdout.buffer.flush()
        elif kind == "gap":
            if content["cause"] == "disk":
                self._complain("the disk is full: the recording ends here")
            else:
                self._complain(f"{content['seconds']:.1f} s are missing ({content['cause']})")
        elif kind == "alarm":
            what = ALARMS.get(content["alarm"], content["alarm"])
            self._complain(f"the microphone: {what}{'' if content['active'] else ' (over)'}")

    def _look_for_trouble(self) -> None:
        """Don't wait for a text that can't come."""
        if self._finishing_s is None or time.monotonic() - self._finishing_s < TROUBLE_EVERY_S:
            return
        self._finishing_s = time.monotonic()
        if trouble := self._recorder.trouble():
            raise ModelUnavailable(
                f"recording {self._number} is kept, and becomes a session once there is an engine: "
                f"{trouble}"
            )

    def _complain(self, line: str) -> None:
        self._meter.clear()
        sys.stderr.write(f"scribebox: {line}\n")

    def tell_outcome(self, outcome: dict[str, Any]) -> None:
        """Say what became of it."""
        if outcome.get("sessionId") is None:
            self._complain(f"recording {self._number}: {WITHOUT_SESSION[outcome['state']]}")
            return
        if not self._spoken():
            self._complain("no speech was found")
        self._complain(f"it is session {outcome['sessionId']}")

    def document(self, outcome: dict[str, Any]) -> dict[str, Any]:
        """Return the recording with what was said."""
        known = {"id": self._number, **outcome}
        if outcome["state"] != "discarded":
            known = self._recorder.status()
        held_back = [segment for segment in self._segments if "reason" in segment]
        text = " ".join(segment["text"].strip() for segment in self._spoken())
        return {**known, "text": text, "segments": self._spoken(), "suppressed": held_back}

    def _spoken(self) -> list[dict[str, Any]]:
        return [segment for segment in self._segments if "reason" not in segment]


ALARMS = {
    "silent": "it gives nothing but silence",
    "clipping": "it is too loud, the sound is clipped",
    "deviceLost": "the device is gone; it goes on by itself once it is back",
}
WITHOUT_SESSION = {
    "failed": "there was no sound, so there is no session",
    "discarded": "somebody has discarded it",
}


class Meter:
    """One line on a terminal that shows time and level; nothing anywhere else."""

    def __init__(self) -> None:
        self.phase = "recording"
        self.dbfs: float | None = None
        self._begun_s = time.monotonic()
        self._is_terminal = sys.stderr.isatty()

    def draw(self) -> None:
        """Show how it is now."""
        if not self._is_terminal:
            return
        line = self.phase
        if self.phase == "recording":
            elapsed_s = int(time.monotonic() - self._begun_s)
            line += f" {elapsed_s // 60}:{elapsed_s % 60:02}  {bar(self.dbfs)}  Ctrl-C ends it"
        sys.stderr.write(f"\r\x1b[K{line}")
        sys.stderr.flush()

    def clear(self) -> None:
        """Make room for a line of text."""
        if self._is_terminal:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()


def bar(dbfs: float | None) -> str:
    """Return a level as a bar and a number."""
    if dbfs is None:
        return f"[{' ' * METER_CELLS}]"
    share = 1 - max(METER_LOWEST_DBFS, min(0.0, dbfs)) / METER_LOWEST_DBFS
    cells = round(share * METER_CELLS)
    return f"[{'#' * cells}{' ' * (METER_CELLS - cells)}] {max(dbfs, -120):4.0f} dBFS"
