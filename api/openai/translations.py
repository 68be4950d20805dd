"""`POST /v1/audio/translations`: a file becomes English text, whatever is spoken."""

from dataclasses import dataclass
from typing import Any

from litestar import Request, Response, post
from litestar.di import NamedDependency
from litestar.openapi.spec import OpenAPIMediaType, Operation, RequestBody, Schema
from litestar.openapi.spec.enums import OpenAPIType

from api.closing import Closing
from api.openai import answering, formats
from api.openai.refusals import for_callers
from api.openai.transcriptions import FIELDS
from api.openapi import answer
from appliance.box import Box
from appliance.store.keys import Caller

TAKEN = ("file", "model", "prompt", "response_format", "temperature")


@dataclass
class Translating(Operation):
    """The operation with the form it takes."""

    def __post_init__(self) -> None:
        fields = {name: FIELDS[name] for name in TAKEN}
        form = Schema(type=OpenAPIType.OBJECT, properties=fields, required=["file", "model"])
        content = {"multipart/form-data": OpenAPIMediaType(schema=form)}
        self.request_body = RequestBody(content=content, required=True)


@post(
    "/v1/audio/translations",
    operation_id="createTranslation",
    operation_class=Translating,
    request_max_body_size=None,  # counted by the folder it goes to, against the settings
    status_code=200,
    **for_callers(also={200: answer(bytes, "the English text", "*/*")}, without=(404,)),
    tags=["openai"],
)
async def create_translation(
    request: Request[Any, Any, Any],
    box: NamedDependency[Box],
    closing: NamedDependency[Closing],
    caller: NamedDependency[Caller],
) -> Response[Any]:
    """Translate a file to English, as OpenAI's clients ask for it; needs a multilingual model."""
    return await answering.answer(request, box, closing, caller, formats.TRANSLATE)
