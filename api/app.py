"""The HTTP surface: every route in one table, and what starts and stops around it."""

import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import anyio.to_thread
from litestar import Litestar, Request
from litestar.di import Provide
from litestar.middleware import DefineMiddleware

from api import (
    accounts,
    grant,
    health,
    history,
    history_audio,
    jobs,
    keys,
    openapi,
    problems,
    recording_events,
    recordings,
    sessions,
    token,
    transcripts,
    uploads,
    usage,
    vocabulary,
)
from api.auth import Authentication, Authenticator
from api.closing import Closing
from api.links import Links
from appliance import box as appliance
from appliance.box import Box
from appliance.settings import Settings
from appliance.store import idempotency
from appliance.store.entities import now
from appliance.store.keys import Caller
from scheduler import recovery
from scheduler.clock import Clock, Duty

ROUTES: list[Any] = [
    health.health,  # GET /health
    sessions.list_sessions,  # GET /api/v1/audioscribe/sessions/
    uploads.upload,  # POST /api/v1/audioscribe/sessions/
    sessions.get_session,  # GET /api/v1/audioscribe/sessions/{id}/
    sessions.change_session,  # PATCH /api/v1/audioscribe/sessions/{id}/
    sessions.delete_session,  # DELETE /api/v1/audioscribe/sessions/{id}/
    transcripts.get_segments,  # GET /api/v1/audioscribe/sessions/{id}/segments
    transcripts.get_audio,  # GET /api/v1/audioscribe/sessions/{id}/audio
    transcripts.export,  # GET /api/v1/audioscribe/sessions/{id}/export
    jobs.get_job,  # GET /api/v1/jobs/{id}
    jobs.cancel_job,  # POST /api/v1/jobs/{id}/cancel
    recordings.list_devices,  # GET /api/v1/recordings/devices
    recordings.start_recording,  # POST /api/v1/recordings
    recordings.list_recordings,  # GET /api/v1/recordings
    recordings.get_recording,  # GET /api/v1/recordings/{id}
    recordings.stop_recording,  # POST /api/v1/recordings/{id}/stop
    recordings.discard_recording,  # POST /api/v1/recordings/{id}/discard
    recording_events.watch_recording,  # GET /api/v1/recordings/{id}/events
    vocabulary.get_vocabulary,  # GET /api/v1/vocabulary
    vocabulary.put_vocabulary,  # PUT /api/v1/vocabulary
    keys.list_keys,  # GET /api/v1/keys
    keys.create_key,  # POST /api/v1/keys
    keys.revoke_key,  # DELETE /api/v1/keys/{id}
    accounts.list_accounts,  # GET /api/v1/accounts
    accounts.create_account,  # POST /api/v1/accounts
    accounts.change_account,  # PATCH /api/v1/accounts/{id}
    usage.get_usage,  # GET /v1/transcribe/usage
    usage.get_daily_usage,  # GET /v1/transcribe/usage/daily
    usage.check_limit,  # GET /v1/transcribe/usage/check-limit
    token.get_token,  # GET /v1/transcribe/token
    grant.grant_token,  # POST /v1/auth/grant
    history.list_history,  # GET /v1/transcribe/history
    history.add_history,  # POST /v1/transcribe/history
    history.delete_history,  # DELETE /v1/transcribe/history/{id}
    history_audio.create_upload_url,  # POST /v1/transcribe/history/audio/upload-url
    history_audio.attach_audio,  # POST /v1/transcribe/history/{id}/audio
    history_audio.get_audio_url,  # GET /v1/transcribe/history/{id}/audio
    history_audio.put_audio,  # PUT and POST /v1/transcribe/audio/{storageId}
    history_audio.fetch_audio,  # GET /v1/transcribe/audio/{storageId}
]
LAST_USED_EVERY_S = 60.0
TIDY_EVERY_S = 3600.0


def create(
    settings: Settings,
    url: str,
    on_started: Callable[[Box], None] = lambda _: None,
    on_failed: Callable[[Exception], None] = lambda _: None,
) -> Litestar:
    """Return the app; the box starts with it and stops with it."""

    @contextlib.asynccontextmanager
    async def lifespan(app: Litestar) -> AsyncIterator[None]:
        running = appliance.running(settings, url)
        try:
            box = await anyio.to_thread.run_sync(running.__enter__)
        except Exception as error:
            on_failed(error)
            raise
        try:
            try:
                await anyio.to_thread.run_sync(recovery.recover, box.database, box.recorder)
            except Exception as error:
                on_failed(error)
                raise
            authenticator = Authenticator(box.database)
            clock = Clock(duties(box, authenticator))
            app.state.box, app.state.authenticator = box, authenticator
            app.state.clock = clock.start()
            app.state.closing = Closing()
            app.state.links = Links(settings)
            on_started(box)
            try:
                yield
            finally:
                await anyio.to_thread.run_sync(clock.stop)
        finally:
            await anyio.to_thread.run_sync(running.__exit__, None, None, None)

    return Litestar(
        route_handlers=list(ROUTES),
        lifespan=[lifespan],
        dependencies={
            "box": Provide(the_box, sync_to_thread=False),
            "clock": Provide(the_clock, sync_to_thread=False),
            "caller": Provide(the_caller, sync_to_thread=False),
            "closing": Provide(the_closing, sync_to_thread=False),
            "links": Provide(the_links, sync_to_thread=False),
        },
        middleware=[
            DefineMiddleware(Authentication, exclude="^/schema", exclude_from_auth_key="open"),
        ],
        exception_handlers=problems.HANDLERS,
        openapi_config=openapi.document(),
        logging_config=None,
        debug=False,
    )


def duties(box: Box, authenticator: Authenticator) -> tuple[Duty, ...]:
    """Return what this box does by the clock."""

    def forget_idempotency_keys() -> None:
        with box.database.write() as session:
            idempotency.prune(session, now() - idempotency.KEPT)

    return (
        Duty("last_used", LAST_USED_EVERY_S, authenticator.write_last_used, at_stop=True),
        Duty("unattached_audio", TIDY_EVERY_S, box.history_audio.remove_unattached),
        Duty("idempotency_keys", TIDY_EVERY_S, forget_idempotency_keys),
    )


def the_box(request: Request[Any, Any, Any]) -> Box:
    """Return the running box to a handler."""
    box: Box = request.app.state.box
    return box


def the_clock(request: Request[Any, Any, Any]) -> Clock:
    """Return the clock to a handler."""
    clock: Clock = request.app.state.clock
    return clock


def the_caller(request: Request[Any, Any, Any]) -> Caller:
    """Return who is calling to a handler."""
    caller: Caller = request.user
    return caller


def the_closing(request: Request[Any, Any, Any]) -> Closing:
    """Return to a handler what tells it that the box is about to stop."""
    closing: Closing = request.app.state.closing
    return closing


def the_links(request: Request[Any, Any, Any]) -> Links:
    """Return to a handler what knows where clients reach the box."""
    links: Links = request.app.state.links
    return links
