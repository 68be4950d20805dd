"""One client's socket, from the moment it is open until it is closed.

One task reads it, one listens: neither holds the event loop, for whatever costs time runs in
threads. Every way to end tells what was said until then, then Metadata, then a close code.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from typing import Any, TypeVar

from litestar import WebSocket
from litestar.exceptions import WebSocketDisconnect

from api.listen.configure import configured
from api.listen.inbox import Command, Inbox
from api.listen.messages import Message, Model
from api.listen.options import Options
from api.listen.telling import Gone, Telling
from api.threads import LISTENERS, in_thread
from appliance.listeners import Listeners
from appliance.listening import Heard, Listening
from engine.errors import AudioUnreadable, EngineError

log = logging.getLogger(__name__)
Socket = WebSocket[Any, Any, Any]
T = TypeVar("T")
NORMAL, REFUSED, FAILED = 1000, 1008, 1011
UNREADABLE = "DATA-0000: the sound can't be decoded. See https://dpgr.am/data0000"
IDLE = (
    "Deepgram did not receive audio data or a text message within the timeout window. "
    "See https://dpgr.am/net0001"
)
SILENT = "NET-0000: no audio came for an hour"
NO_ENGINE = "the engine failed; see the log of the box"
BROKEN = "an internal error; see the log of the box"
IDLE_S, NO_AUDIO_S = 12.0, 3600.0


class Ended(Exception):
    """The stream is to be closed with that code and reason."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code, self.reason = code, reason


class Connection:
    """Take what the client sends, and tell it what is heard."""

    def __init__(
        self,
        socket: Socket,
        listeners: Listeners,
        options: Options,
        model: Model,
        request_id: str,
        idle_s: float = IDLE_S,
    ) -> None:
        self._socket, self._request_id, self._idle_s = socket, request_id, idle_s
        self._telling = Telling(socket, listeners, options, model, request_id)
        self._loop, self._woken = asyncio.get_running_loop(), asyncio.Event()
        self._inbox = Inbox(self._woken)
        self._news = False  # of the engine
        self._heard_at = self._sound_at = time.monotonic()
        self._reading = False  # the socket is being waited for
        self._order: Ended | None = None  # from outside
        self._until: float | None = None  # when the last words must be told, on the loop's clock
        self._last_words: asyncio.Timeout | None = None  # while they are
        self.listening: Listening
        self.vocabulary: tuple[str, ...] = ()  # of the account, beside the terms of the client

    def wake(self) -> None:
        """The engine has news; from any thread."""
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody is there to be woken
            self._loop.call_soon_threadsafe(self._note_news)

    def end(self, code: int, reason: str, within_s: float | None = None) -> None:
        """Have the stream closed, its last words within some time; on the event loop."""
        self._order = self._order or Ended(code, reason)
        if within_s is not None:
            self._until = self._loop.time() + within_s
            if self._last_words is not None and not self._last_words.expired():
                self._last_words.reschedule(self._until)
        self._woken.set()

    async def run(self) -> None:
        """Serve the client until one of both sides ends it."""
        reading = asyncio.ensure_future(self._read())
        try:
            await self._close(await self._until_ended())
        except Gone:
            pass
        except Exception:
            log.exception("a live stream breaks off")
            await self._telling.close(FAILED, BROKEN)
        finally:
            reading.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await reading

    async def _read(self) -> None:
        try:
            while True:
                await self._inbox.room()
                self._reading = True
                message = await self._socket.receive()
                self._reading, self._heard_at = False, time.monotonic()
                if message["type"] == "websocket.disconnect":
                    return
                if message.get("bytes"):
                    self._sound_at = self._heard_at
                self._inbox.put(message)
                await asyncio.sleep(0)  # many may have come at once: others are served in between
        except WebSocketDisconnect:
            pass
        finally:
            self._inbox.close()

    async def _until_ended(self) -> Ended:
        try:
            while True:
                if self._inbox.closed:
                    raise Gone
                if self._order is not None:
                    return self._order
                if self.listening.unheard and not self.listening.full:
                    await self._tell(await self._do(self._hear))
                elif len(self._inbox) and not self.listening.unheard:
                    await self._take()
                elif self._news:
                    self._news = False
                    await self._tell(await self._do(self.listening.collect))
                else:
                    await self._wait()
        except Ended as ended:
            return ended
        except AudioUnreadable as error:
            log.info("a live stream can't be decoded: %s", error)
            return Ended(REFUSED, UNREADABLE)
        except EngineError as error:
            log.error("a live stream ends: %s", error)
            return Ended(FAILED, NO_ENGINE)

    def _hear(self) -> list[Heard]:
        return self.listening.hear(more=len(self._inbox) > 0)

    async def _wait(self) -> None:
        """Wait until there is something to do, or for so long that nobody seems to be there."""
        left_s = self._idle_s
        if self._waits_for_client:
            until = min(self._heard_at + self._idle_s, self._sound_at + NO_AUDIO_S)
            left_s = max(until - time.monotonic(), 0.0) + 0.01
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._woken.wait(), left_s)
        self._woken.clear()
        now = time.monotonic()
        if self._news or not self._waits_for_client:
            return
        if now - self._sound_at >= NO_AUDIO_S:
            raise Ended(FAILED, SILENT)
        if now - self._heard_at >= self._idle_s:
            raise Ended(FAILED, IDLE)

    @property
    def _waits_for_client(self) -> bool:
        return self._reading and not len(self._inbox)

    async def _take(self) -> None:
        item = self._inbox.take()
        if isinstance(item, list):
            await self._do(lambda: self.listening.take(item))
        elif item is not None:
            await self._obey(item)

    async def _obey(self, command: Command) -> None:
        self.listening.expect_speech()  # it is still there, if silent
        match command["type"]:
            case "CloseStream":
                raise Ended(NORMAL, "")
            case "Finalize":
                channel = command.get("channel")
                one = channel if type(channel) is int else None
                await self._do(lambda: self.listening.flush(one))
                await self._tell(await self._do(self.listening.collect))
            case "Configure" if not isinstance(command.get("processors"), dict):
                await self._telling.send([self._configured(command)])

    def _configured(self, command: Command) -> Message:
        answer, found = configured(command, self._request_id)
        if found is not None:
            self.listening.hotwords = (*found, *self.vocabulary)
        return answer

    async def _close(self, ended: Ended) -> None:
        """Tell the last words, Metadata, and why it is over."""
        listening = self.listening
        try:
            async with asyncio.timeout_at(self._until) as self._last_words:
                ended = await self._end_of_sound(ended)
                await self._tell_the_rest()
        except TimeoutError:
            log.warning("a live stream ends without its last words: the engine is busy")
        except EngineError as error:
            log.error("a live stream ends without its last words: %s", error)
            ended = Ended(FAILED, NO_ENGINE)
        finally:
            self._last_words = None
        await self._telling.finish(listening)
        await self._telling.close(ended.code, ended.reason)

    async def _end_of_sound(self, ended: Ended) -> Ended:
        """Decode what the decoder held back; return why the stream is over."""
        try:
            await self._do(self.listening.end)
        except AudioUnreadable as error:
            if ended.reason != UNREADABLE:
                log.info("a live stream can't be decoded: %s", error)
            return Ended(REFUSED, UNREADABLE)
        return ended

    async def _tell_the_rest(self) -> None:
        """Hear what came until now, and wait for the engine."""
        listening, finished = self.listening, False
        while not (finished and listening.done):
            if listening.unheard and not listening.full:
                await self._tell(await self._do(lambda: listening.hear(more=True)))
            elif not listening.unheard and not finished:
                finished = True
                await self._do(listening.finish)
                await self._tell(await self._do(listening.collect))
            else:
                while not (self._news or self._inbox.closed):
                    await self._woken.wait()
                    self._woken.clear()
                self._news = False
                await self._tell(await self._do(listening.collect))
            if self._inbox.closed:
                raise Gone

    async def _tell(self, heard: list[Heard]) -> None:
        await self._telling.tell(heard, self.listening)

    async def _do(self, work: Callable[[], T]) -> T:
        """Do what may cost time in a thread."""
        return await in_thread(LISTENERS, work)

    def _note_news(self) -> None:
        self._news = True
        self._woken.set()
