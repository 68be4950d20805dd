"""deepgram-sdk 4: its finish() sends CloseStream, waits half a second and closes."""

import time

from deepgram import (
    DeepgramClient,
    DeepgramClientOptions,
    LiveOptions,
    LiveTranscriptionEvents,
    PrerecordedOptions,
)
from plan import WAIT_S, Plan, Told, tell

LIVE = LiveOptions(
    model="nova-2",
    language="en-US",
    encoding="linear16",
    sample_rate=16_000,
    channels=1,
    interim_results=True,
    endpointing=300,
    utterance_end_ms="1000",
    vad_events=True,
    smart_format=True,
)


def close_of(told):
    """Note it; finish() says it between CloseStream and its half second: no race with the box."""
    told.close()
    told.complete.wait(WAIT_S)


def live(plan, told):
    options = DeepgramClientOptions(url=plan.url, options={"keepalive": "true"})
    connection = DeepgramClient(plan.key, options).listen.websocket.v("1")
    events = LiveTranscriptionEvents
    connection.on(events.Transcript, lambda _, result, **__: told.hear(result.to_dict()))
    connection.on(events.Metadata, lambda _, metadata, **__: told.hear(metadata.to_dict()))
    connection.on(
        events.SpeechStarted, lambda _, speech_started, **__: told.hear(speech_started.to_dict())
    )
    connection.on(
        events.UtteranceEnd, lambda _, utterance_end, **__: told.hear(utterance_end.to_dict())
    )
    connection.on(events.Error, lambda _, error=None, **__: told.fail(error))
    connection.on(events.Unhandled, lambda _, unhandled=None, **__: told.fail(unhandled))
    connection.on(events.Close, lambda _, close=None, **__: close_of(told))
    if not connection.start(LIVE):
        raise ConnectionError("start() says False")
    socket = connection._socket
    before, after = plan.halves
    for piece in before:
        connection.send(piece)
        time.sleep(plan.pause_s)
    connection.finalize()
    told.wait_until_finalized()
    told.finalized.clear()
    for piece in after:
        connection.send(piece)
        time.sleep(plan.pause_s)
    connection.finalize()  # or finish() would lose what is not final in half a second
    told.wait_until_finalized()
    if not connection.finish():
        raise ConnectionError("finish() says False")
    told.close_code = socket.close_code


def file(plan):
    keyed = DeepgramClient(plan.key, DeepgramClientOptions(url=plan.url))
    token = keyed.auth.v("1").grant_token().access_token
    client = DeepgramClient(config=DeepgramClientOptions(url=plan.url, access_token=token))
    answer = client.listen.rest.v("1").transcribe_file(
        {"buffer": plan.sound},
        PrerecordedOptions(model="nova-3", smart_format=True, paragraphs=True, utterances=True),
    )
    tell(answer=answer.to_dict())


plan = Plan()
if plan.what == "file":
    file(plan)
else:
    told = Told()
    live(plan, told)
    told.tell()
