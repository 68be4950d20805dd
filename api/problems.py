"""Turn every failure into one answer: RFC 9457 `application/problem+json`.

The only place where errors of the box become HTTP. Nothing unforeseen is shown to a client; it is
logged once, with its trace, and answered with 500 and a number that finds it in the log.
"""

import json
import logging
import math
import re
import time
import uuid
from http import HTTPStatus
from typing import Any

from litestar import Request, Response
from litestar.exceptions import HTTPException, ValidationException
from sqlalchemy.exc import DatabaseError, IntegrityError, OperationalError

from appliance.errors import (
    CloudUnavailable,
    Conflict,
    FolderBusy,
    Forbidden,
    LimitReached,
    NoRoom,
    NotFound,
    Refused,
    ScribeboxError,
    StoreUnusable,
    TooLarge,
)
from engine.errors import (
    AudioUnreadable,
    EngineError,
    LanguageUnsupported,
    MicrophoneUnavailable,
    ModelUnavailable,
)

log = logging.getLogger(__name__)
NAMED = re.compile("(?:unknown|missing required) field `([^`]*)`")
PROBLEM = "application/problem+json"
STATUS: dict[type[Exception], HTTPStatus] = {
    NotFound: HTTPStatus.NOT_FOUND,
    Refused: HTTPStatus.BAD_REQUEST,
    Forbidden: HTTPStatus.FORBIDDEN,
    Conflict: HTTPStatus.CONFLICT,
    CloudUnavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    TooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    NoRoom: HTTPStatus.INSUFFICIENT_STORAGE,
    FolderBusy: HTTPStatus.SERVICE_UNAVAILABLE,
    StoreUnusable: HTTPStatus.SERVICE_UNAVAILABLE,
    AudioUnreadable: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    LanguageUnsupported: HTTPStatus.BAD_REQUEST,
    ModelUnavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    MicrophoneUnavailable: HTTPStatus.SERVICE_UNAVAILABLE,
}


def content_of(
    status: int, detail: str, errors: list[dict[str, str]] | None = None
) -> dict[str, Any]:
    """Return the fields of a problem."""
    content: dict[str, Any] = {"type": "about:blank", "title": HTTPStatus(status).phrase}
    content |= {"status": int(status), "detail": detail}
    return {**content, "errors": errors} if errors else content


def encode(status: int, detail: str) -> bytes:
    """Return a problem as bytes, for where there is no framework."""
    return json.dumps(content_of(status, detail), ensure_ascii=False).encode()


def problem(
    status: int,
    detail: str,
    headers: dict[str, str] | None = None,
    errors: list[dict[str, str]] | None = None,
) -> Response[dict[str, Any]]:
    """Return an answer that says what is wrong."""
    content = content_of(status, detail, errors)
    return Response(content, status_code=status, media_type=PROBLEM, headers=headers or {})


def on_http_error(request: Request[Any, Any, Any], error: HTTPException) -> Response[Any]:
    """Answer what the framework or a handler raised on purpose."""
    headers = dict(error.headers or {})
    if error.status_code == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    if isinstance(error, ValidationException):
        fields = [
            {"field": field_of(entry), "message": str(entry.get("message", ""))}
            for entry in error.extra or []
            if isinstance(entry, dict)
        ]
        said = "; ".join(
            f"{f['field']}: {f['message']}" if f["field"] else f["message"] for f in fields
        )
        return problem(error.status_code, said or error.detail, headers, fields)
    return problem(error.status_code, error.detail, headers)


def field_of(entry: dict[str, Any]) -> str:
    """Return the field that a complaint of the framework is about, "" for the whole body.

    What the framework knows by its Python name is told by the name that clients know.
    """
    if named := NAMED.search(str(entry.get("message", ""))):
        return named[1]
    key = str(entry.get("key", ""))
    source = str(getattr(entry.get("source"), "value", entry.get("source", "")))
    if source == "header":
        return "-".join(part.capitalize() for part in key.split("_"))
    return "" if key == "data" else camel(key)


def camel(name: str) -> str:
    """Return the name a client knows a parameter by: perPage, not per_page."""
    first, *rest = name.split("_")
    return first + "".join(part.capitalize() for part in rest)


def on_any_error(request: Request[Any, Any, Any], error: Exception) -> Response[Any]:
    """Answer what the box raised on purpose by its class, and anything else with 500."""
    if isinstance(error, LimitReached):
        return limit_reached(error)
    for kind, status in STATUS.items():
        if isinstance(error, kind):
            again = {"Retry-After": "5"} if isinstance(error, StoreUnusable) else None
            return problem(status, str(error), again)
    if isinstance(error, RecursionError):
        return problem(HTTPStatus.BAD_REQUEST, "The body is nested too deeply.")
    if isinstance(error, UnicodeDecodeError):
        return problem(HTTPStatus.BAD_REQUEST, "The body is not UTF-8.")
    if isinstance(error, OperationalError):  # locked for long, or the disk is full: that passes
        log.error("the database can't be used: %s", error.orig)
        return problem(
            HTTPStatus.SERVICE_UNAVAILABLE,
            "The database is busy or can't be written; nothing was changed. Try again.",
            {"Retry-After": "5"},
        )
    if isinstance(error, DatabaseError) and not isinstance(error, IntegrityError):
        log.error("the database is not as it should be: %s", error.orig)
        return problem(
            HTTPStatus.SERVICE_UNAVAILABLE,
            "The database can't be used; run scribebox doctor on the box.",
        )
    number = uuid.uuid4().hex[:12]
    named = isinstance(error, ScribeboxError | EngineError)
    log.error("error %s (%s)", number, type(error).__name__, exc_info=None if named else error)
    return problem(
        HTTPStatus.INTERNAL_SERVER_ERROR,
        f"An internal error; the log of the box has it as {number}.",
    )


def limit_reached(error: LimitReached) -> Response[dict[str, Any]]:
    """Answer that the words are used up, and how many seconds from now there are new ones."""
    resets_at, limit_type = error.standing.resets_at, error.standing.limit_type
    assert resets_at is not None
    wait_s = max(1, math.ceil(resets_at.timestamp() - time.time()))
    answer = problem(HTTPStatus.TOO_MANY_REQUESTS, str(error), {"Retry-After": str(wait_s)})
    answer.content["limitType"] = limit_type
    return answer


def answer_to(request: Request[Any, Any, Any], error: Exception) -> Response[Any]:
    """Return the answer to any failure."""
    if isinstance(error, HTTPException):
        return on_http_error(request, error)
    return on_any_error(request, error)


HANDLERS: Any = {HTTPException: on_http_error, Exception: on_any_error}
