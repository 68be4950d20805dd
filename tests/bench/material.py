"""The sound of a contest: clips with references, noises without, and what is made of them."""

from pathlib import Path

import corpus
import numpy as np
import scoring
import sounds

from engine.audio import SAMPLE_RATE, Samples, read, write_flac

PAUSE_S = 1.0
SHORT_S = 12.0
NOISE_SEED = 20
SPEECHLESS = ("noise", "music", "near-silence")


class Material:
    """Everything that is played to the engines; files are written to `scratch`."""

    def __init__(self, folder: str, scratch: Path) -> None:
        clips = corpus.read(folder)
        self.clips = [clip for clip in clips if clip.language == "en" and clip.reference]
        self.sounds = [read(clip.path) for clip in self.clips]
        self.references = [clip.reference for clip in self.clips]
        self.words = scoring.word_counts(self.references)
        self.scratch = scratch
        made = list(sounds.without_speech(10, NOISE_SEED))
        speechless = [clip for clip in clips if clip.kind in SPEECHLESS]
        self.quiet = [read(clip.path) for clip in speechless] or [each for _, each in made]
        self.noises = [read(clip.path) for clip in speechless if clip.kind == "noise"] or [
            samples for name, samples in made if not name.startswith("silence")
        ]

    def written(self, name: str, samples: Samples) -> str:
        """Write samples as a file; return its path."""
        path = self.scratch / f"{name}.flac"
        write_flac(path, [samples])
        return str(path)

    def joined(self) -> tuple[str, float]:
        """Return all clips as one file with pauses between them, and its seconds."""
        pause = np.zeros(round(PAUSE_S * SAMPLE_RATE), np.int16)
        whole = np.concatenate([part for sound in self.sounds for part in (sound, pause)])
        return self.written("joined", whole), len(whole) / SAMPLE_RATE

    def short(self) -> list[int]:
        """Return which clips are single utterances."""
        return [i for i, s in enumerate(self.sounds) if len(s) <= SHORT_S * SAMPLE_RATE]

    def mixed(self, snr_db: int) -> list[str]:
        """Return the clips with a noise each, so many dB below the speech."""
        paths = []
        for i, sound in enumerate(self.sounds):
            noise = np.resize(self.noises[i % len(self.noises)], len(sound)).astype(np.float64)
            speech = sound.astype(np.float64)
            gain = np.sqrt(np.mean(speech**2) / max(np.mean(noise**2), 1) / 10 ** (snr_db / 10))
            both = (speech + gain * noise).clip(-32768, 32767).astype(np.int16)
            paths.append(self.written(f"mixed-{snr_db}-{i}", both))
        return paths
