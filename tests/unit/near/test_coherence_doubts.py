"""Coherence: a push for a tag is a reason to ask for its version, and only a different version empties near of it."""

from collections.abc import Callable
from typing import Any

import pytest

from fleetcache.wire.link_state import LinkState
from tests.support.world import LAYOUT, TAGS, V1, V2, World

VOUCHED, LATER = 7.0, 9.0


class Asked(World):
    """A world whose questions are sent, with a horizon that the test moves."""

    def __init__(self, *, sends: bool = True) -> None:
        super().__init__()
        self.questions: list[str] = []
        self.cap = float("inf")
        self.kept_when_lifted: set[str] | None = None
        self.vouched_until = VOUCHED
        self.it.doubts.link = self
        self.it.doubts.ask = self.ask if sends else lambda _tag: False
        self.fill("tagged")
        self.fill("plain", tags=("*",))

    def ask(self, tag: str) -> bool:
        self.questions.append(tag)
        return True

    def hold_to(self, cap: float) -> None:
        self.cap = cap
        if cap == float("inf"):  # from now on another thread may get what near has
            self.kept_when_lifted = self.kept

    @property
    def kept(self) -> set[str]:
        return {key for key in self.near.items if self.near.living(key)}


ALL_KEPT = {"tagged", "plain"}

SAME: dict[str, Callable[[World], Any]] = {
    "an answer": lambda world: world.it.keep_version("*", V1, 0.0),
    "a heartbeat": lambda world: world.it.heard_all_tag(V1, 0.0),
}
OTHER: dict[str, Callable[[World], Any]] = {
    "an answer": lambda world: world.it.keep_version("*", V2, 0.0),
    "a heartbeat": lambda world: world.it.heard_all_tag(V2, 0.0),
    "a heartbeat without a version": lambda world: world.it.heard_all_tag(None, 0.0),
    "no answer": lambda world: world.it.end_doubt("*"),
    "an own removal": lambda world: world.it.begin_removal(("t", "*")),
    "a flush": lambda world: world.push(None),
    "a defect": lambda world: world.it.forget_all(),
    **{
        f"link {state}": lambda world, state=state: world.it.on_state(state, new_epoch=False)  # type: ignore[misc]  # a default in a lambda
        for state in LinkState
    },
}


def test_a_push_for_a_tag_asks_and_leaves_the_entries() -> None:
    world = Asked()
    token, flight = world.it.open_fill("k", TAGS), world.flights.start("k", TAGS)
    world.push(LAYOUT.tag("geo"))
    assert (world.questions, world.kept, world.cap) == (["geo"], ALL_KEPT, VOUCHED)
    # Everything else is as after a change: the version is unknown, no caller joins the load, and it fills nothing.
    assert world.it.missing(TAGS) == ["geo"]
    assert not token.valid
    assert flight.detached


@pytest.mark.parametrize("settle", SAME)
def test_the_same_version_ends_the_doubt_and_nothing_is_lost(settle: str) -> None:
    world = Asked()
    world.push(LAYOUT.tag("*"))
    SAME[settle](world)
    assert (world.kept, world.cap) == (ALL_KEPT, float("inf"))
    assert world.it.missing(("*",)) == []
    world.push(LAYOUT.tag("*"))  # the next push is a new doubt
    assert (world.questions, world.cap) == (["*", "*"], VOUCHED)


@pytest.mark.parametrize("settle", OTHER)
def test_anything_else_drops_the_entries_of_the_tag(settle: str) -> None:
    world = Asked()
    world.push(LAYOUT.tag("*"))
    OTHER[settle](world)
    assert (world.kept, world.kept_when_lifted, world.cap) == (set(), set(), float("inf"))


def test_another_version_drops_the_entries_of_this_tag_alone() -> None:
    world = Asked()
    world.push(LAYOUT.tag("geo"))
    world.it.keep_version("geo", V2, 0.0)
    assert world.kept == {"plain"}


def test_a_second_push_for_a_tag_in_doubt_neither_asks_again_nor_moves_the_bound() -> None:
    world = Asked()
    world.push(LAYOUT.tag("geo"))
    world.vouched_until = LATER
    world.push(LAYOUT.tag("geo"))
    assert (world.questions, world.cap) == (["geo"], VOUCHED)


def test_the_horizon_is_held_by_the_oldest_doubt() -> None:
    world = Asked()
    world.push(LAYOUT.tag("geo"))
    world.vouched_until = LATER
    world.push(LAYOUT.tag("*"))
    assert world.cap == VOUCHED
    world.it.keep_version("geo", V1, 0.0)
    assert world.cap == LATER
    world.it.keep_version("*", V1, 0.0)
    assert world.cap == float("inf")


def test_a_version_of_another_tag_settles_nothing() -> None:
    world = Asked()
    world.push(LAYOUT.tag("geo"))
    world.it.keep_version("*", V1, 0.0)
    world.it.end_doubt("*")
    assert (world.kept, world.cap) == (ALL_KEPT, VOUCHED)
    world.it.end_doubt("geo")
    assert world.kept == {"plain"}


def _unknown(world: Asked) -> None:
    world.it.copies.drop("*")


def _pending(world: Asked) -> None:
    world.it.journal.defer(("t", "*"), world.it.journal.next())


@pytest.mark.parametrize("prepare", [_unknown, _pending])
def test_a_tag_whose_version_is_unknown_or_pending_is_forgotten_at_once(prepare: Callable[[Asked], None]) -> None:
    world = Asked()
    prepare(world)
    world.push(LAYOUT.tag("*"))
    assert (world.questions, world.kept) == ([], set())


def test_a_question_that_cannot_be_sent_forgets_at_once() -> None:
    world = Asked(sends=False)
    world.push(LAYOUT.tag("*"))
    assert (world.kept, world.cap) == (set(), float("inf"))


def test_nothing_is_asked_for_an_empty_near() -> None:
    world = Asked()
    world.near.clear()
    world.push(LAYOUT.tag("*"))
    assert world.questions == []
    assert world.it.missing(("*",)) == ["*"]
