"""`scribebox serve`: run the box until SIGTERM or Ctrl-C."""

import argparse
import contextlib
import logging
import os
import sys
from pathlib import Path

from appliance.data_folder import DataFolder
from appliance.settings import Settings
from appliance.settings_loader import load

log = logging.getLogger("scribebox")
SWITCH_S = 0.0005  # a thread that computes lets the event loop on sooner than Python's 5 ms


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--host", help="address to listen on (default 127.0.0.1)")
    parser.add_argument("--port", help="port to listen on (default 8080; 0: any free one)")
    parser.add_argument("--data", metavar="DIR", help="data folder")


def run(arguments: argparse.Namespace) -> int:
    """Start, print where the box is, and serve."""
    given = {"host": arguments.host, "port": arguments.port, "data_dir": arguments.data}
    settings = load(overrides=given)
    configure_logging(settings.log_level)
    from api import app, server
    from appliance.box import Box

    os.umask(0o077)  # whatever the box writes is its owner's
    sys.setswitchinterval(SWITCH_S)
    with DataFolder(settings.data_dir).make().held("serve"):
        listener = server.bind(settings)  # inside: who holds the folder is the better news
    url = server.url_of(listener, settings)
    started: list[Box] = []
    failed: list[Exception] = []

    def on_listening() -> None:
        greet(url, settings, started[0].folder.admin_key, started[0].new_admin_key)

    application = app.create(settings, url, started.append, failed.append)
    configuration = server.configuration(application, settings)

    def on_closing() -> None:
        log.info("stopping")
        closing = application.state.get("closing")
        if closing is not None:  # a signal may come before the box has started
            closing.begin()

    box_server = server.Server(configuration, on_listening, on_closing)
    # uvicorn's word for a start that failed, and the way to stop it, raised once it has
    with contextlib.suppress(SystemExit, KeyboardInterrupt):
        box_server.run([listener])
    if failed:
        raise failed[0]
    return 0  # only after Ctrl-C: SIGTERM ends the process once everything is closed


def greet(url: str, settings: Settings, admin_key: Path, new_key: str | None) -> None:
    """Print the address, where the key is, and a line to paste. The key itself: terminals only."""
    print(f"Scribebox is at {url}", flush=True)
    print(f"The admin key is in {admin_key}")
    if new_key is not None and sys.stdout.isatty():
        print(f"It is shown this once: {new_key}")
    insecure = "--insecure " if settings.tls_cert else ""
    print("Try it:")
    print(
        f"  curl {insecure}-H \"Authorization: Bearer $(cat '{admin_key}')\" "
        f"{url}/api/v1/audioscribe/sessions/",
        flush=True,
    )


def configure_logging(level: str) -> None:
    """Log to stderr, one line an event; URLs and other people's chatter stay out."""
    logging.basicConfig(
        stream=sys.stderr,
        level=level.upper(),
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        force=True,
    )
    for name in ("httpx", "httpcore", "uvicorn", "faster_whisper", "apscheduler", "asyncio"):
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)  # a failed start is told by `run`
