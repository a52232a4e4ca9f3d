"""Generations: which entries a removal ends, and which move on to the present generation."""

import pytest

from fleetcache.near.generations import CLOSED, UNBORN, UNCONFIRMED, Generations
from fleetcache.near.store import NearEntry
from tests.support.near_store import held

KINDS = [(tags, backed) for tags in (("*",), ("*", "a")) for backed in (True, False)]


def born(generations: Generations, tags: tuple[str, ...] = ("*",), *, backed: bool = True) -> NearEntry:
    entry = held(tags=tags, backed=backed)
    entry.generation = generations.present(entry)
    return entry


def test_the_horizon_bounds_confirmed_entries_and_no_unconfirmed_ones() -> None:
    generations = Generations()
    entries = {kind: born(generations, kind[0], backed=kind[1]) for kind in KINDS}
    generations.vouch(7.0)
    for (_tags, backed), entry in entries.items():
        assert entry.generation.until == (7.0 if backed else float("inf"))


@pytest.mark.parametrize(("tags", "backed"), KINDS)
def test_a_new_generation_begins_with_the_horizon_of_the_old(tags: tuple[str, ...], *, backed: bool) -> None:
    generations = Generations()
    generations.vouch(7.0)
    generations.end_all()
    generations.end_tag("a")
    generations.end_tag(UNCONFIRMED)
    assert born(generations, tags, backed=backed).generation.until == (7.0 if backed else float("inf"))


@pytest.mark.parametrize(("tags", "backed"), KINDS)
def test_the_end_of_all_ends_every_kind(tags: tuple[str, ...], *, backed: bool) -> None:
    generations = Generations()
    entry = born(generations, tags, backed=backed)
    generations.end_all()
    assert entry.generation.until == CLOSED
    assert not generations.lives(entry)
    generations.vouch(9.0)
    assert entry.generation.until == CLOSED, "a newer horizon does not reach a closed generation"
    later = born(generations, tags, backed=backed)
    assert generations.lives(later)
    assert later.generation.until > CLOSED


@pytest.mark.parametrize("backed", [True, False])
def test_the_end_of_a_tag_ends_its_entries_alone_and_the_others_of_their_generation_move_on(*, backed: bool) -> None:
    generations = Generations()
    generations.vouch(7.0)
    doomed, other = (born(generations, ("*", tag), backed=backed) for tag in "ab")
    plain = born(generations, backed=backed)
    before = plain.generation
    generations.end_tag("a")
    assert doomed.generation.until == other.generation.until == CLOSED
    assert plain.generation is before
    assert before.until > CLOSED, "entries without a tag of their own notice nothing"
    assert not generations.lives(doomed)
    assert doomed.generation.until == CLOSED
    assert generations.lives(other)
    assert other.generation.until > CLOSED, "the next hit is quick again"


def test_the_end_of_the_unconfirmed_ends_no_confirmed_entry() -> None:
    generations = Generations()
    entries = {kind: born(generations, kind[0], backed=kind[1]) for kind in KINDS}
    generations.end_tag(UNCONFIRMED)
    for (_tags, backed), entry in entries.items():
        assert generations.lives(entry) == backed
        assert (entry.generation.until > CLOSED) == backed


def test_what_is_put_after_a_removal_lives_until_the_next() -> None:
    generations = Generations()
    generations.end_tag("a")
    entry = born(generations, ("*", "a"))
    assert generations.lives(entry)
    number = generations.end_tag("a")
    assert not generations.lives(entry)
    generations.buried("a", number - 1)
    assert not generations.lives(entry), "an older removal of the tag is buried, this one is not"
    generations.buried("a", number)
    assert generations._removed == {}


def test_an_entry_that_moved_on_dies_with_the_next_removal_of_its_tag() -> None:
    generations = Generations()
    entry = born(generations, ("*", "a", "b"))
    for other in "cde":
        generations.end_tag(other)
        assert generations.lives(entry)
    generations.end_tag("b")
    assert not generations.lives(entry)


def test_a_removal_between_the_two_looks_of_a_reader_still_ends_the_entry() -> None:
    """Rule 5: the reader looks up the generation first, so that the entry moves to one that the removal closes."""
    generations = Generations()
    entry = born(generations, ("*", "a"))
    generations.end_tag("b")

    class Removed(dict[str, int]):
        def get(self, tag: str, default: int = -1) -> int:  # type: ignore[override]
            found = super().get(tag, default)
            if tag == "a":
                generations._removed = dict(self)
                generations.end_tag("a")
            return found

    generations._removed = Removed(generations._removed)
    assert generations.lives(entry), "the call began before the removal"
    assert entry.generation.until == CLOSED
    assert not generations.lives(entry)


def test_an_entry_that_was_never_put_does_not_live() -> None:
    assert held().generation is UNBORN
    assert not Generations().lives(held())
