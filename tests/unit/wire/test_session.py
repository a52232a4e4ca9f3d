"""The protocol without I/O: replies go to the oldest call, pushes come in order, with any cuts of the bytes."""

from typing import Any

import hiredis
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetcache.futures import NO_ANSWER
from fleetcache.wire.session import (
    ANSWERED_LATER,
    MAX_WEIGHT,
    Call,
    ProtocolError,
    RefusedError,
    ReplyError,
    Session,
    invalidated,
)

PUSH = b">2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\nk\r\n"
NULL_PUSH = b">2\r\n$10\r\ninvalidate\r\n_\r\n"
LIMIT = 1000


class Gate:
    """A gate that records its result."""

    def __init__(self) -> None:
        self.results: list[Any] = []

    def done(self) -> bool:
        return bool(self.results)

    def set_result(self, result: Any, /) -> None:
        self.results.append(result)


class Wire:
    """A session that records, in order, all that it reports."""

    def __init__(self, frame_limit: int = LIMIT) -> None:
        self.events: list[Any] = []
        self.session = Session(lambda keys: self.events.append(("push", keys)), frame_limit)
        self.session.on_own = lambda key: self.events.append(("own", key))

    def call(self, name: str, *, commands: int = 1, at: float = 0.0, future: Gate | None = None) -> Call:
        def lost() -> None:
            self.events.append(("lost", name))

        def handle(replies: list[Any]) -> Any:
            self.events.append((name, [str(r) if isinstance(r, ReplyError) else r for r in replies]))
            return replies

        call = Call([("PING",)] * commands, handle, future, lost)
        self.session.add(call, at)
        return call


def test_commands_are_packed_one_after_the_other() -> None:
    call = Call([("GET", b"k"), ("PTTL", "k")])
    assert call.payload == b"*2\r\n$3\r\nGET\r\n$1\r\nk\r\n*2\r\n$4\r\nPTTL\r\n$1\r\nk\r\n"
    assert call.count == 2


def test_replies_belong_to_the_oldest_call() -> None:
    wire = Wire()
    wire.call("a", at=1.0)
    wire.call("b", at=2.0)
    assert wire.session.oldest == 1.0
    assert wire.session.feed(b"+first\r\n") == 1.0
    assert wire.session.oldest == 2.0
    assert wire.session.feed(b"+second\r\n") == 2.0
    assert wire.session.oldest is None
    assert wire.events == [("a", [b"first"]), ("b", [b"second"])]


def test_a_call_of_many_commands_is_answered_with_the_last_reply() -> None:
    wire, future = Wire(), Gate()
    wire.call("a", commands=3, future=future)
    assert wire.session.feed(b"+1\r\n+2\r\n") is None
    assert not future.done()
    assert wire.session.feed(b"+3\r\n") == 0.0
    assert future.results == [[b"1", b"2", b"3"]]


def test_pushes_come_where_the_server_sent_them_even_between_replies_of_one_call() -> None:
    wire = Wire()
    wire.call("a", commands=2)
    wire.call("b")
    wire.session.feed(b"+1\r\n" + PUSH + b"+2\r\n" + NULL_PUSH + b"+3\r\n")
    push, everything = ("push", [b"k"]), ("push", None)
    assert wire.events == [push, ("a", [b"1", b"2"]), everything, ("b", [b"3"])]


def test_bytes_may_be_cut_anywhere() -> None:
    data = b"+1\r\n" + PUSH + b"$5\r\nhello\r\n" + b"_\r\n" + NULL_PUSH + b"-ERR no\r\n"

    def events(*pieces: bytes) -> list[Any]:
        wire = Wire()
        for name, commands in (("a", 2), ("b", 1), ("c", 1)):
            wire.call(name, commands=commands)
        for piece in pieces:
            wire.session.feed(piece)
        return wire.events

    whole = events(data)
    assert len(whole) == 5
    for cut in range(len(data) + 1):
        assert events(data[:cut], data[cut:]) == whole
    assert events(*(data[at : at + 1] for at in range(len(data)))) == whole


FRAMES = st.sampled_from(
    [b"+OK\r\n", b":7\r\n", b"_\r\n", b"$4\r\n\r\n\r\n\r\n", b"-OOM full\r\n", b"*1\r\n#t\r\n", PUSH, NULL_PUSH]
)


@given(st.lists(FRAMES, max_size=12), st.lists(st.integers(0, 200), max_size=8), st.integers(1, 3))
def test_any_chunking_gives_the_same_events(frames: list[bytes], cuts: list[int], commands: int) -> None:
    data = b"".join(frames)
    replies = sum(not frame.startswith(b">") for frame in frames)

    def events(places: list[int]) -> tuple[list[Any], int]:
        wire = Wire()
        for number in range(replies):
            wire.call(str(number), commands=commands)
        for start, end in zip([0, *places], [*places, len(data)], strict=True):
            wire.session.feed(data[start:end])
        return wire.events, wire.session.weight

    assert events(sorted(min(cut, len(data)) for cut in cuts)) == events([])


def test_an_abandoned_call_keeps_its_slot_and_its_late_reply_is_still_handled() -> None:
    wire, early, later = Wire(), Gate(), Gate()
    abandoned = wire.call("a", future=early)
    wire.call("b", future=later)
    abandoned.give_up()
    assert early.results == [NO_ANSWER]
    wire.session.feed(b"+for a\r\n+for b\r\n")
    assert wire.events == [("lost", "a"), ("a", [b"for a"]), ("b", [b"for b"])]
    assert early.results == [NO_ANSWER]
    assert later.results == [[b"for b"]]


def test_giving_up_tells_it_once() -> None:
    wire, future = Wire(), Gate()
    call = wire.call("a", future=future)
    call.give_up()
    call.give_up()
    wire.session.end()
    assert wire.events == [("lost", "a")]
    assert future.results == [NO_ANSWER]


def test_error_replies_are_values() -> None:
    wire, future = Wire(), Gate()
    wire.call("a", commands=2, future=future)
    wire.session.feed(b"-WRONGTYPE not that\r\n+OK\r\n")
    ((error, ok),) = future.results
    assert isinstance(error, ReplyError)
    assert str(error) == "WRONGTYPE not that"
    assert ok == b"OK"


def test_a_gate_may_be_opened_by_another_call() -> None:
    wire, future = Wire(), Gate()
    wire.session.add(Call([("PING",)], lambda _replies: ANSWERED_LATER, future), 0.0)
    wire.session.feed(b"+OK\r\n")
    assert not future.done()


def test_only_the_very_next_frame_is_taken_for_our_own_push() -> None:
    wire = Wire()
    wire.session.expect_self_invalidation = b"k"
    wire.session.feed(PUSH + PUSH)
    assert wire.events == [("own", b"k"), ("push", [b"k"])]


@pytest.mark.parametrize("between", [b"+reply\r\n", PUSH.replace(b"k", b"j"), NULL_PUSH, b">1\r\n+other\r\n"])
def test_any_other_frame_ends_the_expectation_of_our_own_push(between: bytes) -> None:
    wire = Wire()
    wire.call("a")
    wire.session.expect_self_invalidation = b"k"
    wire.session.feed(between + PUSH)
    assert wire.events[-1] == ("push", [b"k"])
    assert ("own", b"k") not in wire.events


def test_a_push_of_two_keys_is_never_our_own() -> None:
    wire = Wire()
    wire.session.expect_self_invalidation = b"k"
    wire.session.feed(b">2\r\n$10\r\ninvalidate\r\n*2\r\n$1\r\nk\r\n$1\r\nj\r\n")
    assert wire.events == [("push", [b"k", b"j"])]


@pytest.mark.parametrize(
    ("frame", "keys"),
    [
        ([b"invalidate", [b"k", b"j"]], [b"k", b"j"]),
        ([b"invalidate", None], None),
        ([b"invalidate", []], []),
        *[([b"invalidate", odd], None) for odd in (5, b"k", {}, {b"k": 1}, True, 1.5, [5], [b"k", None], [[b"k"]])],
        ([b"invalidate"], None),
        ([b"invalidate", [b"k"], 1], None),
        *[(frame, []) for frame in ([], [b"message", b"k"], [5, 5], [{}, [b"k"]], [None], [[b"invalidate"], [b"k"]])],
    ],
)
def test_an_invalidation_that_cannot_be_read_is_one_of_all_keys(frame: list[Any], keys: list[bytes] | None) -> None:
    assert invalidated(frame) == keys


def test_a_push_that_concerns_no_key_is_not_handed_on() -> None:
    wire = Wire()
    call = wire.call("a", commands=2)
    wire.session.feed(b"+1\r\n>0\r\n>2\r\n+message\r\n:5\r\n" + PUSH + b"+2\r\n")
    assert call.between == ([b"k"],)
    assert wire.events == [("push", [b"k"]), ("a", [b"1", b"2"])]


def test_a_reply_that_nobody_asked_for_ends_the_connection() -> None:
    with pytest.raises(ProtocolError, match="a reply without a call"):
        Wire().session.feed(b"+surprise\r\n")


def test_an_error_that_nobody_asked_for_says_why_the_server_does_not_let_us_in() -> None:
    with pytest.raises(RefusedError, match="max number of clients"):
        Wire().session.feed(b"-ERR max number of clients reached\r\n")


def test_what_is_no_protocol_ends_the_connection() -> None:
    wire = Wire()
    wire.call("a")
    with pytest.raises(ProtocolError):
        wire.session.feed(b"HTTP/1.1 400 Bad Request\r\n")


def test_one_unfinished_frame_may_not_grow_without_bound() -> None:
    wire = Wire(frame_limit=100)
    wire.call("a")
    wire.session.feed(b"$1000000\r\n" + bytes(80))
    with pytest.raises(ProtocolError, match="more than 100 bytes"):
        wire.session.feed(bytes(80))


def test_many_small_frames_are_no_large_one() -> None:
    wire = Wire(frame_limit=100)
    for _ in range(1000):
        wire.call("a")
    wire.session.feed(b"+0123456789\r\n" * 500)
    wire.session.feed(b"+0123456789\r\n" * 500)
    assert len(wire.events) == 1000


def test_overdue_calls_are_those_at_the_front() -> None:
    wire = Wire()
    old, older, new = (wire.call(name, at=at) for name, at in (("a", 1.0), ("b", 2.0), ("c", 3.0)))
    assert wire.session.overdue(2.0) == [old, older]
    assert wire.session.overdue(0.5) == []
    assert wire.session.overdue(9.0) == [old, older, new]


@pytest.mark.parametrize("queued", [True, False])
def test_there_is_room_for_some_20_000_small_calls(queued: bool) -> None:
    session, call = Wire().session, Call([(b"PING",)])
    taken = 0
    while session.has_room:
        taken += 1
        if queued:
            session.queue(call)
        else:
            session.add(call, 0.0)
    assert 19_000 < taken <= 20_000


def test_there_is_room_for_64_mebibytes() -> None:
    session, call = Wire().session, Call([(b"SET", b"k", bytes(8 * 1024 * 1024))])
    taken = 0
    while session.has_room:
        taken += 1
        session.queue(call)
    assert taken == 8


def test_there_is_room_again_when_calls_are_answered() -> None:
    wire = Wire()
    empty = wire.session.weight
    call = Call([(b"SET", b"k", bytes(MAX_WEIGHT))])
    wire.session.queue(call)
    assert not wire.session.has_room
    wire.session.send_queued(0.0)
    assert not wire.session.has_room
    wire.session.feed(b"+OK\r\n")
    assert wire.session.has_room
    assert wire.session.weight == empty


def test_at_the_end_every_call_ends_once_without_an_answer() -> None:
    wire = Wire()
    futures = [Gate(), Gate()]
    for future in futures:
        wire.call("a", future=future)
    wire.session.end()
    wire.session.end()
    assert [future.results for future in futures] == [[NO_ANSWER], [NO_ANSWER]]
    assert wire.events == [("lost", "a")] * 2
    assert wire.session.oldest is None
    assert wire.session.weight == 0


def test_replies_are_not_decoded() -> None:
    """A value that is no text must not raise in the parser."""
    wire, future = Wire(), Gate()
    wire.call("a", future=future)
    blob = bytes(range(256))
    wire.session.feed(hiredis.pack_command((blob,)).replace(b"*1\r\n", b""))
    assert future.results == [[blob]]


# -- the proof of the server's identity --------------------------------------------------------------------------------

NOT_ME = [
    "MOVED 3999 127.0.0.1:6381",
    "ASK 3999 127.0.0.1:6381",
    "CLUSTERDOWN The cluster is down",
    "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
    "READONLY You can't write against a read only replica.",
    "ERR Error running script (call to f_x): @user_script:1: -READONLY You can't write against a read only replica.",
]


@pytest.mark.parametrize("said", NOT_ME)
@pytest.mark.parametrize("before", [b"", b"$5\r\nvalue\r\n"])
def test_an_error_that_says_not_me_is_answered_and_no_sign_of_life(said: str, before: bytes) -> None:
    got: list[Any] = []
    session = Session(lambda _push: None, 1000)
    session.add(Call([("GET", "k")] * (2 if before else 1), got.append), 7.0)
    assert session.feed(before + f"-{said}\r\n".encode()) is None
    assert str(got[0][-1]) == said
    session.add(Call([("GET", "k")], got.append), 8.0)
    assert session.feed(b"$-1\r\n") == 8.0, "the next answer counts"


def test_of_several_answers_the_newest_that_counts_counts() -> None:
    session = Session(lambda _push: None, 1000)
    for at in (1.0, 2.0, 3.0):
        session.add(Call([("GET", "k")]), at)
    assert session.feed(b"+a\r\n+b\r\n-CLUSTERDOWN no\r\n") == 2.0


@pytest.mark.parametrize("said", ["OOM no", "NOPERM no", "ERR whatever", "LOADING wait", "WRONGTYPE no"])
def test_any_other_error_is_a_sign_of_life(said: str) -> None:
    session = Session(lambda _push: None, 1000)
    session.add(Call([("GET", "k")]), 7.0)
    assert session.feed(f"-{said}\r\n".encode()) == 7.0
