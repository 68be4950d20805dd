"""The figures of streams on `WS /v1/listen`: delays, losses, broken promises, the machine."""

import os
from dataclasses import dataclass

import numpy as np
from background import Row
from live_client import Take, strays, violations
from live_truth import Speech, Spoken, Truth, ends, lost, wer

ALLOWED_END_S, ALLOWED_SHOWN_S, ALLOWED_FINAL_P50_S = 0.6, (1.2, 2.0), 3.5
ALLOWED_CORES, ALLOWED_WER, ALLOWED_AT_ONCE_S = 0.7, 1.0, 2.5
LONGEST = 3
TOLD = 5


@dataclass(frozen=True, slots=True)
class Corpus:
    """The sound, and what is true of it."""

    spoken: Spoken
    truth: Truth
    speeches: list[Speech]
    uploaded: str


@dataclass(frozen=True, slots=True)
class Run:
    """So many streams at once, and what the machine did meanwhile."""

    takes: list[Take]
    box_cores: float
    client_cores: float
    others_cores: float

    @property
    def late_s(self) -> list[float]:
        """Return how late each chunk was, because of the client."""
        return [late for take in self.takes for late in take.late_s]


def quantiles(some: list[float]) -> str:
    """Return p50, p95 and the most."""
    p50, p95 = np.percentile(some, [50, 95])
    return f"{p50:.2f}, {p95:.2f}, {max(some):.2f} s"


def delay_row(what: str, some: list[float], p50_s: float | None, p95_s: float | None) -> Row:
    """Return a line of delays, with the bars there are."""
    if not some:
        return Row(what, "nothing came", "", False)
    p50, p95 = np.percentile(some, [50, 95])
    bars = {"p50": (p50, p50_s), "p95": (p95, p95_s)}
    barred = {name: pair for name, pair in bars.items() if pair[1] is not None}
    told = ", ".join(f"{name} <= {bar:g} s" for name, (_, bar) in barred.items())
    good = all(value <= bar for value, bar in barred.values()) if barred else None
    return Row(what, quantiles(some), told, good)


def delays(corpus: Corpus, takes: list[Take]) -> dict[str, list[float]]:
    """Return the delays of all words and of all ends of speech, in seconds."""
    found: dict[str, list[float]] = {"first shown": [], "final": [], "end of speech": []}
    for take in takes:
        found["first shown"] += corpus.truth.delays(take, final=False).values()
        found["final"] += corpus.truth.delays(take, final=True).values()
        told = ends(take, corpus.speeches)
        found["end of speech"] += [late for late in told if late is not None]
    return found


def lost_words(done: Run, alone: Take) -> list[int]:
    """Return how many words of one stream alone are missing in each."""
    return [lost(alone.text, take.text) for take in done.takes]


def holds(corpus: Corpus, done: Run, alone: Take) -> bool:
    """Tell whether so many streams are neither late nor lost."""
    late = delays(corpus, done.takes)["end of speech"]
    told = all(None not in ends(take, corpus.speeches) for take in done.takes)
    closed = all(take.close_code == 1000 for take in done.takes)
    in_time = bool(late) and bool(np.percentile(late, 95) <= ALLOWED_AT_ONCE_S)
    return told and closed and in_time and not any(lost_words(done, alone))


def machine_rows(done: Run, barred: bool) -> list[Row]:
    """Return what the processors did."""
    late_p95, late = np.percentile(done.late_s, 95), max(done.late_s)
    bar = f"<= {ALLOWED_CORES:g}" if barred else ""
    good = done.box_cores <= ALLOWED_CORES if barred else None
    load = ", ".join(f"{each:.2f}" for each in os.getloadavg())
    return [
        Row("cores: the box", f"{done.box_cores:.2f}", bar, good),
        Row("  this client, others", f"{done.client_cores:.2f}, {done.others_cores:.2f}"),
        Row("  load of 1, 5 and 15 minutes", load),
        Row("chunks sent late: p95, max", f"{1000 * late_p95:.0f}, {1000 * late:.0f} ms"),
    ]


def broken_rows(takes: list[Take]) -> list[Row]:
    """Return how often the server broke its word, and the first cases."""
    found = [each for take in takes for each in violations(take)]
    first = Row("final text taken back, time with gaps", f"{len(found)}", "none", not found)
    outside, every = sum(len(strays(take)) for take in takes), sum(len(t.results) for t in takes)
    return [
        first,
        *(Row(f"  {each}", "") for each in found[:TOLD]),
        Row("Results with words outside of their time", f"{outside} of {every}"),
    ]


def one_stream(corpus: Corpus, done: Run, endpointing: int, barred: bool) -> list[Row]:
    """Return the figures of a stream that had the box to itself."""
    (take,) = done.takes
    found = delays(corpus, [take])
    told = ends(take, corpus.speeches)
    shown = len(found["first shown"]), len(found["final"]), len(corpus.truth.words)
    wers = wer(corpus.spoken.reference, take.text), wer(corpus.spoken.reference, corpus.uploaded)
    late = sorted(((late, speech.to_s) for late, speech in zip(told, corpus.speeches, strict=True)
                   if late is not None), reverse=True)[:LONGEST]  # fmt: skip
    end_s = round(endpointing / 1000 + ALLOWED_END_S, 3) if barred else None
    shown_s = ALLOWED_SHOWN_S if barred else (None, None)
    interims = sum(not message.final for message in take.results)
    return [
        delay_row("end of speech to speech_final: p50, p95, max", found["end of speech"],
                  None, end_s),
        Row("  latest, at", ", ".join(f"{late:.1f} s at {at:.0f}" for late, at in late)),
        Row("  never told", f"{told.count(None)} of {len(told)}", "none", None not in told),
        delay_row("a word is first shown: p50, p95, max", found["first shown"], *shown_s),
        delay_row("a word is final: p50, p95, max", found["final"],
                  ALLOWED_FINAL_P50_S if barred else None, None),
        Row("  words shown, final, of those of the upload", ", ".join(map(str, shown))),
        Row("interims, finals", f"{interims}, {len(take.finals)}"),
        Row("WER of the finals, of the upload", f"{wers[0]:.2f}, {wers[1]:.2f} %",
            f"{ALLOWED_WER:g} more at most" if barred else "",
            wers[0] - wers[1] <= ALLOWED_WER if barred else None),
        *broken_rows(done.takes),
        *machine_rows(done, barred),
    ]  # fmt: skip


def at_once(corpus: Corpus, done: Run, alone: Take) -> list[Row]:
    """Return the figures of several streams; what one alone made of the sound is the measure."""
    found = delays(corpus, done.takes)
    never = sum(ends(take, corpus.speeches).count(None) for take in done.takes)
    missing = lost_words(done, alone)
    words = len(alone.text.split())
    interims = [sum(not m.final for m in take.results) for take in done.takes]
    return [
        delay_row("end of speech to speech_final: p50, p95, max", found["end of speech"],
                  None, ALLOWED_AT_ONCE_S),
        Row("  never told", f"{never}", "none", never == 0),
        Row("lost, of the words of one stream alone", f"{sum(missing)} of {len(missing)} x {words}",
            "none", not any(missing)),
        delay_row("a word is first shown: p50, p95, max", found["first shown"], None, None),
        delay_row("a word is final: p50, p95, max", found["final"], None, None),
        Row("interims of a stream: least, most", f"{min(interims)}, {max(interims)}"),
        *broken_rows(done.takes),
        *machine_rows(done, False),
    ]  # fmt: skip
