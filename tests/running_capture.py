"""Run the real capture process, and wait for what it writes."""

import contextlib
import json
import shutil
import signal
from pathlib import Path

from virtual_microphone import wait_until

from engine.capture import launch
from engine.journal import JournalReader

WAIT_S = 60  # however busy the machine is
SCRIPTED = Path(__file__).parent / "scripted_portaudio" / "sounddevice.py"


class RunningCapture:
    """A capture process and its journal."""

    def __init__(self, folder, device=None, **options):
        self.folder = folder
        self.reader = JournalReader(folder)
        self._events = []
        self.process = launch(folder, device, **options)

    @property
    def events(self):
        """Return the events that have come."""
        self._events += self.reader.events()
        return self._events

    def all(self, kind):
        """Return those of a kind."""
        return [event for event in self.events if event.kind == kind]

    def wait_for(self, kind, count=1, timeout_s=WAIT_S):
        """Wait for so many events of a kind and return the last."""

        def there():
            dead = self.process.poll() is not None
            found = len(self.all(kind)) >= count
            assert found or not dead, f"it ended: {self.process.stderr.read()}"
            return found

        wait_until(there, f"{kind!r}", timeout_s)
        return self.all(kind)[count - 1]

    def wait_for_seconds(self, more):
        """Wait for so many more seconds of sound."""
        wanted = self.reader.samples + 16_000 * more
        wait_until(lambda: self.reader.samples >= wanted, f"{more} s of sound", WAIT_S + more)

    def end(self, sign=signal.SIGTERM):
        """End it with a signal; return its status and what it said."""
        self.process.send_signal(sign)
        return self.ended()

    def ended(self):
        """Wait for its end; return its status and what it said."""
        _, said = self.process.communicate(timeout=WAIT_S)
        return self.process.returncode, said

    def samples(self):
        """Return all that was captured."""
        return JournalReader(self.folder).read(1 << 30)


@contextlib.contextmanager
def capturing(folder, device=None, **options):
    """Run a capture until the block ends."""
    run = RunningCapture(folder, device, **options)
    try:
        yield run
    finally:
        if run.process.poll() is None:
            run.process.kill()
            run.process.communicate(timeout=WAIT_S)
        run.process.stderr.close()


def scripted_portaudio(folder, monkeypatch):
    """Let children have a scripted PortAudio; return what writes its script, to call first."""
    folder.mkdir()
    shutil.copy(SCRIPTED, folder)
    monkeypatch.setenv("PYTHONPATH", str(folder))

    def write(*openings, **device):
        usual = {"device": "desk (hw:1,0)", "rate": 48_000, "channels": 2, "takes_16k": True}
        script = {"openings": openings, **usual, **device}
        (folder / "script.json").write_text(json.dumps(script))

    return write
