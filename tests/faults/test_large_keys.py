"""A value larger than a reply may be costs one connection; then the key is known, and near keeps its entries."""

from collections.abc import Callable
from typing import Any

import pytest

from fleetcache import Cache, SyncCache
from fleetcache.format.keys import Layout
from fleetcache.shared.large_keys import LargeKeys
from tests.support.run import run
from tests.support.servers import Server
from tests.support.waiting import eventually, wait_until

LIMIT = 4_000  # so that a reply may have 64 kB
VALUE = "y" * 3_000_000
OPTIONS: dict[str, Any] = {"operation_timeout": "2s", "max_value_bytes": LIMIT}


async def _load() -> str:
    return "loaded"


async def _store(server: Server, prefix: str) -> None:
    """Store the value as an instance with a larger limit does."""
    async with Cache(server.url, prefix=prefix, operation_timeout="5s", max_value_bytes="8MB") as other:
        await other.set("large", VALUE, ttl="1h")
        await other.set("also large", VALUE, ttl="1h")


async def _load_many(keys: Any) -> dict[str, str]:
    return dict.fromkeys(keys, "loaded")


async def _claim_and_load(cache: Cache) -> None:
    claim = await cache.claim("large")
    if claim is not None:
        await claim.release()


VERBS: dict[str, Callable[[Cache], Any]] = {
    "get": lambda cache: cache.get("large"),
    "get_many": lambda cache: cache.get_many(["large", "good"]),
    "add": lambda cache: cache.add("large", "small"),
    "get_or_set_many": lambda cache: cache.get_or_set_many(["large"], _load_many),
    "refresh": lambda cache: cache.refresh("large", _load),
    "incr": lambda cache: cache.incr("large"),
    "claim": _claim_and_load,
    "get_or_set": lambda cache: cache.get_or_set("large", _load),
}


async def _reads(server: Server, prefix: str, verb: str) -> tuple[int, int, Any]:
    """Return the connections lost by three calls after the first, the unusable replies, and near's other entry."""
    await _store(server, prefix)
    async with Cache(server.url, prefix=prefix, **OPTIONS) as cache:
        await cache.get("large")  # the first call costs one connection
        await eventually(lambda: cache.stats().epoch == 2 and cache.stats().link == "online")
        await cache.set("good", "value", ttl="1h")
        for _ in range(3):
            await VERBS[verb](cache)
            await eventually(lambda: cache.stats().link == "online")
        return cache.stats().epoch - 2, cache.stats().unusable.get("size", 0), cache.peek("good")


@pytest.mark.parametrize("verb", VERBS)
def test_a_key_that_is_known_costs_no_connection(server: Server, prefix: str, verb: str) -> None:
    lost, unusable, near = run(_reads(server, prefix, verb))
    assert (lost, near) == (0, "value")
    assert unusable >= 1 or verb == "claim", "that does not look at what is there"


def test_twin_without_knowing_it_each_look_costs_one(
    server: Server, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LargeKeys, "met", lambda _self, _command: None)
    lost, _, near = run(_reads(server, prefix, "get"))
    assert lost >= 1
    assert near is None


def test_the_next_load_replaces_it_and_it_is_a_key_like_any_other(server: Server, prefix: str) -> None:
    async def scene() -> None:
        await _store(server, prefix)
        async with Cache(server.url, prefix=prefix, **OPTIONS) as cache, Cache(server.url, prefix=prefix) as other:
            await cache.get("large")
            await eventually(lambda: cache.stats().epoch == 2 and cache.stats().link == "online")
            assert await cache.get_or_set("large", _load, ttl="1h") == "loaded"
            assert await other.get("large") == "loaded"
            assert await cache.get_many(["large"], near=False) == {"large": "loaded"}
            assert cache._engine.shared.large.keys == {}
            assert await cache.delete("also large")
            assert cache.stats().epoch == 2

    run(scene())


def test_what_is_not_ours_is_known_too(server: Server, prefix: str) -> None:
    async def scene() -> None:
        with server.client() as client:
            client("SET", Layout(prefix).entry("large"), b"z" * 3_000_000)
        async with Cache(server.url, prefix=prefix, **OPTIONS) as cache:
            await cache.get("large")
            await eventually(lambda: cache.stats().epoch == 2 and cache.stats().link == "online")
            assert await cache.get("large") is None
            assert await cache.get_or_set("large", _load, ttl="1h") == "loaded"
            assert cache.stats().epoch == 2

    run(scene())


def test_the_same_on_threads(server: Server, prefix: str) -> None:
    run(_store(server, prefix))
    with SyncCache(server.url, prefix=prefix, **OPTIONS) as cache:
        cache.get("large")
        wait_until(lambda: cache.stats().epoch == 2 and cache.stats().link == "online")
        for _ in range(3):
            assert cache.get("large") is None
        assert cache.get_or_set("large", lambda: "loaded", ttl="1h") == "loaded"
        assert cache.get_or_set("large", lambda: "again", ttl="1h") == "loaded"
        assert cache.stats().epoch == 2
