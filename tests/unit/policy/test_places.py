"""Places: how many loaders run at once in a process."""

import asyncio
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from fleetcache import Cache, ConfigError, LoadTimeout, Settings, SyncCache
from fleetcache.policy.batch_reads import BatchReads
from fleetcache.policy.lookup import EntryState, Lookup
from tests.support.drivers import Driver
from tests.support.origins import Origin
from tests.support.run import run
from tests.support.servers import Server
from tests.support.waiting import eventually, wait_until


class Gauge:
    """Loaders that count how many of them run at once."""

    def __init__(self) -> None:
        self.now = self.most = self.calls = 0

    async def load(self, take: float = 0.03) -> int:
        self.now, self.calls = self.now + 1, self.calls + 1
        self.most = max(self.most, self.now)
        number = self.calls
        try:
            await asyncio.sleep(take)
        finally:
            self.now -= 1
        return number

    async def many(self, keys: list[str]) -> dict[str, int]:
        return dict.fromkeys(keys, await self.load())


def test_loads_of_many_keys_run_a_few_at_once(driver: Driver) -> None:
    async def main() -> None:
        gauge = Gauge()
        async with driver.cache(max_loads=3) as cache:
            found = await asyncio.gather(*(cache.get_or_set(f"k{n}", gauge.load) for n in range(20)))
            stats = cache.stats()
            assert sorted(found) == list(range(1, 21))
            assert (gauge.most, gauge.calls) == (3, 20)
            assert stats.place_waits >= 17
            assert (stats.place_timeouts, stats.queued) == (0, 0)

    run(main())


def test_a_batch_takes_one_place(driver: Driver) -> None:
    async def main() -> None:
        gauge = Gauge()
        async with driver.cache(max_loads=2) as cache:
            batches = [[f"{b}:{n}" for n in range(10)] for b in range(6)]
            found = await asyncio.gather(*(cache.get_or_set_many(keys, gauge.many) for keys in batches))
            assert [list(values) for values in found] == batches
            assert (gauge.most, gauge.calls) == (2, 6)
            assert cache.stats().queued == 0

    run(main())


def test_a_batch_that_waited_for_its_place_looks_again(driver: Driver, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another load of its process may have changed a key meanwhile, of which no push tells."""
    looks = Counter[str]()
    look = BatchReads.look

    async def counted(self: BatchReads, runs: Any, *more: Any) -> None:
        looks.update(run.key for run in runs)
        await look(self, runs, *more)

    async def main() -> None:
        origin, gauge = Origin(waits=True), Gauge()
        async with driver.cache(max_loads=1) as cache:
            monkeypatch.setattr(BatchReads, "look", counted)
            await cache.get_or_set_many(["at once"], gauge.many)
            first = asyncio.create_task(cache.get_or_set("other", origin.load))
            await eventually(lambda: origin.calls == 1)
            second = asyncio.create_task(cache.get_or_set_many(["waits"], gauge.many))
            await eventually(lambda: cache.stats().queued == 1)
            origin.go.set()
            await asyncio.gather(first, second)

    run(main())
    assert looks["waits"] == looks["at once"] + 1


def test_a_load_whose_lease_is_refused_keeps_its_place(one_server: Server, prefix: str) -> None:
    """As on a server without memory. Giving the place back, it would wait for it again, and look again, and so on."""

    async def main() -> None:
        gauge = Gauge()
        async with Cache(one_server.url, prefix=prefix, max_loads=1, load_wait="2s") as cache:
            shared: Any = cache._engine.shared
            ports = cache._engine.ctx.ports

            def refused(*_asked: Any, **_more: Any) -> Any:
                future = ports.future()
                future.set_result(Lookup(EntryState.UNAVAILABLE))
                return future

            shared.acquire = refused
            await asyncio.gather(*(cache.get_or_set(f"k{n}", gauge.load) for n in range(4)))
            assert (gauge.most, gauge.calls) == (1, 4)
            assert cache.stats().place_waits == 3, "each but the first has waited once"

    run(main())


def test_a_refresh_waits_its_turn(driver: Driver) -> None:
    async def main() -> None:
        gauge = Gauge()
        async with driver.cache(max_loads=1) as cache:
            assert len(await asyncio.gather(*(cache.refresh(f"k{n}", gauge.load) for n in range(4)))) == 4
            assert gauge.most == 1

    run(main())


def test_the_queue_is_in_stats_and_health() -> None:
    async def main() -> None:
        origin = Origin(waits=True)
        async with Cache("memory://", max_loads=1) as cache:
            asked = [asyncio.create_task(cache.get_or_set(f"k{n}", origin.load)) for n in range(3)]
            await eventually(lambda: cache.stats().queued == 2)
            assert cache.status_now().queued == 2
            origin.go.set()
            await asyncio.gather(*asked)
            assert (cache.stats().queued, cache.stats().place_waits) == (0, 2)

    run(main())


def test_a_cancelled_caller_leaves_the_queue_or_gives_its_place_on() -> None:
    async def main() -> None:
        origin, gauge = Origin(waits=True), Gauge()
        async with Cache("memory://", max_loads=1) as cache:
            holder = asyncio.create_task(cache.get_or_set("held", origin.load))
            await eventually(lambda: origin.calls)
            waiting = [asyncio.create_task(cache.get_or_set(f"k{n}", gauge.load)) for n in range(3)]
            await eventually(lambda: cache.stats().queued == 3)
            waiting[0].cancel()
            await eventually(lambda: cache.stats().queued == 2)
            holder.cancel()  # its place passes to the next load, whose caller leaves at the same moment
            waiting[1].cancel()
            assert await waiting[2] == 1
            await asyncio.gather(holder, *waiting, return_exceptions=True)
            assert await cache.get_or_set("later", gauge.load) == 2

    run(main())


def test_a_failed_load_gives_its_place_back() -> None:
    async def main() -> None:
        async with Cache("memory://", max_loads=1, load_wait="1s") as cache:
            for n in range(3):
                with pytest.raises(OSError, match="away"):
                    await cache.get_or_set(f"k{n}", Origin(OSError("away")).load)
            assert await cache.get_or_set("k", Origin().load) == "value 1"
            assert cache.stats().place_waits == 0

    run(main())


def test_a_wait_for_a_place_is_within_the_callers_load_timeout() -> None:
    async def main() -> None:
        origin = Origin(waits=True)
        async with Cache("memory://", max_loads=1) as cache:
            holder = asyncio.create_task(cache.get_or_set("held", origin.load))
            await eventually(lambda: origin.calls)
            with pytest.raises(LoadTimeout):
                await cache.get_or_set("k", origin.load, load_timeout="10ms")
            await eventually(lambda: cache.stats().queued == 0)
            origin.go.set()
            await holder
            assert origin.calls == 1

    run(main())


def test_a_place_that_does_not_come_is_not_needed_after_load_wait(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        origin, gauge = Origin(waits=True), Gauge()
        async with Cache("memory://", max_loads=1, load_wait="20ms") as cache:
            holder = asyncio.create_task(cache.get_or_set("held", origin.load))
            await eventually(lambda: origin.calls)
            async with asyncio.timeout(8):
                assert await asyncio.gather(*(cache.get_or_set(f"k{n}", gauge.load) for n in range(3)))
            assert (cache.stats().place_waits, cache.stats().place_timeouts) == (3, 3)
            origin.go.set()
            await holder

    run(main())
    assert [record.event for record in caplog.records] == ["no_place"], "once a minute"  # type: ignore[attr-defined]


def test_a_queued_load_starts_no_load_of_its_own_if_another_process_loads_the_key(one_server: Any, prefix: str) -> None:
    async def main() -> None:
        origin, gauge = Origin(waits=True), Gauge()
        patient: dict[str, Any] = {"prefix": prefix, "operation_timeout": "5s"}
        async with Cache(one_server.url, max_loads=1, **patient) as cache, Cache(one_server.url, **patient) as other:
            holder = asyncio.create_task(cache.get_or_set("held", origin.load))
            await eventually(lambda: origin.calls)
            queued = asyncio.create_task(cache.get_or_set("k", gauge.load))
            await eventually(lambda: cache.stats().queued == 1)
            assert await other.get_or_set("k", gauge.load) == 1, "the queued load has no lease"
            async with asyncio.timeout(10):
                assert await queued == 1, "and goes on as soon as there is a value"
            assert cache.stats().queued == 0
            origin.go.set()
            await holder

    run(main())


def test_without_a_free_place_there_is_no_background_refresh() -> None:
    async def main() -> None:
        origin, gauge = Origin(waits=True), Gauge()
        async with Cache("memory://", max_loads=1) as cache:
            await cache.get_or_set("k", gauge.load, ttl="1ms", stale="1m")
            holder = asyncio.create_task(cache.get_or_set("held", origin.load))
            await eventually(lambda: origin.calls)
            await asyncio.sleep(0.01)
            assert await cache.get_or_set("k", gauge.load, ttl="1ms", stale="1m") == 1
            assert (cache.stats().refreshes, cache.stats().queued) == (0, 0)
            origin.go.set()
            await holder
            assert await cache.get_or_set("k", gauge.load, ttl="1m", stale="1m") == 1
            await eventually(lambda: gauge.calls == 2 and not gauge.now)
            assert cache.stats().refreshes == 1
            assert await cache.get_or_set("more", gauge.load) == 3, "the refresh has given its place back"

    run(main())


# -- no deadlock -----------------------------------------------------------------------------------------------------


def test_holders_that_join_a_queued_load_start_it() -> None:
    """64 loaders hold all places, and each waits for a load that a plain caller has put into the queue."""

    async def main() -> None:
        gauge = Gauge()
        async with Cache("memory://", load_wait="1h") as cache:
            go = asyncio.Event()

            async def outer() -> int:
                await go.wait()
                return await cache.get_or_set("inner", gauge.load)

            async with asyncio.timeout(8):
                holders = [asyncio.create_task(cache.get_or_set(f"k{n}", outer)) for n in range(64)]
                await eventually(lambda: cache.stats().loads == 64)
                plain = asyncio.create_task(cache.get_or_set("inner", gauge.load))
                await eventually(lambda: cache.stats().queued == 1)
                go.set()
                assert await asyncio.gather(*holders, plain) == [1] * 65
            assert (gauge.calls, cache.stats().place_timeouts) == (1, 0)

    run(main())


def test_a_load_that_a_holder_waits_for_does_not_queue_later() -> None:
    """The holder joins a flight that has not asked for a place yet, through a chain of loads."""

    async def main() -> None:
        async with Cache("memory://", max_loads=1, load_wait="1h") as cache:

            async def inner() -> int:
                return 1

            async def middle() -> int:
                return await cache.get_or_set("inner", inner) + 1

            async def outer() -> int:
                found = await asyncio.gather(cache.get_or_set("middle", middle), cache.get_or_set("inner", inner))
                more = await cache.get_or_set_many(["a", "b"], many)
                return sum(found) + sum(more.values())

            async def many(keys: list[str]) -> dict[str, int]:
                return {key: await cache.get_or_set("inner", inner) for key in keys}

            async with asyncio.timeout(8):
                assert await cache.get_or_set("outer", outer) == 5
            assert cache.stats().place_waits == 0

    run(main())


def test_two_processes_whose_holders_wait_for_each_others_queued_loads(one_server: Any, prefix: str) -> None:
    async def main() -> None:
        patient: dict[str, Any] = {"prefix": prefix, "operation_timeout": "5s", "load_wait": "1h", "max_loads": 1}
        async with Cache(one_server.url, **patient) as one, Cache(one_server.url, **patient) as two:
            gauge, go = Gauge(), asyncio.Event()

            async def outer(cache: Cache, key: str) -> int:
                await go.wait()
                return await cache.get_or_set(key, gauge.load)

            async with asyncio.timeout(8):
                holders = [
                    asyncio.create_task(one.get_or_set("one", lambda: outer(one, "queued in two"))),
                    asyncio.create_task(two.get_or_set("two", lambda: outer(two, "queued in one"))),
                ]
                await eventually(lambda: one.stats().leases == two.stats().leases == 1)
                queued = [
                    asyncio.create_task(one.get_or_set("queued in one", gauge.load)),
                    asyncio.create_task(two.get_or_set("queued in two", gauge.load)),
                ]
                await eventually(lambda: one.stats().queued == two.stats().queued == 1)
                go.set()
                await asyncio.gather(*holders, *queued)
            assert gauge.calls == 2

    run(main())


def test_a_thread_pool_of_a_loader_waits_load_wait_at_most() -> None:
    """``ThreadPoolExecutor.submit`` copies no context, so the cache cannot see that a loader waits for its threads."""
    with SyncCache("memory://", max_loads=1, load_wait="50ms") as cache, ThreadPoolExecutor() as pool:

        def outer() -> int:
            parts = [pool.submit(cache.get_or_set, f"part{n}", lambda: 1) for n in range(3)]
            return sum(part.result(20) for part in parts)

        assert cache.get_or_set("outer", outer) == 3
        assert 1 <= cache.stats().place_timeouts <= 3
        assert cache.get_or_set("more", lambda: 2) == 2
        assert cache.stats().queued == 0


def test_hung_loads_of_one_function_leave_those_of_others_alone() -> None:
    async def main() -> None:
        origin, gauge = Origin(waits=True), Gauge()
        async with Cache("memory://", max_loads=64, load_wait="1h") as cache:

            @cache.cached(max_loads=64, key="ill:{n}")
            async def ill(n: int) -> str:  # noqa: ARG001 - a part of the key
                return await origin.load()

            @cache.cached(max_loads=0, key="free:{n}")
            async def free(n: int) -> int:  # noqa: ARG001 - as above
                return await gauge.load()

            hung = [asyncio.create_task(ill(n)) for n in range(100)]
            await eventually(lambda: origin.calls == 64 and cache.stats().queued == 36)
            async with asyncio.timeout(8):
                assert await cache.get_or_set("well", gauge.load) == 1
                assert len(await asyncio.gather(*(free(n) for n in range(100)))) == 100
            assert gauge.most == 100
            origin.go.set()
            await asyncio.gather(*hung)
            assert cache.stats().queued == 0

    run(main())


# -- threads, loops, settings ----------------------------------------------------------------------------------------


def test_threads_wait_for_places_if_told() -> None:
    with SyncCache("memory://", max_loads=2) as cache:
        lock, gauge = threading.Lock(), Gauge()
        go = threading.Event()

        def load() -> int:
            with lock:
                gauge.now += 1
                gauge.most, gauge.calls = max(gauge.most, gauge.now), gauge.calls + 1
            go.wait(20)
            with lock:
                gauge.now -= 1
            return 1

        threads = [threading.Thread(target=cache.get_or_set, args=(f"k{n}", load)) for n in range(6)]
        for thread in threads:
            thread.start()
        wait_until(lambda: cache.stats().queued == 4)
        go.set()
        for thread in threads:
            thread.join(20)
        assert (gauge.most, gauge.calls) == (2, 6)


def test_a_cache_for_threads_has_no_limit_by_default() -> None:
    with SyncCache("memory://") as cache:
        together = threading.Barrier(70)

        def load() -> int:
            return together.wait(20)

        threads = [threading.Thread(target=cache.get_or_set, args=(f"k{n}", load)) for n in range(70)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        assert cache.stats().load_failures == 0


def test_places_of_an_ended_loop_are_free() -> None:
    cache = Cache("memory://", max_loads=1)
    origin: list[Origin] = []

    async def first() -> None:
        origin.append(Origin(waits=True))
        task = asyncio.create_task(cache.get_or_set("k", origin[0].load))
        await eventually(lambda: origin[0].calls)
        task.cancel()

    async def second() -> None:
        async with asyncio.timeout(8):
            assert await cache.get_or_set("other", Origin().load) == "value 1"
        await cache.close()

    asyncio.run(first())
    asyncio.run(second())


@pytest.mark.parametrize("wrong", [-1, "many", 1.5, True])
def test_a_wrong_number_of_places_is_refused(wrong: Any) -> None:
    with pytest.raises(ConfigError, match=r"CACHE_MAX_LOADS \(max_loads\)"):
        Settings(max_loads=wrong)
    with pytest.raises(ConfigError, match="max_loads"):
        Cache("memory://").cached(max_loads=wrong)
