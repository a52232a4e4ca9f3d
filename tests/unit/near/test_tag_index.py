"""The index of tags: lines come with their first key and go with their last."""

import sys

from fleetcache.near.generations import UNCONFIRMED
from fleetcache.near.tag_index import MEMBER_BYTES, TAG_BYTES, TagIndex


def line(tag: str) -> int:
    return TAG_BYTES + sys.getsizeof(tag)


def test_a_line_goes_with_its_last_key() -> None:
    index = TagIndex()
    index.enter("k", ("a", "b", "a"))
    index.enter("l", ("a",))
    assert index.lines == {"a": dict.fromkeys("kl"), "b": {"k": None}}
    assert index.weight == line("a") + line("b")
    index.leave("k", ("a", "b", "a", "c"))
    assert (index.lines, index.weight) == ({"a": {"l": None}}, line("a"))
    index.leave("l", ("a",))
    assert (index.lines, index.weight) == ({}, 0)


def test_a_line_can_be_taken_whole() -> None:
    index = TagIndex()
    index.enter("k", ("a", "b"))
    assert list(index.take("a")) == ["k"]
    assert (index.lines, index.weight) == ({"b": {"k": None}}, line("b"))
    index.leave("k", ("a", "b"))
    assert (index.lines, index.weight) == ({}, 0)


def test_the_line_of_unconfirmed_entries_is_charged_for_its_slots() -> None:
    index = TagIndex()
    for key in ("k", "l", "l"):
        index.enter(key, (UNCONFIRMED,))
    assert index.weight == line(UNCONFIRMED) + 2 * MEMBER_BYTES
    index.leave("k", (UNCONFIRMED,))
    index.leave("k", (UNCONFIRMED,))
    assert index.weight == line(UNCONFIRMED) + MEMBER_BYTES
    assert list(index.take(UNCONFIRMED)) == ["l"]
    assert index.weight == 0
