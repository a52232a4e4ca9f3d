"""Coherence: the causes that void a token, the effects of a push, and the waiters that are woken."""

from collections.abc import Callable
from typing import Any

import pytest

from fleetcache.near.coherence import FillToken
from fleetcache.wire.link_state import LinkState
from tests.support.world import LAYOUT, TAGS, V1, V2, Gate, World

CAUSES: dict[str, Callable[[World], Any]] = {
    "push for the key": lambda world: world.push(LAYOUT.entry("k")),
    "push for a tag": lambda world: world.push(LAYOUT.tag("geo")),
    "push for every entry's tag": lambda world: world.push(LAYOUT.tag("*")),
    "push among others": lambda world: world.push(LAYOUT.entry("a"), LAYOUT.entry("k"), b"foreign"),
    "null push": lambda world: world.push(None),
    "removal sent": lambda world: world.it.begin_removal(("e", "k")),
    "removal answered": lambda world: world.it.confirm_removal(("e", "k"), 1),
    "tag removal sent": lambda world: world.it.begin_removal(("t", "geo")),
    "tag removal answered": lambda world: world.it.confirm_removal(("t", "geo"), 1),
    "clear sent": lambda world: world.it.begin_removal(("t", "*")),
    "another version of a tag": lambda world: world.it.keep_version("geo", V2, 0.0),
    "heartbeat with another version": lambda world: world.it.heard_all_tag(V2, 0.0),
    "heartbeat without a version": lambda world: world.it.heard_all_tag(None, 0.0),
    "defect": lambda world: world.it.forget_all(),
    **{
        f"link {state}": lambda world, state=state: world.it.on_state(state, new_epoch=False)  # type: ignore[misc]  # a default in a lambda
        for state in LinkState
    },
}

NO_CAUSES: dict[str, Callable[[World], Any]] = {
    "push for another key": lambda world: world.push(LAYOUT.entry("k2")),
    "push for another tag": lambda world: world.push(LAYOUT.tag("other")),
    "push for another cache": lambda world: world.push(b"fc2:e:k"),
    "push for a claim": lambda world: world.push(LAYOUT.claim("k")),
    "own push": lambda world: world.it.on_own_push(LAYOUT.entry("k")),
    "push of no keys": lambda world: world.push(),
    "removal of another key": lambda world: world.it.begin_removal(("e", "k2")),
    "the same version of a tag": lambda world: world.it.keep_version("geo", V1, 0.0),
    "heartbeat": lambda world: world.it.heard_all_tag(V1, 0.0),
}


@pytest.mark.parametrize("cause", CAUSES)
def test_each_cause_voids_the_token(cause: str) -> None:
    world = World()
    token = world.it.open_fill("k", TAGS)
    CAUSES[cause](world)
    assert not token.valid
    assert not world.it.fill(token, world.held())
    assert "k" not in world.near.items
    world.it.close_fill(token)  # harmless


@pytest.mark.parametrize("cause", NO_CAUSES)
def test_what_does_not_concern_the_key_leaves_the_token_valid(cause: str) -> None:
    world = World()
    token = world.it.open_fill("k", TAGS)
    NO_CAUSES[cause](world)
    assert token.valid
    assert world.it.fill(token, world.held())


@pytest.mark.parametrize("cause", [cause for cause in CAUSES if not cause.startswith("link ")])
def test_what_voids_a_token_also_forgets_the_entry_and_detaches_its_flight(cause: str) -> None:
    world = World()
    assert world.fill()
    flight = world.flights.start("k", TAGS)
    CAUSES[cause](world)
    assert "k" not in world.near.items
    assert flight.detached


@pytest.mark.parametrize("cause", NO_CAUSES)
def test_what_does_not_concern_the_key_leaves_entry_and_flight(cause: str) -> None:
    world = World()
    world.fill()
    flight = world.flights.start("k", TAGS)
    NO_CAUSES[cause](world)
    assert "k" in world.near.items
    assert not flight.detached


def test_every_token_of_a_key_is_voided_and_a_later_one_is_not() -> None:
    world = World()
    before = [world.it.open_fill("k", TAGS) for _ in range(3)]
    other = world.it.open_fill("k2", TAGS)
    world.push(LAYOUT.entry("k"))
    after = world.it.open_fill("k", TAGS)
    assert [token.valid for token in before] == [False] * 3
    assert other.valid
    assert after.valid


def test_tokens_given_back_leave_nothing_behind() -> None:
    world = World()
    tokens = [world.it.open_fill("k", TAGS) for _ in range(2)]
    for token in tokens:
        world.it.close_fill(token)
        world.it.close_fill(token)
    assert world.it._tokens == {}


def test_the_writer_of_a_value_may_keep_its_own_token_and_only_that() -> None:
    world = World()
    mine, others = world.it.open_fill("k", TAGS), world.it.open_fill("k", TAGS)
    world.it.confirm_removal(("e", "k"), 1, keep=mine)
    assert mine.valid
    assert not others.valid
    world.push(LAYOUT.entry("k2"))
    void = FillToken("k", TAGS)
    void.valid = False
    world.it.confirm_removal(("e", "k"), 2, keep=void)
    assert not void.valid


# -- waiting for news ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "news",
    [
        lambda world: world.push(LAYOUT.entry("k")),
        lambda world: world.push(LAYOUT.claim("k")),
        lambda world: world.push(None),
        lambda world: world.it.on_own_push(LAYOUT.entry("k")),
        lambda world: world.it.begin_removal(("e", "k")),
        lambda world: world.it.on_state(LinkState.SUSPECT, new_epoch=False),
        lambda world: world.it.on_state(LinkState.ONLINE, new_epoch=True),
    ],
)
def test_who_waits_is_woken_by_any_news_of_the_key(news: Callable[[World], Any]) -> None:
    world = World()
    future = Gate()
    world.it.watch("k", future)
    assert world.it.waiters == 1
    news(world)
    assert future.opened
    assert world.it.waiters == 0


def test_nobody_else_is_woken_and_a_wait_may_be_given_up() -> None:
    world = World()
    mine, gone = Gate(), Gate()
    world.it.watch("other", mine)
    world.it.unwatch(world.it.watch("k", gone))
    world.push(LAYOUT.entry("k"))
    assert (mine.opened, gone.opened, world.it.waiters) == (False, False, 1)


def test_a_token_that_was_given_back_fills_no_more() -> None:
    world = World()
    token = world.it.open_fill("k", TAGS)
    world.it.close_fill(token)
    world.push(LAYOUT.entry("k"))  # voids every token it knows; this token's late reply was read before the change
    assert not world.it.fill(token, world.held())
    assert "k" not in world.near.items
