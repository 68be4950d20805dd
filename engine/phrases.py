"""What a model is known to write where nobody speaks, by model and language.

The lists are our own result: `tests/bench/harvest.py` fed the models noise, silence, hum and music
and counted. People say such things too, so a phrase holds text back only where it is all of it and
the sound speaks for silence as well (`engine.guard`).
"""

import functools
import json
import unicodedata
from pathlib import Path

PATH = Path(__file__).resolve().parent / "phrases.json"


@functools.cache
def phrases(model_name: str, language: str) -> frozenset[str]:
    """Return the phrases of a model in a language; none for a model that was never harvested."""
    listed = json.loads(PATH.read_text(encoding="utf-8"))
    return frozenset(listed.get(model_name, {}).get(language, ()))


def spelling(text: str) -> str:
    """Return a text without case and punctuation, its words one space apart, to be compared."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    kept = "".join(c if c.isalnum() or c == "'" else " " for c in folded)
    return " ".join(kept.split())
