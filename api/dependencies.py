"""What handlers may ask for by name: the parts of the running box."""

from collections.abc import Callable
from typing import Any

from litestar import Request
from litestar.di import Provide

NAMES = (
    "box",  # appliance.box.Box
    "clock",  # scheduler.clock.Clock
    "closing",  # api.closing.Closing
    "deliverer",  # scheduler.delivery.Deliverer
    "destinations",  # scheduler.destinations.Destinations
    "links",  # api.links.Links
    "remote",  # api.listen.remote.Remote
)


def provided() -> dict[str, Provide]:
    """Return the providers: of each part that `api.lifespan` made, and of who is calling."""
    parts = {name: Provide(part(name), sync_to_thread=False) for name in NAMES}
    return {**parts, "caller": Provide(the_caller, sync_to_thread=False)}


def part(name: str) -> Callable[..., Any]:
    """Return what finds a part by its name in the state of the app."""

    def found(request: Request[Any, Any, Any]) -> Any:
        return request.app.state[name]

    return found


def the_caller(request: Request[Any, Any, Any]) -> Any:
    """Return who is calling: appliance.store.keys.Caller."""
    return request.user
