"""What a model writes where nobody speaks: the phrases of engine/phrases.json, model by model.

    python tests/bench/harvest.py [--model NAME ...] [--language CODE ...] [--rounds N]

Every kind of noise, silence, hum and music that `sounds` makes goes through the model, without
VAD and with every gate open, in windows of two lengths. What it writes more than once is listed;
what people answer with in one word is left out, for there the list would cost speech.
"""

import argparse
import json
import sys
import tempfile
from collections import Counter
from pathlib import Path

import sounds

from engine.gates import Gates
from engine.models import Shelf
from engine.phrases import PATH, spelling
from engine.whisper import Request, Whisper

SECONDS = (4, 12)
LANGUAGES = ("en", "de", "es", "fr", "it", "nl", "pt", "pl")
AT_LEAST = 2
MOST_WORDS = 12
OPEN = Gates(no_speech_probability=None, mean_log_probability=-99, compression_ratio=None,
             repeated_share=None)  # fmt: skip
ANSWERS = set()
for line in (
    "yeah yes yep no nope okay ok right sure well so hi hello hey bye oh ah um uh hm mhm",
    "ja nein gut hallo also si sí no bien hola adiós oui non bon ça va bene ciao nee goed hoi",
    "sim não tak nie dobrze",
):
    ANSWERS |= set(line.split())


def harvest(whisper: Whisper, language: str, rounds: int) -> Counter[str]:
    """Return what was written, as it is compared, and how often."""
    found: Counter[str] = Counter()
    request = Request(language, word_times=False, gates=OPEN)
    for seed in range(rounds):
        for seconds in SECONDS:
            batch = [sound for _, sound in sounds.without_speech(seconds, seed)]
            for heard in whisper.transcribe_all(batch, request):
                text = spelling(" ".join(segment.text for segment in heard.segments))
                found[text] += bool(text)
    return +found


def listed(found: Counter[str]) -> list[str]:
    """Return the phrases worth listing, those written most often first."""
    return [
        text
        for text, count in found.most_common()
        if count >= AT_LEAST
        and len(text.split()) <= MOST_WORDS
        and not set(text.split()) <= ANSWERS
    ]


def main() -> None:
    """Harvest and write the file anew for what was asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", action="append")
    parser.add_argument("--language", action="append")
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    phrases = json.loads(PATH.read_text(encoding="utf-8")) if PATH.exists() else {}
    with tempfile.TemporaryDirectory() as folder:
        for name in given.model or ["base", "tiny.en"]:
            whisper = Whisper(Shelf(Path(folder)).find(name))
            for language in given.language or LANGUAGES:
                if language not in whisper.languages:
                    continue
                found = harvest(whisper, language, given.rounds)
                phrases.setdefault(name, {})[language] = listed(found)
                sys.stdout.write(f"{name} {language}: {found.most_common(12)}\n")
                sys.stdout.flush()
                text = json.dumps(phrases, ensure_ascii=False, indent=1, sort_keys=True)
                PATH.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
