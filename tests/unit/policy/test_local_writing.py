"""Writes without a server: done when the call returns, and acknowledged by that."""

import inspect
from typing import Any

import pytest

from fleetcache import MISSING, Cache, CodecError
from fleetcache.policy.local_writing import LocalWriting
from fleetcache.policy.writing import Writing
from tests.support.run import run


def public(kind: type[Any]) -> dict[str, str]:
    methods = inspect.getmembers(kind, inspect.isfunction)
    return {name: str(inspect.signature(method)) for name, method in methods if not name.startswith("_")}


def test_it_has_the_methods_of_writing() -> None:
    assert public(LocalWriting) == public(Writing)


@pytest.mark.parametrize("url", ["memory://", "null://"])
def test_a_cache_without_a_server_acknowledges_each_change_and_owes_nothing(url: str) -> None:
    async def main() -> None:
        async with Cache(url) as cache:
            assert isinstance(cache._engine.writing, LocalWriting)
            await cache.set("k", 1, strict=True)
            await cache.set_many({"l": 2}, tags=["t"], strict=True)
            assert await cache.add("m", 3, strict=True)
            await cache.delete("k", strict=True)
            await cache.invalidate_tags("t", strict=True)
            assert await cache.get_many(["k", "l", "m"]) == ({"m": 3} if url == "memory://" else {})
            assert len(cache._engine.coherence.journal) == 0
            stats = cache.stats()
            assert (stats.sets, stats.removals) == (2, 2)

    run(main())


def test_the_first_add_wins_and_touch_changes_the_ttl() -> None:
    async def main() -> None:
        async with Cache("memory://") as cache:
            assert await cache.add("k", 1, ttl="1m")
            assert not await cache.add("k", 2)
            assert await cache.touch("k", ttl="1h")
            found = await cache.lookup("k")
            assert found is not None
            assert found.value == 1
            assert 3500 < found.fresh_for <= 3600
            assert not await cache.touch("absent", ttl="1h")
            assert await cache.delete_many(["k", "k", "absent"]) == 1

    run(main())


def test_no_value_is_stored_before_all_are_encoded() -> None:
    async def main() -> None:
        async with Cache("memory://", max_value_bytes=100) as cache:
            with pytest.raises(CodecError):
                await cache.set_many({"small": 1, "large": "x" * 200})
            assert await cache.get("small", MISSING) is MISSING
            assert cache.stats().sets == 0

    run(main())
