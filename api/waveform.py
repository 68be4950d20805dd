"""What a player of a session needs: the outline of its audio, and a link that plays it.

`<audio>` can send no key: the link is signed for one session and one hour, and needs none.
"""

import functools
from typing import Annotated, Any

import anyio.to_thread
from litestar import Request, Response, get
from litestar.di import NamedDependency
from litestar.params import FromPath, QueryParameter

from api.auth import OPEN, needs
from api.entries import AudioUrl
from api.history_audio import NO_STORE, REFUSALS, SIGNED_FOR_S, Signature
from api.openapi import answer, refusal
from api.schemas import Peaks
from api.sessions import ONE, READING
from api.threads import OUTLINES, in_thread
from api.transcripts import audio_of, sent
from appliance.box import Box
from appliance.signatures import DOWNLOAD
from appliance.store.keys import Caller

SIGNED = "/api/v1/audioscribe/audio"
FEWEST, MOST = 100, 4000
SILENT = "There is no such session, or it has no audio."
Points = Annotated[
    int, QueryParameter(ge=FEWEST, le=MOST, description="into how many slices it is cut")
]


@get(
    f"{ONE}/peaks",
    operation_id="getPeaks",
    **needs("sessions:read", _404=SILENT),
    **READING,
)
async def get_peaks(
    box: NamedDependency[Box],
    session_id: FromPath[int],
    points: Points = 800,
    *,
    caller: NamedDependency[Caller],
) -> Peaks:
    """Return the largest amplitude of each slice of the audio, 0 to 100 % of full scale.

    The first time the audio is decoded for it: half a minute for some hours.
    """
    make = functools.partial(box.uploads.waveforms.of, caller.account_id, session_id)
    outline = await in_thread(OUTLINES, make, abandon=True)
    return Peaks(round(outline.seconds, 3), outline.points(points))


@get(
    f"{ONE}/audio-url",
    operation_id="getSessionAudioUrl",
    **needs("sessions:read", _404=SILENT),
    **READING,
)
async def get_audio_url(
    box: NamedDependency[Box], session_id: FromPath[int], caller: NamedDependency[Caller]
) -> Response[AudioUrl]:
    """Return a link, relative to this address, that plays the audio for an hour, also in ranges."""
    await anyio.to_thread.run_sync(audio_of, box, caller.account_id, session_id)
    path = f"{SIGNED}/{session_id}"
    signature = box.signatures.sign(DOWNLOAD, path, caller.account_id, SIGNED_FOR_S)
    return Response(AudioUrl(f"{path}?signature={signature}", SIGNED_FOR_S), headers=NO_STORE)


@get(
    f"{SIGNED}/{{session_id:int}}",
    operation_id="fetchSessionAudio",
    responses={
        **REFUSALS,
        200: answer(bytes, "the whole file", "audio/*"),
        206: answer(bytes, "the range", "audio/*"),
        304: answer(None, "the client has this version already"),
        404: refusal("The session or its audio is not there any more."),
        416: refusal("The range lies outside the file."),
    },
    **OPEN,
    **READING,
)
async def fetch_audio(
    request: Request[Any, Any, Any],
    box: NamedDependency[Box],
    session_id: FromPath[int],
    signature: Signature = "",
) -> Response[Any]:
    """Return the audio of a session, or one range of it."""
    owner = box.signatures.check(signature, DOWNLOAD, f"{SIGNED}/{session_id}")
    row = await anyio.to_thread.run_sync(audio_of, box, owner, session_id)
    return await sent(request, box, row)
