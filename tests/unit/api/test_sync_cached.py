"""``cached`` on a ``def``, and the function's own methods."""

import inspect
from dataclasses import dataclass
from typing import Any, cast

import pytest

from fleetcache import ConfigError, KeyRuleError, NoStore, SyncCache

cache = SyncCache("memory://", prefix="functions")


@dataclass
class Place:
    name: str


def test_a_function_keeps_its_name_signature_and_type() -> None:
    @cache.cached(key="place:{name}")
    def place(name: str, *, times: int = 1) -> Place:
        """Where it is."""
        return Place(name * times)

    assert (getattr(place, "__name__", None), place.__doc__) == ("place", "Where it is.")
    assert str(inspect.signature(place)) == "(name: str, *, times: int = 1) -> tests.unit.api.test_sync_cached.Place"
    assert not inspect.iscoroutinefunction(place)
    assert place("a", times=2) == place("a", times=2) == Place("aa")
    assert place.peek("a") == Place("aa")
    assert place.refresh("a", times=3) == place("a") == Place("aaa")
    assert place.uncached("a") == Place("a")
    assert place.invalidate("a")
    assert place("a") == Place("a")


def test_arguments_are_one_call_however_they_are_given() -> None:
    calls: list[int] = []

    @cache.cached(key="double:{n}")
    def double(n: int) -> int:
        calls.append(n)
        return 2 * n

    assert [double(1), double(n=1), double(True), double(2)] == [2, 2, 2, 4]
    assert calls == [1, True, 2]


def test_self_is_never_part_of_a_key_by_its_repr() -> None:
    class Service:
        def __init__(self, name: str) -> None:
            self.name = name

        @cache.cached
        def silent(self, n: int) -> int:
            return n

        @cache.cached(key="service:{self.name}:{n}", clearable=True)
        def named(self, n: int) -> str:
            return f"{self.name} {n}"

    with pytest.raises(KeyRuleError, match="does not say what its keys should be"):
        Service("a").silent(1)
    a, b = Service("a"), Service("b")
    assert [a.named(1), b.named(1), a.named(1)] == ["a 1", "b 1", "a 1"]
    assert (a.named.key(1), a.named.peek(1)) == ("service:a:1", "a 1")
    assert a.named.invalidate(1)
    assert b.named.peek(1) == "b 1"
    a.named.invalidate_all()
    assert b.named.peek(1) is None
    assert str(inspect.signature(a.named)) == "(n: int) -> str"


def test_the_wrong_kind_of_function_is_named() -> None:
    async def awaitable() -> int:
        return 1

    with pytest.raises(ConfigError, match=r"needs a `def`; Cache takes an `async def`"):
        cache.cached(awaitable)
    with pytest.raises(TypeError, match="which a thread cannot await: use a `def`"):
        cache.get_or_set("k", cast("Any", awaitable))
    with pytest.raises(TypeError, match="which a thread cannot await"):
        cache.get_or_set_many(["k"], cast("Any", lambda _keys: awaitable()))
    with pytest.raises(ConfigError, match="put @cached below @staticmethod"):
        cache.cached(staticmethod(len))
    with pytest.raises(ConfigError, match="carry no tag"):
        cache.cached(key="k")(lambda: 1).invalidate_all()


def test_a_result_may_say_that_it_is_not_kept() -> None:
    calls: list[int] = []

    @cache.cached(key="unkept")
    def unkept() -> NoStore[int]:
        calls.append(1)
        return NoStore(len(calls))

    assert [unkept(), unkept()] == [1, 2]
    with cache.bypass():
        assert unkept() == 3


def test_it_says_what_it_is() -> None:
    assert repr(cache) == "<SyncCache memory none>"
    assert repr(cache.namespace("users")) == "<SyncNamespace 'users:'>"
    assert cache.health().active == "memory"
    assert cache.explain("nothing").near == "none"
    with pytest.raises(ConfigError, match="SyncCache takes either a URL or settings"):
        SyncCache()
    assert SyncCache.from_env({}).settings.resolved_driver == "memory"
