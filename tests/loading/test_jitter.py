"""Entries that are stored together end apart: a loader and ``set_many`` store each for a little less than its ttl.

Never for longer, never where the caller counts on the time, and for the same time in both tiers.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from fleetcache import Cache, Keep, SyncCache
from fleetcache.api.explain import Explanation
from fleetcache.policy.context import PolicyContext
from fleetcache.policy.options import CallOptions
from fleetcache.testing import override
from tests.support.drivers import Driver
from tests.support.run import run
from tests.support.servers import Server
from tests.support.waiting import eventually

TTL = 1000.0
# A lifetime counts from the start of the loader, so that a busy machine takes some hundredths of a second from it.
# The values of ``random`` here, one after the other.
DRAWN = 0.5
SHORTENED = TTL * (1 - 0.05 * DRAWN)


async def _one() -> str:
    return "v"


async def _many(keys: list[str]) -> dict[str, str]:
    return dict.fromkeys(keys, "v")


async def _kept() -> Keep[str]:
    return Keep("v", ttl=TTL)


async def _kept_stale() -> Keep[str]:
    return Keep("v", stale=7)


async def _cached(cache: Cache, **options: Any) -> Any:
    @cache.cached(ttl=TTL, key="k", **options)
    async def function() -> str:
        return "v"

    return await function()


async def _refreshed_function(cache: Cache) -> Any:
    @cache.cached(ttl=TTL, key="k")
    async def function() -> str:
        return "v"

    return await function.refresh()


async def _touched(cache: Cache) -> Any:
    await cache.get_or_set("k", _one, ttl=5 * TTL)
    return await cache.touch("k", TTL)


SHORTER: dict[str, Callable[[Cache], Awaitable[Any]]] = {
    "get_or_set": lambda cache: cache.get_or_set("k", _one, ttl=TTL),
    "get_or_set_many": lambda cache: cache.get_or_set_many(["k"], _many, ttl=TTL),
    "cached": _cached,
    "refresh": lambda cache: cache.refresh("k", _one, ttl=TTL),
    "refresh of a function": _refreshed_function,
    "Keep without a ttl": lambda cache: cache.get_or_set("k", _kept_stale, ttl=TTL),
    "set_many": lambda cache: cache.set_many({"k": "v"}, ttl=TTL),
    "the default ttl": lambda cache: cache.get_or_set("k", _one),
}

EXACT: dict[str, Callable[[Cache], Awaitable[Any]]] = {
    "set": lambda cache: cache.set("k", "v", ttl=TTL),
    "add": lambda cache: cache.add("k", "v", ttl=TTL),
    "incr": lambda cache: cache.incr("k", ttl=TTL),
    "Keep with a ttl": lambda cache: cache.get_or_set("k", _kept),
    "get_or_set(exact=True)": lambda cache: cache.get_or_set("k", _one, ttl=TTL, exact=True),
    "get_or_set_many(exact=True)": lambda cache: cache.get_or_set_many(["k"], _many, ttl=TTL, exact=True),
    "cached(exact=True)": lambda cache: _cached(cache, exact=True),
    "refresh(exact=True)": lambda cache: cache.refresh("k", _one, ttl=TTL, exact=True),
    "set_many(exact=True)": lambda cache: cache.set_many({"k": "v"}, ttl=TTL, exact=True),
}


async def _stored(driver: Driver, store: Callable[[Cache], Awaitable[Any]], **settings: Any) -> Explanation:
    async with driver.cache(ttl=TTL, **settings) as cache:
        cache._engine.ports.random = lambda: DRAWN  # type: ignore[method-assign] # randomness is an argument
        await store(cache)
        return await cache.explain("k")


@pytest.mark.parametrize("verb", SHORTER)
def test_a_loaded_entry_is_kept_for_a_little_less(driver: Driver, verb: str) -> None:
    seen = run(_stored(driver, SHORTER[verb]))
    assert seen.ttl == pytest.approx(SHORTENED, abs=0.5)
    for left in _left(seen):
        assert SHORTENED - 10 < left <= SHORTENED + 0.5


@pytest.mark.parametrize("verb", EXACT)
def test_a_time_that_the_caller_counts_on_is_exact(driver: Driver, verb: str) -> None:
    seen = run(_stored(driver, EXACT[verb]))
    assert seen.ttl == pytest.approx(TTL, abs=0.5)
    assert all(TTL - 10 < left <= TTL for left in _left(seen))


def test_a_touched_entry_has_exactly_its_new_ttl(driver: Driver) -> None:
    assert all(TTL - 10 < left <= TTL for left in _left(run(_stored(driver, _touched))))


@pytest.mark.parametrize("verb", SHORTER)
def test_without_jitter_nothing_is_shortened(driver: Driver, verb: str) -> None:
    assert run(_stored(driver, SHORTER[verb], ttl_jitter=0)).ttl == pytest.approx(TTL, abs=0.5)


def _left(seen: Explanation) -> list[float]:
    """Return the seconds that the entry is still fresh, in each tier that has it."""
    return [left for left in (seen.near_fresh_for, seen.shared_fresh_for) if left is not None]


def test_the_keys_of_one_batch_end_apart(driver: Driver) -> None:
    names = [f"k{number}" for number in range(40)]

    async def main() -> list[float]:
        async with driver.cache(ttl=TTL) as cache:
            await cache.get_or_set_many(names[:20], _many)
            await cache.set_many(dict.fromkeys(names[20:], "v"))
            return [(await cache.explain(name)).ttl or 0.0 for name in names]

    ttls = run(main())
    assert len(set(ttls)) > 30
    assert all(0.95 * TTL - 0.5 <= ttl <= TTL for ttl in ttls)
    assert max(ttls) - min(ttls) > 0.02 * TTL


def test_a_value_kept_without_the_server_is_shortened_once() -> None:
    options = CallOptions(ttl=TTL, stale=5.0, tags=(), offline_ttl=9.0, jitters=True)
    once = options.shortened(0.05, lambda: 1.0)
    assert once == once.shortened(0.05, lambda: 1.0)
    assert once.ttl == pytest.approx(0.95 * TTL)
    assert once.stale == options.stale


@pytest.mark.parametrize("drawn", [0.0, 0.3, 1.0 - 2**-53])
@pytest.mark.parametrize("ttl", [0.001, 0.5, TTL])
def test_a_lifetime_never_gets_longer_nor_nothing(ttl: float, drawn: float) -> None:
    options = CallOptions(ttl=ttl, stale=0.0, tags=(), offline_ttl=0.0, jitters=True)
    assert max(0.001, 0.5 * ttl) <= options.shortened(0.5, lambda: drawn).ttl <= ttl


def test_threads_end_apart_too(one_server: Server, prefix: str) -> None:
    def load() -> str:
        return "v"

    with SyncCache(one_server.url, prefix=prefix, operation_timeout="5s", ttl=TTL) as cache:
        cache._engine.ports.random = lambda: DRAWN  # type: ignore[method-assign] # as above
        cache.get_or_set("a", load)
        cache.set_many({"b": "v"})
        cache.refresh("c", load)
        cache.get_or_set_many(["d"], lambda keys: dict.fromkeys(keys, "v"))
        cache.set("e", "v")
        cache.get_or_set("f", load, exact=True)
        ttls = [cache.explain(key).ttl for key in "abcdef"]
    assert ttls == [pytest.approx(SHORTENED, abs=0.01)] * 4 + [TTL] * 2


def test_another_instance_sees_the_same_time(one_server: Server, prefix: str) -> None:
    async def main() -> tuple[float | None, float | None]:
        url = one_server.url
        settings: dict[str, Any] = {"prefix": prefix, "operation_timeout": "5s", "ttl": TTL}
        async with Cache(url, **settings) as cache, Cache(url, **settings) as other:
            await cache.get_or_set("k", _one)
            await other.get("k")
            await eventually(lambda: other.peek("k") == "v")
            return (await cache.explain("k")).ttl, (await other.explain("k")).ttl

    ours, theirs = run(main())
    assert ours is not None
    assert ours < TTL
    assert theirs == pytest.approx(ours, abs=0.01)


def test_tests_see_exact_times() -> None:
    async def main() -> float | None:
        cache = Cache("memory://", ttl=TTL)
        async with override(cache):
            await cache.get_or_set("k", _one)
            return (await cache.explain("k")).ttl

    assert asyncio.run(main()) == pytest.approx(TTL, abs=0.5)  # it counts from the loader's start


def test_twin_all_entries_of_one_load_end_together(driver: Driver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PolicyContext, "of_one_entry", lambda _self, options: options)
    assert run(_stored(driver, SHORTER["get_or_set"])).ttl == pytest.approx(TTL, abs=0.5)
