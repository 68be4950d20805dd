"""`POST /v1/audio/transcriptions`: a file becomes text, in the language that is spoken."""

from dataclasses import dataclass
from typing import Any

from litestar import Request, Response, post
from litestar.di import NamedDependency
from litestar.openapi.spec import OpenAPIMediaType, Operation, RequestBody, Schema
from litestar.openapi.spec.enums import OpenAPIFormat, OpenAPIType

from api.closing import Closing
from api.openai import answering, formats
from api.openai.refusals import for_callers
from api.openai.wishes import FORMATS, GRANULARITIES
from api.openapi import answer
from appliance.box import Box
from appliance.store.keys import Caller

TEXT = Schema(type=OpenAPIType.STRING)
FIELDS: dict[str, Any] = {
    "file": Schema(type=OpenAPIType.STRING, format=OpenAPIFormat.BINARY),
    "model": Schema(type=OpenAPIType.STRING, min_length=1),
    "language": TEXT,
    "prompt": TEXT,
    "response_format": Schema(type=OpenAPIType.STRING, enum=list(FORMATS)),
    "temperature": Schema(type=OpenAPIType.NUMBER),
    "stream": Schema(type=OpenAPIType.BOOLEAN),
    "timestamp_granularities[]": Schema(
        type=OpenAPIType.ARRAY, items=Schema(type=OpenAPIType.STRING, enum=list(GRANULARITIES))
    ),
}
SAID = "the text in the format asked for, or server-sent events with stream=true"


@dataclass
class Transcribing(Operation):
    """The operation with the form it takes."""

    def __post_init__(self) -> None:
        form = Schema(type=OpenAPIType.OBJECT, properties=FIELDS, required=["file", "model"])
        content = {"multipart/form-data": OpenAPIMediaType(schema=form)}
        self.request_body = RequestBody(content=content, required=True)


@post(
    "/v1/audio/transcriptions",
    operation_id="createTranscription",
    operation_class=Transcribing,
    request_max_body_size=None,  # counted by the folder it goes to, against the settings
    status_code=200,
    **for_callers(also={200: answer(bytes, SAID, "*/*")}, without=(404,)),
    tags=["openai"],
)
async def create_transcription(
    request: Request[Any, Any, Any],
    box: NamedDependency[Box],
    closing: NamedDependency[Closing],
    caller: NamedDependency[Caller],
) -> Response[Any]:
    """Transcribe a file in any container, as OpenAI's clients ask for it; nothing is stored.

    Any `model` is accepted; the header x-scribebox-model names the one that listened.
    """
    return await answering.answer(request, box, closing, caller, formats.TRANSCRIBE)
