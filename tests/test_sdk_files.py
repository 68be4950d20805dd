"""The vendors' SDKs, unchanged, send files to a real box: Deepgram's, OpenAI's, and Open WebUI."""

import hashlib
import re
import secrets
from datetime import datetime

import httpx
import pytest
from running_box import WAIT_S
from sdk.kit import node_kit, python_kit
from sdk.listening_box import listening_box
from speech_fixtures import fixture, words_of, words_wrong

from engine.packaged import missing_packages

pytestmark = pytest.mark.long

MEETING = fixture("meeting")
GERMAN = fixture("german")
OPENAI = ("openai", "3.52.0")
TO_S = 0.5  # as precise as tiny.en tells times, and players show them
CUE = re.compile(r"(\d\d):(\d\d):(\d\d)[,.](\d{3}) --> (\d\d):(\d\d):(\d\d)[,.](\d{3})")


@pytest.fixture(scope="module")
def box(tmp_path_factory):
    with listening_box(tmp_path_factory.mktemp("box"), "tiny.en") as listening:
        yield listening


def sent(kit, script, box, what="file", speech=MEETING):
    """Let an SDK send a file."""
    return kit.run(script, what=what, sound=str(speech.path), **box.credential)


def is_what_was_said(text, speech=MEETING):
    assert words_wrong(speech.text, text) <= 0.25 * len(words_of(speech.text)), text


def is_in_order(words, at=("start", "end")):
    """Check times of words or segments: in order, and inside the file."""
    starts = [word[at[0]] for word in words]
    assert starts == sorted(starts)
    assert all(0 <= word[at[0]] <= word[at[1]] <= MEETING.seconds + TO_S for word in words)


def best_of(answer):
    (channel,) = answer["results"]["channels"]
    (best,) = channel["alternatives"]
    return best


def is_whole(answer):
    """Check an answer that smart_format, paragraphs and utterances were asked for."""
    metadata = answer["metadata"]
    assert metadata["duration"] == pytest.approx(MEETING.seconds, abs=0.05)
    assert metadata["channels"] == 1
    assert metadata["sha256"] == hashlib.sha256(MEETING.path.read_bytes()).hexdigest()
    (model,) = metadata["models"]
    assert metadata["model_info"][model]["name"] == "whisper-tiny.en"
    assert datetime.fromisoformat(metadata["created"]).tzinfo is not None

    best = best_of(answer)
    is_what_was_said(best["transcript"])
    is_in_order(best["words"])
    spoken = [word["punctuated_word"] for word in best["words"]]
    assert words_of(" ".join(spoken)) == words_of(best["transcript"])
    assert any(word.endswith(".") for word in spoken)
    assert all(word["word"] == word["word"].lower() for word in best["words"])

    paragraphs = best["paragraphs"]
    assert words_of(paragraphs["transcript"]) == words_of(best["transcript"])
    sentences = [one for each in paragraphs["paragraphs"] for one in each["sentences"]]
    assert words_of(" ".join(one["text"] for one in sentences)) == words_of(best["transcript"])
    is_in_order(sentences)
    counted = sum(each["num_words"] for each in paragraphs["paragraphs"])
    assert counted == len(best["words"])

    utterances = answer["results"]["utterances"]
    assert len(utterances) >= 2  # there are pauses longer than 0.8 s
    assert [word for one in utterances for word in one["words"]] == best["words"]
    is_in_order(utterances)


def is_plain(answer):
    """Check an answer that only punctuation was asked for."""
    best = best_of(answer)
    is_what_was_said(best["transcript"])
    assert not best.get("paragraphs") and not answer["results"].get("utterances")


def test_deepgram_sdk_7_sends_a_file_whole_and_in_pieces(box):
    told = sent(python_kit("deepgram-sdk", "7.17.0"), "deepgram_py7.py", box)
    is_whole(told["answer"])
    is_plain(told["chunked"])
    metadata = told["answer"]["metadata"]
    assert (metadata["tags"], metadata["extra"]) == (["a tag"], {"desk": "12"})


def test_deepgram_sdk_7_raises_its_own_errors(box):
    told = sent(python_kit("deepgram-sdk", "7.17.0"), "deepgram_py7.py", box, what="refused")
    (_, unknown, who), (kind, unreadable, what) = told["refusals"]
    assert (unknown, who["err_code"]) == (401, "INVALID_AUTH")
    assert (kind, unreadable, what["err_code"]) == ("BadRequestError", 400, "Bad Request")
    assert who["request_id"] != what["request_id"]


def test_deepgram_sdk_5_validates_the_answer_to_a_file(box):
    is_whole(sent(python_kit("deepgram-sdk", "5.3.2"), "deepgram_py5.py", box)["answer"])


def test_deepgram_sdk_4_sends_a_file_without_a_content_type(box):
    is_whole(sent(python_kit("deepgram-sdk", "4.8.1"), "deepgram_py4.py", box)["answer"])


def test_deepgram_js_5_sends_a_file_whole_and_as_a_stream(box):
    told = sent(node_kit("@deepgram/sdk", "5.13.0"), "deepgram_js5.cjs", box)
    is_whole(told["answer"])
    is_plain(told["chunked"])


def test_deepgram_js_4_sends_a_file_with_a_content_type_of_its_own(box):
    told = sent(node_kit("@deepgram/sdk", "4.11.2"), "deepgram_js4.cjs", box)
    is_whole(told["answer"])
    is_plain(told["chunked"])


def cues_of(text, mark):
    """Return start, end and text of each cue of subtitles."""
    cues = []
    for block in text.strip().split("\n\n"):
        if found := CUE.search(block):
            assert mark in found[0]
            h1, m1, s1, ms1, h2, m2, s2, ms2 = map(int, found.groups())
            start_s = h1 * 3600 + m1 * 60 + s1 + ms1 / 1000
            end_s = h2 * 3600 + m2 * 60 + s2 + ms2 / 1000
            said = block[found.end() :].strip()
            cues.append({"start": start_s, "end": end_s, "text": said})
    return cues


def test_openai_reads_every_format(box):
    told = sent(python_kit(*OPENAI), "openai_3.py", box, what="formats")
    is_what_was_said(told["json"]["text"])
    is_what_was_said(told["text"])
    assert not told["text"].startswith("{")
    assert told["vtt"].startswith("WEBVTT")
    for form, mark in (("srt", ","), ("vtt", ".")):
        cues = cues_of(told[form], mark)
        is_what_was_said(" ".join(cue["text"] for cue in cues))
        is_in_order(cues)

    verbose = told["verbose"]
    assert verbose["language"] == "english"
    assert verbose["duration"] == pytest.approx(MEETING.seconds, abs=0.05)
    is_what_was_said(verbose["text"])
    is_in_order(verbose["words"])
    assert words_of(" ".join(one["word"] for one in verbose["words"])) == words_of(verbose["text"])
    for answer in (verbose, told["plain"]):
        segments = answer["segments"]
        assert [one["id"] for one in segments] == list(range(len(segments)))
        assert all(
            {"seek", "tokens", "temperature", "avg_logprob", "compression_ratio", "no_speech_prob"}
            <= set(one)
            for one in segments
        )
        is_in_order(segments)
        is_what_was_said("".join(one["text"] for one in segments))
    assert not told["plain"].get("words")


def test_openai_reads_a_stream_of_text(box):
    events = sent(python_kit(*OPENAI), "openai_3.py", box, what="stream")["events"]
    *deltas, done = events
    assert deltas and {one["type"] for one in deltas} == {"transcript.text.delta"}
    assert done["type"] == "transcript.text.done"
    assert "".join(one["delta"] for one in deltas) == done["text"]
    is_what_was_said(done["text"])


def test_openai_lists_the_models_of_the_box(box):
    told = sent(python_kit(*OPENAI), "openai_3.py", box, what="models")
    assert told["models"] and all(one["object"] == "model" for one in told["models"])
    assert told["one"] == told["models"][0]


def test_openai_raises_its_own_errors(box):
    told = sent(python_kit(*OPENAI), "openai_3.py", box, what="refused")
    (unknown, who), (unreadable, what) = told["refusals"]
    assert (unknown, unreadable) == (401, 400)
    for body in (who, what):
        assert set(body) == {"message", "type", "param", "code"} and body["message"]


@pytest.mark.skipif(
    bool(missing_packages("base")), reason=f"{missing_packages('base')}: scribebox[multilingual]"
)
def test_openai_translates_german_into_english(tmp_path):
    with listening_box(tmp_path, "base") as multilingual:
        kit = python_kit(*OPENAI)
        told = sent(kit, "openai_3.py", multilingual, what="translation", speech=GERMAN)
    for answer in (told["json"], told["verbose"]):
        heard = words_of(answer["text"])
        assert {"morning", "plan"} <= set(heard), heard
    assert told["verbose"]["duration"] == pytest.approx(GERMAN.seconds, abs=0.05)


def form(boundary, sound, **fields):
    """Return a form as `requests` writes it: no Content-Type for the part of a file."""
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in fields.items()
    ]
    head = 'Content-Disposition: form-data; name="file"; filename="speech.flac"'
    parts.append(f"--{boundary}\r\n{head}\r\n\r\n")
    return "".join(parts).encode() + sound + f"\r\n--{boundary}--\r\n".encode()


@pytest.mark.parametrize("fields", [{}, {"language": "en"}], ids=["older", "newer"])
def test_open_webui_reads_the_text_of_what_it_recorded(box, fields):
    boundary = secrets.token_hex(16)
    answer = httpx.post(
        f"{box.url}/v1/audio/transcriptions",
        headers={
            "Authorization": f"Bearer {box.key}",
            "Content-Type": f"multipart/form-data; boundary={boundary}",
            "User-Agent": "python-requests/2.32.3",
        },
        content=form(boundary, MEETING.path.read_bytes(), model="whisper-1", **fields),
        timeout=WAIT_S,
        trust_env=False,
    )
    assert answer.status_code == 200, answer.text
    is_what_was_said(answer.json()["text"])


def test_open_webui_shows_what_the_box_complains_of(box):
    answer = httpx.post(
        f"{box.url}/v1/audio/transcriptions",
        headers={"Authorization": f"Bearer {box.key}"},
        files={"file": ("speech.webm", b"no sound" * 99)},
        data={"model": "whisper-1"},
        timeout=WAIT_S,
        trust_env=False,
    )
    assert answer.status_code == 400
    assert answer.json()["error"]["message"]
