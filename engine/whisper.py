"""Speech to text: one loaded Whisper model, fed with windows of at most 30 s.

This is the only module that knows faster-whisper and CTranslate2. Every window is decoded once,
without timestamps; what trips a gate is decoded once more at a temperature; what
trips it again is kept as suppressed text with its reason. Word times come from the attention of
the decoder (`align`). Not for several threads at once: `engine.worker` owns it.
"""

import os
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from engine.audio import SAMPLE_RATE, Samples
from engine.errors import LanguageUnsupported, ModelUnavailable
from engine.gates import Decoded, Gates, verdict
from engine.models import Model
from engine.sentences import RawWord, segments_of, without_lead
from engine.transcript import Segment, Word

FULL_WINDOW_SECONDS = 30
WINDOWS_SECONDS = (10, 15, 20)  # that cost less to encode: 0.15 s for 10 s, where 30 s cost 0.7
SLACK_SECONDS = 2
MAX_TOKENS = 448  # the decoder's context, prompt included
RETRY_TEMPERATURE = 0.4
LONGEST_WORD_MS = 2000


@dataclass(frozen=True, slots=True)
class Hardware:
    """What a model runs on. Zero threads means: one for each core, four at most."""

    device: str = "auto"  # "cpu", "cuda" or whichever there is
    threads: int = 0

    def resolved(self) -> "Hardware":
        """Return the same with nothing left open."""
        device = self.device
        if device == "auto":
            device = "cuda" if cuda_devices() else "cpu"
        cores = len(os.sched_getaffinity(0))
        return Hardware(device, self.threads or min(cores, 4))


def cuda_devices() -> int:
    """Return how many GPUs CTranslate2 can use."""
    import ctranslate2

    return int(ctranslate2.get_cuda_device_count())


@dataclass(frozen=True, slots=True)
class Request:
    """What the caller wants of a window."""

    language: str | None = None  # ISO 639-1; None: detect
    among: tuple[str, ...] = ()  # languages to choose from when detecting; none: all
    hotwords: tuple[str, ...] = ()
    word_times: bool = True
    short_window: bool = False  # encode no more than is needed: quicker, for those who wait
    quick: bool = False  # greedy, and what is doubtful is left out: more comes in a moment
    translate: bool = False  # to English, whatever is spoken; not every model can
    gates: Gates = field(default_factory=Gates)


@dataclass(frozen=True, slots=True)
class Heard:
    """What one window gave: segments on the clock of that window, and its language."""

    segments: tuple[Segment, ...]
    language: str


class Whisper:
    """A loaded model."""

    def __init__(self, model: Model, hardware: Hardware | None = None) -> None:
        from faster_whisper import WhisperModel

        model.verify()
        self.model = model
        self.hardware = (hardware or Hardware()).resolved()
        on_gpu = self.hardware.device == "cuda"
        try:
            self._whisper = WhisperModel(
                str(model.folder),
                device=self.hardware.device,
                compute_type="float16" if on_gpu else "int8",
                cpu_threads=self.hardware.threads,
                local_files_only=True,
            )
        except (RuntimeError, ValueError) as error:
            raise ModelUnavailable(f"model '{model.name}' can't be loaded: {error}") from error

    @property
    def languages(self) -> tuple[str, ...]:
        """Return the ISO 639-1 codes the model knows."""
        return ("en",) if self.model.english_only else tuple(self._whisper.supported_languages)

    def check_language(self, language: str | None) -> None:
        """Raise unless the model knows the language (None: to be detected)."""
        check_language(self.model, language)
        if language is not None and language not in self.languages:
            raise LanguageUnsupported(
                f"language '{language}': Whisper does not know it; known: "
                + ", ".join(sorted(self.languages))
            )

    def tokens(self, text: str) -> list[int]:
        """Return the numbers by which the model writes a text; for any thread."""
        ids: list[int] = self._whisper.hf_tokenizer.encode(text, add_special_tokens=False).ids
        return ids

    def transcribe(self, samples: Samples, request: Request | None = None) -> Heard:
        """Transcribe one window of speech, at most FULL_WINDOW_SECONDS long."""
        request = request or Request()
        if request.translate:
            check_translation(self.model)
        seconds = len(samples) / SAMPLE_RATE
        if seconds > FULL_WINDOW_SECONDS:
            raise ValueError(f"a window has at most {FULL_WINDOW_SECONDS} s, not {seconds:.1f} s")
        known = request.language is not None or self.model.english_only
        window = window_of(seconds)
        if request.short_window and known and window < FULL_WINDOW_SECONDS:
            heard = self._listen(samples, request, window)
            if heard is not None:
                return heard
        heard = self._listen(samples, request, FULL_WINDOW_SECONDS)
        assert heard is not None
        return heard

    def _listen(self, samples: Samples, request: Request, window: int) -> Heard | None:
        """Transcribe in a window of so many seconds; None if a short one is not to be trusted."""
        seconds = len(samples) / SAMPLE_RATE
        encoded, frames = self._encode(samples, window)
        language = request.language or self._detect(encoded, request.among)
        tokenizer = self._tokenizer(language, "translate" if request.translate else "transcribe")
        prompt = self._prompt(tokenizer, request.hotwords)
        beam = 1 if request.quick else beam_size(self.model.name)
        decoded = self._decode(
            tokenizer, prompt, encoded, request.gates, seconds, language, 0.0, beam
        )
        reason = verdict(decoded, request.gates)
        doubtful = reason is not None or (
            decoded.mean_log_probability < request.gates.mean_log_probability
        )
        if doubtful and request.quick:
            return Heard((), language)
        if doubtful and window < FULL_WINDOW_SECONDS:
            return None  # without slack a decoder loops: the full window decides
        if doubtful:
            again = self._decode(
                tokenizer, prompt, encoded, request.gates, seconds, language,
                RETRY_TEMPERATURE, beam,
            )  # fmt: skip
            reason_again = verdict(again, request.gates)
            if reason_again is None and (
                reason is not None or again.mean_log_probability > decoded.mean_log_probability
            ):
                decoded, reason = again, None
        if not decoded.text:
            return Heard((), language)
        raw: list[RawWord] = []
        if request.word_times:
            raw = self._words(tokenizer, decoded.tokens, encoded, frames, seconds)
        segments = segments_of(raw, decoded, self.model.label, seconds, reason)
        return Heard(tuple(segments), language)

    def _encode(self, samples: Samples, window: int) -> tuple[Any, int]:
        """Return the encoder's output for the samples padded to a window, and their own frames."""
        audio = np.zeros(window * SAMPLE_RATE, np.float32)
        audio[: len(samples)] = samples.astype(np.float32) / 32768
        extractor = self._whisper.feature_extractor
        features = extractor(audio, padding=0)[:, : window * SAMPLE_RATE // extractor.hop_length]
        frames = min(len(samples) // extractor.hop_length, extractor.nb_max_frames)
        return self._whisper.encode(features), max(frames, 2)  # alignment halves them

    def _detect(self, encoded: Any, among: tuple[str, ...]) -> str:
        if self.model.english_only:
            return "en"
        likely = self._whisper.model.detect_language(encoded)[0]  # the likeliest first
        languages = [str(token)[2:-2] for token, _ in likely]  # "<|de|>"
        return next((code for code in languages if code in among), languages[0])

    def _tokenizer(self, language: str, task: str) -> Any:
        from faster_whisper.tokenizer import Tokenizer

        multilingual = not self.model.english_only
        return Tokenizer(self._whisper.hf_tokenizer, multilingual, task=task, language=language)

    def _prompt(self, tokenizer: Any, hotwords: tuple[str, ...]) -> list[int]:
        prompt: list[int] = self._whisper.get_prompt(
            tokenizer, [], without_timestamps=True, hotwords=" ".join(hotwords) or None
        )
        return prompt

    def _decode(
        self,
        tokenizer: Any,
        prompt: list[int],
        encoded: Any,
        gates: Gates,
        seconds: float,
        language: str,
        temperature: float,
        beam: int,
    ) -> Decoded:
        from faster_whisper.transcribe import get_suppressed_tokens

        # CTranslate2 stops at the smaller of max_length / 2 and max_length - len(prompt)
        cap = gates.token_cap(seconds, language)
        max_length = min(2 * max(cap, len(prompt)), MAX_TOKENS)
        limit = min(max_length // 2, max_length - len(prompt))
        result = self._whisper.model.generate(
            encoded,
            [prompt],
            beam_size=beam,
            max_length=max_length,
            sampling_temperature=temperature or 1.0,
            sampling_topk=0 if temperature else 1,
            return_scores=True,
            return_no_speech_prob=True,
            suppress_blank=True,
            suppress_tokens=get_suppressed_tokens(tokenizer, [-1]),
        )[0]
        tokens = tuple(t for t in result.sequences_ids[0] if t < tokenizer.eot)
        return Decoded(
            tokens=tokens,
            text=tokenizer.decode(list(tokens)).strip(),
            mean_log_probability=result.scores[0] * len(tokens) / (len(tokens) + 1),
            no_speech_probability=result.no_speech_prob,
            capped=len(result.sequences_ids[0]) >= limit,
            seconds=seconds,
            language=language,
        )

    def _words(
        self, tokenizer: Any, tokens: tuple[int, ...], encoded: Any, frames: int, seconds: float
    ) -> list[RawWord]:
        from faster_whisper.transcribe import merge_punctuations

        alignment = self._whisper.find_alignment(tokenizer, [list(tokens)], encoded, frames)[0]
        merge_punctuations(alignment, "\"'“¿([{-", "\"'.。,，!！?？:：”)]}、")  # noqa: RUF001
        words = []
        for entry in alignment:
            if not entry["word"].strip():
                continue
            start = min(round(float(entry["start"]) * 1000), round(seconds * 1000))
            end = min(max(round(float(entry["end"]) * 1000), start), round(seconds * 1000))
            if end - start > LONGEST_WORD_MS:  # alignment stretches a word over a pause before it
                start = end - LONGEST_WORD_MS
            probability = round(float(entry["probability"]), 3)
            words.append((str(entry["word"]), Word(entry["word"].strip(), start, end, probability)))
        return without_lead(words)


def window_of(seconds: float) -> int:
    """Return the shortest window for so much speech, in seconds, with silence behind it."""
    return next((w for w in WINDOWS_SECONDS if seconds + SLACK_SECONDS <= w), FULL_WINDOW_SECONDS)


def beam_size(model_name: str) -> int:
    """Return how many hypotheses a decode keeps.

    Measured on 89 clips of read English, int8: `tiny.en` errs on 10.2 % of the words with a beam
    of 5 and on 11.4 % with 1; `base` on 9.0 and 8.9 %, so there a beam only costs time.
    """
    return 5 if model_name.startswith("tiny") else 1


def check_language(model: Model, language: str | None) -> None:
    """Raise if an English-only model is asked for another language, before it is loaded."""
    if model.english_only and language not in (None, "en"):
        raise LanguageUnsupported(
            f"language '{language}': the model '{model.name}' knows English only; install the "
            "multilingual one with pip install 'scribebox[multilingual]' and use the model 'base'"
        )


def check_translation(model: Model) -> None:
    """Raise if a model writes nothing but what is spoken: it was never taught to translate."""
    if model.english_only or "turbo" in model.name or "distil" in model.name:
        raise LanguageUnsupported(
            f"the model '{model.name}' can't translate to English; use a multilingual one: "
            "install it with pip install 'scribebox[multilingual]' and set the model to 'base'"
        )
