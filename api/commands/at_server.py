"""A recording made by the server that holds the data folder, for `scribebox record`."""

import contextlib
import json
import ssl
import time
from collections.abc import Iterable, Iterator
from typing import Any

import httpx

from appliance.certificate import FOLDER, leaf
from appliance.data_folder import DataFolder
from appliance.errors import Conflict, FolderBusy, Refused
from appliance.self_signed import CERT
from appliance.settings import Settings

Told = tuple[str, dict[str, Any]]  # a kind of event, and what it says
ENDED = ("done", "recovered", "failed", "discarded")
PATH = "/api/v1/recordings"
PATIENCE_S = 30.0  # so long a server may be away
START_S = 5.0  # so long one may take to say where it is
READ_S = 40.0  # more than the keep-alive of its streams
PAUSE_S = 1.0


class AtServer:
    """A recording of the server that holds the data folder, which may be restarted meanwhile."""

    def __init__(self, settings: Settings, busy: FolderBusy) -> None:
        self._folder = DataFolder(settings.data_dir)
        self._busy = busy
        self._url = self._wait_for_url()
        self._client = httpx.Client(
            headers={"Authorization": f"Bearer {self._folder.admin_key.read_text().strip()}"},
            timeout=httpx.Timeout(READ_S, connect=5.0),
            verify=trusted(settings),
            trust_env=False,  # a proxy has no business between this machine and itself
        )
        self._path = ""

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def start(self, wishes: dict[str, Any]) -> int:
        """Ask the server to start; what it refuses is told in its words."""
        try:
            answer = checked(self._client.post(self._url + PATH, json=wishes)).json()
        except httpx.TransportError as error:  # it may have begun all the same: not twice
            raise FolderBusy(f"the server at {self._url} {why(error)}") from error
        self._path = f"{PATH}/{answer['id']}"
        return int(answer["id"])

    def stop(self) -> None:
        """Ask the server to stop."""
        self._patiently("POST", f"{self._path}/stop")

    def events(self) -> Iterator[Told]:
        """Yield the server's events, over as many connections as it takes."""
        headers: dict[str, str] = {}
        away_since_s: float | None = None
        while True:
            try:
                path = f"{self._url}{self._path}/events"
                with self._client.stream("GET", path, headers=headers) as answer:
                    if answer.is_error:
                        answer.read()
                    checked(answer)
                    away_since_s = None
                    for number, kind, content in parsed(answer.iter_lines()):
                        if number:
                            headers["Last-Event-ID"] = number
                        yield kind, content
                        if is_end(kind, content):
                            return
            except httpx.TransportError as error:
                away_since_s = away_since_s or time.monotonic()
                self._forgive(error, away_since_s)
            time.sleep(PAUSE_S)
            self._url = self._said().get("url") or self._url

    def status(self) -> dict[str, Any]:
        """Return what the server says."""
        said: dict[str, Any] = self._patiently("GET", self._path).json()
        return said

    def trouble(self) -> str | None:
        """Return what the server's health says of its engine; one that is away has its own end."""
        with contextlib.suppress(httpx.TransportError, KeyError, ValueError):
            engine = self._client.get(f"{self._url}/health").json()["checks"]["engine"]
            if engine["status"] != "ok":
                return str(engine["detail"])
        return None

    def _patiently(self, method: str, path: str) -> httpx.Response:
        """Send a request that may be sent twice, also to a server that is being restarted."""
        since_s = time.monotonic()
        while True:
            try:
                return checked(self._client.request(method, self._url + path))
            except httpx.TransportError as error:
                self._forgive(error, since_s)
            time.sleep(PAUSE_S)
            self._url = self._said().get("url") or self._url

    def _forgive(self, error: httpx.TransportError, since_s: float) -> None:
        """Raise what to tell if the server has been away for too long."""
        if time.monotonic() - since_s > PATIENCE_S:
            raise FolderBusy(
                f"the server at {self._url} has not answered for {PATIENCE_S:.0f} s; the "
                "recording is not lost: start the server again, and it goes on or is completed"
            ) from error

    def _wait_for_url(self) -> str:
        """Return where the holder of the folder answers; one that starts says so in a moment."""
        deadline = time.monotonic() + START_S
        while not (url := self._said().get("url")):
            if time.monotonic() > deadline:
                raise self._busy
            time.sleep(0.1)
        return str(url)

    def _said(self) -> dict[str, Any]:
        with contextlib.suppress(OSError, ValueError):
            said = json.loads(self._folder.lock.read_text())
            if isinstance(said, dict):
                return said
        return {}


def trusted(settings: Settings) -> ssl.SSLContext:
    """Return what to trust: the very certificate that this box shows, whatever name it is for."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    own = settings.data_dir / FOLDER / CERT
    for path in (settings.tls_cert, own):  # the server may have been told otherwise than we are
        if path is not None and path.is_file():
            # the first one only: whoever signed it signed others, too
            with contextlib.suppress(ssl.SSLError):  # one that is damaged isn't shown
                context.load_verify_locations(cadata=leaf(path.read_bytes()).decode())
    return context


def why(error: httpx.TransportError) -> str:
    """Return why a server can't be used, and what to do."""
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        return "shows another certificate than this command knows; give both the same settings"
    return "does not answer; try again"


def checked(answer: httpx.Response) -> httpx.Response:
    """Return an answer that is none of failure; raise what the server said."""
    if not answer.is_error:
        return answer
    try:
        detail = str(answer.json()["detail"])
    except (ValueError, KeyError, TypeError):
        detail = f"the server answered {answer.status_code}"
    raise Refused(detail) if answer.status_code == 400 else Conflict(detail)


def parsed(lines: Iterable[str]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield number, kind and content of Server-Sent Events."""
    fields: dict[str, str] = {}
    for line in lines:
        if line:
            name, _, value = line.partition(":")
            fields[name] = value.removeprefix(" ")
        else:
            if "data" in fields:
                content = json.loads(fields["data"])
                yield fields.get("id", ""), fields.get("event", ""), content
            fields = {}


def is_end(kind: str, content: dict[str, Any]) -> bool:
    """Tell whether nothing comes after this event."""
    return kind == "state" and content.get("state") in ENDED
