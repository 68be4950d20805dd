"""In place of sounddevice, for a child process: a device that does what `script.json` says.

The script lies in the folder of this module, which a test copies: {"device", "rate", "channels",
"takes_16k", "openings"} and, to fail at once, "missing", "broken", "unlisted", "crashes" or
"hangs". Each process that opens the device has its list of steps:
    {"sound": seconds}   blocks in real time; in channel c, sample n is (n + 1000 * c) % 20000
    {"lose": seconds}    nothing for so long, then the overflow flag: those samples are gone
    {"late": seconds}    nothing for so long, then all those samples in a rush
    {"finish": true}     the stream ends, as it does when a device is unplugged
    {"stick": true}      nothing any more, and closing it hangs
    {"refuse": "why"}    it does not open
The last opening is used for all that follow.
"""

import functools
import json
import os
import struct
import threading
import time
from pathlib import Path

FOLDER = Path(__file__).parent
SCRIPT = json.loads((FOLDER / "script.json").read_text())
CYCLE = 20_000

if "crashes" in SCRIPT:
    os.abort()
if "hangs" in SCRIPT:
    time.sleep(60)
if "missing" in SCRIPT:
    raise OSError(SCRIPT["missing"])


class PortAudioError(Exception):
    """As in sounddevice."""


if "broken" in SCRIPT:
    raise PortAudioError(SCRIPT["broken"])


class Status:
    """The flags of a callback."""

    def __init__(self, input_overflow):
        self.input_overflow = input_overflow


def query_devices(kind=None):
    """Return all devices, or the default one."""
    if "unlisted" in SCRIPT:
        raise PortAudioError(SCRIPT["unlisted"])
    device = {
        "index": 0,
        "name": SCRIPT["device"],
        "max_input_channels": SCRIPT["channels"],
        "default_samplerate": float(SCRIPT["rate"]),
    }
    speaker = {**device, "index": 1, "name": "speaker", "max_input_channels": 0}
    return device if kind == "input" else [device, speaker]


@functools.cache
def opening():
    """Return the steps of this process's opening, counted in a file as processes come and go."""
    counter = FOLDER / "openings"
    number = int(counter.read_text()) if counter.exists() else 0
    counter.write_text(str(number + 1))
    return SCRIPT["openings"][min(number, len(SCRIPT["openings"]) - 1)]


class RawInputStream:
    """A stream that follows the script on a thread of its own."""

    def __init__(
        self,
        *,
        device,
        samplerate,
        channels,
        dtype,
        blocksize,
        latency,
        callback,
        finished_callback,
    ):
        assert (device, dtype) == (0, "int16")
        if samplerate == 16_000 and not SCRIPT["takes_16k"]:
            raise PortAudioError("Error opening RawInputStream: Invalid sample rate")
        self._rate, self._channels, self._block = samplerate, channels, blocksize
        self._callback, self._finished = callback, finished_callback
        self._steps = opening()
        if "refuse" in self._steps[0]:
            raise PortAudioError(self._steps[0]["refuse"])
        self._sample, self._overflow, self._stuck = 0, False, False
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self):
        self._begun = time.monotonic()
        self._thread.start()

    def abort(self):
        if self._stuck:
            threading.Event().wait()
        self._ended.set()
        self._thread.join()

    def close(self):
        self.abort()

    def _run(self):
        for step in self._steps:
            ((what, value),) = step.items()
            if self._ended.is_set():
                break
            getattr(self, f"_{what}")(value)
        if not self._stuck:
            self._finished()

    def _sound(self, seconds, in_a_rush=False):
        end = self._sample + round(seconds * self._rate)
        while self._sample < end and not self._ended.is_set():
            at = self._sample + self._block
            if not in_a_rush:
                self._ended.wait(max(self._begun + at / self._rate - time.monotonic(), 0))
            values = [
                (n + 1000 * channel) % CYCLE
                for n in range(self._sample, at)
                for channel in range(self._channels)
            ]
            flag, self._overflow, self._sample = self._overflow, False, at
            self._callback(
                struct.pack(f"<{len(values)}h", *values), self._block, None, Status(flag)
            )

    def _pass(self, seconds):
        blocks = round(seconds * self._rate / self._block)
        self._ended.wait(
            self._begun + (self._sample + blocks * self._block) / self._rate - time.monotonic()
        )
        return blocks * self._block

    def _lose(self, seconds):
        self._sample += self._pass(seconds)
        self._overflow = True

    def _late(self, seconds):
        self._sound(self._pass(seconds) / self._rate, in_a_rush=True)

    def _finish(self, _):
        self._ended.set()

    def _stick(self, _):
        self._stuck = True
