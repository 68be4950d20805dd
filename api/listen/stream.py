"""`WS /v1/listen` as Deepgram's clients know it: sound in, text out while it is spoken.

Refusals are real HTTP answers to the handshake, with `dg-error`: who is not allowed, what can't be
asked, too many streams. A token must be valid when the socket opens; an open one outlives it.
"""

import uuid
from typing import Any
from urllib.parse import parse_qsl

import anyio.to_thread
from litestar import WebSocket, websocket
from litestar.exceptions import WebSocketDisconnect

from api.auth import DEEPGRAM, slow_down
from api.listen import refusals
from api.listen.connection import Connection
from api.listen.credentials import Credential, caller_of, presented
from api.listen.messages import Model
from api.listen.options import Options, parse
from api.listen.refusals import Refusal, refuse_handshake
from api.threads import LISTENERS, in_thread
from appliance.box import Box
from appliance.listening import Asked, Listening
from appliance.store import keys
from appliance.store import vocabulary as vocabularies
from appliance.store.entities import ApiKey
from appliance.store.keys import Caller
from engine.errors import AudioUnreadable
from engine.models import Model as Installed

SCOPE = "listen"
LOADING_S = 60.0  # for a model that is just being loaded
Socket = WebSocket[Any, Any, Any]


@websocket("/v1/listen", opt={"scope": SCOPE, "surface": DEEPGRAM})
async def listen(socket: Socket) -> None:
    """Serve one client."""
    request_id = str(uuid.uuid4())
    box: Box = socket.app.state.box
    try:
        credential, caller = await authenticated(socket)
        options = parse(parse_qsl(socket.scope["query_string"].decode(), keep_blank_values=True))
        with box.listeners.place():
            model = await in_thread(LISTENERS, lambda: model_for(box, options))
            await serve(socket, box, options, model, credential, caller, request_id)
    except Exception as error:
        await refuse_handshake(socket, refusals.refusal_of(socket, error), request_id)


async def authenticated(socket: Socket) -> tuple[Credential, Caller]:
    """Return what the client presents, and who it is; raise a Refusal."""
    credential = presented(socket.headers, socket.scope["subprotocols"])
    caller = await caller_of(socket.app, credential) if credential is not None else None
    if credential is None or caller is None:
        if credential is not None:
            slow_down(socket)
        raise refusals.invalid_credentials()
    if not caller.may(SCOPE):
        raise refusals.insufficient_permissions(SCOPE)
    return credential, caller


def model_for(box: Box, options: Options) -> Installed:
    """Return the model that will listen; raise unless there is one that knows the language."""
    try:
        whisper = box.worker.model(LOADING_S)
    except TimeoutError:
        raise Refusal(503, "SERVICE_UNAVAILABLE", "The model is still being loaded.", 5) from None
    whisper.check_language(options.language_for(box.settings.language))
    return whisper.model


async def serve(
    socket: Socket,
    box: Box,
    options: Options,
    model: Installed,
    credential: Credential,
    caller: Caller,
    request_id: str,
) -> None:
    """Open the socket and serve it to its end; raise while it can still be refused."""
    connection = Connection(socket, box.listeners, options, Model.of(model), request_id)
    with socket.app.state.connections.holding(connection, caller.key_id):
        connection.vocabulary = await anyio.to_thread.run_sync(vocabulary_of, box, caller)
        asked = asked_of(box, options, model, connection.vocabulary)
        try:
            listening = await in_thread(
                LISTENERS, lambda: Listening(box.worker, asked, connection.wake)
            )
        except (AudioUnreadable, ValueError) as error:
            raise refusals.invalid_query(str(error)) from None
        connection.listening = listening
        try:
            with box.listeners.following(listening):
                if await opened(socket, credential, request_id):
                    await connection.run()
        finally:
            await in_thread(LISTENERS, listening.close)


async def opened(socket: Socket, credential: Credential, request_id: str) -> bool:
    """Open the socket; return False if the client has left meanwhile."""
    headers = {"dg-request-id": request_id}
    try:
        await socket.accept(subprotocols=credential.subprotocol, headers=headers)
    except (OSError, WebSocketDisconnect):
        return False
    return True


def asked_of(box: Box, options: Options, model: Installed, vocabulary: tuple[str, ...]) -> Asked:
    """Return what the stream is to be, in the words of the engine."""
    return Asked(
        encoding=options.encoding,
        sample_rate=options.sample_rate,
        channels=options.channels,
        multichannel=options.multichannel,
        language="en" if model.english_only else options.language_for(box.settings.language),
        hotwords=(*options.keyterms, *vocabulary),
        endpoint_ms=options.endpointing_ms,
        pause_ms=options.utterance_end_ms,
    )


def vocabulary_of(box: Box, caller: Caller) -> tuple[str, ...]:
    """Return the words of the account that the engine is to expect.

    Raise if the key has ended since it was presented: from now on that ends the stream.
    """
    with box.database.read() as session:
        key = session.get(ApiKey, caller.key_id)
        if key is None or keys.state(key) != "valid":
            raise refusals.invalid_credentials()
        return tuple(vocabularies.of(session, caller.account_id).hotwords)
