"""Have the cloud hear stretches: so many at once, with a rest after each failure of its own.

For one event loop. A stretch that the cloud could not hear is left as it was, for whoever sent it.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Literal

from appliance.lane import Lane, Spent, Stretch
from appliance.prices import Prices
from appliance.standby_tally import StandbyTally
from appliance.store import usage
from engine import prerecorded
from engine.cloud import Cloud
from engine.errors import CloudRefused, CloudUnreachable
from engine.failover import Cause, next_rest_s
from engine.whisper import Heard

log = logging.getLogger(__name__)
MOST_REQUESTS = 3


class CloudEar:
    """Ask the cloud, and rest."""

    def __init__(
        self,
        cloud: Cloud | None,
        prices: Prices,
        tally: StandbyTally,
        settle: Callable[[Lane], None],
    ) -> None:
        self._settle = settle
        self._cloud, self._prices, self._tally = cloud, prices, tally
        self._asking: set[asyncio.Task[None]] = set()
        self._failure: Literal["cloudRefused", "cloudUnreachable"] | None = None
        self._rest_s, self._rests_since_s = 0.0, 0.0
        self._told = ""

    @property
    def configured(self) -> bool:
        """Tell whether there is a cloud to ask."""
        return self._cloud is not None

    @property
    def free(self) -> bool:
        """Tell whether one more may be asked for."""
        return len(self._asking) < MOST_REQUESTS

    @property
    def resting(self) -> Literal["cloudRefused", "cloudUnreachable"] | None:
        """Return what the cloud rests for, None if it may be asked."""
        over = time.monotonic() >= self._rests_since_s + self._rest_s
        return None if over else self._failure

    def begin(self, stretch: Stretch, cause: Cause, language: str | None) -> None:
        """Send a stretch; `language` is for one whose own isn't known. It has its result soon."""
        assert self._cloud is not None
        stretch.sending = asyncio.create_task(self._ask(self._cloud, stretch, cause, language))
        self._asking.add(stretch.sending)

    async def close(self) -> None:
        """Give up what is asked."""
        for task in self._asking:
            task.cancel()
        await asyncio.gather(*self._asking, return_exceptions=True)

    async def _ask(
        self, cloud: Cloud, stretch: Stretch, cause: Cause, language: str | None
    ) -> None:
        began_s, request = time.monotonic(), stretch.request
        request = replace(request, language=request.language or language)
        try:
            answer = await prerecorded.transcribe(cloud, stretch.samples, request)
        except (CloudRefused, CloudUnreachable) as error:
            self._rest(error, began_s)
        except Exception:  # whatever it is, the stretch must not wait for it for ever
            log.exception("the cloud could not be asked")
            self._rest(CloudUnreachable("an internal error"), began_s)
        else:
            self._rest_s, self._failure, self._told = 0.0, None, ""
            self._tally.heard(cause, stretch.seconds)
            stretch.lane.spend(self._spent(stretch, answer))
            stretch.finish(because(answer.heard, cause))
            if stretch.lane.closed:  # the box was quicker: no text charges this one
                self._settle(stretch.lane)
        finally:
            stretch.sending = None
            task = asyncio.current_task()
            assert task is not None
            self._asking.discard(task)

    def _spent(self, stretch: Stretch, answer: prerecorded.Answer) -> Spent:
        audio_ms = round(stretch.seconds * 1000)
        return Spent(
            audio_ms,
            sum(usage.count_words(segment.text) for segment in answer.heard.segments),
            self._prices.cost_micros(answer.model, audio_ms),
            prerecorded.label_of(answer.model),
        )

    def _rest(self, error: CloudRefused | CloudUnreachable, began_s: float) -> None:
        """Rest, longer each time; requests that were out together are one failure."""
        refused = isinstance(error, CloudRefused)
        self._failure = "cloudRefused" if refused else "cloudUnreachable"
        self._tally.failed(self._failure)
        if began_s >= self._rests_since_s:
            self._rest_s = next_rest_s(self._rest_s)
            self._rests_since_s = time.monotonic()
        if str(error) != self._told:
            self._told = str(error)
            log.warning("the cloud hears nothing for the box: %s", error)


def because(heard: Heard, cause: Cause) -> Heard:
    """Return what was heard with the reason why it was not the box."""
    return replace(
        heard, segments=tuple(replace(one, engine_reason=cause) for one in heard.segments)
    )
