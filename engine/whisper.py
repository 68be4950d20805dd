"""Speech to text: one loaded Whisper model, fed with windows of at most 30 s.

This module and those it is made of (`decoding`, `alignment`) are the only ones that know
faster-whisper and CTranslate2. A window is decoded without timestamps in the shortest encoder
window that it fits; what trips a gate there is decoded once more in a full one, then once at a
temperature; what trips it still is kept as suppressed text with its reason. Word times come from
the attention of the decoder; speech without words is decoded by itself. For as many threads at
once as its hardware has workers: `engine.worker` owns it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from engine.alignment import Aligned, align, words_of
from engine.audio import SAMPLE_RATE, Samples
from engine.decoding import UNSURE, Decoding, Encoded, Manner, encode
from engine.errors import LanguageUnsupported, ModelUnavailable
from engine.gates import UNLIKELY, Gates
from engine.guard import Take, guarded
from engine.hardware import Hardware
from engine.models import Model
from engine.omissions import filled, omissions
from engine.phrases import phrases
from engine.sentences import RawWord, segments_of
from engine.transcript import Segment
from engine.windows import FULL_WINDOW_SECONDS, window_of

PER_MS = SAMPLE_RATE // 1000
# hypotheses where the model is unsure: with 5 it errs as often and takes an eighth longer, with 2
# or 1 `tiny.en` errs on 0.8 % more of the words of a long file, and `base` on 0.5 %
BEAM = 3
KNOWN_BY_SAMPLES = 3 * SAMPLE_RATE // 2  # of speech by which the language is known


@dataclass(frozen=True, slots=True)
class Request:
    """What the caller wants of a window."""

    language: str | None = None  # ISO 639-1; None: detect
    among: tuple[str, ...] = ()  # languages to choose from when detecting; none: all
    hotwords: tuple[str, ...] = ()
    word_times: bool = True
    short_window: bool = True  # encode no more than is needed; doubts go to a full window
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
                num_workers=self.hardware.workers,
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
        return self.transcribe_all([samples], request)[0]

    def transcribe_all(
        self, windows: Sequence[Samples], request: Request | None = None
    ) -> list[Heard]:
        """Transcribe several windows at once, which costs less than one after the other."""
        request = request or Request()
        if request.translate:
            check_translation(self.model)
        if not windows:
            return []
        for seconds in (len(samples) / SAMPLE_RATE for samples in windows):
            if seconds > FULL_WINDOW_SECONDS:
                raise ValueError(
                    f"a window has at most {FULL_WINDOW_SECONDS} s, not {seconds:.1f} s"
                )
        language = "en" if self.model.english_only else request.language
        if language is None:
            return [self._in_its_language(samples, request) for samples in windows]
        window = FULL_WINDOW_SECONDS
        if request.short_window:
            window = max(window_of(len(samples) / SAMPLE_RATE) for samples in windows)
        encoded = [encode(self._whisper, samples, window) for samples in windows]
        return self._listen(encoded, request, language)

    def _in_its_language(self, samples: Samples, request: Request) -> Heard:
        """Detect the language in a full window, for which detection was taught."""
        encoded = encode(self._whisper, samples, FULL_WINDOW_SECONDS)
        likely = self._whisper.model.detect_language(encoded.output)[0]  # the likeliest first
        languages = [str(token)[2:-2] for token, _ in likely]  # "<|de|>"
        found = next((code for code in languages if code in request.among), languages[0])
        return self._listen([encoded], request, found)[0]

    def _listen(self, windows: Sequence[Encoded], request: Request, language: str) -> list[Heard]:
        """Transcribe encoded windows of one length."""
        task = "translate" if request.translate else "transcribe"
        decoding = Decoding(
            self._whisper, language, task, request.hotwords, self.model.english_only
        )
        takes = guarded(self._whisper, decoding, windows, self._manner(request, language))
        return [Heard(self._segments(decoding, take, request), language) for take in takes]

    def _manner(self, request: Request, language: str) -> Manner:
        beam = 1 if request.quick else BEAM
        known = frozenset[str]() if request.translate else phrases(self.model.name, language)
        # a small model is swayed by hotwords, and sure of it
        swayed = bool(request.hotwords) and self.model.name.startswith("tiny")
        return Manner(
            beam, request.gates, request.quick, phrases=known, unsure=0.0 if swayed else UNSURE
        )

    def _segments(self, decoding: Decoding, take: Take, request: Request) -> tuple[Segment, ...]:
        """Return the segments of a take, with the speech that was passed over."""
        if not take.decoded.text:
            return ()
        label, seconds = self.model.label, take.encoded.seconds
        entries: list[Aligned] = []
        if request.word_times:
            entries = align(self._whisper, decoding, take.encoded, take.decoded)
        held_back: list[Segment] = []
        if entries and take.reason is None and not request.quick:
            entries, held_back = self._completed(decoding, take, entries, request)
        raw: list[RawWord] = words_of(entries)
        segments = segments_of(raw, take.decoded, label, seconds, take.reason)
        return tuple(sorted([*segments, *held_back], key=lambda segment: segment.start_ms))

    def _completed(
        self, decoding: Decoding, take: Take, entries: list[Aligned], request: Request
    ) -> tuple[list[Aligned], list[Segment]]:
        """Decode each omission by itself; return all words, and what a gate held back."""
        held_back: list[Segment] = []
        samples = take.encoded.samples
        manner = self._manner(request, decoding.language)
        for omission in reversed(omissions(entries, samples)):  # so that positions stay right
            part = samples[omission.start_ms * PER_MS : omission.end_ms * PER_MS]
            window = window_of(len(part) / SAMPLE_RATE)
            encoded = encode(self._whisper, part, window)
            (again,) = guarded(self._whisper, decoding, [encoded], manner)
            reason = again.reason
            if reason is None and again.doubtful(request.gates):
                reason = UNLIKELY
            if reason is not None:
                (segment,) = segments_of(
                    [], again.decoded, self.model.label, again.encoded.seconds, reason
                )
                held_back.append(segment.moved(omission.start_ms))
            else:
                words = align(self._whisper, decoding, again.encoded, again.decoded)
                entries = filled(entries, omission, words)
        return entries, held_back


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
