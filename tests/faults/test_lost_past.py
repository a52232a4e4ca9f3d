"""A server that forgets: removals acknowledged before a restart, and a key that no client seems to use."""

import asyncio
import itertools
import time
from collections.abc import Callable, Iterator
from typing import Any

import hiredis
import pytest

from fleetcache import Cache
from fleetcache.format.keys import ALL_TAG, Layout
from fleetcache.wire.session import Call
from tests.conftest import StartServer
from tests.support.client import Client
from tests.support.run import run
from tests.support.servers import Server
from tests.support.waiting import eventually

# -- restored from a snapshot -----------------------------------------------------------------------------------------


async def _restart_from_a_snapshot(server: Server, prefix: str, remove: Callable[[Cache], Any], **more: Any) -> str:
    """Return the cache's answer after the server restarts from a snapshot older than an acknowledged removal."""
    source = ["old"]

    async def load() -> str:
        return source[0]

    async with Cache(server.url, prefix=prefix, operation_timeout="1s", **more) as cache:
        await cache.get_or_set("k", load, tags=("tag",))
        with server.client() as client:
            client("SAVE")
        source[0] = "new"
        async with Cache(server.url, prefix=prefix, operation_timeout="1s") as other:  # cache repeats its own removals
            await remove(other)
            assert other.stats().journal == 0, "the removal was acknowledged"
        await cache.get_or_set("yet another", load)  # so that the cache's knowledge is as new as possible
        await asyncio.to_thread(server.kill)
        await eventually(lambda: cache.stats().link == "offline")
        await asyncio.to_thread(server.restart)
        await eventually(lambda: cache.stats().link == "online")
        with server.client() as client:
            assert client("EXISTS", Layout(prefix).entry("k")) == 1, "the removed entry is back on the server"
        answer: str = await cache.get_or_set("k", load, tags=("tag",))
        return answer


async def _clear_and_go_on(cache: Cache) -> None:
    """Clear; the tag on every entry then has a newer version than in the snapshot."""

    async def load() -> str:
        return "another"

    await cache.clear()
    await cache.get_or_set("another", load)


REMOVALS: dict[str, Callable[[Cache], Any]] = {
    "delete": lambda cache: cache.delete("k"),
    "tag": lambda cache: cache.invalidate_tags("tag"),
    "clear": lambda cache: cache.clear(),
    "clear, and more": _clear_and_go_on,
}


@pytest.mark.parametrize("removal", REMOVALS)
def test_a_server_back_from_a_snapshot_brings_nothing_back(
    fresh_server: StartServer, prefix: str, removal: str
) -> None:
    server = fresh_server(save="3600 100000")
    assert run(_restart_from_a_snapshot(server, prefix, REMOVALS[removal])) == "new"


@pytest.mark.parametrize("removal", REMOVALS)
def test_nor_does_one_that_does_not_say_who_it_is(fresh_server: StartServer, prefix: str, removal: str) -> None:
    """Some hosters and some ACLs refuse ``INFO``: the cache then takes each connection's server for another one."""
    server = fresh_server("tcp", "--rename-command", "INFO", "NOBODY-ASKS", save="3600 100000")
    assert run(_restart_from_a_snapshot(server, prefix, REMOVALS[removal])) == "new"


@pytest.mark.parametrize("removal", ["delete", "tag"])
def test_twin_a_cache_that_trusts_the_restart_serves_what_was_removed(
    fresh_server: StartServer, prefix: str, removal: str
) -> None:
    server = fresh_server(save="3600 100000")
    assert run(_restart_from_a_snapshot(server, prefix, REMOVALS[removal], trust_restart=True)) == "old"


# -- the tag that is on every entry, under allkeys-lru -----------------------------------------------------------------

STALENESS = 0.9  # a heartbeat every 0.3 s
# The server counts idle time in whole seconds. To tell an old key from a new one, it must take seconds to fill its
# 30 MB: with 200 keys of a kilobyte per pause it takes about three.
PAUSE = 0.018
FLOOD = 60.0  # seconds at most; it takes five on an idle machine


def write(client: Client, numbers: Iterator[int]) -> None:
    client.pipeline(*(("SET", f"flood{next(numbers)}", b"x" * 1000) for _ in range(200)))


def is_there(client: Client, key: bytes) -> bool:
    """Return True if the key exists, without touching it: ``OBJECT IDLETIME`` is no use of a key."""
    try:
        return client("OBJECT", "IDLETIME", key) is not None
    except hiredis.ReplyError as error:
        if "no such key" in str(error):
            return False
        raise


async def _live_under_pressure(server: Server, prefix: str) -> tuple[bool, bool]:
    """Return True if the tag of all entries is still there: for the real cache, and for one that only pings."""
    cache = Cache(server.url, prefix=prefix, operation_timeout="2s", max_staleness=STALENESS)
    naive = Cache(server.url, prefix=f"{prefix}-naive", operation_timeout="2s", max_staleness=STALENESS)
    vars(naive._engine.recovery)["heartbeat"] = lambda: Call((("PING",),))
    mine, theirs = (Layout(each.settings.prefix).tag(ALL_TAG) for each in (cache, naive))
    with server.client() as client:
        async with cache, naive:
            assert is_there(client, mine)
            assert is_there(client, theirs)
            numbers, began = itertools.count(), time.monotonic()
            while time.monotonic() - began < FLOOD and is_there(client, mine) and is_there(client, theirs):
                await asyncio.to_thread(write, client, numbers)
                await asyncio.sleep(PAUSE)
            for _ in range(50):  # another second, with the server full
                await asyncio.to_thread(write, client, numbers)
                await asyncio.sleep(PAUSE)
            return is_there(client, mine), is_there(client, theirs)


def test_the_heartbeat_keeps_the_tag_of_all_entries_from_looking_idle(fresh_server: StartServer, prefix: str) -> None:
    server = fresh_server("tcp", "--maxmemory", "30mb", "--maxmemory-policy", "allkeys-lru")
    mine, naive = run(_live_under_pressure(server, prefix))
    assert mine
    assert not naive, "the twin: without being read it is among the first to go"
