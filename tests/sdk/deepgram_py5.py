"""deepgram-sdk 5, the strictest reader: whatever it can't validate ends its listener."""

import time
from concurrent.futures import ThreadPoolExecutor

from deepgram import DeepgramClient
from deepgram.core.events import EventType
from deepgram.environment import DeepgramClientEnvironment
from deepgram.extensions.types.sockets import ListenV1ControlMessage
from plan import WAIT_S, Plan, Told, tell

LIVE = {
    "model": "nova-2-meeting",
    "language": "en",
    "encoding": "linear16",
    "sample_rate": "16000",
    "interim_results": "true",
    "endpointing": "300",
    "utterance_end_ms": "1000",
    "vad_events": "true",
    "punctuate": "true",
    "keywords": ["budget:2", "kitchen"],
}


def client_of(plan):
    socket = plan.url.replace("http", "ws", 1)
    there = DeepgramClientEnvironment(base=plan.url, production=socket, agent=socket)
    keyed = DeepgramClient(environment=there, api_key=plan.key)
    granted = keyed.auth.v1.tokens.grant()
    return DeepgramClient(environment=there, access_token=granted.access_token)


def live(plan, told):
    connecting = client_of(plan).listen.v1.connect(**LIVE)
    with connecting as connection, ThreadPoolExecutor() as pool:
        connection.on(EventType.MESSAGE, lambda message: told.hear(message.dict()))
        connection.on(EventType.ERROR, told.fail)
        connection.on(EventType.CLOSE, lambda _: told.close())
        listening = pool.submit(connection.start_listening)
        before, after = plan.halves
        for piece in before:
            connection.send_media(piece)
            time.sleep(plan.pause_s)
        connection.send_control(ListenV1ControlMessage(type="Finalize"))
        told.wait_until_finalized()
        connection.send_control(ListenV1ControlMessage(type="KeepAlive"))
        for piece in after:
            connection.send_media(piece)
            time.sleep(plan.pause_s)
        connection.send_control(ListenV1ControlMessage(type="CloseStream"))
        listening.result(WAIT_S)  # raises what came out of start_listening
        told.close_code = connection._websocket.close_code


def file(plan):
    answer = client_of(plan).listen.v1.media.transcribe_file(
        request=plan.sound, model="nova-3", smart_format=True, paragraphs=True, utterances=True
    )
    tell(answer=answer.dict())


plan = Plan()
if plan.what == "file":
    file(plan)
else:
    told = Told()
    live(plan, told)
    told.tell()
