"""A form is read the same however its bytes are cut, and never past its file."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multipart import MultipartError

from api.receiving import Form, Raw
from appliance.errors import Refused

AUDIO = bytes(range(256)) * 8 + b"\r\n--y\r\n-"
BODY = (
    b'--x\r\nContent-Disposition: form-data; name="title"\r\n\r\nWeekly\r\n'
    b'--x\r\nContent-Disposition: form-data; name="file"; filename="../../a.wav"\r\n'
    b"Content-Type: audio/wav\r\n\r\n" + AUDIO + b"\r\n--x--\r\n"
)


@given(st.lists(st.integers(1, len(BODY)), max_size=12))
def test_any_cutting_gives_the_same(cuts):
    form, audio = Form("x"), b""
    edges = sorted({0, *cuts, len(BODY)})
    for start, end in pairwise(edges):
        audio += form.feed(BODY[start:end])
    form.finish()
    assert audio == AUDIO
    assert form.fields == {"title": "Weekly"}


def test_what_follows_the_form_is_ignored():
    form = Form("x")
    assert form.feed(BODY) + form.feed(b"more") == AUDIO


@pytest.mark.parametrize(
    "body",
    [
        b"--x\r\n",
        BODY[:-20],
        b"not a form at all",
        BODY.replace(b'name="file"', b'name="audio"'),
        BODY.removesuffix(b"--x--\r\n") + BODY,
        b'--x\r\nContent-Disposition: form-data; name="t"\r\n\r\n' + b"x" * 70000 + b"\r\n" + BODY,
    ],
)
def test_a_form_that_is_cut_short_or_odd_is_refused(body):
    form = Form("x")
    with pytest.raises((Refused, MultipartError)):
        form.feed(body)
        form.finish()


def test_a_form_without_a_boundary_is_refused():
    with pytest.raises(Refused, match="boundary"):
        Form("")


def test_a_raw_body_is_the_audio():
    assert Raw().feed(b"abc") == b"abc"
