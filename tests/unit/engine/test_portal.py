"""The portal: a thread runs a coroutine on the cache's event loop, and gets an error if that loop cannot take it."""

import asyncio
import threading
import time
from collections.abc import Coroutine
from typing import Any

import pytest

from fleetcache import Cache, Closed
from fleetcache.engine.portal import LoopPortal
from tests.support.run import run


async def where() -> int:
    return threading.get_ident()


async def fails() -> None:
    raise LookupError("x")


def test_a_coroutine_runs_on_the_loop_while_its_thread_waits() -> None:
    async def main() -> None:
        async with Cache("memory://") as cache:
            portal = LoopPortal(cache._engine)
            assert await asyncio.to_thread(portal.run, where()) == threading.get_ident()
            with pytest.raises(LookupError):
                await asyncio.to_thread(portal.run, fails())

    run(main())


def test_a_loader_runs_in_the_thread() -> None:
    async def main() -> None:
        async with Cache("memory://") as cache:
            portal = LoopPortal(cache._engine)

            def work() -> tuple[int, int]:
                ran = portal.run_loading(threading.get_ident, lambda borrowed: borrowed(), lambda: -1)
                return ran, threading.get_ident()

            ran, caller = await asyncio.to_thread(work)
            assert ran == caller != threading.get_ident()

    run(main())


def test_a_call_before_the_cache_is_open_or_after_its_close_is_refused() -> None:
    cache = Cache("memory://")
    portal = LoopPortal(cache._engine)
    with pytest.raises(RuntimeError, match="open the cache"):
        portal.run(where())

    async def main() -> None:
        async with cache:
            with pytest.raises(RuntimeError, match="await the cache's own verb"):
                portal.run(where())

    run(main())
    with pytest.raises(Closed):
        portal.run(where())


def test_a_loop_that_is_blocked_is_told_and_a_loader_goes_its_own_way() -> None:
    async def main() -> None:
        async with Cache("memory://", load_wait="50ms", operation_timeout="50ms") as cache:
            portal, said = LoopPortal(cache._engine), list[Any]()

            def work(make: Coroutine[Any, Any, Any]) -> None:
                try:
                    portal.run(make)
                except RuntimeError as error:
                    said.append(str(error))
                said.append(portal.run_loading(lambda: "loaded", lambda borrowed: borrowed(), lambda: "alone"))

            thread = threading.Thread(target=work, args=(where(),))
            thread.start()
            while len(said) < 2 and thread.is_alive():
                time.sleep(0.005)  # noqa: ASYNC251 - the loop that is blocked
            thread.join(10)
            assert "took no call for 0.05 s" in said[0]
            assert said[1] == "alone"

    run(main())
