"""Promise 5: a removal during an outage lasts, and so does a removal that the server itself forgot."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from fleetcache import Cache
from tests.conftest import StartServer
from tests.promises.variants import Variant, forgets_what_it_owes, ours, trusts_restarts
from tests.support.proxy import Direction, Proxy
from tests.support.run import run
from tests.support.servers import Server
from tests.support.waiting import eventually

REMOVALS: dict[str, Callable[[Cache], Awaitable[object]]] = {
    "delete": lambda cache: cache.delete("delete"),
    "set": lambda cache: cache.set("set", "new"),
    "invalidate_tags": lambda cache: cache.invalidate_tags("tag"),
    "clear": lambda cache: cache.namespace("space").clear(),
}
# The key that each verb removes.
KEYS = {"delete": "delete", "set": "set", "invalidate_tags": "tagged", "clear": "space:cleared"}
MAX_STALENESS = 0.6


def settings(prefix: str) -> dict[str, Any]:
    # offline_ttl is longer than a test takes, so that no entry leaves near by itself.
    return {"prefix": prefix, "operation_timeout": 0.3, "max_staleness": MAX_STALENESS, "offline_ttl": "1m"}


async def fill(caches: list[Cache]) -> None:
    """Put the old value of each key on the server and in the near cache of each instance."""
    first = caches[0]
    await eventually(all_online(caches))
    for key in ("delete", "set"):
        await first.set(key, "old", strict=True)
    await first.set("tagged", "old", tags=("tag",), strict=True)
    await first.namespace("space").set("cleared", "old", strict=True)
    assert [await cache.get(key) for cache in caches for key in KEYS.values()] == ["old"] * len(caches) * len(KEYS)


async def remove(cache: Cache) -> None:
    """Remove each key with its own verb."""
    await asyncio.gather(*(removal(cache) for removal in REMOVALS.values()))


async def old_answers(caches: list[Cache]) -> list[str]:
    """Return the reads that still answer with the old value."""
    found = [
        name
        for name, key in KEYS.items()
        for cache in caches
        if "old" in (cache.peek(key), await cache.get(key), await cache.get(key, allow_stale=True))
    ]
    loaded = [(name, await cache.get_or_set(key, load)) for name, key in KEYS.items() for cache in caches]
    return found + [name for name, value in loaded if value == "old"]


async def load() -> str:
    return "new"


def all_online(caches: list[Cache]) -> Callable[[], bool]:
    return lambda: all(cache.status_now().shared and cache.status_now().journal == 0 for cache in caches)


async def outage(
    variant: Variant, urls: list[str], prefix: str, begin: Callable[[], None], end: Callable[[], None]
) -> list[str]:
    """Return the old values after removals by the first instance in an outage: from it at once, from all later."""
    caches = [variant(url, **settings(prefix)) for url in urls]
    for cache in caches:
        await cache.open()
    try:
        await fill(caches)
        begin()
        await eventually(lambda: caches[0].status_now().link == "offline")
        await remove(caches[0])
        found = [f"{name} at once" for name in await old_answers(caches[:1])]
        await asyncio.to_thread(end)
        await eventually(all_online(caches), timeout=10)
        newcomer = variant(urls[-1], **settings(prefix))
        await newcomer.open()
        caches.append(newcomer)
        await asyncio.sleep(MAX_STALENESS)
        return found + await old_answers(caches)
    finally:
        for cache in caches:
            await cache.close()


def killed(variant: Variant, server: Server, prefix: str) -> list[str]:
    """The server returns with all its keys, and the instances trust them: only the journal removes the old values."""

    def begin() -> None:
        with server.client() as client:
            client("SAVE")
        server.kill()

    def trusting(url: str, **options: Any) -> Cache:
        return variant(url, **options, trust_restart=True)

    return run(outage(trusting, [server.url] * 2, prefix, begin, server.restart))


def frozen(variant: Variant, server: Server, prefix: str) -> list[str]:
    return run(outage(variant, [server.url] * 2, prefix, server.freeze, server.thaw))


def silent(variant: Variant, server: Server, prefix: str, direction: Direction) -> list[str]:
    with Proxy(server) as proxy:
        return run(outage(variant, [proxy.url, server.url], prefix, lambda: proxy.stall(direction), proxy.heal))


def reset(variant: Variant, server: Server, prefix: str) -> list[str]:
    with Proxy(server) as proxy:

        def begin() -> None:
            proxy.refuse()
            proxy.reset()

        return run(outage(variant, [proxy.url, server.url], prefix, begin, proxy.heal))


def test_removals_while_the_server_was_dead_last(fresh_server: StartServer, prefix: str) -> None:
    assert killed(ours, fresh_server(), prefix) == []


def test_removals_while_the_server_was_frozen_last(fresh_server: StartServer, prefix: str) -> None:
    assert frozen(ours, fresh_server(), prefix) == []


@pytest.mark.parametrize("direction", ["up", "down", "both"])
def test_removals_while_the_network_was_silent_last(server: Server, prefix: str, direction: Direction) -> None:
    assert silent(ours, server, prefix, direction) == []


def test_removals_while_the_network_was_down_last(any_server: Server, prefix: str) -> None:
    assert reset(ours, any_server, prefix) == []


def test_without_a_journal_what_was_removed_comes_back(one_fresh_server: StartServer, prefix: str) -> None:
    assert set(KEYS) <= set(killed(forgets_what_it_owes, one_fresh_server(), prefix))


def test_without_a_journal_a_healed_network_brings_it_back(one_server: Server, prefix: str) -> None:
    assert set(KEYS) <= set(reset(forgets_what_it_owes, one_server, prefix))


def snapshot(variant: Variant, server: Server, prefix: str) -> list[str]:
    """Return the old values after the server restarts from a snapshot older than acknowledged removals."""

    async def main() -> list[str]:
        caches = [variant(server.url, **settings(prefix)) for _ in range(2)]
        for cache in caches:
            await cache.open()
        try:
            await fill(caches)
            with server.client() as client:
                client("SAVE")
            await remove(caches[0])
            assert await caches[0].get("delete") is None
            server.kill()
            await asyncio.to_thread(server.restart)
            await eventually(all_online(caches), timeout=10)
            caches.append(variant(server.url, **settings(prefix)))
            await asyncio.sleep(MAX_STALENESS)
            return await old_answers(caches)
        finally:
            for cache in caches:
                await cache.close()

    return run(main())


def test_a_server_that_forgot_removals_is_not_believed(fresh_server: StartServer, prefix: str) -> None:
    assert snapshot(ours, fresh_server(), prefix) == []


def test_a_server_that_is_trusted_brings_back_what_it_forgot(one_fresh_server: StartServer, prefix: str) -> None:
    assert set(KEYS) <= set(snapshot(trusts_restarts, one_fresh_server(), prefix))
