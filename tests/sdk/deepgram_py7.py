"""deepgram-sdk 7 as its users write it: live (sync with a key, async with a token), and files."""

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor

from deepgram import AsyncDeepgramClient, DeepgramClient
from deepgram.core.api_error import ApiError
from deepgram.core.events import EventType
from deepgram.environment import DeepgramClientEnvironment
from plan import WAIT_S, Plan, Told, pieces, tell

LIVE = {
    "model": "nova-3",
    "language": "en-US",
    "encoding": "linear16",
    "sample_rate": 16_000,
    "channels": 1,
    "interim_results": True,
    "endpointing": 300,
    "utterance_end_ms": 1_000,
    "vad_events": True,
    "smart_format": True,
    "keyterm": ["office kitchen", "Tuesday"],
    "request_options": {"additional_query_parameters": {"no_delay": "true"}},
}


def environment(url):
    socket = url.replace("http", "ws", 1)
    return DeepgramClientEnvironment(base=url, production=socket, agent=socket, agent_rest=url)


def subscribe(connection, told):
    connection.on(EventType.MESSAGE, lambda m: told.hear(m.dict()) if m else told.fail(m))
    connection.on(EventType.ERROR, told.fail)
    connection.on(EventType.CLOSE, lambda _: told.close())


def live(plan, told):
    client = DeepgramClient(environment=environment(plan.url), api_key=plan.key)
    with client.listen.v1.connect(**LIVE) as connection, ThreadPoolExecutor() as pool:
        subscribe(connection, told)
        listening = pool.submit(connection.start_listening)
        before, after = plan.halves
        for piece in before:
            connection.send_media(piece)
            time.sleep(plan.pause_s)
        connection.send_finalize()
        told.wait_until_finalized()
        connection.send_keep_alive()
        for piece in after:
            connection.send_media(piece)
            time.sleep(plan.pause_s)
        connection.send_close_stream()
        listening.result(WAIT_S)
        told.close_code = connection._websocket.close_code


async def live_async(plan, told):
    there = environment(plan.url)
    keyed = AsyncDeepgramClient(environment=there, api_key=plan.key)
    granted = await keyed.auth.v1.tokens.grant(ttl_seconds=60)
    client = AsyncDeepgramClient(environment=there, access_token=granted.access_token)
    async with client.listen.v1.connect(**LIVE) as connection:
        subscribe(connection, told)
        listening = asyncio.create_task(connection.start_listening())
        before, after = plan.halves
        for piece in before:
            await connection.send_media(piece)
            await asyncio.sleep(plan.pause_s)
        await connection.send_finalize()
        await asyncio.to_thread(told.wait_until_finalized)
        for piece in after:
            await connection.send_media(piece)
            await asyncio.sleep(plan.pause_s)
        await connection.send_close_stream()
        await asyncio.wait_for(listening, WAIT_S)
        told.close_code = connection._websocket.close_code


def file(plan):
    client = DeepgramClient(environment=environment(plan.url), api_key=plan.key)
    answer = client.listen.v1.media.transcribe_file(
        request=plan.sound, model="nova-3", smart_format=True, paragraphs=True, utterances=True,
        tag=["a tag"], extra=["desk:12"],
    )  # fmt: skip
    chunked = client.listen.v1.media.transcribe_file(
        request=iter(pieces(plan.sound)), model="nova-3", punctuate=True
    )
    tell(answer=answer.dict(), chunked=chunked.dict())


def once(plan):
    """Send a file in one request, with every timeout as the SDK has it."""
    client = DeepgramClient(environment=environment(plan.url), api_key=plan.key)
    answer = client.listen.v1.media.transcribe_file(request=plan.sound, model="nova-3")
    tell(answer=answer.dict())


def refused(plan):
    """Tell what comes of a wrong key, and of bytes that are no sound."""
    there = environment(plan.url)
    told = []
    for key, sound in (("sb_live_aaaaaaaa_" + "b" * 43, plan.sound), (plan.key, b"no sound" * 99)):
        client = DeepgramClient(environment=there, api_key=key)
        try:
            client.listen.v1.media.transcribe_file(request=sound, model="nova-3")
        except ApiError as error:
            told.append([type(error).__name__, error.status_code, error.body])
    tell(refusals=told)


plan = Plan()
if plan.what == "file":
    file(plan)
elif plan.what == "once":
    once(plan)
elif plan.what == "refused":
    refused(plan)
else:
    told = Told()
    live(plan, told) if plan.what == "live" else asyncio.run(live_async(plan, told))
    told.tell()
