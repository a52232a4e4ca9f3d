"""Tag copies: a version equal to the entry's is current, another one is outdated, a missing one is unknown."""

import gc
import os
import tracemalloc

import pytest

from fleetcache.format.entry import tag_section
from fleetcache.near.tag_versions import TagState, TagVersions

FOREVER = float("inf")
ALL, GEO, OLD = b"a" * 16, b"g" * 16, b"o" * 16
BOTH = tag_section((("*", ALL), ("geo", GEO)))


def copies(**versions: bytes) -> TagVersions:
    held = TagVersions()
    held.keep("*", ALL, FOREVER)
    for tag, version in versions.items():
        held.keep(tag, version, FOREVER)
    return held


def test_all_equal_is_current() -> None:
    held = copies(geo=GEO)
    assert held.judge(BOTH, 0.0) == (TagState.CURRENT, ("*", "geo"))
    assert held.judge(BOTH, 0.0) == (TagState.CURRENT, ("*", "geo"))  # remembered
    assert len(held) == 2


def test_one_that_differs_is_outdated() -> None:
    assert copies(geo=OLD).judge(BOTH, 0.0) == (TagState.OUTDATED, ())


def test_a_missing_copy_is_unknown_never_current() -> None:
    assert copies().judge(BOTH, 0.0) == (TagState.UNKNOWN, ("geo",))
    assert TagVersions().judge(BOTH, 0.0) == (TagState.UNKNOWN, ("*", "geo"))


def test_one_that_differs_is_enough_though_another_is_unknown() -> None:
    held = TagVersions()
    held.keep("*", OLD, FOREVER)
    assert held.judge(BOTH, 0.0)[0] is TagState.OUTDATED


@pytest.mark.parametrize("section", [b"", b"\x01*", BOTH[:-1], b"\xff" + BOTH, b"\x01\xff" + ALL])
def test_broken_tags_are_outdated(section: bytes) -> None:
    assert copies(geo=GEO).judge(section, 0.0) == (TagState.OUTDATED, ())


def test_what_was_current_is_judged_anew_after_each_change() -> None:
    held = copies(geo=GEO)
    held.judge(BOTH, 0.0)
    held.drop("geo")
    assert held.judge(BOTH, 0.0) == (TagState.UNKNOWN, ("geo",))
    held.keep("geo", GEO, FOREVER)
    assert held.judge(BOTH, 0.0)[0] is TagState.CURRENT
    held.keep("geo", OLD, FOREVER)
    assert held.judge(BOTH, 0.0)[0] is TagState.OUTDATED
    held.clear()
    assert held.judge(BOTH, 0.0)[0] is TagState.UNKNOWN


def test_the_same_version_again_changes_nothing() -> None:
    held = copies(geo=GEO)
    held.judge(BOTH, 0.0)
    held.keep("geo", GEO, FOREVER)
    assert held.judge(BOTH, 0.0)[0] is TagState.CURRENT


def test_without_tracking_a_copy_ages() -> None:
    held = TagVersions()
    held.keep("*", ALL, FOREVER)
    held.keep("geo", GEO, 5.0)
    assert held.judge(BOTH, 4.9)[0] is TagState.CURRENT
    assert held.version("geo", 4.9) == GEO
    assert held.judge(BOTH, 5.0) == (TagState.UNKNOWN, ("geo",))
    assert held.version("geo", 5.0) is None


def test_copies_that_age_are_read_together_with_a_missing_one() -> None:
    """One read at a time, the other copy could end meanwhile, and the entry would stay unknown."""
    held = TagVersions()
    held.keep("*", ALL, 5.0)
    assert held.judge(BOTH, 4.9) == (TagState.UNKNOWN, ("geo", "*"))
    assert copies().judge(BOTH, 4.9) == (TagState.UNKNOWN, ("geo",)), "a copy with pushes does not age"


def test_missing_names_what_must_be_asked_for() -> None:
    held = copies(geo=GEO)
    assert held.missing(("*", "geo", "other"), 0.0) == ["other"]


def test_copies_are_bounded_and_who_goes_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TagVersions, "MAX", 8)
    held = copies(**dict.fromkeys("abcdefg", GEO))
    assert held.keep("h", GEO, FOREVER) == ["a", "b"]
    assert held.version("a", 0.0) is None
    assert held.keep("i", GEO, FOREVER) == []
    assert held.version("*", 0.0) == ALL  # every entry needs it
    assert len(held) == 8


def test_copies_are_bounded_by_what_they_take() -> None:
    held = TagVersions(100_000)
    held.keep("*", ALL, FOREVER)
    gone = []
    for number in range(1_000):
        name = f"{number:0200d}"
        gone += held.keep(name, GEO, FOREVER)
        held.judge(tag_section((("*", ALL), (name, GEO))), 0.0)
        assert held.weight <= 100_000
    assert gone == [f"{number:0200d}" for number in range(len(gone))], "the oldest first"
    assert 700 < len(gone) < 900
    assert held.version("*", 0.0) == ALL


def test_what_was_forgotten_weighs_nothing() -> None:
    held = copies(geo=GEO)
    held.judge(BOTH, 0.0)
    assert held.weight > 0
    held.drop("geo")
    held.drop("*")
    assert held.weight == 0
    held = copies(geo=GEO)
    held.judge(BOTH, 0.0)
    held.clear()
    assert held.weight == 0


@pytest.mark.parametrize("length", [10, 240])
@pytest.mark.parametrize("count", [1_000, 12_000])
def test_what_copies_are_charged_is_no_less_than_what_they_take(length: int, count: int) -> None:
    names = [f"{number:0{length}d}" for number in range(count)]
    held = TagVersions(10**9)
    gc.collect()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for name in names:
            tag = str(name.encode(), "ascii")  # as from the server: a new string object
            held.keep(tag, os.urandom(16), float("inf"))
            version = held.version(tag, 0.0)
            assert version is not None
            held.judge(bytes(tag_section(((tag, version),))), 0.0)
        gc.collect()
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(held) == count
    assert held.weight / 2 < after - before <= held.weight
