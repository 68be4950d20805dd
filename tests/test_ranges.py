"""A range is answered with the bytes it asks for, or with the whole file."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.ranges import Span, Unsatisfiable, span


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("bytes=0-4", (0, 4)),
        ("bytes=5-", (5, 9)),
        ("bytes=-3", (7, 9)),
        ("bytes=-30", (0, 9)),
        ("bytes=8-100", (8, 9)),
        (" bytes = 1 - 2 ", (1, 2)),
        ("bytes=9-9", (9, 9)),
    ],
)
def test_one_range(header, expected):
    found = span(header, 10)
    assert (found.first, found.last) == expected
    assert found.content_range == f"bytes {expected[0]}-{expected[1]}/10"


@pytest.mark.parametrize(
    "header", [None, "", "bytes=-", "bytes=4-2", "bytes=0-1,3-4", "lines=1-2", "bytes=a-b"]
)
def test_what_is_no_single_range_gets_the_whole(header):
    assert span(header, 10) is None


@pytest.mark.parametrize("header", ["bytes=10-", "bytes=99999999999999999999999-", "bytes=-0"])
def test_what_lies_outside_can_not_be_satisfied(header):
    with pytest.raises(Unsatisfiable):
        span(header, 10)


@given(st.text(max_size=30) | st.from_regex(r"bytes=\d*-\d*"), st.integers(0, 10**12))
def test_any_header_gives_a_part_of_the_file_or_none(header, size):
    try:
        found = span(header, size)
    except Unsatisfiable:
        return
    assert found is None or 0 <= found.first <= found.last < size
    assert found is None or found.length == len(range(found.first, found.last + 1))
    assert Span(0, 0, 1).length == 1
