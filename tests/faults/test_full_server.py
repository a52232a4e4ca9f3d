"""A full server: a script whose first command is flagged *write* gets past ``maxmemory``, so ours begin with a read.

Measured: with ``GETEX`` first, a 5 MB server that should refuse grew to 31 MB.
"""

import asyncio

import hiredis
import pytest
from msgspec.structs import replace

from fleetcache import Cache
from fleetcache.format.entry import pack, tag_section
from fleetcache.shared.scripts import SCRIPTS, Script
from tests.conftest import StartServer
from tests.support.client import Client
from tests.support.run import run
from tests.support.servers import Server
from tests.support.waiting import eventually

LIMIT = 5_000_000
# The bytes that one command may take beyond the limit: the server checks before a command, not in its middle.
SLACK = 600_000
STORES = 3000
BIG = b"x" * 10_000
STARTED = pack(b"V" + b"h" * 16, 0, (600.0, 0.0, 0.0), tag_section((("*", b"v" * 16),)), 1, signed=False)
SMALL = b"L" + b"t" * 16

ARGS: dict[str, tuple[bytes | int, ...]] = {
    "acquire": (BIG, 600_000),
    "add": (STARTED + BIG, 600_000),
    "put": (STARTED + BIG, 600_000),
    "swap": (SMALL, STARTED + BIG, 600_000),
    "mint": (BIG, 0),
    "incr": (STARTED + b"1" + b" " * len(BIG), 600_000, SMALL, b""),
}


def full(start: StartServer) -> Server:
    return start("tcp", "--maxmemory", "5mb", "--maxmemory-policy", "noeviction")


def used(client: Client) -> int:
    info: bytes | str = client("INFO", "memory")
    text = info.decode() if isinstance(info, bytes) else info
    return int(text.split("used_memory:")[1].split()[0])


def store_many(client: Client, script: Script) -> int:
    """Return how many of 3,000 stores of 10 kB were refused."""
    if script.name == "swap":  # swap needs an entry to replace
        client.pipeline(*(("SET", f"k{n}", SMALL) for n in range(STORES)))
    refused = 0
    for start in range(0, STORES, 100):
        calls = [script.call(b"k%d" % n, *ARGS[script.name], whole=True) for n in range(start, start + 100)]
        replies = client.pipeline(*calls, timeout=20)
        errors = [reply for reply in replies if isinstance(reply, hiredis.ReplyError)]
        assert all("OOM" in str(error) for error in errors)
        refused += len(errors)
    return refused


@pytest.mark.parametrize("name", ARGS)
def test_a_storing_script_is_refused_like_any_write(fresh_server: StartServer, name: str) -> None:
    with full(fresh_server).client() as client:
        assert store_many(client, SCRIPTS[name]) > STORES / 2
        assert used(client) < LIMIT + SLACK


def test_twin_a_script_that_begins_with_a_write_flagged_command_goes_past_the_limit(fresh_server: StartServer) -> None:
    naive = replace(SCRIPTS["put"], text=SCRIPTS["put"].text.replace("'EXISTS'", "'GETEX'"))
    with full(fresh_server).client() as client:
        assert store_many(client, naive) == 0
        assert used(client) > 2 * LIMIT


def test_a_cache_on_a_full_server_reads_and_removes_says_oom_and_recovers(
    fresh_server: StartServer, prefix: str
) -> None:
    server = full(fresh_server)
    run(_live_with_a_full_server(server, prefix))


async def _live_with_a_full_server(server: Server, prefix: str) -> None:
    async def load() -> bytes:
        return BIG

    with server.client() as client:
        async with (
            Cache(server.url, prefix=prefix, operation_timeout="10s") as cache,
            Cache(server.url, prefix=prefix, operation_timeout="10s") as other,
        ):
            await cache.set("before", "there")
            for start in range(0, STORES, 500):
                names = range(start, start + 500)
                await asyncio.gather(*(cache.set(f"set{n}", BIG) for n in names if n % 2))
                loaded = await asyncio.gather(*(cache.get_or_set(f"load{n}", load) for n in names if n % 2 == 0))
                assert loaded == [BIG] * 250
            assert used(client) < LIMIT + SLACK
            health = await cache.health()
            assert (health.status, health.reason, health.link) == ("degraded", "oom", "online")
            assert await other.get("before") == "there"
            assert await cache.delete("before") is True
            await eventually(lambda: _is_gone(other, "before"))  # when the push has come
            assert cache.stats().journal == 0, "removals go on: nothing is owed"
            client("CONFIG", "SET", "maxmemory", 0)
            await eventually(lambda: _stores_again(cache))
            assert await other.get("after") == "stored"
            assert (await cache.health()).reason is None


async def _is_gone(cache: Cache, key: str) -> bool:
    return await cache.get(key) is None


async def _stores_again(cache: Cache) -> bool:
    await cache.set("after", "stored")
    return cache.stats().link == "online" and (await cache.health()).reason is None
