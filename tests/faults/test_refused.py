"""Removals that the server refuses: the cache keeps and repeats them, and stays online."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import hiredis
import pytest

from fleetcache import Cache
from fleetcache.format.keys import Layout
from fleetcache.shared.recovery import Recovery
from tests.conftest import StartServer
from tests.support.client import Client
from tests.support.run import run
from tests.support.servers import Server
from tests.support.waiting import eventually, wait_until


def cannot_save(server: Server, client: Client) -> Callable[[], None]:
    """Make snapshots fail (a folder stands in the file's place), so that the server refuses writes."""
    obstacle = Path(server.folder) / "dump.rdb"
    obstacle.mkdir()
    client("BGSAVE")
    wait_until(lambda: b"rdb_last_bgsave_status:err" in _info(client))

    def mend() -> None:
        obstacle.rmdir()
        client("BGSAVE")

    return mend


def _info(client: Client) -> bytes:
    info: str | bytes = client("INFO", "persistence")
    return info if isinstance(info, bytes) else info.encode()


async def _delete_on_a_server_that_cannot_save(server: Server, prefix: str, patience: float = 5) -> tuple[bool, int]:
    """Return True if the key stays some time after the server takes removals again, and the removals still pending."""
    raw = Layout(prefix).entry("k")
    with server.client() as client:
        async with Cache(server.url, prefix=prefix, operation_timeout="1s", max_staleness=0.9) as cache:
            await cache.set("k", "old")
            mend = cannot_save(server, client)
            assert await cache.delete("k") is False
            health = await cache.health()
            assert (health.link, health.reason, health.journal) == ("online", "misconf", 1)
            assert await cache.get("k") is None, "what is owed is not read"
            assert client("EXISTS", raw) == 1
            mend()
            with suppress(AssertionError):
                await eventually(lambda: cache.stats().journal == 0, timeout=patience)
            assert cache.stats().epoch == 1
            return client("EXISTS", raw) == 1, cache.stats().journal


def test_a_removal_refused_for_a_failed_snapshot_is_repeated_by_a_timer(fresh_server: StartServer, prefix: str) -> None:
    server = fresh_server(save="3600 100000")
    assert run(_delete_on_a_server_that_cannot_save(server, prefix)) == (False, 0)


def test_twin_without_the_timer_it_is_never_removed(
    fresh_server: StartServer, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Recovery, "_replay_live", lambda _self: None)
    server = fresh_server(save="3600 100000")
    assert run(_delete_on_a_server_that_cannot_save(server, prefix, patience=2)) == (True, 1)


def test_a_removal_refused_by_a_replica_is_repeated_when_it_is_the_primary_again(
    fresh_server: StartServer, prefix: str
) -> None:
    server = fresh_server()
    run(_delete_on_a_replica(server, prefix))


async def _delete_on_a_replica(server: Server, prefix: str) -> None:
    raw = Layout(prefix).entry("k")
    with server.client() as client:
        async with Cache(server.url, prefix=prefix, operation_timeout="1s") as cache:
            await cache.set("k", "old")
            client("REPLICAOF", "127.0.0.1", 1)
            assert await cache.delete("k") is False
            assert cache.stats().journal == 1
            await eventually(lambda: _is_offline(cache, "readonly"))
            assert await cache.get("k") is None
            client("REPLICAOF", "NO", "ONE")
            await eventually(lambda: cache.stats().link == "online", timeout=10)
            assert client("EXISTS", raw) == 0
            assert cache.stats().journal == 0


def _is_offline(cache: Cache, reason: str) -> bool:
    health = cache.status_now()
    return health.link == "offline" and health.reason == reason


def test_a_removal_refused_by_a_busy_server_is_repeated(fresh_server: StartServer, prefix: str) -> None:
    run(_delete_on_a_busy_server(fresh_server(), prefix))


async def _delete_on_a_busy_server(server: Server, prefix: str) -> None:
    raw = Layout(prefix).entry("k")
    with server.client() as client, server.client() as culprit:
        client("CONFIG", "SET", "lua-time-limit", 50)
        async with Cache(server.url, prefix=prefix, operation_timeout="1s", max_staleness=0.6) as cache:
            await cache.set("k", "old")
            culprit.send(("EVAL", "while true do end", 0))
            await asyncio.to_thread(wait_until, lambda: _answers_busy(client))
            assert await cache.delete("k") is False
            assert await cache.get_or_set("other", _load) == "loaded"
            assert cache.stats().link == "online", "a server that says so is alive"
            assert (await cache.health()).reason == "busy"
            client("SCRIPT", "KILL")
            await eventually(lambda: cache.stats().journal == 0)
            assert client("EXISTS", raw) == 0
            assert await cache.get_or_set("other", _load) == "loaded"
            await eventually(lambda: cache.status_now().reason is None)


def _answers_busy(client: Client) -> bool:
    try:
        client("PING")
    except hiredis.ReplyError as error:
        return str(error).startswith("BUSY")
    except TimeoutError:
        pass
    return False


async def _load() -> str:
    return "loaded"
