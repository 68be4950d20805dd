"""From the request to the answer: what transcriptions and translations have in common.

What can be refused is refused before the file is read: a wrong key, a busy box, a length too large,
a model that can't translate. JSON is padded while it takes long; text is not, so it has to wait.
"""

import contextlib
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio.to_thread
from litestar import Request, Response

from api import receiving
from api.closing import Closing
from api.openai import form, formats, wishes
from api.openai.formats import Telling
from api.openai.hearing import Hearing, Segments, before_leaving
from api.openai.models import label
from api.openai.refusals import InvalidField, refused
from api.openai.streaming import Streamed
from api.openai.wishes import Wishes
from api.padding import Padded
from appliance.box import Box
from appliance.direct import Direct, DirectResult
from appliance.store import vocabulary
from appliance.store.keys import Caller
from engine.errors import LanguageUnsupported

FIRST_S = 10.0  # after that a stream begins: an error can then no longer be a status
MODEL = "x-scribebox-model"  # the one that listens, whichever was asked for


async def answer(
    request: Request[Any, Any, Any], box: Box, closing: Closing, caller: Caller, task: str
) -> Response[Any]:
    """Take the file in and answer with its text, whole or as it comes."""
    direct, translate = box.direct, task == formats.TRANSLATE
    check_task(direct, translate)
    receiving.announced(request, direct.audio)
    with contextlib.ExitStack() as stack:
        stack.enter_context(direct.enter())
        incoming = stack.enter_context(await anyio.to_thread.run_sync(direct.audio.receive))
        wanted = wishes.parse(await form.receive(request, incoming))
        direct.check(wanted.language, translate=translate)
        hotwords = await anyio.to_thread.run_sync(hotwords_of, box, caller, wanted)
        await anyio.to_thread.run_sync(incoming.close)
        listening = Listening(box, incoming.path, wanted, hotwords, task)
        headers = {MODEL: label(box)}
        held = stack.pop_all()
    if wanted.stream:
        heard = Hearing(listening.run, held)
        await before_leaving(heard.begun(FIRST_S), heard, request, closing)
        return Streamed(heard, listening.told, request, closing, headers)
    if wanted.format in formats.PADDED:
        return Padded(listening.written, refused, closing, held, headers)
    heard = Hearing(listening.run, held)
    result = await before_leaving(heard.result(), heard, request, closing)
    body = await anyio.to_thread.run_sync(formats.write, wanted.format, listening.told(result))
    return Response(body, media_type="text/plain", headers=headers)


def check_task(direct: Direct, translate: bool) -> None:
    """Refuse what the model was never taught."""
    try:
        direct.check(None, translate=translate)
    except LanguageUnsupported as error:
        raise InvalidField(str(error), "model") from None


def hotwords_of(box: Box, caller: Caller, wanted: Wishes) -> tuple[str, ...]:
    """Return what this request and its account expect to be said; it reads the database."""
    with box.database.read() as session:
        own = vocabulary.of(session, caller.account_id).hotwords
    return tuple(dict.fromkeys((*wanted.hotwords, *own)))


@dataclass(frozen=True, slots=True)
class Listening:
    """A file that has come in, and what is wanted of it."""

    box: Box
    path: Path
    wanted: Wishes
    hotwords: tuple[str, ...]
    task: str

    def run(
        self, tell: Callable[[Segments], None] | None, cancelled: threading.Event
    ) -> DirectResult:
        """Transcribe it, in a thread that may wait."""
        return self.box.direct.transcribe(
            self.path,
            language=self.wanted.language,
            hotwords=self.hotwords,
            translate=self.task == formats.TRANSLATE,
            on_segments=tell,
            cancelled=cancelled,
        )

    def written(self, cancelled: threading.Event) -> bytes:
        """Transcribe it and return the body of the answer."""
        return formats.write(self.wanted.format, self.told(self.run(None, cancelled)))

    def told(self, result: DirectResult) -> Telling:
        """Return the result as the formats tell it."""
        tokens_of = self.box.worker.model().tokens
        asked = self.wanted.language, self.wanted.granularities
        return Telling(result.transcript, tokens_of, *asked, self.task)
