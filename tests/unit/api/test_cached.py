"""``@cache.cached``: the function keeps its name and signature, and equal calls share one result."""

import asyncio
import inspect
from functools import partial
from typing import Any

import pytest

from fleetcache import Cache, Keep, NoStore
from tests.support.drivers import Driver, On
from tests.support.functions import Place, counting, memory
from tests.support.run import run
from tests.support.waiting import eventually

# -- name, documentation and signature ---------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"ttl": "5m"}])
def test_it_keeps_name_documentation_and_signature(options: dict[str, Any]) -> None:
    locate, _ = counting(memory, **options)
    assert locate.__name__ == "locate"
    assert locate.__qualname__ == "counting.<locals>.locate"
    assert locate.__module__ == "tests.support.functions"
    assert locate.__doc__ == "Where an address is."
    assert str(inspect.signature(locate)) == "(ip: str, *, precise: bool = False) -> tests.support.functions.Place"
    assert inspect.unwrap(locate) is locate.__wrapped__


def test_it_counts_as_a_coroutine_function() -> None:
    locate, _ = counting(memory)

    class Service:
        @memory.cached(key="fixed")
        async def method(self) -> int:
            return 1

    for function in (locate, Service().method):
        assert inspect.iscoroutinefunction(function)
        assert asyncio.iscoroutinefunction(function)


def test_a_partial_with_a_key_is_a_function_like_any_other() -> None:
    async def add(a: int, b: int) -> int:
        return a + b

    async def main() -> None:
        async with Cache("memory://") as cache:
            plus = cache.cached(key="plus:{b}", clearable=True)(partial(add, 1))
            assert await plus(2) == await plus(2) == 3
            assert repr(plus) == "<cached partial>"
            assert asyncio.iscoroutinefunction(plus)
            await plus.invalidate_all()
            assert plus.peek(2) is None

    run(main())


# -- results are shared ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"ttl": "5m", "stale": "1m"}, {"early": True}, {"type": Place}])
def test_equal_calls_share_one_result(on: On, options: dict[str, Any]) -> None:
    async def body(cache: Cache) -> None:
        locate, calls = counting(cache, **options)
        assert await locate("a") == Place("a 1")
        assert await locate(ip="a") == Place("a 1")
        assert await locate("a", precise=False) == Place("a 1")
        assert await locate("a", precise=True) == Place("a 2")
        assert await locate("b") == Place("b 3")
        assert calls == [("a", False), ("a", True), ("b", False)]

    on(body)


def test_values_of_other_types_are_other_calls(on: On) -> None:
    async def body(cache: Cache) -> None:
        @cache.cached
        async def kind(value: object) -> str:
            return type(value).__name__

        for _ in range(2):
            assert [await kind(value) for value in (1, True, 1.0, "1", b"1", None)] == [
                "int",
                "bool",
                "float",
                "str",
                "bytes",
                "NoneType",
            ]
            assert [await kind(value) for value in ((1,), (True,), [1], 0.0, -0.0)] == [
                "tuple",
                "tuple",
                "list",
                "float",
                "float",
            ]

    on(body)


def test_keys_that_compare_equal_but_differ_are_kept_apart() -> None:
    async def one(value: Any) -> None: ...

    async def two(value: Any, other: Any) -> None: ...

    single, double = memory.cached(one), memory.cached(two)
    for a, b in ((1, True), (0.0, -0.0), ((1,), (True,)), (1, 1.0)):
        for _ in range(2):  # the second time from the recently used keys
            assert single.key(a) != single.key(b)
            assert double.key(a, "x") != double.key(b, "x")
            assert double.key("x", a) != double.key("x", b)


def test_all_who_call_at_once_share_one_call(on: On) -> None:
    go = asyncio.Event()
    calls = 0

    async def body(cache: Cache) -> None:
        @cache.cached(key="slow")
        async def slow() -> int:
            nonlocal calls
            calls += 1
            await go.wait()
            return calls

        callers = [asyncio.create_task(slow()) for _ in range(5)]
        await eventually(lambda: cache.stats().joins == 4)
        go.set()
        assert await asyncio.gather(*callers) == [1] * 5

    on(body)


def test_two_instances_share_results(remote: Driver) -> None:
    async def main() -> None:
        async with remote.cache() as a, remote.cache() as b:
            (here, calls), (there, calls_there) = counting(a), counting(b)
            assert await here("x") == await there("x") == Place("x 1")
            await there.invalidate("x")
            assert await here("x") == Place("x 2")
            assert (len(calls), len(calls_there)) == (2, 0)

    run(main())


def test_what_the_result_says_and_what_is_raised_pass_through(on: On) -> None:
    async def body(cache: Cache) -> None:
        calls: list[str] = []

        @cache.cached(key="ask:{what}")
        async def ask(what: str) -> str | NoStore[str] | Keep[str]:
            calls.append(what)
            if what == "error":
                raise LookupError(what)
            return NoStore(what) if what == "not" else Keep(what, ttl="1h")

        for _ in range(2):
            assert await ask("not") == "not"
            assert await ask("kept") == "kept"
            with pytest.raises(LookupError, match="error"):
                await ask("error")
        assert calls == ["not", "kept", "error", "not", "error"]

    on(body)


# -- the function's own verbs ----------------------------------------------------------------------------------------


def test_invalidate_refresh_peek_and_uncached_take_the_same_arguments(driver: Driver) -> None:
    async def main() -> None:
        async with driver.cache() as cache:
            locate, calls = counting(cache)
            assert locate.peek("a") is None
            assert await locate("a") == Place("a 1")
            assert locate.peek(ip="a", precise=False) == (Place("a 1") if driver.has_near else None)
            assert await locate.invalidate(ip="a")
            assert not await locate.invalidate("a")
            assert locate.peek("a") is None
            assert await locate("a") == Place("a 2")
            assert await locate.refresh("a") == Place("a 3")
            assert await locate("a") == Place("a 3")
            assert await locate.uncached("a", precise=True) == Place("a 4")
            assert await locate("a") == Place("a 3")
            assert len(calls) == 4

    run(main())


def test_tags_and_verbs_of_the_cache_reach_its_results(on: On) -> None:
    async def body(cache: Cache) -> None:
        locate, calls = counting(cache, key="geo:{ip}", tags=("geo",))
        await locate("a")
        assert await cache.get("geo:a", type=Place) == Place("a 1")
        await cache.invalidate_tags("geo")
        await locate("a")
        await cache.delete("geo:a")
        await locate("a")
        assert len(calls) == 3

    on(body)


def test_in_a_namespace_it_uses_its_keys_and_its_clear(on: On) -> None:
    async def body(cache: Cache) -> None:
        view = cache.namespace("users")
        locate, calls = counting(view, key="u:{ip}")
        await locate("a")
        assert locate.key("a") == "u:a"
        assert await view.get("u:a", type=Place) == await cache.get("users:u:a", type=Place) == Place("a 1")
        await cache.namespace("other").clear()
        await locate("a")
        assert len(calls) == 1
        await view.clear()
        await locate("a")
        assert len(calls) == 2

    on(body)


def test_options_reach_the_entry(on: On) -> None:
    async def body(cache: Cache) -> None:
        locate, _ = counting(cache, ttl="20ms", stale="1m", key="geo:{ip}")
        await locate("a")

        async def stale() -> bool:
            return await cache.get("geo:a", type=Place) is None

        await eventually(stale)
        assert await cache.get("geo:a", type=Place, allow_stale=True) is not None

    on(body)
