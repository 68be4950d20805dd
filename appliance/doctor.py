"""Look at everything the box needs, and say for what is missing which command mends it.

Nothing that is the box's is changed, and one that runs goes on. Every look has a thread of its own,
so that one that hangs (a sound server, a dead disk) costs the others nothing: after TOTAL_S it is
given up.
"""

import threading
import time

from appliance import (
    checkups_engine,
    checkups_machine,
    checkups_network,
    checkups_sound,
    checkups_store,
)
from appliance.finding import Finding, Look, failed, warning
from appliance.settings import Settings

TOTAL_S = 10.0
LOOKS: dict[str, Look] = {
    "python": checkups_machine.python,
    "time": checkups_machine.time,
    "folder": checkups_machine.folder,
    "disk": checkups_machine.disk,
    "permissions": checkups_store.permissions,
    "database": checkups_store.database,
    "backup": checkups_store.backup,
    "webhooks": checkups_store.webhooks,
    "decoder": checkups_engine.decoder,
    "model": checkups_engine.model,
    "hardware": checkups_engine.hardware,
    "microphone": checkups_sound.sound,  # PortAudio, the devices, the level: one after the other
    "port": checkups_network.port,
    "certificate": checkups_network.certificate,
    "cloud": checkups_network.cloud,
}


def examine(
    settings: Settings, looks: dict[str, Look] | None = None, total_s: float = TOTAL_S
) -> list[Finding]:
    """Carry out every look; one that breaks is a failure, never a trace."""
    begun = [Looking(name, look, settings) for name, look in (looks or LOOKS).items()]
    deadline = time.monotonic() + total_s
    return [finding for one in begun for finding in one.findings(deadline)]


class Looking:
    """One look on its way."""

    def __init__(self, name: str, look: Look, settings: Settings) -> None:
        self._name, self._look, self._settings = name, look, settings
        self._found: list[Finding] = []
        self._thread = threading.Thread(target=self._run, daemon=True, name=f"looks at {name}")
        self._began_s = time.monotonic()
        self._thread.start()

    def findings(self, deadline_s: float) -> list[Finding]:
        """Return what it gave by then (monotonic clock)."""
        self._thread.join(max(0.0, deadline_s - time.monotonic()))
        found = list(self._found)
        if self._thread.is_alive():
            took_s = time.monotonic() - self._began_s
            found.append(warning(self._name, f"given up: not done in {took_s:.0f} s"))
        return found

    def _run(self) -> None:
        try:
            given = self._look(self._settings)
            for finding in [given] if isinstance(given, Finding) else given:
                self._found.append(finding)
        except Exception as error:  # a look must never end the examination
            said = " ".join(str(error).split()) or type(error).__name__
            self._found.append(failed(self._name, said))
