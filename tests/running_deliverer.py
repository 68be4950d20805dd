"""A process that does nothing but deliver, so that it can be killed.

    python tests/running_deliverer.py DATABASE

It says "ready" once it has begun and ends with its standard input.
"""

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from delivering import SECRETS, real_sender

from appliance.store.database import Database
from scheduler.delivery import Deliverer

LOOK_EVERY_S = 0.02  # no commit of another process wakes it


@contextmanager
def deliverer_process(path: Path) -> Iterator[subprocess.Popen]:
    """Run one until the block ends, at the latest."""
    process = subprocess.Popen(
        [sys.executable, __file__, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        assert process.stdout is not None and process.stdout.readline() == b"ready\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def main() -> None:
    """Deliver until there is nobody left who wants it."""
    deliverer = Deliverer(Database(Path(sys.argv[1])), real_sender(), SECRETS).start()
    print("ready", flush=True)
    over = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), over.set()), daemon=True).start()
    while not over.wait(LOOK_EVERY_S):
        deliverer.wake()
    deliverer.stop()


if __name__ == "__main__":
    main()
