"""Coherence: the effect on near and on tag copies when the link or a tag changes."""

import gc
import sys
import tracemalloc

import pytest

from fleetcache.format.entry import tag_section
from fleetcache.near.coherence import Coherence
from fleetcache.near.store import ENCODED, Near, NearEntry
from fleetcache.near.tag_versions import TagState
from fleetcache.policy.single_flight import Flight, Flights
from fleetcache.telemetry.stats import Counters
from fleetcache.wire.link_state import LinkState
from tests.support.world import LAYOUT, TAGS, V1, World

# -- the link --------------------------------------------------------------------------------------------------------


def test_coming_online_in_the_same_epoch_drops_what_nobody_confirmed_and_keeps_the_rest() -> None:
    world = World()
    world.fill("backed")
    world.fill("unconfirmed", unconfirmed=True)
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
    world.fill("unconfirmed", unconfirmed=True)
    world.it.on_state(state, new_epoch=False)
    assert set(world.near.items) == {"k", "unconfirmed"}


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
    assert world.it.judge(section)[0] is TagState.CURRENT
    world.it.journal.defer(("t", "geo"), world.it.begin_removal(("t", "geo")))
    world.it.keep_version("geo", V1, 0.0)
    assert world.it.captured(TAGS) is None
    assert world.it.judge(section) != (TagState.CURRENT, TAGS)
    assert world.it.judge(section)[0] is TagState.OUTDATED


def test_without_tracking_copies_live_a_second() -> None:
    world = World()
    world.it.tracking = False
    world.it.keep_version("geo", V1, world.clock())
    assert world.it.life(world.clock()) == world.clock() + 1.0
    world.clock.advance(1.0)
    assert world.it.captured(TAGS) is None


def test_the_tag_on_every_entry_is_remembered_beyond_its_connection() -> None:
    """It tells the cache that a restarted server has forgotten removals."""
    world = World()
    world.push(None)
    world.it.on_state(LinkState.ONLINE, new_epoch=True)
    assert world.it.last_all == V1


def test_too_many_tag_copies_take_their_entries_with_them(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    monkeypatch.setattr(type(world.it.copies), "MAX", 2)
    world.fill()
    world.it.keep_version("third", V1, 0.0)
    assert "k" not in world.near.items


def test_pushes_are_counted() -> None:
    world = World()
    world.push(LAYOUT.entry("k"), LAYOUT.tag("geo"), b"foreign")
    world.push(None)
    world.it.on_own_push(LAYOUT.entry("k"))
    counted = world.counters
    assert (counted.invalidations, counted.flush_invalidations, counted.self_invalidations) == (2, 1, 1)


def test_a_removal_takes_a_number_whether_or_not_the_server_can_be_heard() -> None:
    world = World()
    first, second = world.it.begin_removal(("e", "k")), world.it.begin_removal(("t", "geo"))
    assert second > first
    assert len(world.it.journal) == 0
    world.it.journal.defer(("e", "k"), first)
    world.it.confirm_removal(("e", "k"), first)
    assert len(world.it.journal) == 0


def test_flights_that_are_detached_stay_with_their_passengers() -> None:
    world = World()
    flight: Flight = world.flights.start("k", TAGS)
    world.push(LAYOUT.entry("k"))
    assert world.flights.active() == [flight]


@pytest.mark.parametrize("near_bytes", [1_000_000, 4_000_000])
def test_tags_take_no_more_than_near_may(near_bytes: int) -> None:
    """Entries, their tags and the versions of the tags are all long; together they stay within the bound."""
    near = Near(100_000, near_bytes)
    it = Coherence(near, LAYOUT, Flights(), Counters(), lambda: 0.0)
    it.tracking = True
    gc.collect()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for number in range(12_000):
            tag, version = f"{number:0240d}", number.to_bytes(16, "big")
            it.keep_version(tag, version, 0.0)
            currency, tags = it.judge(tag_section(((tag, version),)))
            assert currency is TagState.CURRENT
            token = it.open_fill(f"key-{number}", tags)
            value = b"v" * 100
            held = NearEntry(value, 0, ENCODED, 1.0, 1.0, False, tags, 0.0, b"V" + version, sys.getsizeof(value))
            it.fill(token, held)
            it.close_fill(token)
            charged = near.bytes - near.beside + it.copies.weight
            assert charged <= near_bytes
        del tag, version, tags, token, value, held
        gc.collect()
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(near) > near_bytes // 4_000, "and there is room for entries"
    assert len(it.copies) * 400 < near_bytes // 4
    assert near_bytes / 3 < after - before <= near_bytes
