"""A second event loop beside the cache's own: its callers get their answers, and nothing is lost."""

import asyncio
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import pytest

from fleetcache import MISSING, Cache, Closed, Unavailable
from tests.conftest import GetServer
from tests.support.loops import close_over_connections
from tests.support.run import run
from tests.support.servers import Server

T = TypeVar("T")


class Home:
    """An event loop in a thread, on which a cache lives."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()

    def do(self, call: Callable[[], Awaitable[T]]) -> T:
        """Await a call on the home loop."""

        async def there() -> T:
            return await call()

        return asyncio.run_coroutine_threadsafe(there(), self.loop).result(10)

    @contextmanager
    def blocked(self) -> Iterator[None]:
        """Block the loop, so that it has no turn."""
        held, begun = threading.Event(), threading.Event()

        def block() -> None:
            begun.set()
            held.wait(20)

        self.loop.call_soon_threadsafe(block)
        begun.wait(5)
        try:
            yield
        finally:
            held.set()

    def end(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(5)
        close_over_connections(self.loop)


@pytest.fixture
def home() -> Iterator[Home]:
    home = Home()
    yield home
    home.end()


@pytest.fixture(params=["memory", "valkey"])
def cache(request: pytest.FixtureRequest, shared_servers: GetServer, home: Home, prefix: str) -> Iterator[Cache]:
    """A cache that lives at home."""
    url = "memory://" if request.param == "memory" else shared_servers(request.param, "tcp").url
    cache = Cache(url, prefix=prefix, operation_timeout="1s", near_max_bytes="1MB")
    home.do(cache.open)
    yield cache
    home.do(cache.close)


def test_a_cached_function_answers_on_both_loops(cache: Cache, home: Home, caplog: pytest.LogCaptureFixture) -> None:
    calls = []

    @cache.cached(ttl=60, key="price:{item}")
    async def price(item: str) -> list[int]:  # noqa: ARG001 - the key has it
        calls.append(asyncio.get_running_loop() is home.loop)
        return [3]

    async def here() -> None:
        for item in ("a", "a", "b"):
            assert await price(item) == [3]

    assert home.do(lambda: price("at home")) == [3]
    run(here())
    assert calls == [True, False, False, False], "a loader runs where its caller is, and is not stored"
    assert home.do(lambda: price("a")) == [3]
    assert len(calls) == 5
    told = [record for record in caplog.records if getattr(record, "event", "") == "second_loop"]
    assert [record.levelname for record in told] == ["WARNING"]
    assert "SyncCache(...).aio" in told[0].getMessage()


def test_what_is_near_answers_on_every_loop(cache: Cache, home: Home) -> None:
    home.do(lambda: cache.set("k", "value", ttl=60))
    home.do(lambda: cache.get("k"))
    assert run(cache.get("k")) == "value"


def test_every_verb_works_from_a_second_loop(cache: Cache, home: Home) -> None:
    async def here() -> None:
        await cache.set("k", [1])
        assert await cache.get("k") == [1]
        assert await cache.get_many(["k", "no"]) == {"k": [1]}
        assert await cache.get("no", MISSING) is MISSING
        await cache.set_many({"a": [1], "b": [2]}, tags=["t"])
        assert await cache.add("k", [2]) is False
        assert await cache.add("new", [2]) is True
        assert await cache.incr("n") == 1
        assert await cache.touch("k", 60) is True
        found = await cache.lookup("k")
        assert found is not None
        assert found.value == [1]
        assert (await cache.explain("k")).key == "k"
        assert await cache.delete("k") is True
        assert await cache.delete_many(["new", "no"]) == 1
        await cache.invalidate_tags("t")
        assert await cache.get_many(["a", "b", "k"]) == {}
        assert (await cache.health()).link in ("online", "none")
        claim = await cache.claim("c")
        assert claim is not None
        assert await cache.is_claimed("c") is True
        assert await claim.release() is True
        assert await cache.is_claimed("c") is False
        users = cache.namespace("users")
        await users.set("7", [7])
        assert await users.get("7") == [7]
        await users.clear()
        assert await users.get("7") is None
        with pytest.raises(KeyError):
            await cache.incr("none", create=False)

    run(here())
    assert home.do(lambda: cache.get("n")) == 1


def test_a_refresh_leaves_nothing_older_than_what_it_answered(cache: Cache, home: Home) -> None:
    async def load() -> str:
        return "new"

    home.do(lambda: cache.set("k", "old", ttl=60))
    assert run(cache.refresh("k", load)) == "new"
    assert home.do(lambda: cache.get("k")) is None


def test_many_are_loaded_on_the_callers_loop(cache: Cache) -> None:
    async def load(keys: list[str]) -> dict[str, int]:
        return dict.fromkeys(keys, len(keys))

    assert run(cache.get_or_set_many(["a", "b"], load)) == {"a": 2, "b": 2}


def test_a_cache_is_opened_on_one_loop(cache: Cache, home: Home) -> None:
    async def here() -> None:
        async with cache:
            pass

    with pytest.raises(Closed, match=r"give each loop its own Cache, or have all of them use one SyncCache\(...\).aio"):
        run(here())
    assert home.do(lambda: cache.add("k", 1)) is True, "it was not closed"


def test_closed_from_a_second_loop_it_is_closed_at_home(home: Home, server: Server, prefix: str) -> None:
    cache = Cache(server.url, prefix=prefix)
    home.do(cache.open)
    run(cache.close())
    assert cache.closed
    assert [task.get_name() for task in asyncio.all_tasks(home.loop)] == []


def test_a_home_that_does_not_turn_delays_by_one_operation_and_removes_later(home: Home, cache: Cache) -> None:
    async def here() -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        assert await cache.get("other", "absent") == "absent"
        assert await cache.delete("k") is False
        assert loop.time() - began < 5
        with pytest.raises(Unavailable):
            await cache.delete("k", strict=True)
        with pytest.raises(Unavailable):
            await cache.incr("n")

    home.do(lambda: cache.set("k", "value", ttl=60))
    with home.blocked():
        run(here())
    assert home.do(lambda: cache.get("k")) is None


def test_a_cancelled_caller_has_its_removal_done(home: Home, cache: Cache) -> None:
    async def here() -> None:
        task = asyncio.create_task(cache.delete("k"))
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    home.do(lambda: cache.set("k", "value", ttl=60))
    with home.blocked():
        run(here())
    assert home.do(lambda: cache.get("k")) is None


def test_when_the_first_loop_ends_the_cache_moves(server: Server, prefix: str) -> None:
    home, cache = Home(), Cache(server.url, prefix=prefix, operation_timeout="1s")
    home.do(lambda: cache.set("k", [1]))
    home.end()

    async def here() -> Any:
        async with cache:
            return await cache.get("k")

    assert run(here()) == [1]


@pytest.mark.parametrize("closes", ["", "loop.close()"])
def test_a_process_may_end_without_closing_its_cache(closes: str, server: Server, prefix: str) -> None:
    code = f"""
import asyncio
from fleetcache import Cache
cache = Cache({server.url!r}, prefix={prefix!r})

@cache.cached(ttl=60, stale=60)
async def slow(n: int) -> int:
    await asyncio.sleep(n)
    return n

async def use() -> None:
    assert await slow(0) == 0
    await cache.set("k", 1)
    await cache.claim("c")

loop = asyncio.new_event_loop()
loop.run_until_complete(use())
{closes}
"""
    ended = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True, timeout=100)  # noqa: S603 - our own interpreter
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")


@pytest.mark.parametrize("driver", ["memory", "valkey"])
@pytest.mark.parametrize("way", ["delete", "refresh"])
def test_what_is_asked_of_a_loop_that_is_about_to_end_is_done(
    driver: str, way: str, prefix: str, shared_servers: GetServer
) -> None:
    url = "memory://" if driver == "memory" else shared_servers(driver, "tcp").url
    cache = Cache(url, prefix=prefix, operation_timeout="2s")
    held, stored, asking = threading.Event(), threading.Event(), threading.Event()

    async def ending() -> None:
        await cache.set("k", "old")
        stored.set()
        asking.wait(5)  # the loop has no turn, and then it only runs its end
        held.wait(0.1)

    async def load() -> str:
        return "new"

    async def beside() -> None:
        asyncio.get_running_loop().call_later(0.1, asking.set)
        await (cache.delete("k") if way == "delete" else cache.refresh("k", load))
        thread.join(5)
        assert await cache.get("k") is None
        await cache.close()

    thread = threading.Thread(target=asyncio.run, args=(ending(),))
    thread.start()
    assert stored.wait(5)
    asyncio.run(beside())
