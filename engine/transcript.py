"""The values every part of the engine speaks in: word, segment, transcript."""

from dataclasses import dataclass, replace

WITHOUT_SPACES = frozenset(
    {"zh", "yue", "ja", "th", "lo", "my"}
)  # languages, as Whisper cuts words


@dataclass(frozen=True, slots=True)
class Word:
    """One spoken word on the clock of the recording."""

    text: str
    start_ms: int
    end_ms: int
    probability: float  # 0..1, the model's own


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of speech and what the engine makes of it.

    `suppressed` names the gate that held the text back; such text is kept, never shown as said.
    """

    start_ms: int
    end_ms: int
    text: str
    words: tuple[Word, ...]
    engine: str  # label of the model that made it, "whisper-base"
    confidence: float  # 0..1, mean probability of its words
    suppressed: str | None = None
    engine_reason: str | None = None  # why it wasn't the engine of the box

    def moved(self, by_ms: int) -> "Segment":
        """Return the same segment `by_ms` later."""
        words = tuple(
            replace(w, start_ms=w.start_ms + by_ms, end_ms=w.end_ms + by_ms) for w in self.words
        )
        return replace(
            self, start_ms=self.start_ms + by_ms, end_ms=self.end_ms + by_ms, words=words
        )


@dataclass(frozen=True, slots=True)
class Transcript:
    """Everything heard in one recording or file, in the order of time."""

    segments: tuple[Segment, ...]  # suppressed ones included
    model: str
    language: str | None  # ISO 639-1; None where nothing was said
    duration_ms: int
    warning: str | None = None  # what the reader must know, such as a file cut short

    @property
    def spoken(self) -> tuple[Segment, ...]:
        """Return the segments that passed every gate."""
        return tuple(s for s in self.segments if s.suppressed is None)

    @property
    def suppressed(self) -> tuple[Segment, ...]:
        """Return the segments a gate held back."""
        return tuple(s for s in self.segments if s.suppressed is not None)

    @property
    def text(self) -> str:
        """Return what was said as one line."""
        return " ".join(s.text for s in self.spoken if s.text)
