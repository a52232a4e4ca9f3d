"""A loader that ends by a ``BaseException`` of its own, as ``pytest.fail`` raises: only its caller gets it."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from fleetcache import Cache, SyncCache
from tests.support.drivers import On
from tests.support.origins import Origin
from tests.support.servers import Server
from tests.support.waiting import eventually


class Stop(BaseException):
    """A ``BaseException``, as are ``gevent.Timeout`` and the exception of ``pytest.skip``."""


class Stops(Origin):
    """Raises in each load."""

    async def load(self) -> str:
        await super().load()
        raise Stop


class StopsFirst(Origin):
    """Raises in its first load, and has a value from then on."""

    async def load(self) -> str:
        value = await super().load()
        if self.calls == 1:
            raise Stop
        return value

    async def load_many(self, keys: list[str]) -> dict[str, str]:
        return dict.fromkeys(keys, await self.load())


async def _bypassed(cache: Cache, origin: StopsFirst) -> object:
    with cache.bypass():
        return await cache.get_or_set("k", origin.load)


Ask = Callable[[Cache, StopsFirst], Awaitable[object]]

ASKS: dict[str, Ask] = {
    "get_or_set": lambda cache, origin: cache.get_or_set("k", origin.load),
    "refresh": lambda cache, origin: cache.refresh("k", origin.load),
    "get_or_set_many": lambda cache, origin: cache.get_or_set_many(["k"], origin.load_many),
    "bypassed": _bypassed,
}


@pytest.mark.parametrize("ask", ASKS.values(), ids=ASKS)
def test_it_reaches_its_caller_after_one_call(on: On, ask: Ask) -> None:
    async def body(cache: Cache) -> None:
        origin = StopsFirst()
        with pytest.raises(Stop):
            await ask(cache, origin)
        assert origin.calls == 1
        assert await cache.get("k") is None
        assert await cache.get_or_set("k", origin.load) == "value 2"  # no trace of the first load is in the way

    on(body)


@pytest.mark.parametrize("ask", [ASKS["get_or_set"], ASKS["refresh"], ASKS["get_or_set_many"]])
def test_one_of_those_who_joined_takes_over(on: On, ask: Ask) -> None:
    async def body(cache: Cache) -> None:
        origin = StopsFirst(waits=True)
        first = asyncio.ensure_future(ask(cache, origin))
        await eventually(lambda: origin.calls == 1)
        others = [asyncio.ensure_future(cache.get_or_set("k", origin.load)) for _ in range(3)]
        await eventually(lambda: cache.stats().joins == 3)
        origin.go.set()
        with pytest.raises(Stop):
            await first
        assert await asyncio.gather(*others) == ["value 2"] * 3
        assert origin.calls == 2

    on(body)


def test_a_refresh_behind_a_stale_value_is_a_failed_one(on: On, caplog: pytest.LogCaptureFixture) -> None:
    async def body(cache: Cache) -> None:
        origin = Origin()
        await cache.get_or_set("k", origin.load, ttl="10ms", stale="1m")
        stopping = Stops()

        async def failed() -> bool:
            assert await cache.get_or_set("k", stopping.load, ttl="10ms", stale="1m") == "value 1"
            return cache.stats().load_failures > 0

        await eventually(failed)
        await eventually(lambda: cache.stats().flights == 0)
        again = stopping.calls
        assert await cache.get_or_set("k", stopping.load, ttl="10ms", stale="1m") == "value 1"
        assert stopping.calls == again  # no further load during the pause
        assert not [record for record in caplog.records if "defect" in record.message]

    on(body)


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt])
def test_a_refresh_that_ends_the_process_still_does(kind: type[BaseException]) -> None:
    async def end() -> str:
        raise kind

    async def body() -> None:
        async with Cache("memory://") as cache:
            await cache.get_or_set("k", Origin().load, ttl="1ms", stale="1m")
            await asyncio.sleep(0.002)
            assert await cache.get_or_set("k", end, ttl="1ms", stale="1m") == "value 1"
            await asyncio.sleep(5)

    with pytest.raises(kind):
        asyncio.run(body())


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt, Stop])
def test_of_a_thread_it_costs_neither_near_nor_the_connection(
    server: Server, prefix: str, kind: type[BaseException]
) -> None:
    def end() -> str:
        raise kind

    with SyncCache(server.url, prefix=prefix, operation_timeout="5s") as cache:
        cache.set("other", 1)
        for ask in (cache.get_or_set, cache.refresh):
            with pytest.raises(kind):
                ask("k", end)
        with pytest.raises(kind):
            cache.get_or_set_many(["k"], lambda _keys: {"k": end()})
        assert cache.peek("other") == 1
        assert (cache.stats().epoch, cache.stats().link) == (1, "online")
