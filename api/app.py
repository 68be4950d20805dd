"""The HTTP surface: every route in one table, and what starts and stops around it."""

import contextlib
from collections.abc import AsyncIterator, Callable
from importlib.metadata import version
from typing import Any

import anyio.to_thread
from litestar import Litestar, Request
from litestar.di import Provide
from litestar.middleware import DefineMiddleware
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.openapi.spec import Components, SecurityScheme

from api import health, problems, sessions
from api.auth import Authentication, Authenticator
from appliance import box as appliance
from appliance.box import Box
from appliance.settings import Settings
from appliance.store.keys import Caller
from scheduler.clock import Clock, Duty

ROUTES: list[Any] = [
    health.health,  # GET /health
    sessions.list_sessions,  # GET /api/v1/audioscribe/sessions/
    sessions.get_session,  # GET /api/v1/audioscribe/sessions/{id}/
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
        },
        middleware=[
            DefineMiddleware(Authentication, exclude="^/schema", exclude_from_auth_key="open")
        ],
        exception_handlers=problems.HANDLERS,
        openapi_config=openapi(),
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


def openapi() -> OpenAPIConfig:
    """Return what describes the API; the document is served without any third-party script."""
    scheme = SecurityScheme(type="http", scheme="bearer", description="a key, sb_live_…")
    return OpenAPIConfig(
        title="Scribebox",
        version=version("scribebox"),
        path="/schema",
        render_plugins=[JsonRenderPlugin(path="/openapi.json")],
        components=Components(security_schemes={"apiKey": scheme}),
    )
