"""Reads of threads share the policy of tasks; a value that the thread can answer by itself needs no rule."""

import pytest

from fleetcache import MISSING, SyncCache


@pytest.fixture
def cache() -> SyncCache:
    cache = SyncCache("memory://")
    cache.set_many({"a": 1, "b": [2]}, tags=("t",))
    return cache


def test_every_read_sees_what_is_stored(cache: SyncCache) -> None:
    assert cache.get("a", type=int) == cache.peek("a", type=int) == 1
    assert cache.get_many(["b", "a", "x"]) == {"b": [2], "a": 1}
    found = cache.lookup("b")
    assert found is not None
    assert found.value == [2]
    assert "t" in cache.explain("a").tags


def test_in_a_bypassed_context_there_is_nothing(cache: SyncCache) -> None:
    with cache.bypass():
        assert cache.get("a", MISSING) is MISSING
        assert cache.get_many(["a"]) == {}
        assert cache.lookup("a") is None
    assert cache.get("a") == 1
