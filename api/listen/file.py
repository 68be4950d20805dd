"""`POST /v1/listen` as Deepgram's clients know it: a file in, its text out; nothing is kept.

Everything that can be refused by the request's head is, before the body is read: its SDKs send a
file again, whole, after some refusals.
"""

import contextlib
import threading
import uuid
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import anyio.to_thread
from litestar import Request, Response, post
from litestar.di import NamedDependency
from litestar.exceptions import HTTPException
from litestar.openapi.spec import OpenAPIMediaType, Operation, Parameter, RequestBody, Schema
from litestar.openapi.spec.enums import OpenAPIType

from api import receiving
from api.auth import DEEPGRAM, needs
from api.closing import Closing
from api.listen import body, file_results, refusals
from api.listen.options import Options, parse
from api.listen.remote import Remote
from api.openapi import answer
from api.padding import Padded
from api.schemas import DeepgramProblem
from api.unread import Unread
from api.uploads import AUDIO, BINARY
from appliance.box import Box
from appliance.store import vocabulary
from appliance.store.keys import Caller

MEANINGS = {
    400: "The query can't be accepted, or the body is no audio.",
    401: "There is no valid key or token.",
    403: "The key lacks the scope listen.",
    408: "The body came too slowly.",
    413: "The audio is larger than upload_limit_bytes.",
    429: "All places are taken (nothing of the body is read then), or there were wrong keys.",
    503: "The engine has no model, or the box is stopping.",
    507: "The disk is too full.",
}
UNREAD = (408, 429)  # nobody waits for the rest of the body
TEXT = Schema(type=OpenAPIType.STRING)
TRUTH = Schema(type=OpenAPIType.BOOLEAN)
NUMBER = Schema(type=OpenAPIType.NUMBER)
WHOLE = Schema(type=OpenAPIType.INTEGER)
TEXTS = Schema(type=OpenAPIType.ARRAY, items=TEXT)
QUERY = {
    "model": TEXT,
    "language": TEXT,
    "detect_language": TEXT,
    "punctuate": TRUTH,
    "smart_format": TRUTH,
    "paragraphs": TRUTH,
    "utterances": TRUTH,
    "utt_split": NUMBER,
    "multichannel": TRUTH,
    "keyterm": TEXTS,
    "keywords": TEXTS,
    "encoding": TEXT,
    "sample_rate": WHOLE,
    "channels": WHOLE,
    "extra": TEXTS,
    "tag": TEXTS,
}


@dataclass
class Listening(Operation):
    """The operation with what it takes."""

    def __post_init__(self) -> None:
        content = {kind: OpenAPIMediaType(schema=BINARY) for kind in AUDIO}
        self.request_body = RequestBody(content=content, required=True)
        self.parameters = [Parameter(name, "query", schema=kind) for name, kind in QUERY.items()]


def refused(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """Return any failure as Deepgram would."""
    refusal = refusals.refusal_of(request, error)
    told = refusals.answer(refusal, str(uuid.uuid4()))
    return Unread(told) if refusal.status in UNREAD else told


@post(
    "/v1/listen",
    operation_id="transcribeFile",
    operation_class=Listening,
    status_code=200,
    request_max_body_size=None,  # counted as it comes, against the settings
    tokens=True,  # of this box are as good as a key
    exception_handlers={HTTPException: refused, Exception: refused},
    **needs(
        "listen",
        {status: answer(DeepgramProblem, meaning) for status, meaning in MEANINGS.items()},
        surface=DEEPGRAM,
    ),
    tags=["listen"],
)
async def transcribe_file(
    request: Request[Any, Any, Any],
    box: NamedDependency[Box],
    closing: NamedDependency[Closing],
    remote: NamedDependency[Remote],
    caller: NamedDependency[Caller],
) -> Response[bytes]:
    """Return the text of a file in any container, or of raw samples; the answer is Deepgram's."""
    request_id, created, direct = str(uuid.uuid4()), datetime.now(UTC), box.direct
    options = options_of(request)
    language = options.language_for(direct.language)
    direct.check(language)
    receiving.announced(request, direct.audio)
    if body.is_json(request):
        chunks = remote.chunks(remote.named(await body.json_of(request)))
    else:
        chunks = body.in_time(request)
    with contextlib.ExitStack() as stack:
        stack.enter_context(direct.enter())
        incoming = await anyio.to_thread.run_sync(direct.audio.receive)
        stack.enter_context(incoming)
        sha256 = await body.receive(chunks, incoming, options)
        hotwords = await anyio.to_thread.run_sync(hotwords_of, box, caller, options)
        held = stack.pop_all()

    def work(cancelled: threading.Event) -> bytes:
        result = direct.transcribe(
            incoming.path,
            language=language,
            detect=language is None,
            among=options.detect_among,
            hotwords=hotwords,
            multichannel=options.multichannel,
            cancelled=cancelled,
        )
        return file_results.encode(
            result, options, request_id=request_id, sha256=sha256, created=created
        )

    return Padded(work, refused, closing, held, {"dg-request-id": request_id})


def options_of(request: Request[Any, Any, Any]) -> Options:
    """Return what the query asks for; paragraphs can't be told without punctuation."""
    options = parse(request.query_params.multi_items(), live=False)
    return replace(options, punctuate=options.punctuate or options.paragraphs)


def hotwords_of(box: Box, caller: Caller, options: Options) -> tuple[str, ...]:
    """Return the words to expect: those of the query and those of the account."""
    with box.database.read() as session:
        own = vocabulary.of(session, caller.account_id).hotwords
    return tuple(dict.fromkeys((*options.keyterms, *own)))
