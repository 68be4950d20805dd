"""The vendors' SDKs, unchanged, dictate to a real box through one whole stream each."""

import asyncio
import json
from dataclasses import dataclass
from pathlib import Path

import pytest
import websockets
from sdk.kit import node_kit, python_kit
from sdk.listening_box import listening_box
from speech_fixtures import fixture, words_of, words_wrong

from engine.audio import SAMPLE_RATE, read

pytestmark = pytest.mark.long

MEETING = fixture("meeting")
SECONDS = 17.5  # four utterances, and a pause after the last of them
FINALIZE_AT_S = 11.1  # between two words, 100 ms after "for a price,": nothing ends an utterance
PAUSE_S = (7.29, 8.79)  # the first one that is longer than utterance_end_ms
SPOKEN = " ".join(u.text for u in MEETING.utterances if u.end_ms < SECONDS * 1_000)
BYTES_A_SECOND = 2 * SAMPLE_RATE
KINDS = {"Results", "Metadata", "SpeechStarted", "UtteranceEnd"}
CLOCK_S = 0.02  # as precise as seconds in JSON are compared here
WAIT_S = 90
QUERY = (
    "model=nova-3&language=en&encoding=linear16&sample_rate=16000&interim_results=true"
    "&endpointing=300&utterance_end_ms=1000&vad_events=true&smart_format=true&no_delay=true"
)


@dataclass(frozen=True)
class Sound:
    """What is said to every SDK."""

    path: Path
    raw: bytes

    @property
    def plan(self) -> dict[str, object]:
        return {"sound": str(self.path), "finalizeAt": round(FINALIZE_AT_S * BYTES_A_SECOND)}


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    raw = read(MEETING.path)[: round(SECONDS * SAMPLE_RATE)].tobytes()
    path = tmp_path_factory.mktemp("sound") / "meeting.raw"
    path.write_bytes(raw)
    return Sound(path, raw)


@pytest.fixture(scope="module")
def box(tmp_path_factory):
    with listening_box(tmp_path_factory.mktemp("box"), "tiny.en") as listening:
        yield listening


def is_whole(messages):
    """Check one stream from its first message to its last."""
    kinds = [message["type"] for message in messages]
    assert set(kinds) == KINDS
    assert kinds.index("SpeechStarted") < kinds.index("Results")
    assert kinds[-1] == "Metadata" and kinds.count("Metadata") == 1
    assert messages[-1]["duration"] == pytest.approx(SECONDS, abs=CLOCK_S)
    assert messages[-1]["channels"] == 1

    results = [message for message in messages if message["type"] == "Results"]
    reached_s = 0.0
    for one in results:
        assert one["start"] == pytest.approx(reached_s, abs=CLOCK_S)
        assert one["channel_index"] == [0, 1]
        assert one["metadata"]["model_info"]["name"] == "whisper-tiny.en"
        assert one["metadata"]["request_id"] == messages[-1]["request_id"]
        for word in one["channel"]["alternatives"][0]["words"]:
            assert one["start"] - 0.5 <= word["start"] <= word["end"]
            assert 0 <= word["confidence"] <= 1
        if one["is_final"]:
            reached_s = one["start"] + one["duration"]
    assert reached_s == pytest.approx(SECONDS, abs=CLOCK_S)

    finals = [one for one in results if one["is_final"]]
    best = [one["channel"]["alternatives"][0] for one in finals]
    text = " ".join(one["transcript"] for one in best)
    assert words_wrong(SPOKEN, text) <= 0.25 * len(words_of(SPOKEN)), text
    words = [word for one in best for word in one["words"]]
    assert words_of(" ".join(word["punctuated_word"] for word in words)) == words_of(text)
    starts = [word["start"] for word in words]
    assert starts == sorted(starts) and starts[-1] < SECONDS
    utterance_ended_once_before_the_next(messages)


def utterance_ended_once_before_the_next(messages):
    """Check that the pause was told, after the final words before it and before those behind."""
    ends = [at for at, message in enumerate(messages) if message["type"] == "UtteranceEnd"]
    told_s = [messages[at]["last_word_end"] for at in ends]
    assert told_s == sorted(set(told_s))
    within = [at for at in ends if abs(messages[at]["last_word_end"] - PAUSE_S[0]) < 0.7]
    assert len(within) == 1, told_s
    assert messages[within[0]]["channel"] == [0, 1]
    finals = [(at, one) for at, one in enumerate(messages) if one.get("is_final")]
    spoken = [
        (at, word["start"])
        for at, one in finals
        for word in one["channel"]["alternatives"][0]["words"]
    ]
    before = [at for at, start_s in spoken if start_s < sum(PAUSE_S) / 2]
    behind = [at for at, start_s in spoken if start_s > sum(PAUSE_S) / 2]
    assert max(before) < within[0] < min(behind)


def answers_finalize(messages, times=1):
    """Check that Finalize brought the words that were waiting, in one message of its own."""
    flushed = [one for one in messages if one.get("from_finalize")]
    assert len(flushed) == times
    assert flushed[0]["is_final"] and flushed[0]["speech_final"]
    assert flushed[0]["channel"]["alternatives"][0]["words"]
    end_s = flushed[0]["start"] + flushed[0]["duration"]
    assert end_s == pytest.approx(FINALIZE_AT_S, abs=CLOCK_S)


def ended_well(told):
    assert told["errors"] == []
    assert (told["closes"], told["closeCode"]) == (1, 1000)


def test_deepgram_sdk_7_shows_words_while_they_are_said(box, sound):
    kit = python_kit("deepgram-sdk", "7.17.0")
    told = kit.run("deepgram_py7.py", what="live", pauseSeconds=0.1, **box.credential, **sound.plan)
    is_whole(told["messages"])
    answers_finalize(told["messages"])
    ended_well(told)
    assert any(one["type"] == "Results" and not one["is_final"] for one in told["messages"])


def test_deepgram_sdk_7_async_with_a_token_it_was_granted(box, sound):
    kit = python_kit("deepgram-sdk", "7.17.0")
    told = kit.run("deepgram_py7.py", what="live async", **box.credential, **sound.plan)
    is_whole(told["messages"])
    answers_finalize(told["messages"])
    ended_well(told)


def test_deepgram_sdk_5_validates_every_message_of_a_stream(box, sound):
    kit = python_kit("deepgram-sdk", "5.3.2")
    told = kit.run("deepgram_py5.py", what="live", **box.credential, **sound.plan)
    is_whole(told["messages"])
    answers_finalize(told["messages"])
    ended_well(told)


def test_deepgram_sdk_4_finishes_without_an_error(box, sound):
    kit = python_kit("deepgram-sdk", "4.8.1")
    told = kit.run("deepgram_py4.py", what="live", **box.credential, **sound.plan)
    is_whole(told["messages"])
    answers_finalize(told["messages"], times=2)
    assert told["errors"] == []
    assert told["closes"] >= 1 and told["closeCode"] == 1000


def test_deepgram_js_5_streams_in_node_with_a_token_and_does_not_connect_again(box, sound):
    kit = node_kit("@deepgram/sdk", "5.13.0")
    told = kit.run("deepgram_js5.cjs", what="live", **box.credential, **sound.plan)
    is_whole(told["messages"])
    answers_finalize(told["messages"])
    ended_well(told)
    assert told["opens"] == 1


def test_deepgram_js_5_streams_as_in_a_browser_with_its_key_as_a_subprotocol(box, sound):
    kit = node_kit("@deepgram/sdk", "5.13.0")
    told = kit.run("deepgram_js5.cjs", what="live in a browser", **box.credential, **sound.plan)
    is_whole(told["messages"])
    answers_finalize(told["messages"])
    ended_well(told)
    assert (told["opens"], told["subprotocol"]) == (1, "token")


def test_deepgram_js_4_streams_with_a_token_as_a_subprotocol(box, sound):
    kit = node_kit("@deepgram/sdk", "4.11.2")
    told = kit.run("deepgram_js4.cjs", what="live", **box.credential, **sound.plan)
    is_whole(told["messages"])
    answers_finalize(told["messages"])
    ended_well(told)
    assert told["subprotocol"] == "bearer"


async def dictated(box, sound, *subprotocols):
    """Return the messages, the close code and the echoed subprotocol of a plain client."""
    place = f"{box.url.replace('http', 'ws', 1)}/v1/listen?{QUERY}"
    async with asyncio.timeout(WAIT_S):
        async with websockets.connect(place, subprotocols=subprotocols, proxy=None) as socket:
            assert socket.response.headers["dg-request-id"]
            cut = round(FINALIZE_AT_S * BYTES_A_SECOND)
            await socket.send(sound.raw[:cut])
            await socket.send(json.dumps({"type": "Finalize"}))
            await socket.send(sound.raw[cut:])
            await socket.send(json.dumps({"type": "CloseStream"}))
            messages = [json.loads(message) async for message in socket]
        return messages, socket.close_code, socket.subprotocol


@pytest.mark.parametrize("form", ["token", "bearer"])
def test_a_plain_websocket_client_is_known_by_its_subprotocols(box, sound, form):
    offered = {
        "token": ["token", box.key],
        "bearer": ["bearer", box.token(), "x-deepgram-session-id", "u"],
    }
    messages, close_code, echoed = asyncio.run(dictated(box, sound, *offered[form]))
    is_whole(messages)
    answers_finalize(messages)
    assert (close_code, echoed) == (1000, form)
