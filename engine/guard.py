"""Decode, doubt, decode again: at most a full window and one more temperature.

Without slack a decoder loops, so what a short window gives is not to be trusted once it trips a
gate, or the model was unsure itself: a full one decides. What trips a gate there too is tried once
at a temperature, and then kept with the reason; but not where nothing is said, for another text
would be invented as well.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from engine.decoding import Decoding, Encoded, Manner, encode
from engine.gates import NO_SPEECH, PHRASE, Decoded, Gates, verdict
from engine.windows import FULL_WINDOW_SECONDS

RETRY_TEMPERATURE = 0.4
HYPOTHESES = 9  # at once: each holds what its window says to every layer, 25 MB of 20 s in `base`


@dataclass(frozen=True, slots=True)
class Take:
    """A window as it was decoded in the end, and why its text is held back, if it is."""

    encoded: Encoded
    decoded: Decoded
    reason: str | None

    def doubtful(self, gates: Gates) -> bool:
        """Tell whether it is held back, or the model was unsure of it."""
        return (
            self.reason is not None
            or self.decoded.mean_log_probability < gates.mean_log_probability
        )


def guarded(
    whisper: Any, decoding: Decoding, windows: Sequence[Encoded], manner: Manner
) -> list[Take]:
    """Decode windows of one length together, and those in doubt again, one by one."""
    texts = searched(decoding, windows, manner)
    takes = [judged(window, text, manner) for window, text in zip(windows, texts, strict=True)]
    return [
        settled(whisper, decoding, take, manner) if take.doubtful(manner.gates) else take
        for take in takes
    ]


def searched(decoding: Decoding, windows: Sequence[Encoded], manner: Manner) -> list[Decoded]:
    """Decode greedily, and with the beam what the model is unsure of.

    Where the likeliest word is clear, a beam finds the same text for three times the work.
    """
    texts = decoding.decode(windows, replace(manner, beam=1))
    unsure = [i for i, text in enumerate(texts) if text.mean_log_probability < manner.unsure]
    if manner.beam > 1 and unsure:
        parts = -(-len(unsure) // max(HYPOTHESES // manner.beam, 1))
        size = -(-len(unsure) // parts)  # 2 and 2 take less than 3 and 1
        found: list[Decoded] = []
        for at in range(0, len(unsure), size):
            found += decoding.decode([windows[i] for i in unsure[at : at + size]], manner)
        for i, text in zip(unsure, found, strict=True):
            if text.mean_log_probability > texts[i].mean_log_probability:
                texts[i] = text
    return texts


def judged(encoded: Encoded, decoded: Decoded, manner: Manner) -> Take:
    """Return a take with the verdict of the gates."""
    return Take(encoded, decoded, verdict(decoded, manner.gates, manner.phrases))


def settled(whisper: Any, decoding: Decoding, take: Take, manner: Manner) -> Take:
    """Return what a window in doubt is in the end; without text if there is no time for that."""
    if manner.quick:
        return replace(take, decoded=replace(take.decoded, tokens=(), text=""), reason=None)
    encoded = take.encoded
    if encoded.window < FULL_WINDOW_SECONDS:
        encoded = encode(whisper, encoded.samples, FULL_WINDOW_SECONDS)
        (decoded,) = decoding.decode([encoded], manner)
        take = judged(encoded, decoded, manner)
        if not take.doubtful(manner.gates):
            return take
    if take.reason in (NO_SPEECH, PHRASE):
        return take
    (decoded,) = decoding.decode([encoded], replace(manner, temperature=RETRY_TEMPERATURE))
    again = judged(encoded, decoded, manner)
    better = take.reason or decoded.mean_log_probability > take.decoded.mean_log_probability
    return again if better and again.reason is None else take
