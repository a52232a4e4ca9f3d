"""Frames that no server sends: refused before they cost anything, and never taken for another frame."""

import time
import tracemalloc
from typing import Any

import pytest

from fleetcache.wire.frame_guard import MAX_ELEMENTS
from fleetcache.wire.session import Call, ProtocolError, Session

HUGE = [b"%c%d\r\n" % (kind, 2**31 - 1) for kind in b"*%~>"]
BEFORE = [b"", b"+OK\r\n", b"*2\r\n", b"*1\r\n*2\r\n:1\r\n", b">2\r\n$10\r\ninvalidate\r\n", b"$3\r\n\n*1\r\n"]


def answers(*pieces: bytes, commands: int = 1) -> list[Any]:
    """Return the answers of ten calls, each of this many commands."""
    got: list[Any] = []
    session = Session(got.append, 1_000_000)
    for _ in range(10):
        session.add(Call([("PING",)] * commands, got.extend), 0.0)
    for piece in pieces:
        session.feed(piece)
    return got


def cuts(data: bytes) -> list[list[bytes]]:
    whole_and_single = [[data], [data[at : at + 1] for at in range(len(data))]]
    return whole_and_single + [[data[:at], data[at:]] for at in range(1, len(data))]


@pytest.mark.parametrize("before", BEFORE)
@pytest.mark.parametrize("huge", HUGE)
def test_what_announces_too_many_elements_is_refused_before_room_is_made(before: bytes, huge: bytes) -> None:
    began = time.process_time()
    tracemalloc.start()
    try:
        for pieces in cuts(before + huge):
            with pytest.raises(ProtocolError, match=f"more than {MAX_ELEMENTS} elements"):
                answers(*pieces)
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()
    assert time.process_time() - began < 2  # seconds; a frame that is let through takes several


def test_as_many_as_are_allowed_are_taken() -> None:
    assert len(answers(b"*%d\r\n" % MAX_ELEMENTS + b":1\r\n" * MAX_ELEMENTS)[0]) == MAX_ELEMENTS
    with pytest.raises(ProtocolError):
        answers(b"*%d\r\n" % (MAX_ELEMENTS + 1) + b":1\r\n" * (MAX_ELEMENTS + 1))


@pytest.mark.parametrize("text", [*HUGE, b"|1\r\n", b"x\n*12345", b"*12345", b"\r\n|", b"*", b"\n%1234", b"\n\n~1\r"])
def test_a_value_may_look_like_anything(text: bytes) -> None:
    data = b"$%d\r\n%b\r\n:7\r\n" % (len(text) + 1, b"\n" + text)
    for pieces in cuts(data):
        assert answers(*pieces) == [b"\n" + text, 7]


@pytest.mark.parametrize("text", [b"*2147483647", b"|1", b"$99999", b"*1", b"|"])
def test_a_line_may_look_like_anything(text: bytes) -> None:
    """The parser takes the first character of a line at once: then no byte is left, although the line goes on."""
    for pieces in cuts(b"+%b\r\n:7\r\n" % text):
        assert answers(*pieces) == [text, 7]
        with pytest.raises(ProtocolError, match="elements"):
            answers(*pieces, b"*99999\r\n")


@pytest.mark.parametrize("before", BEFORE[:2])
def test_a_large_value_comes_whole_and_what_follows_it_is_looked_at(before: bytes) -> None:
    value = b"\r\n*99999\r\n|1\r\n" * 5000
    data = before + b"$%d\r\n%b\r\n" % (len(value), value)
    for size in (7, 1000, 65_536, len(data)):
        pieces = [data[at : at + size] for at in range(0, len(data), size)]
        assert answers(*pieces, b":7\r\n")[-2:] == [value, 7]
        with pytest.raises(ProtocolError, match="elements"):
            answers(*pieces, b"*99999\r\n")


def test_a_frame_with_attributes_is_refused() -> None:
    """The parser would return them as a reply, and every later reply would be the one of the call before it."""
    for pieces in cuts(b"+1\r\n|1\r\n+ttl\r\n:5\r\n+2\r\n"):
        with pytest.raises(ProtocolError, match="attributes"):
            answers(*pieces)


def test_false_is_a_reply() -> None:
    """It is not the parser's word for "no further frame"; else every later reply would go to the wrong call."""
    for pieces in cuts(b"#f\r\n#t\r\n:1\r\n"):
        assert answers(*pieces) == [False, True, 1]


@pytest.mark.parametrize("key", [b"*0\r\n", b"%0\r\n", b"*1\r\n:1\r\n"])
def test_a_map_with_a_key_that_cannot_be_one_is_broken_protocol(key: bytes) -> None:
    with pytest.raises(ProtocolError, match="map"):
        answers(b"%1\r\n" + key + b"+value\r\n")
