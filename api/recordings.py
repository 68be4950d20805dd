"""The microphone over HTTP: devices, recordings, stopping and discarding them."""

from typing import Any

from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from api.auth import needs
from api.openapi import refusal
from api.recording_schemas import Device, Failover, Gap, NewRecording, Recording
from api.threads import recording, threaded
from api.uploads import Wishes
from appliance.box import Box
from appliance.errors import Refused
from appliance.recording_status import Status
from appliance.store.keys import Caller
from appliance.store.sessions import timestamp

PATH = "/api/v1/recordings"
ONE = f"{PATH}/{{recording_id:int}}"
MISSING = "There is no such recording."
LOWEST_DBFS = -120.0  # digital silence; JSON has no minus infinity
NO_MICROPHONE = refusal(
    "There is no microphone (the answer says what is missing), or the database is busy."
)
MICROPHONE: dict[str, Any] = {"tags": ["recordings"]}


@get(
    f"{PATH}/devices",
    operation_id="listDevices",
    **needs("recordings", {503: NO_MICROPHONE}),
    **MICROPHONE,
)
@recording
def list_devices(box: NamedDependency[Box]) -> list[Device]:
    """Return the input devices of the box, and which of them is the default."""
    return [
        Device(device.name, device.channels, device.default_rate, device.is_default)
        for device in box.recorder.devices()
    ]


@post(
    PATH,
    operation_id="startRecording",
    **needs(
        "recordings",
        {503: NO_MICROPHONE},
        _409="The device is in use.",
        _413="The body is too large.",
        _507="The disk is too full.",
    ),
    **MICROPHONE,
)
@recording
def start_recording(
    data: JSONBody[NewRecording], box: NamedDependency[Box], caller: NamedDependency[Caller]
) -> Response[Recording]:
    """Start to record; the microphone runs before this answers, whatever the engine does."""
    wishes = Wishes(data.title, data.tags, data.language).check(box)
    if data.device is not None and not data.device.isprintable():
        raise Refused(f"device {data.device[:50]!r}: want the name of one, see {PATH}/devices")
    status = box.recorder.start(
        caller.account_id,
        title=wishes.get("title"),
        tags=wishes.get("tags"),
        language=wishes.get("language") or None,
        device=data.device,
        profile=data.profile,
        max_seconds=data.max_seconds,
    )
    return Response(public(status), headers={"Location": f"{PATH}/{status.id}"})


@get(PATH, operation_id="listRecordings", **needs("recordings"), **MICROPHONE)
@threaded
def list_recordings(box: NamedDependency[Box], caller: NamedDependency[Caller]) -> list[Recording]:
    """Return the account's latest recordings, the newest first."""
    return [public(status) for status in box.recorder.statuses(caller.account_id)]


@get(ONE, operation_id="getRecording", **needs("recordings", _404=MISSING), **MICROPHONE)
@threaded
def get_recording(
    box: NamedDependency[Box], recording_id: FromPath[int], caller: NamedDependency[Caller]
) -> Recording:
    """Return how a recording is: its time, its gaps, its level, its session once it is there."""
    return public(box.recorder.status(caller.account_id, recording_id))


@post(
    f"{ONE}/stop",
    operation_id="stopRecording",
    status_code=202,
    **needs("recordings", _404=MISSING),
    **MICROPHONE,
)
@recording
def stop_recording(
    box: NamedDependency[Box], recording_id: FromPath[int], caller: NamedDependency[Caller]
) -> Recording:
    """End a recording; what is left is transcribed by itself. Twice is fine."""
    return public(box.recorder.stop(caller.account_id, recording_id))


@post(
    f"{ONE}/discard",
    operation_id="discardRecording",
    status_code=204,
    **needs("recordings", _404=MISSING, _409="The recording has become a session already."),
    **MICROPHONE,
)
@recording
def discard_recording(
    box: NamedDependency[Box], recording_id: FromPath[int], caller: NamedDependency[Caller]
) -> None:
    """Give a recording up: its audio and its text are deleted, nothing is sent to anybody."""
    box.recorder.discard(caller.account_id, recording_id)


def public(status: Status) -> Recording:
    """Return the recording as clients see it."""
    return Recording(
        id=status.id,
        state=str(status.state),
        title=status.title,
        device=status.device,
        started_at=timestamp(status.started_at),
        elapsed_seconds=round(status.elapsed_seconds, 3),
        captured_seconds=round(status.captured_seconds, 3),
        transcribed_seconds=round(status.transcribed_seconds, 3),
        gaps=[Gap(gap.at_seconds, gap.seconds, gap.cause) for gap in status.gaps],
        level=floored(status.level),
        alarms=list(status.alarms),
        session_id=status.session_id,
        failover=Failover(
            status.failover.active,
            status.failover.reason,
            round(status.failover.cloud_seconds, 3),
        ),
    )


def floored(dbfs: float | None) -> float | None:
    """Return a level that can be written, None if there is none."""
    return None if dbfs is None else round(max(dbfs, LOWEST_DBFS), 1)
