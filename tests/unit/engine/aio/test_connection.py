"""The calls of one turn of the loop go to the server in few writes, the first of them before the turn is over."""

import asyncio
from typing import Any

import pytest

from fleetcache import Cache
from fleetcache.engine.aio.connection import MUCH, PIECE, AioConnection
from tests.support.run import run
from tests.support.servers import Server

# No timeout and no heartbeat comes in between, on a busy machine too.
SETTINGS: dict[str, Any] = {"near_max_bytes": 0, "operation_timeout": "5s", "max_staleness": "1m"}


@pytest.fixture
def writes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of calls in each write."""
    found: list[int] = []
    flush = AioConnection._flush

    def flushed(self: AioConnection) -> None:
        if self.session.queued:
            found.append(len(self.session.queued))
        flush(self)

    monkeypatch.setattr(AioConnection, "_flush", flushed)
    return found


@pytest.mark.parametrize("callers", [1, PIECE, 50, 500])
def test_the_server_can_begin_before_a_crowd_has_asked(
    server: Server, prefix: str, writes: list[int], callers: int
) -> None:
    async def main() -> list[int]:
        async with Cache(server.url, prefix=prefix, **SETTINGS) as cache:
            await cache.set("warm", 1)
            writes.clear()
            assert await asyncio.gather(*(cache.get(f"k{number}", 0) for number in range(callers))) == [0] * callers
            return writes[:]

    first, *pieces, rest = [*run(main()), *[0] * (callers == 1)]
    assert first == 1, "alone it is written at once"
    assert pieces == [PIECE] * min(len(pieces), 1 + MUCH // PIECE)
    assert first + sum(pieces) + rest == callers
    assert rest < PIECE or sum(pieces) >= MUCH, "the server has enough to do"


def test_a_batch_is_not_cut(server: Server, prefix: str, writes: list[int]) -> None:
    async def main() -> list[int]:
        async with Cache(server.url, prefix=prefix, **SETTINGS) as cache:
            await cache.set("warm", 1)
            writes.clear()
            assert await cache.get_many([f"k{number}" for number in range(5 * PIECE)]) == {}
            return writes[:]

    assert run(main()) == [5 * PIECE]
