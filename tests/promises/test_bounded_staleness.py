"""Promise 3: near is at most ``max_staleness`` behind an acknowledged write, even on a broken network.

If the server is silent for longer, the instance is offline and reports it, and ``offline_ttl`` bounds near instead.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import perf_counter
from typing import Any

import pytest

from fleetcache import Cache
from tests.promises.variants import Variant, ours, trusts_for_ever
from tests.support.proxy import Direction, Proxy
from tests.support.run import run
from tests.support.servers import Server
from tests.support.waiting import eventually

MAX_STALENESS = 0.3
OFFLINE_TTL = 0.6
DIRECTIONS: tuple[Direction, ...] = ("down", "up", "both")


async def stalled(variant: Variant, server: Server, prefix: str, direction: Direction, offline_ttl: float) -> list[str]:
    """Return near's answers that are too old and health's wrong reports, while the proxy stalls one direction.

    The clock is read before near is asked, so a slow machine makes an answer look younger than it is, never older.
    """
    settings: dict[str, Any] = {
        "prefix": prefix,
        "max_staleness": MAX_STALENESS,
        "operation_timeout": 0.1,
        "offline_ttl": offline_ttl,
    }
    wrong = []
    with Proxy(server) as proxy:
        async with (
            variant(proxy.url, **settings) as deafened,
            Cache(server.url, **settings | {"operation_timeout": 2}) as other,
        ):
            await eventually(lambda: _stores(deafened))
            proxy.stall(direction)
            stalled_at = perf_counter()
            await other.set("key", "new", strict=True)
            written = now = perf_counter()
            while now < written + OFFLINE_TTL + 0.2:
                offline = deafened.status_now().link == "offline"
                now = perf_counter()
                if deafened.peek("key", type=str) == "old":
                    online = not offline and deafened.status_now().link != "offline"  # threads move the link meanwhile
                    if online and now - written > MAX_STALENESS:
                        wrong.append(f"{now - written:.3f} s behind while it said that it was not offline")
                    if offline and now - stalled_at > offline_ttl:
                        wrong.append(f"{now - stalled_at:.3f} s after it heard its last")
                await asyncio.sleep(0.002)
            health = deafened.status_now()
            if (health.status, health.active, health.reason) != ("degraded", "memory", "timeout"):
                wrong.append(f"health says {health.brief()}")
            proxy.heal()
            await eventually(lambda: deafened.status_now().shared)
            if await deafened.get("key", type=str) not in {"new", None}:
                wrong.append("old after it was healed")
    return wrong


async def _stores(cache: Cache) -> bool:
    """Store a value; return True once the server has acknowledged it, which takes a busy machine more than one try."""
    await cache.set("key", "old")
    status = cache.status_now()
    return status.shared and status.journal == 0 and cache.peek("key", type=str) == "old"


async def all_directions(variant: Variant, server: Server, prefix: str) -> dict[str, list[str]]:
    cases = [(direction, offline_ttl) for direction in DIRECTIONS for offline_ttl in (OFFLINE_TTL, 0.0)]
    found = await asyncio.gather(
        *(
            stalled(variant, server, f"{prefix}-{number}", direction, offline_ttl)
            for number, (direction, offline_ttl) in enumerate(cases)
        )
    )
    return {f"{way}, offline_ttl {ttl}": wrong for (way, ttl), wrong in zip(cases, found, strict=True)}


def test_near_is_bounded_when_the_network_goes_silent(any_server: Server, prefix: str) -> None:
    wrong = run(all_directions(ours, any_server, prefix))
    assert wrong == {case: [] for case in wrong}


def test_near_without_a_horizon_is_not(one_server: Server, prefix: str) -> None:
    wrong = run(all_directions(trusts_for_ever, one_server, prefix))
    # With only "up" stalled, the server's pushes still arrive.
    assert all(found for case, found in wrong.items() if not case.startswith("up")), wrong


async def failing() -> str:
    raise LookupError("the origin is down")


@asynccontextmanager
async def cut_off(server: Server, prefix: str) -> AsyncIterator[Cache]:
    """An offline instance that holds ``key`` past ``offline_ttl``."""
    with Proxy(server) as proxy:
        async with Cache(proxy.url, prefix=prefix, max_staleness=0.3, operation_timeout=0.1, offline_ttl=0.4) as cache:
            await eventually(lambda: _stores(cache))
            proxy.stall()
            await eventually(lambda: cache.status_now().link == "offline")
            await eventually(lambda: cache.peek("key", type=str) is None)
            yield cache


def test_offline_an_entry_past_its_bound_answers_when_the_loader_fails_too(one_server: Server, prefix: str) -> None:
    async def main() -> None:
        async with cut_off(one_server, prefix) as cache:
            assert await cache.get_or_set("key", failing) == "old"
            assert cache.stats().offline_stale_hits == 1

    run(main())


def test_offline_nothing_answers_for_a_loader_that_fails_if_told_so(one_server: Server, prefix: str) -> None:
    async def main() -> None:
        async with cut_off(one_server, prefix) as cache:
            with pytest.raises(LookupError):
                await cache.get_or_set("key", failing, offline_ttl=0)
            await cache.delete("key")  # nor after a removal by this instance
            with pytest.raises(LookupError):
                await cache.get_or_set("key", failing)

    run(main())


class Stop(BaseException):
    """A ``BaseException``, as are ``gevent.Timeout`` and the exception of ``pytest.fail``."""


async def stopping(*_keys: object) -> str:
    raise Stop


def test_offline_nothing_answers_for_a_loader_that_ends_by_what_is_for_its_caller(
    one_server: Server, prefix: str
) -> None:
    async def main() -> None:
        async with cut_off(one_server, prefix) as cache:
            with pytest.raises(Stop):
                await cache.get_or_set("key", stopping)
            with pytest.raises(Stop):
                await cache.get_or_set_many(["key"], stopping)  # type: ignore[arg-type]

    run(main())
