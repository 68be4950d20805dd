"""Dictate through Deepgram's own SDK: a file, or the microphone until Ctrl-C.

SCRIBEBOX_KEY=sb_live_... python examples/dictation.py [--box URL] [--engine ENGINE] [FILE]
Needs deepgram-sdk 7.17, httpx and av, for the microphone sounddevice too.
"""

import argparse
import io
import os
import signal
import sys
import threading
import wave
from concurrent.futures import ThreadPoolExecutor
from urllib.request import getproxies

import av
import httpx
from deepgram import DeepgramClient
from deepgram.environment import DeepgramClientEnvironment

stopped = threading.Event()


def spoken(path, audio):
    """Yield a file as it is, 1.25 times as fast as it was spoken: the cloud takes it no faster."""
    with av.open(path) as container:
        tenth = (container.bit_rate or 256_000) // 80 + 1  # bytes of 0.1 s
    while not stopped.wait(0.08) and (chunk := audio.read(tenth)):
        yield chunk


def microphone(audio):
    """Yield linear16 until Ctrl-C, and write it as a WAV file."""
    import sounddevice  # fails where PortAudio is missing

    stream = sounddevice.RawInputStream(16_000, 1_600, dtype="int16", channels=1)
    with stream, wave.open(audio, "wb") as recording:
        recording.setparams((1, 2, 16_000, 0, "NONE", ""))
        while not stopped.is_set():
            recording.writeframes(chunk := bytes(stream.read(1_600)[0]))
            yield chunk


def hear(connection):
    """Print what is final; return it, and the metadata that come last."""
    finals, message = [], None
    for message in connection:
        if getattr(message, "is_final", None) and message.channel.alternatives[0].transcript:
            finals.append(message)
            print(message.channel.alternatives[0].transcript, flush=True)
    return finals, message


def dictate(box, engine, path, audio):
    granted = box.get("token", params={"engine": engine}).json()
    place = granted["url"].removesuffix("/v1/listen")
    there = DeepgramClientEnvironment(base=place, production=place, agent=place, agent_rest=place)
    listen = DeepgramClient(access_token=granted["token"], environment=there).listen.v1
    raw = {} if path else {"encoding": "linear16", "sample_rate": 16_000}
    socket = listen.connect(model="nova-3", smart_format=True, **raw)
    with ThreadPoolExecutor() as pool, socket as connection:
        hearing = pool.submit(hear, connection)
        for chunk in spoken(path, audio) if path else microphone(audio):
            connection.send_media(chunk)
        connection.send_close_stream()
        finals, metadata = hearing.result(60)  # the last words come after the last audio
    if not finals:
        sys.exit("nothing was heard")
    best = [final.channel.alternatives[0] for final in finals]
    text, seconds = " ".join(one.transcript for one in best), metadata.duration
    entry = {"rawTranscript": text, "cleanedText": text, "requestId": metadata.request_id}
    entry |= {"durationMs": round(seconds * 1000), "audioDurationSec": seconds}
    entry |= {"confidence": sum(one.confidence for one in best) / len(best)}
    entry |= {"model": finals[0].metadata.model_info.name}
    once = {"Idempotency-Key": metadata.request_id}
    entry_id = box.post("history", json=entry, headers=once).json()["id"]
    upload_url = box.post("history/audio/upload-url").json()["uploadUrl"]
    audio.seek(0)
    upload = box.build_request("PUT", upload_url, content=audio)
    del upload.headers["Authorization"]  # that URL is its own credential
    box.post(f"history/{entry_id}/audio", json=box.send(upload).json())


def check(answer):
    if not answer.is_success:
        answer.read()
        sys.exit(f"the box says {answer.status_code}: {answer.json()['detail']}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--box", default="http://127.0.0.1:8080", metavar="URL")
    parser.add_argument("--engine", default="auto", choices=("auto", "cloud", "local"))
    parser.add_argument("file", nargs="?", metavar="FILE")
    given = parser.parse_args()
    key = os.environ.get("SCRIBEBOX_KEY") or sys.exit("SCRIBEBOX_KEY must hold a key of the box")
    signal.signal(signal.SIGINT, lambda *_: stopped.set())
    try:
        # a proxy that the environment names may stand before the cloud, not before the box
        os.environ["no_proxy"] = f"{getproxies().get('no', '')},{httpx.URL(given.box).host}"
        box = httpx.Client(base_url=f"{given.box}/v1/transcribe", timeout=60)
        box.headers["Authorization"] = f"Bearer {''.join(key.split())}"
        box.event_hooks = {"response": [check]}
        with open(given.file, "rb") if given.file else io.BytesIO() as audio:
            dictate(box, given.engine, given.file, audio)
    except Exception as error:  # one line instead of a trace
        sys.exit(f"dictating to {given.box} failed: {type(error).__name__}: {error}")


if __name__ == "__main__":
    main()
