"""Audio comes in over HTTP and becomes a session: at once by a job, or waited for."""

import asyncio
import contextlib
import re
from dataclasses import dataclass, field
from typing import Annotated, Any

import anyio.to_thread
from litestar import Request, Response, post
from litestar.di import NamedDependency
from litestar.openapi.spec import OpenAPIMediaType, Operation, RequestBody, Schema
from litestar.openapi.spec.enums import OpenAPIFormat, OpenAPIType
from litestar.params import QueryParameter

from api import receiving
from api.auth import needs
from api.closing import Closing
from api.jobs import PATH as JOBS
from api.openapi import answer
from api.problems import problem
from api.schemas import Accepted, Session
from api.sessions import PATH, public
from appliance.box import Box
from appliance.errors import Refused
from appliance.events import Event
from appliance.store import entities, jobs, search, sessions
from appliance.store.keys import Caller

LANGUAGE = re.compile("[a-z]{2,3}")
LOOK_S = 2.0  # how often a waiting request looks whether the engine has failed
BINARY = Schema(type=OpenAPIType.STRING, format=OpenAPIFormat.BINARY)
TEXT = Schema(type=OpenAPIType.STRING)
AUDIO = ("application/octet-stream", "audio/*", "video/*")
FORM = Schema(
    type=OpenAPIType.OBJECT,
    properties={"file": BINARY, "title": TEXT, "tags": TEXT, "language": TEXT},
    required=["file"],
)


@dataclass
class Upload(Operation):
    """The operation with the two bodies it takes."""

    def __post_init__(self) -> None:
        content = {kind: OpenAPIMediaType(schema=BINARY) for kind in AUDIO}
        content["multipart/form-data"] = OpenAPIMediaType(schema=FORM)
        self.request_body = RequestBody(content=content, required=True)


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the sender says of the audio; a query parameter comes before a field of the form."""

    title: str | None
    tags: str | None
    language: str | None
    form: dict[str, str] = field(default_factory=dict)

    def get(self, name: str) -> str:
        """Return what was said, "" if nothing was."""
        given: str | None = getattr(self, name)
        return given if given is not None else self.form.get(name, "")

    def check(self, box: Box) -> "Wishes":
        """Refuse what can't be, before the audio is kept."""
        sessions.checked_title(self.get("title"))
        search.checked_tags(self.get("tags"))
        if language := self.get("language"):
            if not LANGUAGE.fullmatch(language):
                raise Refused(f"language '{language[:20]}': want an ISO 639-1 code such as en")
            if box.worker.state == "ready":
                box.worker.model().check_language(language)
        return self


Text = Annotated[str | None, QueryParameter(description="or as a field of the form")]
Wait = Annotated[bool, QueryParameter(description="answer when the session is there: 201")]


@post(
    f"{PATH}/",
    operation_id="uploadSession",
    operation_class=Upload,
    request_max_body_size=None,  # counted by the audio folder, against the settings
    status_code=202,
    **needs(
        "sessions:write",
        {201: answer(Session, "the session (with wait=true)")},
        _404="The session was deleted while it was waited for.",
        _409="The job was cancelled while it was waited for.",
        _413="The audio is larger than upload_limit_bytes.",
        _422="The audio was accepted and could not be transcribed (only with wait=true).",
        _507="The disk is too full.",
    ),
    tags=["sessions"],
)
async def upload(
    request: Request[Any, Any, Any],
    box: NamedDependency[Box],
    closing: NamedDependency[Closing],
    caller: NamedDependency[Caller],
    title: Text = None,
    tags: Text = None,
    language: Text = None,
    wait: Wait = False,
) -> Response[Accepted]:
    """Take audio in any container, as the body or as `file` of a form, and transcribe it."""
    Wishes(title, tags, language).check(box)
    receiving.announced(request, box.uploads.audio)
    with await anyio.to_thread.run_sync(box.uploads.audio.receive) as incoming:
        form = await receiving.receive(request, incoming)
        wishes = Wishes(title, tags, language, form).check(box)
        job_id = await anyio.to_thread.run_sync(
            lambda: box.uploads.add(
                incoming,
                caller.account_id,
                title=wishes.get("title"),
                tags=wishes.get("tags"),
                language=wishes.get("language") or None,
            )
        )
    if wait and await closing.before(ended(box, caller.account_id, job_id)):
        return await anyio.to_thread.run_sync(outcome, box, caller, job_id)
    return accepted(job_id)


def accepted(job_id: int) -> Response[Accepted]:
    """Return where to ask how a job goes."""
    status_url = f"{JOBS}/{job_id}"
    return Response(Accepted(job_id, status_url), status_code=202, headers={"Location": status_url})


def can_be_done(box: Box, account_id: int) -> bool:
    """Tell whether there is somebody to hear a file: the engine, or the cloud in place of it."""
    return box.worker.failure is None or box.standby.hears(account_id)


async def ended(box: Box, account_id: int, job_id: int) -> None:
    """Wait until a job has ended, or can't be done now; holds no thread meanwhile."""
    loop, over = asyncio.get_running_loop(), asyncio.Event()

    def listen(event: Event) -> None:
        is_it = event.name == "job.changed" and event.values["job_id"] == job_id
        if is_it and event.values["state"] not in jobs.OPEN:
            loop.call_soon_threadsafe(over.set)

    def has_ended() -> bool:
        with box.database.read() as session:
            return session.get_one(entities.Job, job_id).state not in jobs.OPEN

    unsubscribe = box.database.bus.subscribe(listen)
    try:
        if await anyio.to_thread.run_sync(has_ended):
            return
        while not over.is_set():
            if not await anyio.to_thread.run_sync(can_be_done, box, account_id):
                return  # it waits for a better start
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(over.wait(), LOOK_S)
    finally:
        unsubscribe()


def outcome(box: Box, caller: Caller, job_id: int) -> Response[Any]:
    """Return the session a job made, or why there is none."""
    with box.database.read() as session:
        job = jobs.get(session, caller.account_id, job_id)
        if job.state is entities.JobState.DONE:
            row = sessions.get(session, caller.account_id, job.session_id)
            location = {"Location": f"{PATH}/{row.id}/"}
            return Response(public(row), status_code=201, headers=location)
    if job.state in jobs.OPEN:
        return accepted(job_id)
    if job.state is entities.JobState.CANCELLED:
        return problem(409, f"job {job_id} was cancelled")
    return problem(422, f"job {job_id} failed: {job.error}")
