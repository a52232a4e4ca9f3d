"""A server slower than its callers: a bounded number of calls wait for it, and further calls are answered at once."""

import asyncio

import pytest

from fleetcache import Cache
from tests.support.run import run
from tests.support.servers import Server
from tests.support.waiting import eventually

CROWD = 21_000
MAX_CALLS = 20_000


async def _ask_a_stuck_server(server: Server, prefix: str) -> tuple[int, int]:
    """Return how many calls of a crowd waited for the server, and how many did not."""
    async with Cache(server.url, prefix=prefix, operation_timeout="1s", max_staleness="1m", near_max_bytes=0) as cache:
        await cache.set("k", "v")
        server.freeze()
        crowd = [asyncio.create_task(cache.get(f"k{number}", "absent")) for number in range(CROWD)]
        await eventually(lambda: any(task.done() for task in crowd))
        wire = cache._engine.wire
        waiting = 0 if wire is None else len(wire.session.calls)
        assert set(await asyncio.gather(*crowd)) == {"absent"}, "no call fails, whatever it met"
        server.thaw()
        await eventually(lambda: cache.stats().link == "online")
        assert await cache.get("k") == "v", "there is room again"
        return waiting, cache.stats().overload


def test_what_waits_for_the_server_is_bounded(server: Server, prefix: str) -> None:
    waiting, spared = run(_ask_a_stuck_server(server, prefix))
    assert 0.9 * MAX_CALLS < waiting <= MAX_CALLS
    assert spared == CROWD - waiting


def test_twin_without_a_bound_all_wait(server: Server, prefix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fleetcache.wire.session.MAX_WEIGHT", float("inf"))
    assert run(_ask_a_stuck_server(server, prefix)) == (CROWD, 0)
