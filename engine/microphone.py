"""The PortAudio seam: which microphones there are, and a stream of samples from one of them.

PortAudio lists the devices once, when it starts. So `devices` asks a child process each time
(`python -m engine.microphone`), which also keeps PortAudio out of the server; `open_stream` sees
the list of its own process, which must be a new one for a device that came later.
"""

import contextlib
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from engine.audio import SAMPLE_RATE, bare_environment
from engine.errors import MicrophoneUnavailable

LATENCY_S = 0.2  # how long the callback may be late without a loss; PortAudio's "high" is 0.04
PULSE_LATENCY_MSEC = "30"  # how much PulseAudio gathers before it hands on
BLOCKS_PER_SECOND = 50
LISTING_S = 15
SOUND_VARIABLES = ("ALSA_", "PULSE_", "PIPEWIRE_", "JACK_", "XDG_RUNTIME_DIR", "DBUS_SESSION_BUS")


@dataclass(frozen=True, slots=True)
class Device:
    """One input of PortAudio's."""

    name: str
    channels: int
    default_rate: int  # Hz
    is_default: bool


class Stream:
    """A running stream of int16 samples, interleaved if there are several channels."""

    def __init__(self, device: str, rate: int, channels: int, stream: Any) -> None:
        self.device, self.rate, self.channels = device, rate, channels
        self._stream = stream

    def close(self, timeout_s: float = 0.5) -> None:
        """End it; a library that hangs in there is left behind."""
        closing = threading.Thread(target=self._close, daemon=True, name="microphone closing")
        closing.start()
        closing.join(timeout_s)

    def _close(self) -> None:
        with contextlib.suppress(Exception):  # a device that has gone may refuse in any way
            self._stream.abort()
        with contextlib.suppress(Exception):
            self._stream.close()


def devices() -> list[Device]:
    """Return the inputs there are now, by asking a new process."""
    try:
        child = subprocess.run(
            [sys.executable, "-P", "-m", "engine.microphone"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=LISTING_S,
            env=sound_environment(),
            check=False,
        )
        told = json.loads(child.stdout)
    except subprocess.TimeoutExpired as error:
        raise MicrophoneUnavailable(
            f"PortAudio did not list the microphones in {LISTING_S} s; "
            "restart the sound server, or unplug the microphone and plug it in again"
        ) from error
    except ValueError as error:
        raise MicrophoneUnavailable(
            f"PortAudio broke while it listed the microphones (exit status {child.returncode})"
        ) from error
    if "error" in told:
        raise MicrophoneUnavailable(told["error"])
    return [Device(**device) for device in told["devices"]]


def sound_environment() -> dict[str, str]:
    """Return what a child needs of the environment to find the sound server and its devices."""
    sound = {k: v for k, v in os.environ.items() if k.startswith(SOUND_VARIABLES)}
    return {**bare_environment(), **sound}


def portaudio() -> Any:
    """Return the sounddevice module, which starts PortAudio when it is first imported."""
    os.environ.setdefault("PULSE_LATENCY_MSEC", PULSE_LATENCY_MSEC)
    try:
        import sounddevice
    except ImportError as error:
        raise MicrophoneUnavailable(
            "the Python package sounddevice is missing: install scribebox again"
        ) from error
    except OSError as error:
        raise MicrophoneUnavailable(
            "PortAudio is missing: sudo apt install libportaudio2"
        ) from error
    except Exception as error:  # its own error can't be named before the import
        raise MicrophoneUnavailable(
            f"PortAudio does not start: {in_words(error)}; check the ALSA configuration"
        ) from error
    return sounddevice


def listed() -> list[tuple[int, Device]]:
    """Return the inputs by PortAudio's number, as this process sees them."""
    sd = portaudio()
    default = None
    with contextlib.suppress(sd.PortAudioError, ValueError):  # there is no input at all
        default = sd.query_devices(kind="input")["index"]
    try:
        every = sd.query_devices()
    except (sd.PortAudioError, ValueError) as error:
        raise MicrophoneUnavailable(f"PortAudio lists no devices: {in_words(error)}") from error
    return [
        (
            each["index"],
            Device(
                name=each["name"],
                channels=each["max_input_channels"],
                default_rate=round(each["default_samplerate"]),
                is_default=each["index"] == default,
            ),
        )
        for each in every
        if each["max_input_channels"] > 0
    ]


def find(inputs: list[tuple[int, Device]], name: str | None) -> tuple[int, Device]:
    """Return the input of that name; ALSA's number in it may have changed since it was noted."""
    if not inputs:
        raise MicrophoneUnavailable(
            "there is no input device: plug in a microphone; if there is one, "
            "let this user reach it: sudo usermod -aG audio $USER, then log in again"
        )
    if name is None:
        defaults = [each for each in inputs if each[1].is_default]
        return (defaults or inputs)[0]
    exact = [each for each in inputs if each[1].name == name]
    alike = [each for each in inputs if without_number(each[1].name) == without_number(name)]
    if exact or len(alike) == 1:
        return (exact or alike)[0]
    names = ", ".join(repr(device.name) for _, device in inputs)
    raise MicrophoneUnavailable(f"there is no input device {name!r}; there are: {names}")


def without_number(name: str) -> str:
    """Return a device's name without its place among the cards, such as (hw:1,0)."""
    return re.sub(r" ?\(hw:\d+,\d+\)$", "", name)


def open_stream(
    name: str | None,
    on_samples: Callable[[bytes], None],
    on_overflow: Callable[[], None],
    on_finished: Callable[[], None],
) -> Stream:
    """Start to record from the input of that name, or from the default one.

    All three are called on PortAudio's thread, which must not wait: `on_overflow` before the
    samples that come after a loss, `on_finished` when the stream ends, whatever the reason.
    It is 16 kHz mono if the device takes that, else its own rate, in stereo if it has it.
    """
    sd = portaudio()
    number, device = find(listed(), name)

    def called(samples: Any, frames: int, times: Any, status: Any) -> None:
        if status.input_overflow:
            on_overflow()
        on_samples(bytes(samples))

    own = device.default_rate
    for rate, channels in [(SAMPLE_RATE, 1), (own, min(device.channels, 2)), (own, 1)]:
        try:
            stream = sd.RawInputStream(
                device=number,
                samplerate=rate,
                channels=channels,
                dtype="int16",
                blocksize=rate // BLOCKS_PER_SECOND,
                latency=LATENCY_S,
                callback=called,
                finished_callback=on_finished,
            )
            try:
                stream.start()
            except BaseException:
                stream.close()
                raise
        except (sd.PortAudioError, ValueError) as error:
            refusal = in_words(error)
        else:
            return Stream(device.name, rate, channels, stream)
    raise MicrophoneUnavailable(
        f"{device.name!r} can't be opened: {refusal}; "
        "is it plugged in, and free of other programs that record from it?"
    )


def in_words(error: Exception) -> str:
    """Return an error on one line."""
    return " ".join(str(error).split()) or type(error).__name__


if __name__ == "__main__":
    answer: dict[str, Any]
    try:
        answer = {"devices": [asdict(device) for _, device in listed()]}
    except MicrophoneUnavailable as refused:
        answer = {"error": str(refused)}
    print(json.dumps(answer), flush=True)
    os._exit(0)  # PortAudio may hang on its way out
