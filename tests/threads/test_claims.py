"""Claims in both worlds: threads and tasks of one cache take turns, and an interrupted thread takes none."""

import asyncio
import ctypes
import gc
import threading

import pytest

from fleetcache import Cache, SyncCache
from tests.support.run import run
from tests.support.servers import Server
from tests.support.waiting import eventually, wait_until


class Interrupted(BaseException):
    """Like KeyboardInterrupt, for a thread that is not the main one."""


@pytest.mark.parametrize("kind", ["memory", "server"])
def test_threads_and_tasks_take_turns(server: Server, prefix: str, kind: str) -> None:
    async def main() -> None:
        url = server.url if kind == "server" else "memory://"
        async with Cache(url, prefix=prefix, operation_timeout="2s") as cache:
            claim = await cache.claim("k")
            assert claim is not None
            assert await asyncio.to_thread(cache.sync.claim, "k", wait=False) is None
            assert await asyncio.to_thread(cache.sync.is_claimed, "k")
            waiting = asyncio.create_task(asyncio.to_thread(cache.sync.claim, "k"))
            await asyncio.sleep(0.05)
            await claim.release()
            of_thread = await waiting
            assert of_thread is not None
            assert await cache.claim("k", wait=False) is None
            assert await asyncio.to_thread(of_thread.release)
            assert await cache.claim("k", wait=False) is not None

    run(main())


def test_what_nobody_waits_for_any_more_is_not_taken(server: Server, prefix: str) -> None:
    ended: list[type[BaseException]] = []

    def wait(cache: Cache) -> None:
        try:
            cache.sync.claim("k")
        except Interrupted:
            ended.append(Interrupted)

    async def main() -> None:
        async with Cache(server.url, prefix=prefix, operation_timeout="2s") as cache:
            claim = await cache.claim("k")
            assert claim is not None
            thread = threading.Thread(target=wait, args=(cache,))
            thread.start()
            await eventually(lambda: len(cache._engine.claims._turns["k"].queue) == 1)
            assert thread.ident is not None
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(Interrupted))
            await asyncio.to_thread(thread.join)
            assert ended == [Interrupted]
            await eventually(lambda: not cache._engine.claims._turns["k"].queue)
            await claim.release()
            assert await cache.claim("k", wait=False) is not None

    run(main())


def test_a_thread_may_release_what_another_took(server: Server, prefix: str) -> None:
    with SyncCache(server.url, prefix=prefix, operation_timeout="2s") as cache:
        claim = cache.claim("k")
        assert claim is not None
        thread = threading.Thread(target=claim.release)
        thread.start()
        thread.join()
        assert not cache.is_claimed("k")


def test_a_block_gives_it_back(server: Server, prefix: str) -> None:
    with SyncCache(server.url, prefix=prefix, operation_timeout="2s") as cache:
        claim = cache.claim("k")
        assert claim is not None
        with claim as same:
            assert same is claim
            assert cache.claim("k", wait=False) is None
        assert not cache.is_claimed("k")


def test_one_that_was_dropped_is_free(server: Server, prefix: str) -> None:
    with SyncCache(server.url, prefix=prefix, operation_timeout="2s") as cache, server.client() as client:
        claim = cache.claim("k", ttl="600ms")
        assert claim is not None
        claim = None
        gc.collect()
        wait_until(lambda: client("EXISTS", f"{prefix}:c:k") == 0)
        assert cache.claim("k", wait=False) is not None
