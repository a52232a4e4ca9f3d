"""Servers without some feature: no tracking, no RESP3, or a cluster where the cache expects one server."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import hiredis
import pytest

from fleetcache import Cache, SyncCache
from fleetcache.near.coherence import Coherence
from fleetcache.policy import waits
from fleetcache.telemetry.health import Health
from tests.conftest import StartServer
from tests.support.client import Client
from tests.support.lesser import CLOSE, Lesser
from tests.support.run import run
from tests.support.servers import Server
from tests.support.waiting import eventually, wait_until

STALENESS = 2.0  # without pushes, copies live half of it: a busy machine may take as long again


def untracked(server: Server, client: Client) -> str:
    """Return the URL of a user without the right to ``CLIENT TRACKING``."""
    client("ACL", "SETUSER", "plain", "on", ">secret", "~*", "&*", "+@all", "-client|tracking")
    return f"redis://plain:secret@{server.address.host}:{server.address.port}/0"


async def _see_a_change(url: str, prefix: str, patience: float = 2 * STALENESS) -> tuple[str, float]:
    """Return an untracked cache's coherence, and how long it answers with a value that another cache overwrote."""
    async with (
        Cache(url, prefix=prefix, operation_timeout="1s", max_staleness=STALENESS) as cache,
        Cache(url, prefix=prefix, operation_timeout="1s", max_staleness=STALENESS) as other,
    ):
        await other.set("k", "old")
        assert await cache.get("k") == "old"
        await other.set("k", "new")
        began = time.monotonic()
        await eventually(lambda: _reads(cache, "new"), timeout=patience)
        return (await cache.health()).coherence, time.monotonic() - began


async def _reads(cache: Cache, expected: str) -> bool:
    return bool(await cache.get("k") == expected)


async def _load_together(url: str, prefix: str, load_wait: float = 10) -> tuple[int, float]:
    """Return how often two untracked caches load one key that both ask for, and the wait of the slower cache."""
    loads = 0

    async def load() -> str:
        nonlocal loads
        loads += 1
        await asyncio.sleep(0.2)
        return "loaded"

    async with (
        Cache(url, prefix=prefix, operation_timeout="5s", load_wait=load_wait) as cache,
        Cache(url, prefix=prefix, operation_timeout="5s", load_wait=load_wait) as other,
    ):
        began = time.monotonic()
        answers = await asyncio.gather(cache.get_or_set("k", load), other.get_or_set("k", load))
        assert list(answers) == ["loaded", "loaded"]
        return loads, time.monotonic() - began


async def _remove_while_loading(url: str, prefix: str) -> None:
    source = ["old"]

    async def load() -> str:
        value = source[0]
        await asyncio.sleep(0.1)
        return value

    async with (
        Cache(url, prefix=prefix, operation_timeout="1s", max_staleness=STALENESS) as cache,
        Cache(url, prefix=prefix, operation_timeout="1s", max_staleness=STALENESS) as other,
    ):
        first = asyncio.create_task(cache.get_or_set("k", load))
        await eventually(lambda: cache.stats().loads == 1)
        source[0] = "new"
        await other.delete("k")
        assert await first == "old"
        assert await other.get("k") is None, "the late store was refused"
        assert await other.get_or_set("k", load) == "new"


def test_without_tracking_changes_are_seen_soon_and_health_says_so(server: Server, prefix: str) -> None:
    with server.client() as client:
        coherence, took = run(_see_a_change(untracked(server, client), prefix))
    assert coherence == "ttl"
    assert took < STALENESS


def test_twin_copies_that_are_not_aged_are_never_given_up(
    server: Server, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Coherence, "life", lambda _self, _sent_at: float("inf"))
    with server.client() as client, pytest.raises(AssertionError, match="was not true"):
        run(_see_a_change(untracked(server, client), prefix, patience=1.5 * STALENESS))


def test_without_tracking_there_is_one_load_and_waiters_poll(server: Server, prefix: str) -> None:
    with server.client() as client:
        loads, took = run(_load_together(untracked(server, client), prefix))
    assert loads == 1
    assert took < 5  # half of what a waiter waits at most


def test_twin_waiters_that_do_not_poll_wait_to_the_end(
    server: Server, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waits, "POLL", 60.0)
    with server.client() as client:
        _, took = run(_load_together(untracked(server, client), prefix, load_wait=1))
    assert took >= 0.99


def test_without_tracking_a_removal_still_beats_a_load(server: Server, prefix: str) -> None:
    with server.client() as client:
        run(_remove_while_loading(untracked(server, client), prefix))


def test_a_server_that_speaks_resp2_only(fresh_server: StartServer, prefix: str) -> None:
    """The old protocol has no pushes; everything else works."""
    server = fresh_server("tcp", "--rename-command", "HELLO", "")
    with pytest.raises(hiredis.ReplyError, match="unknown command"):
        server.client()
    coherence, took = run(_see_a_change(server.url, prefix))
    assert coherence == "ttl"
    assert took < STALENESS
    run(_remove_while_loading(server.url, f"{prefix}-removal"))
    loads, _ = run(_load_together(server.url, f"{prefix}-together"))
    assert loads == 1


@pytest.mark.parametrize("face", [Cache, SyncCache])
@pytest.mark.parametrize(
    "words",
    [
        b"-unsupported command 'HELLO'",
        b"-ERR unsupported command `hello`",
        b"-ERR unsupported protocol version",
        b"-ERR handle request, command 'HELLO' is not allowed",
        CLOSE,
    ],
)
def test_a_proxy_that_does_not_know_hello(
    face: type[Cache | SyncCache], words: bytes, server: Server, prefix: str
) -> None:
    """The cache falls back to RESP2 on any answer, even a hang-up, and health says so."""
    with Lesser(server, HELLO=words) as proxy:
        health = health_of(face(proxy.url, prefix=prefix), lambda health: health.shared)
        attempts = proxy.connections
    assert (health.active, health.reason, health.coherence) == ("redis", "resp2", "ttl")
    assert "HELLO" in str(health.last_error) if words == CLOSE else words[1:].decode() in str(health.last_error)
    assert attempts == (3 if words == CLOSE else 1)


@pytest.mark.parametrize("words", [b"-ERR unsupported command", CLOSE])
def test_a_connection_that_works_is_not_asked_for_resp3_again(
    words: bytes, server: Server, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A new connection asks, once the proxy may be another."""
    monkeypatch.setattr("fleetcache.wire.closings.FORGET", 0.1)

    async def scene(proxy: Lesser) -> None:
        async with Cache(proxy.url, prefix=prefix, max_staleness="900ms") as cache:
            await eventually(lambda: cache.stats().link == "online", timeout=20)
            asked, beats = proxy.asked.count("HELLO"), len(proxy.asked)
            await eventually(lambda: len(proxy.asked) >= beats + 5, timeout=20)  # of heartbeats
            assert proxy.asked.count("HELLO") == asked
            connections = proxy.connections
            proxy._answers.clear()
            await cache.set("k", 1)
            assert (proxy.connections, (await cache.health()).reason) == (connections, "resp2")

    with Lesser(server, HELLO=words) as proxy:
        run(scene(proxy))


@pytest.mark.parametrize("words", [b"-ERR unsupported command", CLOSE])
def test_a_proxy_that_asks_for_the_password_before_it_reads_hello(words: bytes, server: Server, prefix: str) -> None:
    with Lesser(server, password="secret", HELLO=words) as proxy:  # noqa: S106 - no secret
        health = health_of(Cache(proxy.url, prefix=prefix), lambda health: health.shared)
        assert (health.active, health.reason) == ("redis", "resp2")
        assert "secret" not in str(health)
        wrong = health_of(Cache(proxy.url.replace("secret", "wrong"), prefix=prefix), lambda health: health.reason)
        assert (wrong.active, wrong.reason) == ("memory", "auth")


NO_HELLO = b"-ERR unknown command"
ECHOES: dict[str, dict[str, Any]] = {  # by the command whose error repeats the password
    "HELLO": {"HELLO": b"-WRONGPASS hunter2 is no password of default"},
    "HELLO, and goes on": {"HELLO": b"-ERR what is hunter2?", "AUTH": b"+OK"},
    "AUTH": {"HELLO": NO_HELLO, "AUTH": b"-ERR invalid password 'hunter2'"},
    "SELECT": {"HELLO": NO_HELLO, "AUTH": b"+OK", "SELECT": b"-ERR who says hunter2 has no database"},
}


@pytest.mark.parametrize("face", [Cache, SyncCache])
@pytest.mark.parametrize("echo", ECHOES)
def test_a_server_that_repeats_the_password_is_not_quoted(
    face: type[Cache | SyncCache], echo: str, server: Server, prefix: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    with Lesser(server, **ECHOES[echo]) as proxy:
        cache = face(proxy.url.replace("redis://", "redis://:hunter2@") + "/1", prefix=prefix)
        health = health_of(cache, lambda health: health.reason)
    assert "***" in str(health.last_error)
    assert "hunter2" not in f"{health!r} {health.as_dict()} {cache!r}"
    assert "***" in caplog.text
    assert "hunter2" not in caplog.text


def test_nor_one_that_does_so_later(server: Server, prefix: str) -> None:
    with (
        Lesser(server, HELLO=NO_HELLO, AUTH=b"+OK", EVALSHA=b"-ERR hunter2 may not") as proxy,
        SyncCache(proxy.url.replace("redis://", "redis://:hunter2@"), prefix=prefix) as cache,
    ):
        wait_until(lambda: cache.stats().link == "online")
        cache.set("k", 1)
        health = cache.health()
    assert (health.reason, health.last_error) == ("error", "EVALSHA: ERR *** may not")


def test_a_proxy_that_hangs_up_at_all_that_it_does_not_know(server: Server, prefix: str) -> None:
    """The cache finds out each unknown command by itself and does not ask again; all that it needs works."""
    unknown = {"HELLO", "INFO", "SCRIPT", "CLIENT", "SELECT"}

    async def load() -> str:
        return "loaded"

    async def main(proxy: Lesser) -> None:
        async with Cache(proxy.url, prefix=prefix, operation_timeout="5s", max_staleness="10s") as cache:
            await eventually(lambda: cache.status_now().shared, timeout=15)
            health = cache.status_now()
            assert (health.active, health.reason) == ("redis", "resp2")
            asked = len(proxy.asked)
            await cache.set("k", "new", strict=True)
            await cache.delete("k", strict=True)
            assert await cache.get_or_set("k", load) == "loaded"
            assert len(proxy.asked) > asked
            assert not set(proxy.asked[asked:]) & unknown

    with Lesser(server, HELLO=CLOSE, INFO=CLOSE, SCRIPT=CLOSE, CLIENT=CLOSE, SELECT=CLOSE) as proxy:
        run(main(proxy))


def test_a_proxy_that_hangs_up_before_it_answers_is_asked_one_by_one(one_server: Server, prefix: str) -> None:
    """Several commands are one write. The first of them without an answer is innocent at a proxy that looks ahead."""
    with Lesser(one_server, looks_ahead=True, SCRIPT=CLOSE) as proxy:
        cache = Cache(proxy.url, prefix=prefix)
        assert health_of(cache, lambda health: health.shared, patience=15).active == "redis"
        assert cache._engine.wire is not None
        assert cache._engine.wire.greeting is not None
        assert cache._engine.wire.greeting.run_id is not None, "INFO is still asked"


def health_of(cache: Cache | SyncCache, until: Callable[[Health], object], patience: float = 5) -> Health:
    """Return the first health report that fulfils ``until``."""

    async def of_tasks(cache: Cache) -> Health:
        async with cache:
            await eventually(lambda: until(cache.status_now()), timeout=patience)
            return await cache.health()

    if isinstance(cache, Cache):
        return run(of_tasks(cache))
    with cache:
        wait_until(lambda: until(cache.status_now()), timeout=patience)
        return cache.health()


@pytest.mark.parametrize("forbidden", ["EVALSHA", "both"])
def test_a_server_that_runs_no_scripts(forbidden: str, fresh_server: StartServer, prefix: str) -> None:
    """Some hosters forbid scripts: each process then loads for itself, and health names the command."""
    commands = ("EVAL", "EVALSHA") if forbidden == "both" else (forbidden,)
    server = fresh_server("tcp", *(word for name in commands for word in ("--rename-command", name, "")))
    run(_without_scripts(server.url, prefix))


async def _without_scripts(url: str, prefix: str) -> None:
    async with Cache(url, prefix=prefix, operation_timeout="1s") as cache:

        async def load() -> int:
            return 3

        assert await cache.get_or_set("price-of-secret", load) == 3
        health = await cache.health()
        assert (health.status, health.active, health.reason) == ("degraded", "redis", "no_scripts")
        assert health.last_error is not None
        assert health.last_error.startswith("EVALSHA: ERR unknown command")
        assert "secret" not in health.last_error, "servers repeat the arguments"


def test_a_cluster_behind_a_plain_url_is_refused_by_name(fresh_server: StartServer, prefix: str) -> None:
    run(_meet_a_cluster(fresh_server("tcp", "--cluster-enabled", "yes"), prefix))


async def _meet_a_cluster(server: Server, prefix: str) -> None:
    async def load() -> str:
        return "loaded"

    async with Cache(server.url, prefix=prefix, operation_timeout="1s") as cache:
        health = await cache.health()
        assert (health.link, health.reason, health.active) == ("offline", "cluster_mode", "memory")
        assert await cache.get_or_set("k", load) == "loaded"
        assert await cache.get("k") == "loaded"
        assert await cache.delete("k") is False
        assert await cache.get("k") is None
