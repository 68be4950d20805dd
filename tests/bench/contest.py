"""Our engine against the public one: speed, words, memory, noise, word times, waiting.

    make bench CORPUS=DIR
    python tests/bench/contest.py [CORPUS] [--quick] [--repeats N] [--model NAME ...] [--part P ...]

The engines run alternately on the same model and threads, each in a process of its own. Prints
each table as it is done and writes them to tests/bench/RESULTS.md. Without a corpus: the project's
own fixtures and noises. `--quick`: everything once, without the slowest engine's extras.
"""

import argparse
import difflib
import sys
import tempfile
from pathlib import Path
from statistics import median

import numpy as np
import results
import scoring
from callers import waits
from contenders import Contender, contenders
from material import SHORT_S, Material

from engine.audio import SAMPLE_RATE

VARIANTS = ("ours-1x2", "ours-2x1", "ours-2x2")  # run once, not each time
ONCE = (*VARIANTS, "beam1")  # of whole files, where no bar is set against it
FILE_WAYS = ("ours", *VARIANTS, "batched", "beam1", "default")
SNRS_DB = (10, 5)
CALLERS = (1, 2, 4, 8)
PARTS = ("files", "utterances", "silence", "noise", "times", "callers")
SLOWER_ONLY = ("times", "callers")  # of the first model, unless asked for


def at_turn(
    engines: list[Contender], repeat: int, once: tuple[str, ...] = VARIANTS
) -> list[Contender]:
    """Return who runs: everybody the first time, then those that are compared."""
    return [engine for engine in engines if repeat == 0 or engine.way not in once]


def files(engines: list[Contender], material: Material, repeats: int) -> results.Table:
    """Everything joined to one file."""
    path, seconds = material.joined()
    told: dict[str, list[dict[str, float]]] = {each.way: [] for each in engines}
    texts = {}
    for repeat in range(repeats):
        for engine in at_turn(engines, repeat, ONCE):
            answer = engine.ask(do="file", path=path, language="en")
            texts[engine.way] = answer["text"]
            told[engine.way].append(answer)
            results.say(f"file {repeat + 1}/{repeats} {engine.way}: {answer['wall']:.1f} s")
    errors = {way: scoring.errors_in_whole(material.references, t) for way, t in texts.items()}
    table = results.Table(
        f"All English clips as one file of {seconds:.0f} s; medians of {repeats} "
        f"({', '.join(ONCE)}: once)",
        ("engine", "real-time factor", "its spread", "CPU s per s", "WER %",
         "our WER less this (95 %)", "peak MiB", "time: ours / this", "CPU: ours / this"),
    )  # fmt: skip
    ours = {key: median(a[key] for a in told["ours"]) for key in ("wall", "cpu")}
    for engine in engines:
        walls = [answer["wall"] / seconds for answer in told[engine.way]]
        cpu = median(answer["cpu"] for answer in told[engine.way])
        ratio = ours["wall"] / seconds / median(walls)
        table.add(
            engine.way, f"{median(walls):.4f}", f"{min(walls):.4f} to {max(walls):.4f}",
            f"{cpu / seconds:.4f}", f"{scoring.rate(errors[engine.way], material.words):.2f}",
            scoring.difference(errors["ours"], errors[engine.way], material.words),
            f"{engine.peak_mib:.0f}", f"{ratio:.2f} ({1 / ratio:.2f} x)",
            f"{ours['cpu'] / cpu:.2f} ({cpu / ours['cpu']:.2f} x)",
        )  # fmt: skip
    return table


def utterances(engines: list[Contender], material: Material, repeats: int) -> results.Table:
    """Single utterances: how soon the text is there."""
    chosen = material.short()
    paths = [material.written(f"clip-{i}", material.sounds[i]) for i in chosen]
    references, words = [material.references[i] for i in chosen], material.words[chosen]
    took: dict[str, list[list[float]]] = {each.way: [] for each in engines}
    errors = {}
    for repeat in range(repeats):
        for engine in at_turn(engines, repeat):
            answers = engine.ask(do="utterances", paths=paths, language="en")
            took[engine.way].append([1000 * answer["wall"] for answer in answers])
            errors[engine.way] = scoring.errors_by_clip(references, [a["text"] for a in answers])
            results.say(f"utterances {repeat + 1}/{repeats} {engine.way}")
    table = results.Table(
        f"{len(chosen)} single utterances up to {SHORT_S:.0f} s, from their end to the text; "
        f"medians of {repeats}",
        ("engine", "p50 ms", "p95 ms", "WER %", "our WER less this (95 %)", "p50: ours / this"),
    )
    figures = {way: [np.percentile(each, [50, 95]) for each in runs] for way, runs in took.items()}
    for engine in engines:
        p50, p95 = np.median(figures[engine.way], axis=0)
        mine = np.median(figures["ours"], axis=0)[0]
        table.add(
            engine.way, f"{p50:.0f}", f"{p95:.0f}",
            f"{scoring.rate(errors[engine.way], words):.2f}",
            scoring.difference(errors["ours"], errors[engine.way], words), f"{mine / p50:.2f}",
        )  # fmt: skip
    return table


def times(engines: list[Contender], material: Material) -> results.Table:
    """Word times against those of the public engine in its full window."""
    paths = [str(material.clips[i].path) for i in material.short()]
    mine, other = (engine.ask(do="times", paths=paths, language="en") for engine in engines)
    apart = []
    for ours, theirs in zip(mine, other, strict=True):
        spoken = [
            [" ".join(scoring.words_of(word[0])) for word in words] for words in (ours, theirs)
        ]
        same = difflib.SequenceMatcher(None, *spoken, autojunk=False).get_matching_blocks()
        for block in same:
            for i in range(block.size):
                a, b = ours[block.a + i], theirs[block.b + i]
                apart += [1000 * abs(a[1] - b[1]), 1000 * abs(a[2] - b[2])]
    table = results.Table("Word times, against the public engine's (beam 1, full window)",
                          ("boundaries", "median ms", "p95 ms"))  # fmt: skip
    table.add(len(apart), f"{median(apart):.0f}", f"{np.percentile(apart, 95):.0f}")
    return table


def noise(engines: list[Contender], material: Material) -> results.Table:
    """Clips mixed with noise: silence on noise must not cost speech."""
    table = results.Table("Clips with noise, the public engine without VAD",
                          ("SNR dB", "engine", "WER %", "our WER less this (95 %)"))  # fmt: skip
    for snr_db in SNRS_DB:
        paths = material.mixed(snr_db)
        errors = {}
        for engine in engines:
            answers = engine.ask(do="files", paths=paths, language="en")
            texts = [answer["text"] for answer in answers]
            errors[engine.way] = scoring.errors_by_clip(material.references, texts)
            results.say(f"noise {snr_db} dB {engine.way}")
        for way, counted in errors.items():
            shown = scoring.difference(errors["ours"], counted, material.words)
            table.add(snr_db, way, f"{scoring.rate(counted, material.words):.2f}", shown)
    return table


def silence(engines: list[Contender], material: Material) -> results.Table:
    """Noise, music and near-silence: nothing may be written."""
    paths = [material.written(f"quiet-{i}", each) for i, each in enumerate(material.quiet)]
    seconds = sum(map(len, material.quiet)) / SAMPLE_RATE
    table = results.Table(f"{len(paths)} sounds of {seconds:.0f} s in which nobody speaks",
                          ("engine", "words", "in so many", "held back", "reasons"))  # fmt: skip
    for engine in engines:
        answers = engine.ask(do="files", paths=paths, language="en")
        counts = [len(answer["text"].split()) for answer in answers]
        held = [each for answer in answers for each in answer.get("suppressed", [])]
        reasons = sorted({each.partition(": ")[0] for each in held})
        words = sum(len(each.partition(": ")[2].split()) for each in held)
        table.add(engine.way, sum(counts), sum(map(bool, counts)), words, ", ".join(reasons))
        results.say(f"silence {engine.way}")
    return table


def callers(material: Material, model: str, shelf: Path, quick: bool) -> results.Table:
    """How long live utterances wait beside others, and beside two long files."""
    path, _ = material.joined()
    sounds = [material.sounds[i] for i in material.short()]
    heads = ("callers at once", "long files beside", "utterances", "p50 ms", "p95 ms")
    table = results.Table("A live utterance, from its end to its text", heads)
    for count, beside in [*((n, 0) for n in CALLERS), (1, 2)]:
        took = waits(model, shelf, sounds, count, [path] * beside, 5 if quick else 12)
        p50, p95 = np.percentile(took, [50, 95])
        table.add(count, beside, len(took), f"{1000 * p50:.0f}", f"{1000 * p95:.0f}")
        results.say(f"{count} callers, {beside} files: p95 {1000 * p95:.0f} ms")
    return table


def contest(
    model: str, material: Material, parts: list[str], repeats: int, quick: bool, shelf: Path
) -> list[results.Table]:
    """Run the parts for one model; one that breaks is told and does not stop the rest."""

    def run(part: str) -> results.Table:
        if part == "callers":
            return callers(material, model, shelf, quick)
        ways = {
            "files": FILE_WAYS, "utterances": ("ours", *VARIANTS, "beam1"),
            "times": ("ours", "beam1"), "noise": ("ours", "beam1"),
        }.get(part, ("ours", "beam1"))  # fmt: skip
        with contenders(ways, model, shelf) as engines:
            if part == "files":
                return files(engines, material, repeats)
            if part == "utterances":
                return utterances(engines, material, repeats)
            return {"times": times, "noise": noise, "silence": silence}[part](engines, material)

    tables = []
    for part in parts:
        try:
            table = run(part)
        except (RuntimeError, ValueError, OSError) as error:
            table = results.Table(f"{part}: failed", ("error",))
            table.add(f"{type(error).__name__}: {error}")
        table.title = f"{model}: {table.title}"
        results.say("\n" + table.text() + "\n")
        tables.append(table)
    return tables


def main() -> None:
    """Run the contest and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("corpus", nargs="?", default="")
    parser.add_argument("--quick", action="store_true", help="everything once")
    parser.add_argument("--repeats", type=int, default=5, help="alternating runs (default 5)")
    parser.add_argument("--model", action="append", help="default: base and tiny.en")
    parser.add_argument("--part", action="append", choices=PARTS, help="default: all")
    parser.add_argument("--out", type=Path, default=results.PATH)
    given = parser.parse_args()
    repeats = 1 if given.quick else given.repeats
    tables = []
    with tempfile.TemporaryDirectory() as scratch:
        material = Material(given.corpus, Path(scratch))
        shelf = Path(scratch) / "models"
        for number, model in enumerate(given.model or ["base", "tiny.en"]):
            parts = given.part or [p for p in PARTS if number == 0 or p not in SLOWER_ONLY]
            tables += contest(model, material, parts, repeats, given.quick, shelf)
            results.write(tables, given.out)
    results.say(f"written to {given.out}")


if __name__ == "__main__":
    sys.exit(main())
