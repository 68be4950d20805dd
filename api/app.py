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
    health,
    jobs,
    keys,
    openapi,
    problems,
    sessions,
    transcripts,
    uploads,
    vocabulary,
)
from api.auth import Authentication, Authenticator
from api.closing import Closing
from appliance import box as appliance
from appliance.box import Box
from appliance.settings import Settings
from appliance.store.keys import Caller
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
    vocabulary.get_vocabulary,  # GET /api/v1/vocabulary
    vocabulary.put_vocabulary,  # PUT /api/v1/vocabulary
    keys.list_keys,  # GET /api/v1/keys
    keys.create_key,  # POST /api/v1/keys
    keys.revoke_key,  # DELETE /api/v1/keys/{id}
    accounts.list_accounts,  # GET /api/v1/accounts
    accounts.create_account,  # POST /api/v1/accounts
    accounts.change_account,  # PATCH /api/v1/accounts/{id}
]
LAST_USED_EVERY_S = 60.0


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
            authenticator = Authenticator(box.database)
            clock = Clock((Duty("last_used", LAST_USED_EVERY_S, authenticator.write_last_used),))
            app.state.box, app.state.authenticator = box, authenticator
            app.state.clock = clock.start()
            app.state.closing = Closing()
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
        },
        middleware=[
            DefineMiddleware(Authentication, exclude="^/schema", exclude_from_auth_key="open"),
        ],
        exception_handlers=problems.HANDLERS,
        openapi_config=openapi.document(),
        logging_config=None,
        debug=False,
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
