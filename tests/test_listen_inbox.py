"""What a client sends is taken in its order, all of it, and no more at once than may wait."""

import asyncio
import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as some

from api.listen.inbox import (
    COMMAND_BYTES,
    LIMIT_BYTES,
    MAX_COMMAND,
    MESSAGE_BYTES,
    PIECE_BYTES,
    Inbox,
    command_of,
    item_of,
)

CLOSE = {"type": "CloseStream"}
MESSAGES = some.one_of(
    some.binary(max_size=40).map(lambda data: {"bytes": data}),
    some.text(max_size=20).map(lambda text: {"text": text}),
    some.sampled_from(("KeepAlive", "Finalize", "CloseStream", "Nonsense")).map(
        lambda kind: {"text": json.dumps({"type": kind})}
    ),
    some.integers(PIECE_BYTES - 1, 3 * PIECE_BYTES).map(lambda size: {"bytes": bytes(size)}),
)


def inbox():
    return Inbox(asyncio.Event())


def filled(*messages):
    box = inbox()
    for message in messages:
        box.put(message)
    return box


def emptied(box):
    """Return all that an inbox gives."""
    taken = []
    while (item := box.take()) is not None:
        taken.append(item)
    assert len(box) == 0
    return taken


async def has_room(box):
    """Tell whether another message would be read."""
    waiting = asyncio.ensure_future(box.room())
    await asyncio.sleep(0)
    try:
        return waiting.done()
    finally:
        waiting.cancel()


def test_sound_is_handed_on_together_up_to_the_next_command():
    finalize = {"type": "Finalize", "channel": 1}
    box = filled({"bytes": b"one"}, {"bytes": b"two"}, {"text": json.dumps(finalize)})
    box.put({"bytes": b"three"})
    assert emptied(box) == [[b"one", b"two"], finalize, [b"three"]]


def test_text_that_is_no_command_is_passed_over():
    torn = ("", "{", "[]", "null", '"CloseStream"', '{"type": 5}', '{"kind": "CloseStream"}')
    deep, long = "[" * 50_000, json.dumps({"type": "Finalize", "x": "x" * MAX_COMMAND})
    assert emptied(filled(*({"text": text} for text in (*torn, deep, long)))) == []
    assert command_of('{"type": "Configure"}') == {"type": "Configure"}


def test_no_bytes_at_all_are_the_old_way_to_close():
    assert emptied(filled({"bytes": b"x"}, {"bytes": b""})) == [[b"x"], CLOSE]


def test_a_command_may_come_as_bytes_and_sound_never_looks_like_one():
    assert item_of({"bytes": b'{"type":"KeepAlive"}'}) == {"type": "KeepAlive"}
    assert item_of({"bytes": b' {"type": "CloseStream"}\n'}) == CLOSE
    assert item_of({"bytes": b'{"type":torn'}) is None
    for sound in (b"{", b'{"typ', b'{"type"' + bytes(COMMAND_BYTES)):
        assert item_of({"bytes": sound}) == sound


def test_a_message_longer_than_a_piece_is_taken_piece_by_piece():
    data = bytes(range(256)) * (PIECE_BYTES // 100)
    taken = emptied(filled({"bytes": data}))
    assert all(len(b"".join(sound)) <= PIECE_BYTES for sound in taken)
    assert b"".join(part for sound in taken for part in sound) == data


@pytest.mark.parametrize(("size", "batch"), [(1, 1000), (640, 100), (1 << 20, 1)])
def test_beyond_the_limit_nothing_is_read_until_there_is_room_again(size, batch):
    async def fill():
        box, put = inbox(), 0
        while await has_room(box):
            for _ in range(batch):
                box.put({"bytes": bytes(size)})
            put += batch
        weight = size + -(-size // PIECE_BYTES) * MESSAGE_BYTES
        assert LIMIT_BYTES <= put * weight < LIMIT_BYTES + batch * weight
        while not await has_room(box):
            box.take()
        assert len(box)

    asyncio.run(fill())


def test_it_wakes_who_listens():
    for act in (lambda box: box.put({"bytes": b"x"}), lambda box: box.close()):
        woken = asyncio.Event()
        act(Inbox(woken))
        assert woken.is_set()
    assert filled().closed is False


@given(some.lists(MESSAGES, max_size=30))
@example([{"text": None, "bytes": None}])
@example([{"text": '{"type":"\ud800"}'}, {"bytes": b'{"type":"\xff"}'}])
def test_whatever_comes_is_taken_whole_and_in_order(messages):
    sound, commands = b"", []
    wanted = [item for message in messages if (item := item_of(message)) is not None]
    for item in emptied(filled(*messages)):
        if isinstance(item, list):
            sound += b"".join(item)
        else:
            commands.append((item, len(sound)))
    assert sound == b"".join(item for item in wanted if isinstance(item, bytes))
    at = 0
    for item in wanted:
        if isinstance(item, bytes):
            at += len(item)
        else:
            assert commands.pop(0) == (item, at)
