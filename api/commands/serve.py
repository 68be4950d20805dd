"""`scribebox serve`: run the box until SIGTERM or Ctrl-C."""

import argparse
import contextlib
import faulthandler
import logging
import os
import shlex
import sys
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from api import notify
from api.watchdog import Pulse, Watchdog
from appliance.data_folder import DataFolder
from appliance.settings import Settings
from appliance.settings_loader import load
from engine.process import prepare_process

if TYPE_CHECKING:
    from appliance.box import Box
    from appliance.certificate import Certificate

log = logging.getLogger("scribebox")
LAST_WORDS_S = 3.0  # for live streams when the box stops
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

    prepare_process()  # before there is another thread
    watchdog = Watchdog(interval_s=notify.watchdog_interval_s())
    if notify.is_listening():
        watchdog.start()
        faulthandler.enable()  # where each thread was, should systemd end what is stuck
    try:
        return serve(settings, watchdog)
    finally:
        watchdog.close()


def serve(settings: Settings, watchdog: Watchdog) -> int:
    """Serve until a signal comes."""
    from api import app, server
    from appliance.box import Box
    from appliance.certificate import certificate_of

    os.umask(0o077)  # whatever the box writes is its owner's
    sys.setswitchinterval(SWITCH_S)
    with DataFolder(settings.data_dir).make().held("serve"):
        listener = server.bind(settings)  # inside: who holds the folder is the better news
        certificate = certificate_of(settings, server.names_of(settings))
    url = server.url_of(listener, settings, certificate)
    started: list[Box] = []
    failed: list[Exception] = []

    def on_listening() -> None:
        greet(url, started[0], certificate)
        pulse = Pulse(started[0].worker, application.state.clock)
        watchdog.guard(pulse, lambda: described(url, started[0]))

    local_url = server.local_url_of(listener, settings, certificate)
    application = app.create(settings, local_url, started.append, failed.append)
    configuration = server.configuration(application, settings, certificate)

    def on_closing() -> None:
        log.info("stopping")
        watchdog.stopping()
        for name in ("countdown", "closing"):
            part = application.state.get(name)
            if part is not None:  # a signal may come before the box has started
                part.begin()

    async def before_shutdown() -> None:
        connections = application.state.get("connections")
        if connections is not None:
            await connections.stop(LAST_WORDS_S)

    box_server = server.Server(configuration, on_listening, on_closing, before_shutdown)
    # uvicorn's word for a start that failed, and the way to stop it, raised once it has
    with contextlib.suppress(SystemExit, KeyboardInterrupt):
        box_server.run([listener])
    if failed:
        raise failed[0]
    return 0  # only after Ctrl-C: SIGTERM ends the process once everything is closed


def greet(url: str, box: "Box", certificate: "Certificate | None") -> None:
    """Print the address, where the key is, and a line to paste. The key itself: terminals only."""
    admin_key = box.folder.admin_key
    print(f"Scribebox is at {url} (open it in a browser, or paste the line below)", flush=True)
    if certificate is not None and certificate.self_signed:
        print(f"Its certificate signs itself; SHA-256 fingerprint {certificate.fingerprint}")
        log.info("the self-signed certificate's SHA-256 fingerprint: %s", certificate.fingerprint)
    print(f"The admin key is in {admin_key}")
    if box.new_admin_key is not None and sys.stdout.isatty():
        print(f"It is shown this once: {box.new_admin_key}")
    print("Try it:")
    print(
        f"  curl {trusting(url, certificate)}"
        f'-H "Authorization: Bearer $(cat {shlex.quote(str(admin_key))})" '
        f"{url}/api/v1/audioscribe/sessions/",
        flush=True,
    )


def trusting(url: str, certificate: "Certificate | None") -> str:
    """Return the option that curl needs for this address."""
    if certificate is None:
        return ""
    if urlsplit(url).hostname in certificate.names:
        return f"--cacert {shlex.quote(str(certificate.path))} "
    return "--insecure "  # it is for another name than this machine can be called by here


def described(url: str, box: "Box") -> str:
    """Return in a line what the box is at, for systemctl status."""
    recordings, waiting = len(box.recorder.takes), box.worker.waiting
    return f"at {url}; model {box.worker.state}, {recordings} recordings, {waiting} windows waiting"


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
