"""What is asked of whoever turns windows of speech into text: the worker, or what stands for it."""

from typing import Protocol

from engine.audio import Samples
from engine.whisper import Request
from engine.worker import Priority, Ticket


class Named(Protocol):
    """Something with a name that transcripts carry."""

    @property
    def name(self) -> str:
        """Return it, "base"."""


class Knowing(Protocol):
    """Whoever knows languages, by a model."""

    @property
    def model(self) -> Named:
        """Return the model."""

    def check_language(self, language: str | None) -> None:
        """Raise unless the language is known (None: to be detected)."""


class Hearer(Protocol):
    """Take windows, give tickets."""

    def submit(self, samples: Samples, request: Request, priority: Priority) -> Ticket:
        """Queue one window; return at once."""

    def model(self, timeout_s: float | None = None) -> Knowing:
        """Wait until there is somebody to hear, or raise why there is nobody."""
