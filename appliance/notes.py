"""From what the engine heard to what people read: the note and its title."""

import re
from collections.abc import Sequence

from engine.cues import PAUSE_MS
from engine.transcript import Segment

TITLE_LENGTH = 60
SENTENCE = re.compile(r"(.+?[.?!。？！])(?:\s|$)", re.DOTALL)  # noqa: RUF001
MIN_TITLE_WORDS = 3


def note(spoken: Sequence[Segment]) -> str:
    """Return the text in paragraphs, a new one after each long pause."""
    paragraphs: list[list[str]] = []
    last_end_ms = None
    for segment in spoken:
        if last_end_ms is None or segment.start_ms - last_end_ms >= PAUSE_MS:
            paragraphs.append([])
        paragraphs[-1].append(segment.text)
        last_end_ms = segment.end_ms
    return "\n\n".join(" ".join(texts) for texts in paragraphs)


def title(text: str) -> str:
    """Return the first sentence that says something, cut at a word if it is long; "" of nothing."""
    line = " ".join(text.split())
    sentences: list[str] = SENTENCE.findall(line) or [line]
    chosen = next((s for s in sentences if len(s.split()) >= MIN_TITLE_WORDS), sentences[0])
    chosen = chosen.strip().rstrip(".。")
    if len(chosen) <= TITLE_LENGTH:
        return chosen
    head = chosen[: TITLE_LENGTH - 1]
    cut = head.rfind(" ")
    return (head[:cut] if cut > 0 else head).rstrip(",;:") + "…"
