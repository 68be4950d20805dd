"""A real engine that can be stopped: it fails or hangs from one moment on, and comes back."""

import threading

from engine.errors import EngineError
from engine.worker import Priority, Worker

WAIT_S = 120


class Stoppable:
    """Stand in for Whisper: another worker's model does the work, unless this is stopped."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self.model, self.languages = worker.model(WAIT_S).model, worker.model(WAIT_S).languages
        self.failing = False
        self.going = threading.Event()
        self.going.set()
        self.stuck = threading.Event()  # it hangs now
        self.heard = 0  # windows

    def check_language(self, language):
        self._worker.model(WAIT_S).check_language(language)

    def fail(self):
        """Fail at every window from now on."""
        self.failing = True

    def hang(self):
        """Hang at the next window, and at the one at hand when it comes to its end."""
        self.going.clear()

    def recover(self):
        """Be as before."""
        self.failing = False
        self.going.set()
        self.stuck.clear()

    def transcribe_all(self, windows, request):
        return [self.transcribe(samples, request) for samples in windows]

    def transcribe(self, samples, request):
        if self.failing:
            raise EngineError("out of memory")
        heard = self._worker.submit(samples, request, Priority.LIVE).result(WAIT_S)
        if not self.going.is_set():
            self.stuck.set()
            assert self.going.wait(WAIT_S)
        self.heard += 1
        return heard
