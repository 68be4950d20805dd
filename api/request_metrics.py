"""Count what is asked over HTTP by route template, never by address.

The labels are bounded: templates of the app's own table (`unmatched` for everything else), the
methods there are (`other`), the status. A stream of events and a WebSocket are counted when they
begin; how long they last says nothing about the box, so it is in no histogram.
"""

import re
import time
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from api.families import PREFIX
from api.head import asked_of

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
OTHER, UNMATCHED, UNANSWERED = "other", "unmatched", "none"
BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0)
EVENT_STREAM = b"text/event-stream"
SWITCHED, REFUSED = 101, 403  # what a WebSocket's handshake is answered with
FAILURES = {401: "unauthorized", 403: "forbidden", 429: "throttled"}
KIND_OF_PARAMETER = re.compile(r":\w+\}")


class RequestMetrics:
    """What was asked; written on the event loop, read by any thread."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._requests = Counter(
            "http_requests",
            "Requests, by route template, when their answer began.",
            ["method", "route", "status"],
            namespace=PREFIX,
            registry=registry,
        )
        self._durations = Histogram(
            "http_request_duration_seconds",
            "Time from a request to the end of its answer; streams are not in it.",
            ["route"],
            namespace=PREFIX,
            registry=registry,
            buckets=BUCKETS_S,
        )
        self._failures = Counter(
            "auth_failures",
            "Requests that were refused for their key or signature, or for too many wrong ones.",
            ["reason"],
            namespace=PREFIX,
            registry=registry,
        )
        self._streams = Gauge(
            "http_streams_open",
            "Event streams and WebSockets that are open.",
            ["kind"],
            namespace=PREFIX,
            registry=registry,
        )
        for reason in FAILURES.values():
            self._failures.labels(reason)
        self.event_streams = self._streams.labels("events")
        self.websockets = self._streams.labels("websocket")
        # `labels` checks and locks each time, which costs more than the counting
        self._counted: dict[tuple[str, str, int], Any] = {}
        self._timed: dict[str, Any] = {}
        self._templates: dict[str | None, str] = {None: UNMATCHED}

    def answered(self, scope: Any, status: int) -> None:
        """Count a request whose answer has this status; 0: there was none."""
        method = "HEAD" if asked_of(scope) else scope.get("method", "GET")
        key = (method if method in METHODS else OTHER, self._route(scope), status)
        found = self._counted.get(key)
        if found is None:
            found = self._requests.labels(key[0], key[1], str(status) if status else UNANSWERED)
            self._counted[key] = found
        found.inc()
        if status in FAILURES and (status != 429 or "user" not in scope):
            self._failures.labels(FAILURES[status]).inc()  # 429 with a caller: a plan's limit

    def lasted(self, scope: Any, seconds: float) -> None:
        """Note how long a request took that is over."""
        route = self._route(scope)
        found = self._timed.get(route)
        if found is None:
            found = self._timed[route] = self._durations.labels(route)
        found.observe(seconds)

    def _route(self, scope: Any) -> str:
        """Return the template of a route that Litestar has found, without types."""
        template = scope.get("path_template")
        found = self._templates.get(template)
        if found is None:
            found = self._templates[template] = KIND_OF_PARAMETER.sub("}", template)
        return found


class Counted:
    """ASGI middleware that counts. Directly around the app, or the template can't be seen."""

    def __init__(self, app: Any, metrics: RequestMetrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Pass the request on and note how it ends."""
        if scope["type"] == "http":
            await self._http(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._websocket(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _http(self, scope: Any, receive: Any, send: Any) -> None:
        began, begun, streams = time.perf_counter(), False, False

        async def noting(message: Any) -> None:
            nonlocal begun, streams
            if not begun and message["type"] == "http.response.start":
                begun, streams = True, is_event_stream(message)
                self._metrics.answered(scope, message["status"])
                if streams:
                    self._metrics.event_streams.inc()
            await send(message)

        try:
            await self._app(scope, receive, noting)
        finally:
            if not begun:
                self._metrics.answered(scope, 0)
            elif streams:
                self._metrics.event_streams.dec()
            else:
                self._metrics.lasted(scope, time.perf_counter() - began)

    async def _websocket(self, scope: Any, receive: Any, send: Any) -> None:
        status = 0

        async def noting(message: Any) -> None:
            nonlocal status
            if not status:
                status = status_of_handshake(message)
                if status:
                    self._metrics.answered(scope, status)
                if status == SWITCHED:
                    self._metrics.websockets.inc()
            await send(message)

        try:
            await self._app(scope, receive, noting)
        finally:
            if not status:
                self._metrics.answered(scope, 0)
            elif status == SWITCHED:
                self._metrics.websockets.dec()


def is_event_stream(message: Any) -> bool:
    """Tell whether what begins is a stream of events."""
    return any(
        name.lower() == b"content-type" and value.startswith(EVENT_STREAM)
        for name, value in message.get("headers", ())
    )


def status_of_handshake(message: Any) -> int:
    """Return with which status a message answers a WebSocket's handshake; 0: it does not."""
    kind = message["type"]
    if kind == "websocket.accept":
        return SWITCHED
    if kind == "websocket.http.response.start":
        return int(message["status"])
    return REFUSED if kind == "websocket.close" else 0
