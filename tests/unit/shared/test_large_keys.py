"""Keys with values larger than a reply: known by the command that met one, measured, and forgotten again."""

import pytest

from fleetcache.format.entry import HEAD_SIZE
from fleetcache.shared.large_keys import LargeKeys
from fleetcache.wire.session import Command


@pytest.mark.parametrize(
    "command",
    [
        (b"GET", b"k"),
        (b"GETRANGE", b"k", b"0", b"9"),
        (b"EVALSHA", b"sha", b"1", b"k", b"x"),
        (b"EVAL", b"text", b"1", b"k"),
    ],
)
def test_the_key_of_a_command_that_reads_is_known(command: Command) -> None:
    large = LargeKeys()
    large.met(command)
    assert list(large.keys) == [b"k"]


@pytest.mark.parametrize("command", [None, (), (b"GET",), (b"PTTL", b"k"), (b"EVALSHA", b"sha", b"1"), ("GET", "k")])
def test_no_other_command_names_one(command: Command | None) -> None:
    large = LargeKeys()
    large.met(command)
    assert not large.keys


def test_one_byte_beyond_the_limit_is_asked_for() -> None:
    large = LargeKeys()
    large.frame = 1000
    beyond, start, _ = large.asks(b"k")
    assert beyond == ("GETRANGE", b"k", 1000, 1000)
    assert start == ("GETRANGE", b"k", 0, HEAD_SIZE - 1)


def test_a_key_that_is_small_by_now_is_forgotten() -> None:
    large = LargeKeys()
    large.met((b"GET", b"k"))
    assert large.is_too_large(b"k", b"x")
    assert b"k" in large.keys
    assert not large.is_too_large(b"k", b"")
    assert b"k" not in large.keys


def test_the_oldest_goes_when_there_are_too_many() -> None:
    large = LargeKeys()
    for number in range(LargeKeys.MAX + 1):
        large.met((b"GET", b"%d" % number))
    assert len(large.keys) == LargeKeys.MAX
    assert b"0" not in large.keys
