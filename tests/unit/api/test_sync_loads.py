"""Loads of threads: loaders run in the calling thread, and an ``async def`` is refused by name."""

import threading

import pytest

from fleetcache import MISSING, Keep, NoStore, SyncCache


@pytest.fixture
def cache() -> SyncCache:
    return SyncCache("memory://")


def test_a_loader_runs_in_the_calling_thread_and_once(cache: SyncCache) -> None:
    assert cache.get_or_set("k", threading.get_ident) == threading.get_ident()
    assert cache.get_or_set("k", lambda: 0) == threading.get_ident()
    assert cache.refresh("k", lambda: 5) == 5
    assert cache.get("k") == 5


def test_a_batch_asks_its_loader_for_the_absent_keys(cache: SyncCache) -> None:
    cache.set("a", 1)
    asked: list[list[str]] = []

    def load(keys: list[str]) -> dict[str, int]:
        asked.append(keys)
        return dict.fromkeys(keys, 2)

    assert cache.get_or_set_many(["a", "b", "c"], load) == {"a": 1, "b": 2, "c": 2}
    assert asked == [["b", "c"]]
    assert cache.get_many(["c", "a", "x"]) == {"c": 2, "a": 1}


def test_an_async_loader_is_refused_by_name(cache: SyncCache) -> None:
    async def load() -> int:
        return 1

    with pytest.raises(TypeError, match="load"):
        cache.get_or_set("k", load)  # type: ignore[unused-coroutine]  # the case
    assert cache.get("k", MISSING) is MISSING


@pytest.mark.parametrize("wrap", [NoStore, Keep], ids=["NoStore", "Keep"])
def test_a_result_may_decide_its_own_life(cache: SyncCache, wrap: type[NoStore[int]] | type[Keep[int]]) -> None:
    assert cache.get_or_set("k", lambda: wrap(7)) == 7
    assert cache.get("k", MISSING) == (7 if wrap is Keep else MISSING)
