"""The policy's table, row by row, against real servers; a raw client makes the states."""

import asyncio
import time
from collections.abc import Callable

import pytest

from fleetcache import MISSING
from tests.support.drivers import commands_of
from tests.support.scene import CLAIM, GRACE, PLACEHOLDER, Body, Scene
from tests.support.waiting import eventually


def test_near_fresh_is_answered_without_a_word_to_the_server(play: Callable[..., None]) -> None:
    async def body(scene: Scene) -> None:
        await scene.cache.set("k", "near")
        before = commands_of(scene.raw)
        assert await scene.cache.get("k", type=str) == await scene.ask() == "near"
        assert await scene.cache.get_many(["k"]) == {"k": "near"}
        assert commands_of(scene.raw) == before

    play(body)


def test_shared_fresh_is_answered_and_fills_near(play: Callable[..., None]) -> None:
    async def body(scene: Scene) -> None:
        await scene.other.set("k", "shared")
        assert scene.cache.peek("k") is None
        assert await scene.ask() == "shared"
        assert scene.cache.peek("k") == "shared"
        assert scene.origin.calls == 0

    play(body)


@pytest.mark.parametrize("near", [False, True], ids=["not near", "near"])
def test_stale_is_answered_at_once_and_replaced_behind(play: Callable[..., None], near: bool) -> None:
    async def body(scene: Scene) -> None:
        await scene.age(5000 + GRACE, stale="30s")
        if near:
            assert await scene.cache.get("k", allow_stale=True) == "old"
        assert await scene.cache.get("k", MISSING) is MISSING
        assert await scene.cache.get("k", allow_stale=True) == "old"
        scene.origin.go.clear()
        assert await scene.ask(stale="30s") == "old"
        await eventually(lambda: scene.origin.calls and scene.raw("EXISTS", scene.claim))
        assert await scene.ask(stale="30s") == "old"
        scene.origin.go.set()
        await eventually(lambda: scene.cache.peek("k") == "loaded 1")
        assert await scene.other.get("k") == "loaded 1"
        await eventually(lambda: not scene.raw("EXISTS", scene.claim))
        assert scene.origin.calls == 1

    play(body)


def test_stale_is_not_refreshed_by_who_does_not_get_the_claim(play: Callable[..., None]) -> None:
    async def body(scene: Scene) -> None:
        await scene.age(5000 + GRACE, stale="30s")
        scene.raw("SET", scene.claim, CLAIM, "PX", 5000)
        assert await scene.ask(stale="30s") == "old"
        await eventually(lambda: scene.cache.stats().flights == 0)
        assert scene.origin.calls == 0

    play(body)


def test_stale_stays_when_its_refresh_fails(play: Callable[..., None]) -> None:
    async def body(scene: Scene) -> None:
        await scene.age(5000 + GRACE, stale="30s")
        scene.origin.error = LookupError("down")
        assert await scene.ask(stale="30s") == "old"
        await eventually(lambda: scene.cache.stats().load_failures)
        await eventually(lambda: not scene.raw("EXISTS", scene.claim))
        assert await scene.ask(stale="30s") == "old"
        assert scene.origin.calls == 1  # the next try comes after a pause

    play(body)


# -- an unusable entry -------------------------------------------------------------------------------------------------


async def spent(scene: Scene) -> None:
    await scene.age(5000)


async def invalidated(scene: Scene) -> None:
    await scene.age(30_000)
    await scene.other.clear()


async def broken(scene: Scene) -> None:
    scene.raw("SET", scene.entry, b"V" + bytes(60), "PX", 30_000)


async def foreign(scene: Scene) -> None:
    scene.raw("SET", scene.entry, "of somebody else", "PX", 30_000)


async def without_end(scene: Scene) -> None:
    await scene.age(30_000)
    scene.raw("PERSIST", scene.entry)


@pytest.mark.parametrize("state", [spent, invalidated, broken, foreign, without_end])
def test_what_cannot_be_used_is_loaded_by_one_and_replaced(play: Callable[..., None], state: Body) -> None:
    async def body(scene: Scene) -> None:
        await state(scene)
        scene.origin.go.clear()
        callers = [asyncio.create_task(scene.ask())]
        await eventually(lambda: scene.origin.calls)
        callers += [asyncio.create_task(scene.other.get_or_set("k", scene.origin.load)) for _ in range(5)]
        await eventually(lambda: scene.other.stats().waits)
        scene.origin.go.set()
        assert await asyncio.gather(*callers) == ["loaded 1"] * 6
        assert scene.is_entry()
        assert scene.cache.stats().loads + scene.other.stats().loads == 1

    play(body)


@pytest.mark.parametrize("state", [spent, invalidated, broken])
def test_who_does_not_get_the_claim_waits_for_its_holder_or_its_end(play: Callable[..., None], state: Body) -> None:
    async def body(scene: Scene) -> None:
        await state(scene)
        began = time.monotonic()
        scene.raw("SET", scene.claim, CLAIM, "PX", 150)
        assert await scene.ask() == "loaded 1"
        assert 0.1 < time.monotonic() - began < 10  # of 30 s that a caller waits
        scene.raw("DEL", scene.entry)
        await eventually(lambda: scene.cache.peek("k") is None)
        await state(scene)
        scene.raw("SET", scene.claim, CLAIM, "PX", 60_000)
        waiting = asyncio.create_task(scene.ask())
        await eventually(lambda: scene.cache.stats().waiters)
        await scene.other.set("k", "of the holder")
        assert await waiting == "of the holder"
        assert scene.origin.calls == 1

    play(body)


# -- another load ------------------------------------------------------------------------------------------------------


def test_a_placeholder_is_waited_for(play: Callable[..., None]) -> None:
    async def body(scene: Scene) -> None:
        scene.raw("SET", scene.entry, PLACEHOLDER, "PX", 60_000)
        assert await scene.cache.get("k", MISSING) is MISSING
        waiting = asyncio.create_task(scene.ask())
        await eventually(lambda: scene.cache.stats().waiters)
        await scene.other.set("k", "fulfilled")
        assert await waiting == "fulfilled"
        assert scene.origin.calls == 0

    play(body)


def test_a_placeholder_whose_holder_died_ends_with_its_lease(play: Callable[..., None]) -> None:
    async def body(scene: Scene) -> None:
        began = time.monotonic()
        scene.raw("SET", scene.entry, PLACEHOLDER, "PX", 150)
        assert await scene.ask() == "loaded 1"
        assert 0.1 < time.monotonic() - began < 10  # of 30 s that a caller waits
        assert scene.is_entry()

    play(body)


def test_after_the_longest_wait_one_process_loads_beside_the_holder(play: Callable[..., None]) -> None:
    async def body(scene: Scene) -> None:
        scene.raw("SET", scene.entry, PLACEHOLDER, "PX", 60_000)
        assert await scene.ask() == "loaded 1"
        assert scene.is_entry(), "the first load to end is stored"
        assert scene.cache.stats().wait_timeouts == 1

    play(body, load_wait="50ms")


def test_after_twice_the_longest_wait_a_caller_loads_and_stores_nothing(play: Callable[..., None]) -> None:
    async def body(scene: Scene) -> None:
        scene.raw("SET", scene.entry, PLACEHOLDER, "PX", 60_000)
        scene.raw("SET", scene.entry.replace(":e:", ":s:"), CLAIM, "PX", 60_000)
        async with asyncio.timeout(8):
            assert await scene.ask() == "loaded 1"
        assert scene.raw("GET", scene.entry) == PLACEHOLDER
        assert scene.cache.stats().wait_timeouts == 1

    play(body, load_wait="50ms")


# -- no entry ----------------------------------------------------------------------------------------------------------


def test_where_nothing_is_a_lease_is_taken_and_fulfilled(play: Callable[..., None]) -> None:
    async def body(scene: Scene) -> None:
        scene.origin.go.clear()
        caller = asyncio.create_task(scene.ask())
        await eventually(lambda: scene.origin.calls)
        placeholder = scene.raw("GET", scene.entry)
        assert (placeholder[:1], len(placeholder)) == (b"L", 17)
        scene.origin.go.set()
        assert await caller == "loaded 1"
        assert scene.is_entry()
        assert scene.cache.peek("k") == "loaded 1"

    play(body)


def test_a_failed_load_gives_the_lease_back(play: Callable[..., None]) -> None:
    async def body(scene: Scene) -> None:
        scene.origin.error = LookupError("down")
        with pytest.raises(LookupError):
            await scene.ask()
        await eventually(lambda: not scene.raw("EXISTS", scene.entry))

    play(body)


def test_a_removal_during_the_load_leaves_the_value_to_who_loaded_it(play: Callable[..., None]) -> None:
    async def body(scene: Scene) -> None:
        scene.origin.go.clear()
        caller = asyncio.create_task(scene.ask())
        await eventually(lambda: scene.origin.calls)
        scene.raw("DEL", scene.entry)
        scene.origin.go.set()
        assert await caller == "loaded 1"
        assert not scene.raw("EXISTS", scene.entry)
        assert scene.cache.peek("k", MISSING) is MISSING
        assert scene.cache.stats().refused_swaps == 1

    play(body)
