"""Read a corpus of speech: a folder with `manifest.json` and `audio/`, or our own fixtures."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path

FIXTURES = Path(__file__).resolve().parent.parent / "speech"


@dataclass(frozen=True, slots=True)
class Clip:
    """One file and what is said in it ("" where nothing is)."""

    name: str
    path: Path
    kind: str
    language: str
    reference: str


def read(folder: str) -> list[Clip]:
    """Return the clips of a corpus; without one, those of the project."""
    if not folder:
        sys.stderr.write("no CORPUS=DIR given: the project's own fixtures\n")
        found = []
        for path in sorted(FIXTURES.glob("*.json")):
            truth = json.loads(path.read_text(encoding="utf-8"))
            audio = path.with_suffix(".flac")
            found.append(Clip(path.stem, audio, "fixture", truth["language"], truth["text"]))
        return found
    root = Path(folder)
    entries = json.loads((root / "manifest.json").read_text(encoding="utf-8"))
    return [
        Clip(e["id"], root / "audio" / e["file"], e["kind"], e["lang"], e["ref"]) for e in entries
    ]
