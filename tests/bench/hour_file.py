"""An hour of sound by one `POST /v1/listen` of the vendor's SDKs, with their own timeouts (60 s).

    python tests/bench/hour_file.py [--corpus DIR] [--model base] [--minutes 60]

The same hour is transcribed by the command line before: the SDK must get those words, all of them,
although they come minutes after its timeout. Prints how long each took and how many words differ.
"""

import argparse
import itertools
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import jiwer
import numpy as np
from live_client import plain
from live_truth import joined
from sdk.kit import Kit, node_kit, python_kit
from sdk.listening_box import ListeningBox, listening_box

from engine.audio import SAMPLE_RATE, Samples, write_part

PAUSE_S = 0.8
MOST_CLIPS = 10_000
WITHIN_S = 3600
KITS = (
    ("deepgram-sdk 7.17.0", lambda: python_kit("deepgram-sdk", "7.17.0"), "deepgram_py7.py"),
    ("@deepgram/sdk 5.13.0", lambda: node_kit("@deepgram/sdk", "5.13.0"), "deepgram_js5.cjs"),
)


def written(path: Path, corpus: str, minutes: float) -> Path:
    """Write so many minutes of speech, the clips one after the other and again."""
    spoken = joined(corpus, MOST_CLIPS if corpus else 40, PAUSE_S).samples
    wanted = round(minutes * 60 * SAMPLE_RATE)
    write_part(path, blocks(spoken, wanted))
    return path


def blocks(spoken: Samples, wanted: int) -> itertools.chain[Samples]:
    """Return the sound again and again until there is as much as is wanted."""
    whole, rest = divmod(wanted, len(spoken))
    return itertools.chain(itertools.repeat(spoken, whole), [np.asarray(spoken[:rest])])


def words_of(text: str) -> list[str]:
    """Return the words, without punctuation and capital letters."""
    return [plain(word) for word in text.split() if plain(word)]


def by_command(path: Path, model: str) -> tuple[list[str], float]:
    """Return the words as the command line hears them, and its seconds."""
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "api.cli", "transcribe", "--model", model, "--json", path],
        stdout=subprocess.PIPE, check=True, timeout=WITHIN_S,
    )  # fmt: skip
    (file,) = json.loads(done.stdout)["files"]
    return words_of(file["text"]), time.monotonic() - started


def by_sdk(kit: Kit, script: str, path: Path, box: ListeningBox) -> tuple[list[str], float, float]:
    """Return the words that an SDK gets, the seconds of sound it is told, and its own seconds."""
    started = time.monotonic()
    told = kit.run(script, within_s=WITHIN_S, what="once", sound=str(path), **box.credential)
    (channel,) = told["answer"]["results"]["channels"]
    heard = words_of(channel["alternatives"][0]["transcript"])
    return heard, told["answer"]["metadata"]["duration"], time.monotonic() - started


def main() -> None:
    """Send the hour."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--corpus", default="")
    parser.add_argument("--model", default="base")
    parser.add_argument("--minutes", type=float, default=60)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = written(Path(folder) / "hour.flac", given.corpus, given.minutes)
        words, took_s = by_command(path, given.model)
        print(f"command line: {len(words)} words in {took_s:.0f} s", flush=True)
        with listening_box(Path(folder) / "box", given.model) as box:
            for name, kit, script in KITS:
                heard, audio_s, took_s = by_sdk(kit(), script, path, box)
                differ = jiwer.process_words(" ".join(words), " ".join(heard))
                wrong = differ.substitutions + differ.insertions + differ.deletions
                print(
                    f"{name}: {len(heard)} words of {audio_s:.1f} s of sound in {took_s:.0f} s, "
                    f"{wrong} words differ",
                    flush=True,
                )


if __name__ == "__main__":
    main()
