"""Limits: how long a load may take before it ends for all its callers."""

import asyncio
import threading
from typing import Any, Self

import pytest

from fleetcache import Cache, ConfigError, LoadCycle, LoadTimeout, SyncCache
from tests.support.drivers import Driver, On
from tests.support.origins import Origin
from tests.support.run import run
from tests.support.servers import Server
from tests.support.tasked import tasked
from tests.support.waiting import eventually, wait_until

PATIENT: dict[str, Any] = {"operation_timeout": "5s"}

# Seconds that a busy machine has for what takes a tenth of one. A call that no limit ends fails its test then.
SOON = 6


class Stubborn:
    """A loader that ignores its cancellation."""

    def __init__(self) -> None:
        self.calls = 0
        self.go = asyncio.Event()

    async def load(self) -> str:
        self.calls += 1
        number = self.calls
        while not self.go.is_set():
            try:
                await self.go.wait()
            except asyncio.CancelledError:
                continue
        return f"late {number}"


class Hung:
    """A loader of a thread that hangs until it is told to go on."""

    def __init__(self, value: Any = "late") -> None:
        self.value, self.calls = value, 0
        self.go, self.began = threading.Event(), threading.Event()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.go.set()

    def load(self, *_: Any) -> Any:
        self.calls += 1
        self.began.set()
        self.go.wait(20)
        if isinstance(self.value, Exception):
            raise self.value
        return self.value


def in_thread(call: Any, *args: Any, **options: Any) -> tuple[threading.Thread, list[Any]]:
    """Run a call in a new thread; its result or its error is added to the list."""
    found: list[Any] = []

    def job() -> None:
        try:
            found.append(call(*args, **options))
        except Exception as error:  # noqa: BLE001 - the test looks at it
            found.append(error)

    thread = threading.Thread(target=job, daemon=True)  # one that a defect lets wait must not keep the process
    thread.start()
    return thread, found


# -- tasks -----------------------------------------------------------------------------------------------------------


def test_a_load_that_hangs_ends_at_its_limit_for_all_callers(on: On) -> None:
    async def body(cache: Cache) -> None:
        origin = Origin(waits=True)
        asked = [asyncio.create_task(cache.get_or_set("k", origin.load, load_limit="100ms")) for _ in range(3)]
        for error in await asyncio.gather(*asked, return_exceptions=True):
            assert isinstance(error, LoadTimeout)
            assert str(error) == "the load of 'k' took longer than its load_limit of 100ms"
        assert (origin.calls, origin.cancelled) == (1, 1)
        stats = cache.stats()
        assert (stats.load_limits, stats.load_failures, stats.flights) == (1, 1, 0)
        await eventually(lambda: cache.stats().abandoned == 0)
        origin.go.set()
        assert await cache.get_or_set("k", origin.load, load_limit="20s") == "value 2"
        assert await cache.get("k") == "value 2"

    on(body)


def test_a_load_within_its_limit_is_like_any_other(on: On) -> None:
    async def body(cache: Cache) -> None:
        failing = Origin(KeyError("not there"))
        with pytest.raises(KeyError, match="not there"):
            await cache.get_or_set("k", failing.load, load_limit="20s")
        assert await cache.get_or_set("k", Origin().load, load_limit="20s") == "value 1"
        assert await cache.refresh("k", Origin().load, load_limit="20s") == "value 1"
        assert cache.stats().load_limits == 0

    on(body)


def test_every_verb_that_loads_has_the_limit_of_its_cache(driver: Driver) -> None:
    async def main() -> None:
        async with driver.cache(load_limit="50ms") as cache:
            origin = Origin(waits=True)

            @cache.cached(key="own")
            async def own() -> str:
                return await origin.load()

            @cache.cached(key="other", load_limit="20s")
            async def other() -> str:
                await asyncio.sleep(0.1)
                return "in time"

            async def many(keys: list[str]) -> dict[str, str]:
                return dict.fromkeys(keys, await origin.load())

            for call in (
                cache.get_or_set("k", origin.load),
                cache.refresh("k", origin.load),
                cache.get_or_set_many(["a", "b"], many),
                own(),
            ):
                with pytest.raises(LoadTimeout, match="load_limit of 50ms"):
                    async with asyncio.timeout(SOON):
                        await call
            assert (origin.calls, origin.cancelled) == (4, 4)
            assert await other() == "in time"
            origin.go.set()
            assert await cache.get_or_set_many(["a", "b"], many) == {"a": "value 5", "b": "value 5"}

    run(main())


def test_a_loader_that_ignores_its_cancellation_is_abandoned(driver: Driver) -> None:
    async def main() -> None:
        async with driver.cache() as cache:
            stubborn = Stubborn()
            asyncio.get_running_loop().call_later(SOON, stubborn.go.set)  # or one that waits for it hangs
            with pytest.raises(LoadTimeout):
                await cache.get_or_set("k", stubborn.load, load_limit="30ms")
            assert cache.stats().abandoned == cache.status_now().abandoned == 1
            asked = [asyncio.create_task(cache.get_or_set("k", stubborn.load, load_limit="30ms")) for _ in range(5)]
            for error in await asyncio.gather(*asked, return_exceptions=True):
                assert isinstance(error, LoadTimeout)
            assert stubborn.calls == 2, "one more in a limit, whatever the number of callers"
            assert cache.stats().abandoned == 2
            stubborn.go.set()
            await eventually(lambda: cache.stats().abandoned == 0)
            assert await cache.get("k") is None, "the late value is refused"
            assert await cache.get_or_set("k", Origin().load) == "value 1"

    run(main())


def test_a_caller_that_is_cancelled_waits_for_what_its_loader_does_then() -> None:
    async def main() -> None:
        steps: list[str] = []

        async def load() -> str:
            try:
                await asyncio.sleep(20)
            finally:
                await asyncio.sleep(0.01)
                steps.append("rolled back")
            return "value"

        async with Cache("memory://", load_limit="20s") as cache:
            task = asyncio.create_task(cache.get_or_set("k", load))
            await eventually(lambda: cache.stats().loads)
            task.cancel()
            await eventually(lambda: not cache.stats().flights)
            assert steps == ["rolled back"]
            with pytest.raises(asyncio.CancelledError):
                await task

    run(main())


def test_an_old_value_stays_when_its_refresh_takes_too_long() -> None:
    async def main() -> None:
        async with Cache("memory://") as cache:
            origin = Origin()
            options: dict[str, Any] = {"ttl": "1ms", "stale": "1m", "load_limit": "30ms"}
            assert await cache.get_or_set("k", origin.load, **options) == "value 1"
            origin.go.clear()
            await asyncio.sleep(0.01)
            assert await cache.get_or_set("k", origin.load, **options) == "value 1"
            await eventually(lambda: cache.stats().load_limits == 1 and not cache.stats().flights)
            assert await cache.get_or_set("k", origin.load, **options) == "value 1"

    run(main())


@pytest.mark.parametrize("opened", [Cache, tasked])
def test_a_loader_with_a_limit_that_waits_for_itself_is_an_error(opened: Any) -> None:
    async def main() -> None:
        async with opened("memory://", load_limit="20s") as cache:

            async def direct() -> int:
                return int(await cache.get_or_set("k", direct))

            async def by_task() -> int:
                return int(await asyncio.create_task(cache.get_or_set("k", by_task)))

            for loader in (direct, by_task):
                with pytest.raises(LoadCycle):
                    async with asyncio.timeout(10):
                        await cache.get_or_set("k", loader)

    run(main())


def test_the_fleet_does_not_wait_for_a_load_over_its_limit(one_server: Server, prefix: str) -> None:
    async def main() -> None:
        options: dict[str, Any] = {"prefix": prefix, "load_wait": "1h", **PATIENT}
        async with Cache(one_server.url, **options) as cache, Cache(one_server.url, **options) as other:
            stubborn = Stubborn()
            first = asyncio.create_task(cache.get_or_set("k", stubborn.load, load_limit="300ms"))
            await eventually(lambda: stubborn.calls)
            waiting = asyncio.create_task(other.get_or_set("k", Origin().load, load_limit="300ms"))
            async with asyncio.timeout(10):
                await asyncio.gather(first, waiting, return_exceptions=True)
            assert isinstance(first.exception(), LoadTimeout)
            assert await other.get_or_set("k", Origin().load) == "value 1"
            stubborn.go.set()
            await eventually(lambda: cache.stats().abandoned == 0)
            assert await cache.get_or_set("k", Origin(KeyError()).load) == "value 1", "the late value is refused"

    run(main())


# -- threads ---------------------------------------------------------------------------------------------------------


@pytest.fixture(params=["memory", "server"])
def threads(request: pytest.FixtureRequest, prefix: str) -> Any:
    url = request.getfixturevalue("one_server").url if request.param == "server" else "memory://"
    with SyncCache(url, prefix=prefix, load_wait="1h", **PATIENT) as cache:
        yield cache


def test_a_thread_gets_what_its_own_loader_brings_and_joined_threads_do_not_wait(threads: SyncCache) -> None:
    other = Hung("not asked")
    with Hung() as hung:
        starter, got = in_thread(threads.get_or_set, "k", hung.load, load_limit="1s")
        assert hung.began.wait(20)
        joined, their = in_thread(threads.get_or_set, "k", other.load)
        joined.join(SOON)
        assert [type(error) for error in their] == [LoadTimeout]
        assert threads.stats().abandoned == threads.status_now().abandoned == 1
        assert threads.stats().load_limits == 1
        later, found = in_thread(threads.get_or_set, "k", lambda: "new")
        later.join(SOON)
        assert found == ["new"], "the next load is not held up"
    starter.join(20)
    assert got == ["late"]
    assert threads.get("k") == "new", "the late value is not stored"
    assert (threads.stats().abandoned, other.calls) == (0, 0)


def test_a_late_error_is_its_own_threads(threads: SyncCache) -> None:
    hung = Hung(OSError("away"))
    starter, got = in_thread(threads.refresh, "k", hung.load, load_limit="20ms")
    assert hung.began.wait(20)
    wait_until(lambda: threads.stats().abandoned == 1)
    hung.go.set()
    starter.join(20)
    assert isinstance(got[0], OSError)
    assert (threads.stats().abandoned, threads.stats().flights) == (0, 0)


def test_a_batch_of_a_thread_is_limited_too(threads: SyncCache) -> None:
    hung = Hung({"a": 1, "b": 2})
    starter, got = in_thread(threads.namespace("n").get_or_set_many, ["a", "b"], hung.load)
    assert hung.began.wait(20)
    assert threads.stats().abandoned == 0, "there is no limit"
    hung.go.set()
    starter.join(20)
    assert got == [{"a": 1, "b": 2}]


def test_the_limit_of_a_batch_of_threads(prefix: str, one_server: Server) -> None:
    with SyncCache(one_server.url, prefix=prefix, load_limit="1s", load_wait="1h", **PATIENT) as cache:
        hung = Hung({"a": 1, "b": 2})
        starter, got = in_thread(cache.get_or_set_many, ["a", "b"], hung.load)
        assert hung.began.wait(20)
        joined, their = in_thread(cache.get_or_set, "b", lambda: 3)
        joined.join(20)
        assert isinstance(their[0], LoadTimeout)
        hung.go.set()
        starter.join(20)
        assert got == [{"a": 1, "b": 2}]
        assert (cache.get_many(["a", "b"]), cache.stats().abandoned) == ({}, 0)


def test_a_thread_of_a_loops_cache_gets_what_its_loader_brings() -> None:
    async def main() -> None:
        async with Cache("memory://", load_limit="1s") as cache:
            hung = Hung()
            got = asyncio.create_task(asyncio.to_thread(cache.sync.get_or_set, "k", hung.load))
            await eventually(hung.began.is_set)
            with pytest.raises(LoadTimeout):
                await cache.get_or_set("k", Origin().load)
            await eventually(lambda: cache.stats().abandoned == 1)
            hung.go.set()
            assert await got == "late"
            await eventually(lambda: cache.stats().abandoned == 0)
            assert await cache.get("k") is None

    run(main())


@pytest.mark.parametrize("wrong", [0, -1, "soon"])
def test_a_wrong_limit_is_refused(wrong: Any) -> None:
    with pytest.raises(ConfigError, match=r"CACHE_LOAD_LIMIT \(load_limit\)"):
        Cache("memory://", load_limit=wrong)
    with pytest.raises(ConfigError, match="load_limit"):
        Cache("memory://").cached(load_limit=wrong)
