"""Coherence: what voids a token, what a push does, and what becomes of near when the link changes."""

from collections.abc import Callable
from typing import Any

import pytest

from fleetcache.coherence import Coherence, Token
from fleetcache.entry import tag_section
from fleetcache.flights import Flight, Flights
from fleetcache.keys import Layout
from fleetcache.near import Held, Near
from fleetcache.stats import Counters
from fleetcache.tags import Currency
from fleetcache.wire.link import LinkState
from tests.support.clock import ManualClock

LAYOUT = Layout("fc")
V1, V2 = b"1" * 16, b"2" * 16
TAGS = ("*", "geo")


class Gate:
    def __init__(self) -> None:
        self.opened = False

    def done(self) -> bool:
        return self.opened

    def set_result(self, result: Any, /) -> None:
        assert result is None
        self.opened = True


class World:
    """Coherence with real parts, one flight of ``k`` and one tag copy."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.near, self.flights, self.counters = Near(100, 1_000_000), Flights(), Counters()
        self.it = Coherence(self.near, LAYOUT, self.flights, self.counters, self.clock)
        self.it.tracking = True
        self.it.keep_version("*", V1, 0.0)
        self.it.keep_version("geo", V1, 0.0)

    def held(self, *, unbacked: bool = False, tags: tuple[str, ...] = TAGS) -> Held:
        return Held(
            "value",
            encoded=False,
            codec=0,
            declared=str,
            fresh_until=self.clock() + 60,
            stale_until=self.clock() + 60,
            unbacked=unbacked,
            tags=tags,
            cost=0.0,
            head=b"V" * 17,
            size=54,
        )

    def fill(self, key: str = "k", **options: Any) -> bool:
        token = self.it.take(key, TAGS)
        try:
            return self.it.fill(token, self.held(**options))
        finally:
            self.it.done(token)

    def push(self, *raw: bytes | None) -> None:
        self.it.on_push([b"invalidate", None if raw == (None,) else list(raw)])


CAUSES: dict[str, Callable[[World], Any]] = {
    "push for the key": lambda world: world.push(LAYOUT.entry("k")),
    "push for a tag": lambda world: world.push(LAYOUT.tag("geo")),
    "push for every entry's tag": lambda world: world.push(LAYOUT.tag("*")),
    "push among others": lambda world: world.push(LAYOUT.entry("a"), LAYOUT.entry("k"), b"foreign"),
    "null push": lambda world: world.push(None),
    "removal sent": lambda world: world.it.removing(("e", "k")),
    "removal answered": lambda world: world.it.removed(("e", "k"), 1),
    "tag removal sent": lambda world: world.it.removing(("t", "geo")),
    "tag removal answered": lambda world: world.it.removed(("t", "geo"), 1),
    "clear sent": lambda world: world.it.removing(("t", "*")),
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
    "push of another kind": lambda world: world.it.on_push([b"message", [LAYOUT.entry("k")]]),
    "malformed push": lambda world: world.it.on_push([b"invalidate"]),
    "push of no keys": lambda world: world.it.on_push([b"invalidate", 3]),
    "removal of another key": lambda world: world.it.removing(("e", "k2")),
    "the same version of a tag": lambda world: world.it.keep_version("geo", V1, 0.0),
    "heartbeat": lambda world: world.it.heard_all_tag(V1, 0.0),
}


@pytest.mark.parametrize("cause", CAUSES)
def test_each_cause_voids_the_token(cause: str) -> None:
    world = World()
    token = world.it.take("k", TAGS)
    CAUSES[cause](world)
    assert not token.valid
    assert not world.it.fill(token, world.held())
    assert "k" not in world.near.items
    world.it.done(token)  # harmless


@pytest.mark.parametrize("cause", NO_CAUSES)
def test_what_does_not_concern_the_key_leaves_the_token_valid(cause: str) -> None:
    world = World()
    token = world.it.take("k", TAGS)
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
    before = [world.it.take("k", TAGS) for _ in range(3)]
    other = world.it.take("k2", TAGS)
    world.push(LAYOUT.entry("k"))
    after = world.it.take("k", TAGS)
    assert [token.valid for token in before] == [False] * 3
    assert other.valid
    assert after.valid


def test_tokens_given_back_leave_nothing_behind() -> None:
    world = World()
    tokens = [world.it.take("k", TAGS) for _ in range(2)]
    for token in tokens:
        world.it.done(token)
        world.it.done(token)
    assert world.it._tokens == {}


def test_the_writer_of_a_value_may_keep_its_own_token_and_only_that() -> None:
    world = World()
    mine, others = world.it.take("k", TAGS), world.it.take("k", TAGS)
    world.it.removed(("e", "k"), 1, keep=mine)
    assert mine.valid
    assert not others.valid
    world.push(LAYOUT.entry("k2"))
    void = Token("k", TAGS)
    void.valid = False
    world.it.removed(("e", "k"), 2, keep=void)
    assert not void.valid


# -- waiting for news ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "news",
    [
        lambda world: world.push(LAYOUT.entry("k")),
        lambda world: world.push(LAYOUT.claim("k")),
        lambda world: world.push(None),
        lambda world: world.it.on_own_push(LAYOUT.entry("k")),
        lambda world: world.it.removing(("e", "k")),
        lambda world: world.it.on_state(LinkState.SUSPECT, new_epoch=False),
        lambda world: world.it.on_state(LinkState.ONLINE, new_epoch=True),
    ],
)
def test_who_waits_is_woken_by_any_news_of_the_key(news: Callable[[World], Any]) -> None:
    world = World()
    gate = Gate()
    world.it.watch("k", gate)
    assert world.it.waiters == 1
    news(world)
    assert gate.opened
    assert world.it.waiters == 0


def test_nobody_else_is_woken_and_a_wait_may_be_given_up() -> None:
    world = World()
    mine, gone = Gate(), Gate()
    world.it.watch("other", mine)
    world.it.unwatch(world.it.watch("k", gone))
    world.push(LAYOUT.entry("k"))
    assert (mine.opened, gone.opened, world.it.waiters) == (False, False, 1)


# -- the link --------------------------------------------------------------------------------------------------------


def test_coming_online_in_the_same_epoch_drops_what_nobody_confirmed_and_keeps_the_rest() -> None:
    world = World()
    world.fill("backed")
    world.fill("unbacked", unbacked=True)
    flight = world.flights.start("f", TAGS)
    world.it.on_state(LinkState.ONLINE, new_epoch=False)
    assert list(world.near.items) == ["backed"]
    assert flight.detached


def test_a_new_epoch_empties_near() -> None:
    world = World()
    world.fill("backed")
    world.it.on_state(LinkState.ONLINE, new_epoch=True)
    assert not world.near.items


@pytest.mark.parametrize("state", [LinkState.SUSPECT, LinkState.OFFLINE, LinkState.RECOVERING])
def test_near_goes_on_answering_while_the_server_is_away(state: LinkState) -> None:
    world = World()
    world.fill()
    world.fill("unbacked", unbacked=True)
    world.it.on_state(state, new_epoch=False)
    assert set(world.near.items) == {"k", "unbacked"}


# -- tags ------------------------------------------------------------------------------------------------------------


def test_a_pushed_tag_forgets_its_entries_and_its_version() -> None:
    world = World()
    world.fill("a")
    world.fill("b", tags=("*",))
    world.push(LAYOUT.tag("geo"))
    assert list(world.near.items) == ["b"]
    assert world.it.captured(TAGS) is None
    assert world.it.missing(TAGS) == ["geo"]


def test_captured_versions_are_those_known_now() -> None:
    world = World()
    assert world.it.captured(TAGS) == (("*", V1), ("geo", V1))


def test_an_owed_tag_is_neither_captured_nor_judged_current_nor_learnt() -> None:
    world = World()
    section = tag_section((("*", V1), ("geo", V1)))
    assert world.it.judge(section)[0] is Currency.CURRENT
    world.it.journal.owe(("t", "geo"), world.it.removing(("t", "geo")))
    world.it.keep_version("geo", V1, 0.0)
    assert world.it.captured(TAGS) is None
    assert world.it.judge(section) != (Currency.CURRENT, TAGS)
    assert world.it.judge(section)[0] is Currency.OUTDATED


def test_without_tracking_copies_live_a_second() -> None:
    world = World()
    world.it.tracking = False
    world.it.keep_version("geo", V1, world.clock())
    assert world.it.life(world.clock()) == world.clock() + 1.0
    world.clock.advance(1.0)
    assert world.it.captured(TAGS) is None


def test_the_tag_on_every_entry_is_remembered_beyond_its_connection() -> None:
    """By it a restarted server is known to have forgotten removals."""
    world = World()
    world.push(None)
    world.it.on_state(LinkState.ONLINE, new_epoch=True)
    assert world.it.last_all == V1


def test_too_many_tag_copies_take_their_entries_with_them(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    monkeypatch.setattr(type(world.it.copies), "MOST", 2)
    world.fill()
    world.it.keep_version("third", V1, 0.0)
    assert "k" not in world.near.items


def test_pushes_are_counted() -> None:
    world = World()
    world.push(LAYOUT.entry("k"), LAYOUT.tag("geo"), b"foreign")
    world.push(None)
    world.it.on_own_push(LAYOUT.entry("k"))
    counted = world.counters
    assert (counted.pushes, counted.null_pushes, counted.own_pushes) == (2, 1, 1)


def test_a_removal_takes_a_number_whether_or_not_the_server_can_be_heard() -> None:
    world = World()
    first, second = world.it.removing(("e", "k")), world.it.removing(("t", "geo"))
    assert second > first
    assert len(world.it.journal) == 0
    world.it.journal.owe(("e", "k"), first)
    world.it.removed(("e", "k"), first)
    assert len(world.it.journal) == 0


def test_flights_that_are_detached_stay_with_their_passengers() -> None:
    world = World()
    flight: Flight = world.flights.start("k", TAGS)
    world.push(LAYOUT.entry("k"))
    assert world.flights.in_the_air() == [flight]
