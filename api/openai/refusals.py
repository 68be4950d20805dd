"""Say no in OpenAI's form: `{"error": {"message", "type", "param", "code"}}`."""

import math
from http import HTTPStatus
from typing import Any

import msgspec
from litestar import Request, Response
from litestar.exceptions import HTTPException, TooManyRequestsException

from api import problems
from api.auth import needs
from api.openai.schemas import OpenaiError, OpenaiProblem
from api.openapi import answer
from api.unread import Unread
from appliance.errors import Busy, NoRoom, Refused, TooLarge
from engine.errors import AudioUnreadable, LanguageUnsupported

KINDS: dict[int, tuple[str, str | None]] = {
    400: ("invalid_request_error", None),
    401: ("invalid_request_error", "invalid_api_key"),
    403: ("invalid_request_error", "insufficient_permissions"),
    404: ("invalid_request_error", "model_not_found"),
    408: ("invalid_request_error", None),
    413: ("invalid_request_error", None),
    429: ("rate_limit_error", "rate_limit_exceeded"),
    500: ("server_error", None),
    503: ("server_error", None),
    507: ("server_error", None),
}
MEANINGS = {
    400: "The form can't be accepted, or its file is no audio.",
    401: "There is no valid key.",
    403: "The key lacks the scope listen.",
    404: "There is no such model.",
    408: "The file came too slowly.",
    413: "The file is larger than upload_limit_bytes.",
    429: "All places are taken (nothing of the file is read then), or there were wrong keys.",
    500: "An internal error; the log of the box has its number.",
    503: "The engine has no model, or the box is stopping.",
    507: "The disk is too full.",
}
PARAMS: dict[type[Exception], str] = {
    AudioUnreadable: "file",
    TooLarge: "file",
    LanguageUnsupported: "language",
}
UNREAD = (Busy, TooLarge, NoRoom)  # the file is still on its way then, or may be


class InvalidField(Refused):
    """A field of the form can't be accepted, or the whole form."""

    def __init__(self, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.param = param


def refused(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """Return any failure as OpenAI would."""
    told = problems.answer_to(request, too_many(error) if isinstance(error, Busy) else error)
    status, headers = told.status_code or 500, dict(told.headers)
    if isinstance(error, AudioUnreadable):
        status = HTTPStatus.BAD_REQUEST  # 415 at home
    if status > HTTPStatus.INTERNAL_SERVER_ERROR and "Retry-After" not in headers:
        headers["x-should-retry"] = "false"  # else the SDKs send the whole file three times
    kind, code = KINDS.get(status, KINDS[400] if status < 500 else KINDS[500])
    param = next((p for cause, p in PARAMS.items() if isinstance(error, cause)), None)
    failure = OpenaiError(told.content["detail"], kind, getattr(error, "param", param), code)
    body = msgspec.json.encode(OpenaiProblem(failure))
    answer = Response(body, status_code=status, headers=headers, media_type="application/json")
    return Unread(answer) if isinstance(error, UNREAD) else answer


def too_many(error: Busy) -> TooManyRequestsException:
    """Return the same with its status, and when to come again."""
    wait_s = max(1, math.ceil(error.retry_after_s))
    return TooManyRequestsException(str(error), headers={"Retry-After": str(wait_s)})


def for_callers(
    *, surface: str = "", also: dict[int, Any] | None = None, without: tuple[int, ...] = ()
) -> dict[str, Any]:
    """Return what each handler here takes: the scope, and every failure in OpenAI's shape."""
    shown = {
        status: answer(OpenaiProblem, meaning)
        for status, meaning in MEANINGS.items()
        if status not in without
    }
    return {
        "exception_handlers": {HTTPException: refused, Exception: refused},
        "tokens": True,  # of this box are as good as a key
        **needs("listen", {**shown, **(also or {})}, surface=surface),
    }
