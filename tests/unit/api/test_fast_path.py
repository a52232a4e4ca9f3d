"""The near hit: one look-up without I/O, the same verdict from ``peek`` and ``get``, and counted once."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from fleetcache import MISSING, Cache, KeyRuleError, SyncCache
from fleetcache.policy.options import EARLY_RANGE
from fleetcache.testing import ManualClock, memory_cache

Ask = Callable[[Any], Any]

# Each face writes the near hit out, because a call costs a third of a hit.
FACES: dict[str, Ask] = {
    "peek": lambda cache: cache.peek("k", MISSING, type=str),
    "get": lambda cache: asyncio.run(cache.get("k", MISSING, type=str)),
}


def filled(clock: ManualClock) -> Cache:
    cache = memory_cache(clock=clock)
    asyncio.run(cache.set("k", "value", ttl="1m", stale="1m", type=str))
    return cache


@pytest.mark.parametrize("face", FACES)
def test_a_fresh_entry_answers_until_its_ttl_is_over(face: str) -> None:
    clock = ManualClock()
    cache = filled(clock)
    assert FACES[face](cache) == "value"
    clock.advance("59.9s")
    assert FACES[face](cache) == "value"
    clock.advance("0.1s")
    assert FACES[face](cache) is MISSING
    assert cache.stats().near_hits == 2


@pytest.mark.parametrize("face", FACES)
def test_a_removed_entry_answers_no_more(face: str) -> None:
    cache = filled(ManualClock())
    asyncio.run(cache.delete("k"))
    assert FACES[face](cache) is MISSING
    assert cache.stats().near_hits == 0


@pytest.mark.parametrize("face", FACES)
def test_past_the_horizon_nothing_is_trusted(face: str) -> None:
    clock = ManualClock()
    cache = filled(clock)
    near = cache._engine.near
    near.put("k", replace(near.items["k"], unconfirmed=False))
    near.vouch(clock())
    assert cache.peek("k", MISSING, type=str) is MISSING
    near.vouch(clock() + 1)
    assert FACES[face](cache) == "value"


@pytest.mark.parametrize("face", FACES)
def test_a_removal_of_many_ends_their_hits_at_once_and_no_others(face: str) -> None:
    cache = filled(ManualClock())
    cache._engine.near.AT_ONCE = 0
    asyncio.run(cache.set("k", "value", type=str, tags=["mine"]))
    asyncio.run(cache.set("other", "value", type=str, tags=["other"]))
    asyncio.run(cache.invalidate_tags("other"))
    assert cache.peek("other", MISSING, type=str) is MISSING
    assert FACES[face](cache) == "value", "another tag of its generation was removed, not its own"
    before = cache.stats()
    assert FACES[face](cache) == "value"
    assert cache.stats().near_hits == before.near_hits + 1
    asyncio.run(cache.invalidate_tags("mine"))
    assert FACES[face](cache) is MISSING
    assert cache.stats().near_items == 0


@pytest.mark.parametrize("remove", ["invalidate_tags", "clear"])
def test_a_decorated_function_loads_anew_after_a_removal_of_many(remove: str) -> None:
    async def main() -> None:
        async with Cache("memory://") as cache:
            cache._engine.near.AT_ONCE = 0
            calls = []

            @cache.cached(key="double:{number}", tags=["mine"])
            async def double(number: int) -> int:
                calls.append(number)
                return 2 * number

            assert [await double(21), await double(21), len(calls)] == [42, 42, 1]
            await cache.set("other", 1, tags=["other"])
            await cache.invalidate_tags("other")
            assert [await double(21), len(calls)] == [42, 1]
            await (cache.clear() if remove == "clear" else cache.invalidate_tags("mine"))
            assert [await double(21), await double(21), len(calls)] == [42, 42, 2]

    asyncio.run(main())


def test_another_type_is_answered_by_the_bytes() -> None:
    cache = filled(ManualClock())
    assert cache.peek("k") == "value"
    assert cache.peek("k", MISSING, type=int) is MISSING


async def load() -> str:
    return "loaded"


@pytest.mark.parametrize("face", [Cache, SyncCache])
@pytest.mark.parametrize(("stored", "asked"), [(str, Any), (Any, str)], ids=["as plain data", "as its own type"])
def test_a_scalar_answers_by_either_name_of_its_type_without_its_bytes(
    face: type, stored: Any, asked: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache: Any = face("memory://")
    task = asyncio.run if face is Cache else lambda value: value
    task(cache.set("k", "value", type=stored))
    monkeypatch.delattr("fleetcache.shared.entries.Entries.decode_near")
    assert cache.peek("k", type=asked) == task(cache.get("k", type=asked)) == "value"
    assert cache.stats().near_hits == 2


def test_what_a_typed_loader_loaded_answers_a_plain_read(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        async with Cache("memory://") as cache:
            assert await cache.get_or_set("k", load) == "loaded"
            cached = cache.cached(key=lambda: "stored")(load)
            await cache.set("stored", "plain")
            assert await cached() == "plain"
            monkeypatch.delattr("fleetcache.shared.entries.Entries.decode_near")
            assert await cache.get("k") == "loaded"
            assert await cached() == "plain"

    asyncio.run(main())


def test_a_hit_marks_its_entry_up_to_three() -> None:
    cache = filled(ManualClock())
    for expected in (1, 2, 3, 3):
        cache.peek("k", type=str)
        assert cache._engine.near.items["k"].freq == expected


@pytest.mark.parametrize("key", [1, None, b"k", "", ["k"]], ids=repr)
def test_a_key_that_breaks_the_rules_is_named(key: Any) -> None:
    for cache in (Cache("memory://"), SyncCache("memory://")):
        with pytest.raises(KeyRuleError):
            cache.peek(key)


def test_an_entry_close_to_its_end_is_left_to_the_rules_where_a_refresh_may_start() -> None:
    clock = ManualClock()
    cache = filled(clock)
    cache._engine.near.items["k"].cost = 1.0
    assert cache._near_hit("k", refreshes=True) is not None
    clock.advance(60 - EARLY_RANGE + 0.5)
    assert cache._near_hit("k") is not None
    assert cache._near_hit("k", refreshes=True) is None


def test_a_hit_of_threads_takes_no_lock() -> None:
    hits: list[str | None] = []
    with SyncCache("memory://") as cache:
        engine: Any = cache._engine
        cache.set("k", "value", type=str)
        thread = threading.Thread(target=lambda: hits.append(cache.get("k", type=str)))
        with engine.monitor.locked():
            thread.start()
            thread.join(10)
            assert hits == ["value"], "the thread waited for the monitor"
