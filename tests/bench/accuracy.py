"""Word error rate by kind of clip, through the command line as a user has it.

    python tests/bench/accuracy.py CORPUS [MODEL ...]

Corpus-level WER (all errors over all words) after Whisper's own text normaliser; where nothing is
said, the words that came out. LJ Speech clips are counted apart, as the issue's bar names them.
"""

import json
import subprocess
import sys
from collections import defaultdict

import corpus
import jiwer
from whisper_normalizer.basic import BasicTextNormalizer
from whisper_normalizer.english import EnglishTextNormalizer

NORMALISE = {"en": EnglishTextNormalizer()}
OTHER = BasicTextNormalizer()


def transcripts(
    clips: list[corpus.Clip], model: str, language: str
) -> dict[str, dict[str, object]]:
    """Return what `scribebox transcribe --json` gives for each path."""
    command = [sys.executable, "-m", "api.cli", "transcribe", "--json", "--model", model]
    command += ["--language", language] if language != "-" else []
    done = subprocess.run(
        [*command, *(str(clip.path) for clip in clips)], capture_output=True, text=True, check=False
    )
    sys.stderr.write(done.stderr)
    return {entry["path"]: entry for entry in json.loads(done.stdout)["files"]}


def main() -> None:
    """Print one line for each model and kind."""
    clips = corpus.read(sys.argv[1] if len(sys.argv) > 1 else "")
    for model in sys.argv[2:] or ["base", "tiny.en"]:
        groups = defaultdict(list)
        for clip in clips:
            if clip.language not in ("en", "-") and model.endswith(".en"):
                continue
            kind = "LJ" if clip.name.startswith("lj") else clip.kind
            groups[(kind, clip.language)].append(clip)
        for (kind, language), group in groups.items():
            said = transcripts(group, model, language)
            normalise = NORMALISE.get(language, OTHER)
            texts = [str(said[str(clip.path)]["text"]) for clip in group]
            audio_s = sum(float(str(said[str(c.path)]["durationSeconds"])) for c in group)
            spent_s = sum(float(str(said[str(c.path)]["elapsedSeconds"])) for c in group)
            scored = [(c, t) for c, t in zip(group, texts, strict=True) if c.reference]
            if scored:
                result = jiwer.process_words(
                    [normalise(clip.reference) for clip, _ in scored],
                    [normalise(text) for _, text in scored],
                )
                errors = result.substitutions + result.deletions + result.insertions
                words = result.hits + result.substitutions + result.deletions
                figure = f"WER {100 * errors / words:5.2f} % ({errors} of {words} words)"
            else:
                figure = f"{sum(len(text.split()) for text in texts)} words where nothing is said"
            speed = f"real-time factor {spent_s / audio_s:.3f}"
            print(f"{model:8} {kind:22} {language:3} {len(group):3} clips  {figure}, {speed}")


if __name__ == "__main__":
    main()
