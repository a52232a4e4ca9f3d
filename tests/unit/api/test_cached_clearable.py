"""``cached(clearable=True)``: one call removes all results of a function, in every instance, and nothing else."""

import asyncio
from typing import Any

import pytest

from fleetcache import Cache, ConfigError, Unavailable
from tests.support.drivers import Driver, On
from tests.support.functions import Place, counting, memory
from tests.support.run import run
from tests.support.servers import free_port
from tests.support.waiting import eventually


@pytest.mark.parametrize("key", ["geo:{ip}", lambda ip: f"made:{ip}"])
def test_the_results_of_all_calls_go_and_nothing_else(on: On, key: Any) -> None:
    async def body(cache: Cache) -> None:
        locate, calls = counting(cache, clearable=True, key=key, tags=("geo",))
        others = [counting(cache, clearable=True, key=f"other:{number}:{{ip}}") for number in range(2)]
        plain = counting(cache, key="plain:{ip}")
        await cache.set("set", 1)
        for function, _ in ((locate, calls), *others, plain):
            await asyncio.gather(function("a"), function("b"))
        await locate.refresh("c")
        await locate.invalidate_all()
        assert [locate.peek(ip) for ip in "abc"] == [None] * 3
        for function, _ in ((locate, calls), *others, plain):
            await asyncio.gather(function("a"), function("b"))
        await locate("c")
        assert len(calls) == 6
        assert [len(others_calls) for _, others_calls in (*others, plain)] == [2, 2, 2]
        assert await cache.get("set") == 1

    on(body)


asked: list[str] = []


async def place_of(ip: str) -> Place:
    asked.append(ip)
    return Place(f"{ip} {len(asked)}")


def test_without_a_key_of_its_own_too(on: On) -> None:
    async def body(cache: Cache) -> None:
        asked.clear()
        find = cache.cached(clearable=True)(place_of)
        assert await find("a") == await find("a") == Place("a 1")
        await find.invalidate_all()
        assert await find("a") == Place("a 2")

    on(body)


def test_what_is_stored_afterwards_stays(on: On) -> None:
    async def body(cache: Cache) -> None:
        locate, calls = counting(cache, clearable=True)
        await locate.invalidate_all()
        assert await locate("a") == await locate("a") == Place("a 1")
        await locate.invalidate_all()
        assert await locate("a") == await locate("a") == Place("a 2")
        assert len(calls) == 2

    on(body)


def test_every_instance_forgets(remote: Driver) -> None:
    async def main() -> None:
        async with remote.cache() as a, remote.cache() as b:
            (here, _), (there, calls) = counting(a, clearable=True), counting(b, clearable=True)
            assert await here("x") == await there("x") == Place("x 1")
            assert there.peek("x") == Place("x 1")
            await here.invalidate_all(strict=True)
            await eventually(lambda: there.peek("x") is None)
            assert await there("x") == Place("x 1")
            assert len(calls) == 1  # one load of its own, without the removed value

    run(main())


def test_a_load_that_began_before_is_not_kept(on: On) -> None:
    async def body(cache: Cache) -> None:
        go, calls = asyncio.Event(), 0

        @cache.cached(clearable=True, key="slow")
        async def slow() -> int:
            nonlocal calls
            calls += 1
            mine = calls
            if mine == 1:
                await go.wait()
            return mine

        first = asyncio.create_task(slow())
        await eventually(lambda: calls)
        await slow.invalidate_all()
        second = asyncio.create_task(slow())
        await asyncio.sleep(0)
        go.set()
        assert await first == 1  # it began before the removal
        assert await second == await slow() == 2

    on(body)


def test_a_function_in_a_namespace_has_a_family_of_its_own(on: On) -> None:
    async def body(cache: Cache) -> None:
        (inside, calls), (outside, outer) = (
            counting(view, clearable=True, key="{ip}") for view in (cache.namespace("n"), cache)
        )
        for function in (inside, outside):
            await function("a")
        await outside.invalidate_all()
        assert await inside("a") == Place("a 1")
        await inside.invalidate_all()
        await inside("a")
        assert (len(calls), len(outer)) == (2, 1)

    on(body)


def test_a_methods_results_go_for_every_object(on: On) -> None:
    async def body(cache: Cache) -> None:
        class Service:
            def __init__(self, name: str) -> None:
                self.name, self.calls = name, 0

            @cache.cached(clearable=True, key="service:{self.name}:{number}")
            async def user(self, number: int) -> str:
                self.calls += 1
                return f"{self.name} {number} {self.calls}"

        a, b = Service("a"), Service("b")
        for clear in (a.user.invalidate_all, Service.user.invalidate_all):
            await clear()
            before = a.calls
            for _ in range(2):
                await asyncio.gather(a.user(1), b.user(1))
            assert (a.calls, b.calls) == (before + 1, before + 1)

    on(body)


def test_in_a_bypass_it_still_goes_out(on: On) -> None:
    async def body(cache: Cache) -> None:
        locate, calls = counting(cache, clearable=True)
        await locate("a")
        with cache.bypass():
            await locate.invalidate_all()
        await locate("a")
        assert len(calls) == 2

    on(body)


def test_a_function_that_is_not_clearable_says_what_to_do_and_has_no_tag(on: On) -> None:
    async def body(cache: Cache) -> None:
        locate, calls = counting(cache, key="geo:{ip}")
        await locate("a")
        with pytest.raises(ConfigError, match=r"locate.*carry no tag.*@cached\(clearable=True\)"):
            await locate.invalidate_all()
        await locate("a")
        assert len(calls) == 1
        assert (await cache.explain("geo:a")).tags == ("*",)

    on(body)


def test_a_method_that_is_not_clearable_says_so_too() -> None:
    class Service:
        @memory.cached(key="s:{number}")
        async def user(self, number: int) -> int:
            return number

    with pytest.raises(ConfigError, match="clearable=True"):
        run(Service().user.invalidate_all())


def test_strict_tells_when_the_server_did_not_acknowledge() -> None:
    async def main() -> None:
        async with Cache(f"redis://127.0.0.1:{free_port()}", prefix="away") as cache:
            locate, calls = counting(cache, clearable=True)
            await locate("a")
            with pytest.raises(Unavailable):
                await locate.invalidate_all(strict=True)
            await locate.invalidate_all()  # pending on the server, and already true here
            await locate("a")
            assert len(calls) == 2

    run(main())
