"""The audio of the dictation history: links to send it to, to attach it by, and to fetch it from.

The links need no key: they are signed for one file, one way and one hour.
"""

import functools
import uuid
from dataclasses import dataclass
from typing import Annotated, Any

import anyio.to_thread
from litestar import Request, Response, get, post, route
from litestar.di import NamedDependency
from litestar.openapi.spec import OpenAPIMediaType, Operation, RequestBody
from litestar.params import FromPath, JSONBody, QueryParameter

from api import receiving, stored_file
from api.auth import OPEN, needs
from api.entries import AudioUrl, Entry, Stored, UploadUrl, described
from api.history import HISTORY, MISSING, ONE, PATH
from api.links import Links
from api.openapi import answer, refusal
from api.threads import DECODERS, in_thread, threaded, writing
from api.uploads import AUDIO, BINARY
from appliance.box import Box
from appliance.errors import Refused
from appliance.signatures import DOWNLOAD, UPLOAD
from appliance.store.keys import Caller
from engine.errors import AudioUnreadable

SIGNED = "/v1/transcribe/audio"
SIGNED_FOR_S = 3600
NO_STORE = {"Cache-Control": "no-store"}
Signature = Annotated[
    str, QueryParameter(description="as the link has it; without it the answer is 403")
]


@post(
    f"{PATH}/audio/upload-url",
    operation_id="createUploadUrl",
    status_code=200,
    **needs("transcribe:history"),
    **HISTORY,
)
async def create_upload_url(
    request: Request[Any, Any, Any],
    box: NamedDependency[Box],
    links: NamedDependency[Links],
    caller: NamedDependency[Caller],
) -> Response[UploadUrl]:
    """Return a link to which the audio of one dictation may be sent."""
    path = f"{SIGNED}/{uuid.uuid4().hex}"
    signature = box.signatures.sign(UPLOAD, path, caller.account_id, SIGNED_FOR_S)
    link = f"{links.to(request, path)}?signature={signature}"
    return Response(UploadUrl(link, SIGNED_FOR_S), headers=NO_STORE)


@post(
    f"{ONE}/audio",
    operation_id="attachAudio",
    status_code=200,
    **needs(
        "transcribe:history",
        _404="There is no such entry, or no such audio.",
        _409="The audio is attached to another entry.",
        _413="The body is too large.",
    ),
    **HISTORY,
)
@writing
def attach_audio(
    data: JSONBody[Stored],
    box: NamedDependency[Box],
    entry_id: FromPath[str],
    caller: NamedDependency[Caller],
) -> Entry:
    """Attach audio to an entry; what was attached before is deleted."""
    return described(box.history_audio.attach(caller.account_id, entry_id, data.storage_id))


@get(
    f"{ONE}/audio",
    operation_id="getAudioUrl",
    **needs("transcribe:history", _404="There is no such entry, or it has no audio."),
    **HISTORY,
)
@threaded
def get_audio_url(
    request: Request[Any, Any, Any],
    box: NamedDependency[Box],
    links: NamedDependency[Links],
    entry_id: FromPath[str],
    caller: NamedDependency[Caller],
) -> Response[AudioUrl]:
    """Return a link from which the audio of an entry may be fetched, also in ranges."""
    row = box.history_audio.of(caller.account_id, entry_id)
    path = f"{SIGNED}/{row.storage_id}"
    signature = box.signatures.sign(DOWNLOAD, path, caller.account_id, SIGNED_FOR_S)
    link = f"{links.to(request, path)}?signature={signature}"
    return Response(AudioUrl(link, SIGNED_FOR_S), headers=NO_STORE)


@dataclass
class RawAudio(Operation):
    """The operation with the body it takes."""

    def __post_init__(self) -> None:
        content = {kind: OpenAPIMediaType(schema=BINARY) for kind in AUDIO}
        self.request_body = RequestBody(content=content, required=True)


REFUSALS = {
    400: refusal("A parameter can't be accepted."),
    403: refusal("The link has expired or was altered."),
    503: refusal("The database is busy or can't be written; try again."),
}


@route(
    f"{SIGNED}/{{storage_id:str}}",
    http_method=["PUT", "POST"],
    operation_id=lambda handler, method, path: f"{method.lower()}Audio",
    operation_class=RawAudio,
    request_max_body_size=None,  # counted by the audio folder, against the settings
    status_code=200,
    responses={
        **REFUSALS,
        409: refusal("The link was used for other audio before."),
        413: refusal("The audio is larger than upload_limit_bytes."),
        415: refusal("What was sent is not audio that can be decoded."),
        507: refusal("The disk is too full."),
    },
    **OPEN,
    **HISTORY,
)
async def put_audio(
    request: Request[Any, Any, Any],
    box: NamedDependency[Box],
    storage_id: FromPath[str],
    signature: Signature = "",
) -> Stored:
    """Take the audio of a dictation, raw; the same bytes once more get the same answer."""
    owner = box.signatures.check(signature, UPLOAD, f"{SIGNED}/{storage_id}")
    receiving.announced(request, box.history_audio.folder)
    with await anyio.to_thread.run_sync(box.history_audio.folder.receive) as incoming:
        try:
            await receiving.receive(request, incoming)
        except Refused as error:  # an empty body, or a form without a file
            raise AudioUnreadable(str(error)) from None
        keep = functools.partial(box.history_audio.keep, incoming, storage_id, owner)
        await in_thread(DECODERS, keep)
    return Stored(storage_id)


@get(
    f"{SIGNED}/{{storage_id:str}}",
    operation_id="fetchAudio",
    responses={
        **REFUSALS,
        200: answer(bytes, "the whole file", "audio/*"),
        206: answer(bytes, "the range", "audio/*"),
        304: answer(None, "the client has this version already"),
        404: refusal(f"{MISSING[:-1]} any more."),
        416: refusal("The range lies outside the file."),
    },
    **OPEN,
    **HISTORY,
)
async def fetch_audio(
    request: Request[Any, Any, Any],
    box: NamedDependency[Box],
    storage_id: FromPath[str],
    signature: Signature = "",
) -> Response[Any]:
    """Return the audio of a dictation, or one range of it."""
    owner = box.signatures.check(signature, DOWNLOAD, f"{SIGNED}/{storage_id}")
    row = await anyio.to_thread.run_sync(box.history_audio.stored, owner, storage_id)
    name = f"dictation-{storage_id}{stored_file.EXTENSIONS.get(row.media_type, '')}"
    path = box.folder.path / row.path
    return await stored_file.answer(request, path, row.media_type, name, row.sha256)
