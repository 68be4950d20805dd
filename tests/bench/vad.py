"""What the segmenter passes on: how much speech it misses, how much else comes with it.

    python tests/bench/vad.py CORPUS

CORPUS is a folder with manifest.json, audio/ and an RTTM file of its meetings. The figures are of
frames of 10 ms that lie in no utterance though somebody speaks (missed, of those with speech), and
in one though nobody does (passed, of those without). Frames within COLLAR_S of an edge of the
reference don't count. Ends with 1 if the pool misses a bar with webrtcvad and Silero together.

What is speech: in a meeting, what the RTTM says, as it is. In a clip of noise or music, nothing. In
a clip of somebody who speaks, where its sound is loud (see `loud`): no detector has a part in that.
Such clips are joined, all equally loud, with PAUSE_S between them, one stream for each clip of
noise, which goes on underneath, SNR_DB below the speech. PAUSE_S is longer than the silence that
ends an utterance: a shorter pause is passed on by intent. The pool is the meetings, noise, music
and speech in noise; "speech" is the same streams without the noise, "quiet meeting" the meetings
20 dB lower.
"""

import sys
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import corpus
import numpy as np
import numpy.typing as npt

from engine.audio import SAMPLE_RATE, Samples, read
from engine.detector import Detector, WebRtc
from engine.segmenter import DICTATION, MEETING, Profile, Segmenter
from engine.vad import CHUNK_SAMPLES, Probabilities, Silero

Frames = npt.NDArray[np.bool_]
FRAME = SAMPLE_RATE // 100
COLLAR_S, PAUSE_S, SNR_DB = 0.25, 2.0, 10
MISSED_BAR, PASSED_BAR = 3.0, 5.0  # per cent
LEVEL = 0.05 * 32768  # of speech: -26 dBFS
POOL = ("meeting", "noise", "music", "speech in noise")

WAYS: dict[str, Callable[[Samples, Profile], Probabilities]] = {
    "both together": lambda samples, profile: Detector(profile.onset).probabilities(samples),
    "webrtcvad alone": lambda samples, _: WebRtc(gain=1).voiced(samples).astype(np.float32),
    "Silero alone": lambda samples, _: Silero().probabilities(samples),
}


@dataclass(frozen=True, slots=True)
class Take:
    """A stream of whole chunks, and which of its frames are speech."""

    kind: str
    samples: Samples
    speech: Frames


def take(kind: str, samples: Samples, speech: Frames) -> Take:
    """Return a take without what is left over of a chunk."""
    samples = samples[: len(samples) // CHUNK_SAMPLES * CHUNK_SAMPLES]
    return Take(kind, samples, speech[: len(samples) // FRAME])


def nothing(samples: Samples) -> Frames:
    """Return that no frame is speech."""
    return np.zeros(len(samples) // FRAME, np.bool_)


def runs(frames: Frames) -> list[tuple[int, int]]:
    """Return start and end of each run of true ones."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], frames.astype(np.int8), [0]])))
    return [(int(start), int(end)) for start, end in edges.reshape(-1, 2)]


def loud(samples: Samples) -> Frames:
    """Return where a clean clip of speech is loud, which is where somebody speaks.

    That is within 30 dB of its loudest frames (95th percentile) and 10 dB above its quietest (5th,
    but at most 22 dB below the loudest), smoothed over 30 ms. Less than 60 ms of it is a click,
    less than 200 ms without it a stop consonant.
    """
    frames = samples[: len(samples) // FRAME * FRAME].astype(np.float64).reshape(-1, FRAME)
    power = np.convolve((frames**2).mean(axis=1), np.ones(3) / 3, "same")
    level = 10 * np.log10(power + 1e-3)
    quiet, top = np.percentile(level, [5, 95])
    found: Frames = level > max(top - 30, min(quiet + 10, top - 12))
    for start, end in runs(~found):
        if end - start < 20 and start > 0 and end < len(found):
            found[start:end] = True
    for start, end in runs(found):
        if end - start < 6:
            found[start:end] = False
    return found


def spoken(rttm: Path, name: str, samples: Samples) -> Frames:
    """Return where an RTTM file has somebody speak."""
    speech = nothing(samples)
    for line in rttm.read_text(encoding="utf-8").splitlines():
        _, recording, _, start, seconds, *_ = line.split()
        if recording == name:
            speech[round(float(start) * 100) : round((float(start) + float(seconds)) * 100)] = True
    return speech


def in_noise(clips: list[Samples], noise: Samples | None) -> tuple[Samples, Frames]:
    """Return clips joined, over noise, and which frames are speech."""
    pause = np.zeros(round(PAUSE_S * SAMPLE_RATE))
    parts, speech = [pause], [nothing(pause)]
    for clip in clips:
        said = loud(clip)
        sound = clip[: len(said) * FRAME].astype(np.float64)
        sound *= LEVEL / np.sqrt((sound[np.repeat(said, FRAME)] ** 2).mean())
        parts += [sound, pause]
        speech += [said, nothing(pause)]
    joined = np.concatenate(parts)
    if noise is not None:
        under = np.resize(noise.astype(np.float64), len(joined))
        joined += under * LEVEL / 10 ** (SNR_DB / 20) / np.sqrt((under**2).mean())
    return np.rint(joined).clip(-32768, 32767).astype(np.int16), np.concatenate(speech)


def takes_of(folder: str) -> list[Take]:
    """Return the streams that a corpus makes."""
    clips = corpus.read(folder)
    (rttm,) = Path(folder).glob("*.rttm")
    met = {line.split()[1] for line in rttm.read_text(encoding="utf-8").splitlines()}
    takes = []
    for clip in clips:
        samples = read(clip.path)
        if clip.name in met:
            speech = spoken(rttm, clip.name, samples)
            takes.append(take("meeting", samples, speech))
            takes.append(take("quiet meeting", np.rint(samples / 10).astype(np.int16), speech))
        elif not clip.reference:
            takes.append(take(clip.kind, samples, nothing(samples)))
    talks = [read(clip.path) for clip in clips if clip.reference and clip.name not in met]
    noises = [read(clip.path) for clip in clips if clip.kind == "noise"]
    for i, noise in enumerate(noises):
        takes.append(take("speech in noise", *in_noise(talks[i :: len(noises)], noise)))
        takes.append(take("speech", *in_noise(talks[i :: len(noises)], None)))
    return takes


def counted(speech: Frames) -> Frames:
    """Return which frames are not within the collar of an edge."""
    collar, counts = round(COLLAR_S * 100), np.ones(len(speech), np.bool_)
    for edge in np.flatnonzero(np.diff(speech)) + 1:
        counts[max(edge - collar, 0) : edge + collar] = False
    return counts


def passed_on(one: Take, profile: Profile, probabilities: Probabilities) -> Frames:
    """Return which frames are in an utterance."""
    segmenter, passed = Segmenter(profile), nothing(one.samples)
    for utterance in segmenter.push(one.samples, probabilities) + segmenter.flush():
        passed[utterance.start_sample // FRAME : -(-utterance.end_sample // FRAME)] = True
    return passed


def measured(takes: list[Take], profile: Profile, way: str) -> dict[str, npt.NDArray[np.int64]]:
    """Return frames by kind: speech, missed of it, other, passed of it."""
    totals: dict[str, npt.NDArray[np.int64]] = defaultdict(lambda: np.zeros(4, np.int64))
    for one in takes:
        passed = passed_on(one, profile, WAYS[way](one.samples, profile))
        counts = counted(one.speech)
        speech, other = one.speech & counts, ~one.speech & counts
        figures = [speech, speech & ~passed, other, other & passed]
        for kind in [one.kind, *(["the pool"] if one.kind in POOL else [])]:
            totals[kind] += [int(frames.sum()) for frames in figures]
    return totals


def report(takes: list[Take], name: str, profile: Profile) -> bool:
    """Print the table of a profile; tell whether the bars are met."""
    totals = {way: measured(takes, profile, way) for way in WAYS}
    ours = totals["both together"]
    print(f"{name:16}{'speech  other':>16}" + "".join(f"{way:>18}" for way in WAYS))
    print(f"{'':16}{'s      s':>16}" + f"{'missed  passed %':>18}" * len(WAYS))
    rest = [kind for kind in ours if kind not in (*POOL, "the pool")]
    for kind in [*POOL, "the pool", *rest]:
        row = f"{kind:16}{ours[kind][0] / 100:9.0f}{ours[kind][2] / 100:7.0f}"
        for way in WAYS:
            speech, missed, other, passed = totals[way][kind]
            share = f"{100 * missed / speech:8.2f}" if speech else " " * 8
            row += f"  {share}{100 * passed / other:8.2f}"
        print(row)
    speech, missed, other, passed = ours["the pool"]
    return bool(100 * missed / speech <= MISSED_BAR and 100 * passed / other <= PASSED_BAR)


def main() -> int:
    """Make the streams, print the tables."""
    if len(sys.argv) != 2:
        sys.exit("give the corpus: python tests/bench/vad.py CORPUS")
    takes = takes_of(sys.argv[1])
    good = [
        report(takes, name, profile)
        for name, profile in (("MEETING", MEETING), ("DICTATION", DICTATION))
    ]
    print(f"bars: missed {MISSED_BAR:g} %, passed {PASSED_BAR:g} %; met: {all(good)}")
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
