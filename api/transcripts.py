"""What belongs to a session beside its text: segments with times, audio, files to take away."""

from typing import Annotated, Any

import anyio.to_thread
import msgspec
from litestar import Request, Response, get
from litestar.di import NamedDependency
from litestar.params import FromPath, QueryParameter

from api import stored_file
from api.auth import needs
from api.openapi import answer
from api.schemas import Timed
from api.sessions import MISSING, ONE, READING
from api.threads import threaded
from appliance.box import Box
from appliance.errors import NotFound, Refused
from appliance.store import sessions
from appliance.store.entities import SessionRow
from appliance.store.keys import Caller
from engine import writers

Format = Annotated[
    str, QueryParameter(name="format", description=", ".join(writers.FORMATS), max_length=20)
]
BYTES = "application/octet-stream"


@get(
    f"{ONE}/segments", operation_id="getSegments", **needs("sessions:read", _404=MISSING), **READING
)
@threaded
def get_segments(
    box: NamedDependency[Box], session_id: FromPath[int], caller: NamedDependency[Caller]
) -> Timed:
    """Return the timed transcript: words, engine, confidence, suppressed text with its reason."""
    with box.database.read() as session:
        row = sessions.get(session, caller.account_id, session_id)
        transcript = sessions.transcript(session, row)
    return msgspec.convert(writers.as_dict(transcript), Timed)


@get(
    f"{ONE}/audio",
    operation_id="getAudio",
    **needs(
        "sessions:read",
        {
            200: answer(bytes, "the whole file", "audio/*"),
            206: answer(bytes, "the range", "audio/*"),
            304: answer(None, "the client has this version already"),
        },
        _404="There is no such session, or it has no audio.",
        _416="The range lies outside the file.",
    ),
    tags=["sessions"],
)
async def get_audio(
    request: Request[Any, Any, Any],
    box: NamedDependency[Box],
    session_id: FromPath[int],
    caller: NamedDependency[Caller],
) -> Response[Any]:
    """Return the recording as it came, or one range of it."""
    row = await anyio.to_thread.run_sync(audio_of, box, caller.account_id, session_id)
    return await sent(request, box, row)


def audio_of(box: Box, account_id: int, session_id: int) -> SessionRow:
    """Return a session of the account that has audio; it reads the database."""
    with box.database.read() as session:
        row = sessions.get(session, account_id, session_id)
    if row.audio_path is None:
        raise NotFound(f"session {session_id} has no audio")
    return row


async def sent(request: Request[Any, Any, Any], box: Box, row: SessionRow) -> Response[Any]:
    """Return the audio of a session, or the range that is asked for."""
    media_type = row.audio_type or BYTES
    name = f"session-{row.id}{stored_file.EXTENSIONS.get(media_type, '')}"
    path = box.folder.path / str(row.audio_path)
    return await stored_file.answer(request, path, media_type, name, row.audio_sha256)


@get(
    f"{ONE}/export",
    operation_id="exportSession",
    **needs(
        "sessions:read",
        {200: answer(bytes, "the file", "*/*")},
        _404=MISSING,
    ),
    **READING,
)
@threaded
def export(
    box: NamedDependency[Box],
    session_id: FromPath[int],
    format: Format = "txt",
    *,
    caller: NamedDependency[Caller],
) -> Response[bytes]:
    """Return the session as a file: txt, md and docx have the note, srt, vtt and json the times."""
    if format not in writers.FORMATS:
        raise Refused(f"format '{format}': there are {', '.join(writers.FORMATS)}")
    with box.database.read() as session:
        row = sessions.get(session, caller.account_id, session_id)
        transcript = sessions.transcript(session, row)
    kind = writers.FORMATS[format]
    content = writers.write(transcript, format, row.title or f"Session {row.id}", row.note)
    disposition = f'attachment; filename="session-{row.id}.{kind.extension}"'
    return Response(
        content,
        media_type=kind.media_type.partition(";")[0],  # Litestar adds the charset to text
        headers={"Content-Disposition": disposition, "X-Content-Type-Options": "nosniff"},
    )
