"""Hosts whose clocks differ, and one whose clock steps: ages and pauses follow no wall clock."""

import asyncio
import time
from collections.abc import Callable
from itertools import count
from typing import Any

import pytest
from fastapi import FastAPI, Response

from fleetcache import Cache
from fleetcache.contrib.fastapi import cached_response
from fleetcache.contrib.responses import serving
from fleetcache.testing import ManualClock, memory_cache
from tests.conftest import StartServer
from tests.frameworks.asking import asking, did
from tests.support.run import run
from tests.support.servers import Server

UNHURRIED: dict[str, Any] = {"operation_timeout": "5s", "max_staleness": "30s"}


def shop(cache: Cache, clock: Callable[[], float]) -> FastAPI:
    app, calls = FastAPI(), count(1)

    @app.get("/price")
    @cached_response(cache, ttl="5m", max_age="1m", clock=clock, name="price")
    async def price() -> int:
        return 3

    @app.get("/handed-on")
    @cached_response(cache, ttl="5m", clock=clock, name="handed-on")
    async def handed_on(response: Response) -> int:
        response.headers["Age"] = "40"
        response.headers["Cache-Control"] = "max-age=60"
        return next(calls)

    @app.get("/slow")
    @cached_response(cache, ttl="5m", clock=clock, name="slow")
    async def slow() -> int:
        await asyncio.sleep(0.3)
        return next(calls)

    @app.get("/never")
    @cached_response(cache, clock=clock, name="never")
    async def never(response: Response) -> int:
        response.headers["Cache-Control"] = "no-store"
        return next(calls)

    return app


@pytest.mark.parametrize("skew", [0, -90, 90])
def test_hosts_need_not_agree_what_time_it_is(server: Server, prefix: str, skew: float) -> None:
    def wrong() -> float:
        return time.time() + skew

    async def scene() -> None:
        async with (
            Cache(server.url, prefix=prefix, **UNHURRIED) as one,
            Cache(server.url, prefix=prefix, **UNHURRIED) as other,
            asking(shop(one, time.time)) as client,
            asking(shop(other, wrong)) as elsewhere,
        ):
            assert await client.did("/price") == "stored"
            await asyncio.sleep(1.1)
            for each in (client, elsewhere, elsewhere):  # from near, from the server, and from near
                answer = await each.get("/price")
                age, left = int(answer.headers["age"]), answer.headers["cache-status"].rpartition("ttl=")[2]
                assert did(answer) == "hit"
                assert age + int(left) in {299, 300}
                assert 1 <= age < 30  # the machine may be busy

    run(scene())


def test_who_waited_for_another_host_is_told_so(server: Server, prefix: str) -> None:
    async def scene() -> None:
        async with (
            Cache(server.url, prefix=prefix, **UNHURRIED) as one,
            Cache(server.url, prefix=prefix, **UNHURRIED) as other,
            asking(shop(one, time.time)) as client,
            asking(shop(other, lambda: 0.0)) as elsewhere,
        ):
            both = await asyncio.gather(client.get("/slow"), elsewhere.get("/slow"))
            assert sorted(map(did, both)) == ["collapsed", "stored"]
            assert all("age" not in answer.headers for answer in both)
            assert await elsewhere.did("/slow") == "hit"

    run(scene())


def test_what_was_old_when_it_came_is_older_and_ends_earlier() -> None:
    async def scene() -> None:
        clock = ManualClock()
        async with memory_cache(clock=clock) as cache, asking(shop(cache, clock)) as client:
            first = await client.get("/handed-on")
            assert (did(first), first.headers["age"]) == ("stored", "40")
            clock.advance(15)
            again = await client.get("/handed-on")
            assert (again.headers["age"], again.headers["cache-status"]) == ("55", "fleetcache; hit; ttl=5")
            clock.advance(6)
            assert await client.did("/handed-on") == "stored"

    run(scene())


def test_a_pause_ends_by_the_monotonic_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    wall, monotonic = ManualClock(), ManualClock()
    wall.advance("2h")
    monkeypatch.setattr(serving, "monotonic", monotonic)

    async def scene() -> None:
        now: list[float] = [wall()]
        async with memory_cache() as cache, asking(shop(cache, lambda: now[0])) as client:
            says: list[Any] = [await client.did("/never") for _ in range(2)]
            assert says == ["miss", "unstorable"]
            now[0] -= 3600  # as when an operator corrects a host's clock
            monotonic.advance(4.9)
            assert await client.did("/never") == "unstorable"
            monotonic.advance(0.2)
            assert await client.did("/never") == "miss"

    run(scene())


def test_an_answer_in_an_outage_says_how_old_it_is(fresh_server: StartServer, prefix: str) -> None:
    async def scene() -> None:
        app, server = FastAPI(), fresh_server()
        cache = Cache(server.url, prefix=prefix, offline_ttl="100ms", max_staleness="500ms", operation_timeout="400ms")

        @app.get("/price")
        @cached_response(cache, ttl="5m", offline_ttl="1h")
        async def price() -> int:
            return 3

        async with cache, asking(app) as client:
            await client.get("/price")
            server.freeze()
            await asyncio.sleep(2)
            answer = await client.get("/price")
            assert answer.headers["cache-status"].startswith("fleetcache; hit; ttl=29")
            assert int(answer.headers["age"]) >= 1
            server.thaw()

    run(scene())
