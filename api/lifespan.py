"""What starts with the app and stops with it, in order and back."""

import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any
from urllib.parse import urlsplit

import anyio.to_thread
from litestar import Litestar

from api.auth import Authenticator
from api.closing import Closing
from api.links import Links
from api.listen.connections import Connections
from api.listen.remote import Remote
from appliance import box as appliance
from appliance.box import Box
from appliance.countdown import STOP_S, Countdown
from appliance.settings import Settings
from scheduler import recovery
from scheduler.clock import Clock
from scheduler.delivery import Deliverer
from scheduler.destinations import Destinations, this_machine
from scheduler.duties import Duties
from scheduler.sending import Sender

DELIVERIES_S = 2.0  # for what is in flight when the box stops; the rest is sent again
Lifespan = Callable[[Litestar], contextlib.AbstractAsyncContextManager[None]]


def lifespan(
    settings: Settings,
    url: str,
    on_started: Callable[[Box], None],
    on_failed: Callable[[Exception], None],
) -> Lifespan:
    """Return the context around a running app; `on_failed` is told why a start did not succeed."""

    @contextlib.asynccontextmanager
    async def around(app: Litestar) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            try:
                box = await start(app, settings, url, stack)
            except Exception as error:
                on_failed(error)
                raise
            on_started(box)
            yield

    return around


async def start(app: Litestar, settings: Settings, url: str, stack: AsyncExitStack) -> Box:
    """Start every part, and put into the state of the app what handlers ask for."""
    countdown = app.state.countdown = Countdown(STOP_S)
    running = appliance.running(settings, url, countdown)
    box = await anyio.to_thread.run_sync(running.__enter__)
    in_thread(stack, running.__exit__, None, None, None)
    await anyio.to_thread.run_sync(recovery.recover, box.database, box.recorder)
    app.state.box = box
    app.state.authenticator = Authenticator(box.database, box.page_tokens)
    app.state.closing, app.state.links = Closing(), Links(settings)
    app.state.connections = Connections(box.database)
    own = this_machine(urlsplit(url).port or settings.port)
    app.state.destinations = Destinations(settings.webhook_allow, own)
    app.state.remote = Remote(settings.listen_url_hosts, own, settings.upload_limit_bytes)
    deliverer = Deliverer(box.database, Sender(app.state.destinations), box.webhook_secrets)
    app.state.deliverer = await anyio.to_thread.run_sync(deliverer.start)
    in_thread(stack, lambda: deliverer.stop(min(DELIVERIES_S, countdown.left_s())))
    duties = Duties(box, deliverer, app.state.authenticator.write_last_used)
    app.state.nightly, app.state.sweep = duties.nightly, duties.sweep
    app.state.clock = clock = Clock(duties.table).start()
    in_thread(stack, lambda: clock.stop(countdown.left_s()))
    stack.callback(duties.give_up)
    stack.callback(box.database.hurry)
    app.state.metrics.watch(box, clock, deliverer, duties.nightly)
    return box


def in_thread(stack: AsyncExitStack, call: Callable[..., Any], *arguments: Any) -> None:
    """Have something called in a thread when the app stops."""

    async def do() -> None:
        await anyio.to_thread.run_sync(call, *arguments)

    stack.push_async_callback(do)
