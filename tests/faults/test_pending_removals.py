"""Removals that are pending although the server is well: as few as possible, and not for long."""

import asyncio

import pytest

from fleetcache import Cache
from fleetcache.format.keys import Layout
from fleetcache.shared import recovery
from tests.support.run import run
from tests.support.servers import Server
from tests.support.waiting import eventually

HEARTBEAT = 0.1


def test_a_write_that_crosses_a_flush_is_stored(server: Server, prefix: str) -> None:
    """A write asks for its own tag's version, and then hears that the tag on every entry is gone."""
    run(_write_across_a_flush(server, prefix))


async def _write_across_a_flush(server: Server, prefix: str) -> None:
    async def load() -> str:
        return "loaded"

    with server.client() as client:
        async with Cache(server.url, prefix=prefix, operation_timeout="1s") as cache:
            client("FLUSHALL")  # the cache hears of it only with the answer to the next line
            await cache.set("set", "new", tags=("one",), strict=True)
            client("FLUSHALL")
            assert await cache.get_or_set("loaded", load, tags=("two",)) == "loaded"
            assert cache.stats().journal == 0
            async with Cache(server.url, prefix=prefix, operation_timeout="1s") as other:
                assert await other.get("loaded") == "loaded"


def test_each_removal_that_is_owed_is_repeated_soon(server: Server, prefix: str) -> None:
    """Even after many removals were pending and were replayed before."""
    run(_owe_again_and_again(server, prefix))


async def _owe_again_and_again(server: Server, prefix: str) -> None:
    async with Cache(server.url, prefix=prefix, operation_timeout="1s", max_staleness=3 * HEARTBEAT) as cache:
        coherence = cache._engine.coherence
        for _ in range(3):
            coherence.defer(("e", "key"), coherence.journal.next())
            await eventually(lambda: cache.stats().journal == 0)
            await asyncio.sleep(1.5 * HEARTBEAT)  # time for all pending removals to be replayed


def test_a_batch_that_stores_nothing_reads_no_versions(server: Server, prefix: str) -> None:
    """A batch does not read a key whose removal is pending, and gets no right. No loader waits for versions then."""

    async def load(keys: list[str]) -> dict[str, str]:
        return dict.fromkeys(keys, "loaded")

    async def main() -> None:
        async with Cache(server.url, prefix=prefix, operation_timeout="1s") as cache:
            assert await cache.get("key") is None
            coherence = cache._engine.coherence
            coherence.defer(("e", "key"), coherence.journal.next())
            assert await cache.get_or_set_many(["key"], load, tags=("unknown",)) == {"key": "loaded"}
        with server.client() as client:
            assert client("EXISTS", Layout(prefix).tag("unknown")) == 0

    run(main())


def test_what_was_refused_for_long_is_repeated_when_the_server_takes_another_write(server: Server, prefix: str) -> None:
    run(_owe_for_long(server, prefix))


async def _owe_for_long(server: Server, prefix: str) -> None:
    with server.client() as client:
        async with Cache(server.url, prefix=prefix, operation_timeout="1s", max_staleness=3 * HEARTBEAT) as cache:
            await cache.set("key", "old")
            client("CONFIG", "SET", "min-replicas-to-write", 1)
            assert await cache.delete("key") is False
            recovery = cache._engine.recovery
            await eventually(lambda: cache.stats().replayed > 0)
            recovery._pause, recovery._next_replay = 60.0, cache._engine.clock() + 60.0  # as after many refusals
            client("CONFIG", "SET", "min-replicas-to-write", 0)
            await cache.set("another", "new")
            await eventually(lambda: cache.stats().journal == 0)
            assert (await cache.health()).reason is None


def test_what_is_refused_for_ever_keeps_nothing_from_its_turn(
    server: Server, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recovery, "CHUNK", 2)
    monkeypatch.setattr(recovery, "MAX_PAUSE", HEARTBEAT)
    run(_owe_what_is_forbidden(server, prefix))


async def _owe_what_is_forbidden(server: Server, prefix: str) -> None:
    with server.client() as client:
        written = (f"~{prefix}:{kind}*" for kind in ("t:", "p:", "e:allowed"))
        client("ACL", "SETUSER", "half", "on", ">pass", "+@all", "&*", "%R~*", *written)
        url = server.url.replace("redis://", "redis://half:pass@")
        async with Cache(url, prefix=prefix, operation_timeout="1s", max_staleness=3 * HEARTBEAT) as cache:
            coherence = cache._engine.coherence
            owed = [("e", key) for key in ("forbidden 1", "forbidden 2", "forbidden 3", "allowed")]
            for target in owed:
                coherence.defer(target, coherence.journal.next())
            await eventually(lambda: ("e", "allowed") not in coherence.journal.pending)
            assert list(coherence.journal.pending) == owed[:3]


def test_a_store_that_a_removal_overtook_is_not_sent_again_behind_it(server: Server, prefix: str) -> None:
    """The server has forgotten the script, and says so when the removal is already on its way."""
    run(_remove_behind_a_store(server, prefix))


async def _remove_behind_a_store(server: Server, prefix: str) -> None:
    with server.client() as client:
        async with Cache(server.url, prefix=prefix, operation_timeout="2s") as cache:
            await cache.set("k", "first")
            client("SCRIPT", "FLUSH")
            storing = asyncio.create_task(cache.set("k", "old"))
            removing = asyncio.create_task(cache.delete("k", strict=True))
            await asyncio.gather(storing, removing)
            await cache.get("another")  # its answer comes after those of all commands before it
            assert client("EXISTS", Layout(prefix).entry("k")) == 0
