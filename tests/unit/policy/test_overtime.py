"""Loads that take longer than ``load_wait``: one more process may load beside the first."""

import asyncio
import threading
from typing import Any

import pytest

from fleetcache import Cache, LoadCycle, SyncCache
from fleetcache.policy.context import Load
from fleetcache.policy.lookup import EntryState, Lookup
from fleetcache.policy.options import CallOptions
from fleetcache.policy.outcome import Outcome, Resolution
from tests.support.drivers import Driver
from tests.support.origins import Origin
from tests.support.run import run
from tests.support.servers import Server
from tests.support.waiting import eventually, wait_until

OPTIONS = CallOptions(ttl=60.0, stale=0.0, tags=("*",), offline_ttl=10.0)
PATIENT: dict[str, Any] = {"operation_timeout": "5s", "connect_timeout": "10s"}


class Source:
    """A source whose loads take as long as they are told, and that counts loads by process."""

    def __init__(self, take: float = 20.0) -> None:
        self.take, self.calls, self.now, self.most = take, 0, 0, 0
        self.go = asyncio.Event()

    async def load(self) -> str:
        self.calls, self.now = self.calls + 1, self.now + 1
        self.most = max(self.most, self.now)
        number = self.calls
        try:
            async with asyncio.timeout(self.take):
                await self.go.wait()
        except TimeoutError:
            pass
        finally:
            self.now -= 1
        return f"value {number}"

    async def many(self, keys: list[str]) -> dict[str, str]:
        return dict.fromkeys(keys, await self.load())


class Fleet:
    """Caches on one server."""

    def __init__(self, server: Server, prefix: str, size: int, **settings: Any) -> None:
        self.caches = [Cache(server.url, prefix=prefix, **{**PATIENT, **settings}) for _ in range(size)]

    async def __aenter__(self) -> list[Cache]:
        await asyncio.gather(*(cache.open() for cache in self.caches))
        return self.caches

    async def __aexit__(self, *_: object) -> None:
        await asyncio.gather(*(cache.close() for cache in self.caches))


def test_a_load_of_one_and_a_half_load_wait_is_stored_with_two_loads_at_most(server: Server, prefix: str) -> None:
    async def main() -> None:
        async with Fleet(server, prefix, 8, load_wait="1600ms") as caches:
            source = Source(2.4)
            async with asyncio.timeout(30):
                found = await asyncio.gather(*(cache.get_or_set("k", source.load) for cache in caches * 3))
            assert source.calls <= 2
            assert set(found) <= {"value 1", "value 2"}
            stored = await caches[0].get("k")
            assert stored in found
            assert [await cache.get("k") for cache in caches] == [stored] * 8

    run(main())


def test_a_removal_refuses_both(one_server: Server, prefix: str) -> None:
    async def main() -> None:
        async with Fleet(one_server, prefix, 3, load_wait="50ms") as caches:
            source = Source()
            asked = [asyncio.create_task(cache.get_or_set("k", source.load)) for cache in caches[:2]]
            await eventually(lambda: source.calls == 2)
            await caches[2].delete("k")
            source.go.set()
            assert sorted(await asyncio.gather(*asked)) == ["value 1", "value 2"]
            assert await caches[2].get("k") is None

    run(main())


def test_the_first_to_end_stores(one_server: Server, prefix: str) -> None:
    async def main() -> None:
        async with Fleet(one_server, prefix, 4, load_wait="1s") as caches:
            slow, quick = Source(), Source(0.1)
            first = asyncio.create_task(caches[0].get_or_set("k", slow.load))
            await eventually(lambda: slow.calls)
            async with asyncio.timeout(20):
                others = [asyncio.create_task(cache.get_or_set("k", quick.load)) for cache in caches[1:]]
                assert await asyncio.gather(*others) == ["value 1"] * 3, "who waits for either load is woken"
            assert quick.calls == 1
            slow.go.set()
            assert await first == "value 1"
            assert caches[0].stats().refused_swaps == 1
            assert await caches[1].get("k") == "value 1"

    run(main())


def test_the_replacement_of_an_entry_has_a_second_load_too(one_server: Server, prefix: str) -> None:
    async def main() -> None:
        async with Fleet(one_server, prefix, 6, load_wait="1s") as caches:
            await caches[0].set("k", "old")
            await caches[0].clear()
            source = Source()
            asked = [asyncio.create_task(cache.get_or_set("k", source.load)) for cache in caches]
            await eventually(lambda: source.calls == 2)
            await asyncio.sleep(0.03)
            assert source.calls == 2
            source.go.set()
            async with asyncio.timeout(20):
                assert set(await asyncio.gather(*asked)) <= {"value 1", "value 2"}
            assert await caches[0].get("k") in {"value 1", "value 2"}

    run(main())


def test_a_second_load_that_fails_leaves_the_first_alone(one_server: Server, prefix: str) -> None:
    async def main() -> None:
        async with Fleet(one_server, prefix, 2, load_wait="50ms") as caches:
            slow = Source()
            first = asyncio.create_task(caches[0].get_or_set("k", slow.load))
            await eventually(lambda: slow.calls)
            with pytest.raises(KeyError):
                await caches[1].get_or_set("k", Origin(KeyError("k")).load)
            slow.go.set()
            assert await first == "value 1"
            assert await caches[1].get("k") == "value 1"

    run(main())


def test_if_the_first_process_dies_the_second_keeps_the_right(one_server: Server, prefix: str) -> None:
    async def main() -> None:
        async with Fleet(one_server, prefix, 3, load_wait="50ms") as caches:
            slow, second, third = Source(), Source(), Source()
            with one_server.client() as raw:
                first = asyncio.create_task(caches[0].get_or_set("k", slow.load))
                await eventually(lambda: slow.calls)
                other = asyncio.create_task(caches[1].get_or_set("k", second.load))
                await eventually(lambda: second.calls)
                entry = f"{prefix}:e:k"
                raw("PEXPIRE", entry, 3600_000)  # as long as the first process renews it
                raw("PEXPIRE", entry, 4000)  # it renews no more
                wait = asyncio.create_task(caches[2].get_or_set("k", third.load, load_timeout="200ms"))
                await asyncio.gather(wait, return_exceptions=True)
                await eventually(lambda: raw("PTTL", entry) > 4000, timeout=10)
            second.go.set()
            assert await other == "value 1"
            assert await caches[2].get("k") == "value 1"
            slow.go.set()
            await first

    run(main())


def test_if_both_hang_each_process_loads_one_at_a_time_without_waiting_again(one_server: Server, prefix: str) -> None:
    async def main() -> None:
        async with Fleet(one_server, prefix, 4, load_wait="100ms", near_max_bytes=0) as caches:
            hung, quick = Source(), Source(0.02)
            stuck = [asyncio.create_task(cache.get_or_set("k", hung.load)) for cache in caches[:2]]
            await eventually(lambda: hung.calls == 2)
            async with asyncio.timeout(20):
                assert await caches[2].get_or_set("k", quick.load) == "value 1", "after both have taken load_wait"
            timeouts, waits = caches[2].stats().wait_timeouts, caches[2].stats().waits
            for number in (2, 3):
                asked = [asyncio.create_task(caches[2].get_or_set("k", quick.load)) for _ in range(20)]
                assert await asyncio.gather(*asked) == [f"value {number}"] * 20
            assert quick.most == 1
            assert caches[2].stats().wait_timeouts <= timeouts + 2
            assert caches[2].stats().waits == waits
            assert await caches[3].get("k") is None, "nothing is stored"
            hung.go.set()
            await asyncio.gather(*stuck)
            assert await caches[3].get("k") in {"value 1", "value 2"}

    run(main())


def test_if_both_hang_the_verbs_of_a_process_load_one_after_another(one_server: Server, prefix: str) -> None:
    async def main() -> None:
        async with Fleet(one_server, prefix, 1, load_wait="500ms", near_max_bytes=0) as caches:
            cache, source = caches[0], Source(0.05)
            with one_server.client() as raw:
                raw("SET", f"{prefix}:e:k", b"L" + bytes(16), "PX", 60_000)
                raw("SET", f"{prefix}:s:k", b"C" + bytes(16), "PX", 60_000)
            async with asyncio.timeout(20):
                await asyncio.gather(
                    cache.get_or_set("k", source.load),
                    cache.refresh("k", source.load),
                    cache.get_or_set_many(["k"], source.many),
                    cache.refresh("k", source.load),
                    cache.get_or_set("k", source.load),
                )
            assert source.most == 1

    run(main())


def test_later_calls_of_the_process_of_a_load_that_hangs(driver: Driver) -> None:
    async def main() -> None:
        async with driver.cache(load_wait="100ms") as cache:
            hung, quick = Source(), Source(0.02)
            first = asyncio.create_task(cache.get_or_set("k", hung.load))
            await eventually(lambda: hung.calls)
            async with asyncio.timeout(20):
                asked = [asyncio.create_task(cache.get_or_set("k", quick.load)) for _ in range(20)]
                assert await asyncio.gather(*asked) == ["value 1"] * 20
            assert (hung.calls, quick.calls) == (1, 1), "one beside the load that hangs, for all callers"
            hung.go.set()
            assert await first == "value 1"

    run(main())


def test_a_caller_of_the_second_load_gets_the_value_of_the_first_if_that_comes_before(driver: Driver) -> None:
    async def main() -> None:
        async with driver.cache(load_wait="500ms") as cache:
            first, second = Source(), Source()
            asked = [asyncio.create_task(cache.get_or_set("k", first.load))]
            await eventually(lambda: first.calls)
            asked += [asyncio.create_task(cache.get_or_set("k", second.load)) for _ in range(5)]
            await eventually(lambda: second.calls)
            first.go.set()
            async with asyncio.timeout(10):
                assert await asyncio.gather(*asked) == ["value 1"] * 6
            assert second.calls == 1
            second.go.set()
            await eventually(lambda: not cache.stats().flights)

    run(main())


def test_who_starts_the_second_load_and_gets_the_value_of_the_first_has_joined_it(driver: Driver) -> None:
    async def main() -> None:
        async with driver.cache(load_wait="200ms") as cache:
            first, second = Source(), Source()
            asked = [asyncio.create_task(cache.get_or_set("k", first.load))]
            await eventually(lambda: first.calls)
            await asyncio.sleep(0.25)  # the first load takes longer than callers wait
            asked.append(asyncio.create_task(cache.get_or_set("k", second.load)))
            await eventually(lambda: second.calls)
            assert cache.stats().joins == 0
            first.go.set()
            async with asyncio.timeout(10):
                assert await asyncio.gather(*asked) == ["value 1"] * 2
            assert cache.stats().joins == 1
            second.go.set()
            await eventually(lambda: not cache.stats().flights)

    run(main())


def test_threads_have_one_second_load_too() -> None:
    with SyncCache("memory://", load_wait="50ms") as cache:
        go, calls = threading.Event(), [0, 0]

        def hangs() -> str:
            calls[0] += 1
            go.wait(20)
            return "first"

        def quick() -> str:
            calls[1] += 1
            return "second"

        first = threading.Thread(target=cache.get_or_set, args=("k", hangs))
        first.start()
        wait_until(lambda: calls[0])
        found: list[str] = []
        threads = [threading.Thread(target=lambda: found.append(cache.get_or_set("k", quick))) for _ in range(10)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        assert (found, calls) == (["second"] * 10, [1, 1])
        go.set()
        first.join(20)


def test_batches_have_one_second_load_too(one_server: Server, prefix: str) -> None:
    async def main() -> None:
        async with Fleet(one_server, prefix, 5, load_wait="1s") as caches:
            slow, second = Source(), Source(0.05)
            first = asyncio.create_task(caches[0].get_or_set_many(["a", "b"], slow.many))
            await eventually(lambda: slow.calls)
            asked = [
                asyncio.create_task(cache.get_or_set_many(["a", "b"], second.many))
                for cache in caches
                for _ in range(4)
            ]
            async with asyncio.timeout(30):
                for found in await asyncio.gather(*asked):
                    assert set(found) == {"a", "b"}
            assert second.calls <= 2, "each key by one process"
            assert await caches[4].get("a") is not None
            slow.go.set()
            await first
            assert caches[0].stats().refused_swaps >= 2

    run(main())


def test_a_batch_does_not_wait_for_loads_that_both_hang(one_server: Server, prefix: str) -> None:
    async def main() -> None:
        async with Fleet(one_server, prefix, 3, load_wait="50ms", near_max_bytes=0) as caches:
            hung, quick = Source(), Source(0.0)
            stuck = [asyncio.create_task(cache.get_or_set("a", hung.load)) for cache in caches[:2]]
            await eventually(lambda: hung.calls == 2)
            for number in (1, 2):
                async with asyncio.timeout(20):
                    assert await caches[2].get_or_set_many(["a"], quick.many) == {"a": f"value {number}"}
            hung.go.set()
            await asyncio.gather(*stuck)

    run(main())


def test_a_loader_that_asks_late_for_its_own_key_is_a_cycle_still(driver: Driver) -> None:
    async def main() -> None:
        async with driver.cache(load_wait="20ms") as cache:

            async def own() -> str:
                await asyncio.sleep(0.1)
                return await cache.get_or_set("k", own)

            async def own_many(keys: list[str]) -> dict[str, str]:
                await asyncio.sleep(0.1)
                return await cache.get_or_set_many(keys, own_many)

            async with asyncio.timeout(20):
                with pytest.raises(LoadCycle):
                    await cache.get_or_set("k", own)
                with pytest.raises(LoadCycle):
                    await cache.get_or_set_many(["a", "b"], own_many)

    run(main())


def test_a_batch_that_replaces_entries_has_a_second_load_too(one_server: Server, prefix: str) -> None:
    async def main() -> None:
        async with Fleet(one_server, prefix, 3, load_wait="100ms") as caches:
            await caches[0].set_many({"a": "old", "b": "old"})
            await caches[0].clear()
            hung, second = Source(), Source(0.02)
            stuck = asyncio.create_task(caches[0].get_or_set_many(["a", "b"], hung.many))
            await eventually(lambda: hung.calls)
            async with asyncio.timeout(20):
                assert await caches[1].get_or_set_many(["a", "b"], second.many) == {"a": "value 1", "b": "value 1"}
            assert await caches[2].get_many(["a", "b"]) == {"a": "value 1", "b": "value 1"}
            hung.go.set()
            await stuck

    run(main())


def test_the_next_load_of_an_entry_is_waited_for_although_an_earlier_one_hung(one_server: Server, prefix: str) -> None:
    async def main() -> None:
        async with Fleet(one_server, prefix, 3, load_wait="1s", near_max_bytes=0) as caches:
            await caches[0].set("k", "old")
            await caches[0].clear()
            hung, slow, unasked = Source(), Source(0.15), Source(0.0)
            stuck = [asyncio.create_task(cache.get_or_set("k", hung.load)) for cache in caches[:2]]
            await eventually(lambda: hung.calls == 2)
            assert await caches[2].get_or_set("k", Origin().load) == "value 1", "both hang"
            for task in stuck:
                task.cancel()
            await asyncio.gather(*stuck, return_exceptions=True)
            next_ = asyncio.create_task(caches[0].get_or_set("k", slow.load))
            await eventually(lambda: slow.calls)
            assert await caches[2].get_or_set("k", unasked.load) == "value 1"
            assert (await next_, unasked.calls) == ("value 1", 0)

    run(main())


@pytest.mark.parametrize("many", [False, True])
def test_a_process_waits_for_a_second_load_that_begins_when_an_earlier_one_has_failed(
    one_server: Server, prefix: str, *, many: bool
) -> None:
    async def main() -> None:
        async with Fleet(one_server, prefix, 3, load_wait="900ms", near_max_bytes=0) as caches:
            hung, slow, unasked = Source(), Source(), Source(0.0)
            stuck = asyncio.create_task(caches[0].get_or_set("k", hung.load))
            await eventually(lambda: hung.calls)
            with pytest.raises(KeyError):
                await caches[1].get_or_set("k", Origin(KeyError("k")).load)
            await asyncio.sleep(0.6)
            second = asyncio.create_task(caches[2].get_or_set("k", slow.load))
            await eventually(lambda: slow.calls)  # by now the failed second load would have taken ``load_wait``
            call: Any = (
                caches[1].get_or_set_many(["k"], unasked.many) if many else caches[1].get_or_set("k", unasked.load)
            )
            third = asyncio.create_task(call)
            await asyncio.sleep(0.3)
            slow.go.set()
            assert await third == ({"k": "value 1"} if many else "value 1")
            assert (await second, unasked.calls) == ("value 1", 0)
            hung.go.set()
            await stuck

    run(main())


def test_no_caller_waits_for_ever_for_second_loads_that_fail_one_after_another(one_server: Server, prefix: str) -> None:
    async def main() -> None:
        async with Fleet(one_server, prefix, 2, load_wait="300ms", near_max_bytes=0) as caches:
            hung, quick = Source(), Source(0.0)
            stuck = asyncio.create_task(caches[0].get_or_set("k", hung.load))
            await eventually(lambda: hung.calls)
            with one_server.client() as raw:
                right, number = f"{prefix}:s:k", 0
                asked = asyncio.create_task(caches[1].get_or_set("k", quick.load))
                async with asyncio.timeout(8):
                    while not asked.done():  # a new second load ten times in each ``load_wait``
                        number += 1
                        raw("SET", right, b"C" + number.to_bytes(16), "PX", 60_000)
                        await asyncio.sleep(0.03)
            assert await asked == "value 1"
            hung.go.set()
            await stuck

    run(main())


@pytest.mark.parametrize("many", [False, True])
def test_the_load_of_a_process_that_follows_another_is_waited_for_as_the_one_before(
    one_server: Server, prefix: str, *, many: bool
) -> None:
    async def main() -> None:
        async with Fleet(one_server, prefix, 1, load_wait="500ms", near_max_bytes=0) as caches, asyncio.timeout(20):
            quick, lease, loop = Source(0.0), f"{prefix}:e:k", asyncio.get_running_loop()
            with one_server.client() as raw:
                number, began = 0, loop.time()
                raw("SET", lease, b"L" + bytes(16), "PX", 60_000)
                call: Any = (
                    caches[0].get_or_set_many(["k"], quick.many) if many else caches[0].get_or_set("k", quick.load)
                )
                asked = asyncio.create_task(call)
                while not quick.calls:  # a new load twenty times in each ``load_wait``
                    number += 1
                    raw("SET", lease, b"L" + number.to_bytes(16), "PX", 60_000)
                    await asyncio.sleep(0.025)
            assert loop.time() - began >= 1.5, "three times load_wait"
            assert await asked == ({"k": "value 1"} if many else "value 1")

    run(main())


@pytest.mark.parametrize(("before", "after"), [(b"F" * 17, b""), (b"", b"L" * 17)], ids=["lost", "got"])
def test_a_caller_reads_again_if_the_load_that_it_waited_for_got_or_lost_its_right(before: bytes, after: bytes) -> None:
    async def main() -> None:
        async with Cache("memory://", load_wait="500ms") as cache:
            engine, unasked = cache._engine, Source(0.0)
            first = engine.flights.start("k", ("*",))
            first.right, first.since = before, engine.clock()
            second = engine.flights.start("k", ("*",), second=True)
            load = Load(
                "k", unasked.load, OPTIONS, Any, "f", second, engine.ctx.budget(), engine.coherence.open_fill("k")
            )
            waits = asyncio.create_task(engine.policy.loading._after(load, first, anew=False))
            await asyncio.sleep(0.01)
            first.right = after
            assert await waits is None
            assert not unasked.calls
            for flight in (first, second):
                engine.flights.end(flight, Outcome(Resolution.RETRY))
            engine.coherence.close_fill(load.token)

    run(main())


def test_a_process_asks_for_a_second_right_when_its_own_load_on_a_mark_is_overdue() -> None:
    async def main() -> None:
        async with Cache("memory://", load_wait="3s") as cache:
            engine = cache._engine
            overtime, now = engine.policy.loading.overtime, engine.clock()
            own, second = (engine.flights.start("k", ("*",), second=second) for second in (False, True))
            load = Load("k", print, OPTIONS, Any, "f", second, engine.ctx.budget(), engine.coherence.open_fill("k"))
            load.give_up = now + 1.0
            elsewhere = Lookup(EntryState.LOADING, b"L" * 17, remaining=10.0)
            until = overtime.waits_until(load, elsewhere)
            own.on_mark, own.right, own.since = True, b"F" * 17, now + 2.0
            assert overtime.waits_until(load, elsewhere) == pytest.approx(max(until, now + 5.0))
            assert until < now + 5.0
            load.give_up = now + 60.0
            asked = await overtime.take(load, b"L" * 17, anew=False)
            assert asked == pytest.approx(now + 5.0), "it had waited for its place, and the other had begun meanwhile"
            for flight in (own, second):
                engine.flights.end(flight, Outcome(Resolution.RETRY))
            engine.coherence.close_fill(load.token)

    run(main())
