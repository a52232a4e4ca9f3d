"""Events of the process: it forks, it changes its event loop, it closes a loop over an open cache."""

import asyncio
import gc
from collections.abc import Callable
from typing import Any

import pytest

from fleetcache import Cache, Closed
from fleetcache.format.keys import ALL_TAG, Layout
from tests.conftest import StartServer
from tests.support.forking import in_a_child
from tests.support.run import run
from tests.support.servers import Server
from tests.support.waiting import eventually, wait_until

# -- fork -----------------------------------------------------------------------------------------------------------


async def _fork(server: Server, prefix: str, prepare: Callable[[Cache], None]) -> tuple[Any, dict[str, Any]]:
    """Return the child's answers, and the state of the parent's cache afterwards."""

    async def child() -> dict[str, Any]:
        clean = cache.peek("k") is None and cache.stats().flights == 0 and cache.stats().waiters == 0
        found = await cache.get("k")
        await cache.set("from the child", "hello")
        await cache.delete("k")
        name = cache.status_now().instance
        await cache.close()
        return {"clean": clean, "found": found, "name": name}

    async with Cache(server.url, prefix=prefix, operation_timeout="2s") as cache:
        prepare(cache)
        await cache.set("k", "value")
        assert cache.peek("k") == "value"
        held = asyncio.create_task(cache.get_or_set("loading", _load_slowly))  # a flight in progress
        await eventually(lambda: cache.stats().loads == 1)
        seen = in_a_child(lambda: asyncio.run(child()))
        assert await held == "slow"
        parent = {
            "found": await cache.get("from the child"),
            "removed": await cache.get("k"),
            "pushed": cache.peek("k"),
            "epoch": cache.stats().epoch,
            "name": cache.status_now().instance,
        }
        return seen, parent


async def _load_slowly() -> str:
    await asyncio.sleep(0.1)
    return "slow"


def test_a_forked_child_starts_clean_and_the_parent_goes_on(server: Server, prefix: str) -> None:
    seen, parent = run(_fork(server, prefix, lambda _cache: None))
    assert seen["clean"]
    assert seen["found"] == "value"
    assert seen["name"] != parent.pop("name"), "the server knows them apart"
    assert parent == {"found": "hello", "removed": None, "pushed": None, "epoch": 1}


def test_twin_without_the_hook_the_child_has_what_is_the_parents(server: Server, prefix: str) -> None:
    def no_hook(cache: Cache) -> None:
        vars(cache._engine)["after_fork"] = lambda: None

    seen, parent = run(_fork(server, prefix, no_hook))
    assert seen["clean"] is False
    assert parent["epoch"] == 1


# -- loops ----------------------------------------------------------------------------------------------------------


def test_the_same_cache_on_one_loop_after_the_other(server: Server, prefix: str) -> None:
    cache = Cache(server.url, prefix=prefix, operation_timeout="2s")

    async def store() -> None:
        await cache.set("k", "value")
        assert cache.peek("k") == "value"

    async def find() -> None:
        await cache.get("another")
        assert cache.peek("k") is None, "nobody listened meanwhile"
        assert await cache.get("k") == "value"
        assert await cache.get_or_set("loaded", _load_slowly) == "slow"

    asyncio.run(store())
    with server.client() as client:
        asyncio.run(find())
        asyncio.run(_close(cache))
        # Nothing of any loop is left open. The server hears of it a moment later.
        wait_until(lambda: client("CLIENT", "LIST").count(b"name=fleetcache-") == 0)
    gc.collect()


async def _close(cache: Cache) -> None:
    await cache.get("k")
    await cache.close()


def test_what_one_loop_owed_the_next_one_delivers(fresh_server: StartServer, prefix: str) -> None:
    server = fresh_server()
    cache = Cache(server.url, prefix=prefix, operation_timeout="200ms", max_staleness="10s")

    async def remove() -> None:
        await cache.set("k", "old")
        server.freeze()
        await cache.get("absent")
        assert cache.stats().link == "suspect", "so that what follows is not even sent"
        assert await cache.delete("k") is False

    async def deliver() -> None:
        assert await cache.get("k") is None
        await eventually(lambda: cache.stats().journal == 0)
        await cache.close()

    asyncio.run(remove())
    server.thaw()
    with server.client() as client:
        assert client("EXISTS", Layout(prefix).entry("k")) == 1
        asyncio.run(deliver())
        assert client("EXISTS", Layout(prefix).entry("k")) == 0


def test_what_the_server_may_have_forgotten_between_two_loops_is_not_believed(server: Server, prefix: str) -> None:
    """The cache cannot tell the server's run, so that any version of the tag on every entry may be an old one."""
    tag = Layout(prefix).tag(ALL_TAG)
    with server.client() as client:
        client("ACL", "SETUSER", "limited", "on", ">secret", "~*", "&*", "+@all", "-info")
        url = server.url.replace("redis://", "redis://limited:secret@")
        cache = Cache(url, prefix=prefix, operation_timeout="2s")
        asyncio.run(_ask(cache))
        before = client("GET", tag)
        asyncio.run(_close(cache))
        assert client("GET", tag) != before


async def _ask(cache: Cache) -> None:
    await cache.get("k")


def test_a_loop_that_is_closed_over_an_open_cache_is_silent(
    server: Server, prefix: str, recwarn: pytest.WarningsRecorder
) -> None:
    async def use() -> None:
        cache = Cache(server.url, prefix=prefix, operation_timeout="2s")
        await cache.set("k", "value")
        asyncio.get_running_loop().set_exception_handler(lambda _loop, report: reports.append(report))

    reports: list[Any] = []
    asyncio.run(use())
    gc.collect()
    assert reports == []
    assert list(recwarn) == []


def test_a_cache_in_use_on_a_running_loop_is_not_taken_to_another(server: Server, prefix: str) -> None:
    async def use_from_a_thread() -> None:
        async with Cache(server.url, prefix=prefix, operation_timeout="2s") as cache:
            with pytest.raises(Closed, match="another event loop"):
                await asyncio.to_thread(lambda: asyncio.run(cache.open()))
            await cache.set("k", "value")
            assert await cache.get("k") == "value"

    run(use_from_a_thread())
