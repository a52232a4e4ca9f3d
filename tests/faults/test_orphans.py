"""A connection cut while a right to load is requested or released: no caller waits for a load that does not run."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from fleetcache import Cache, SyncCache
from fleetcache.engine.threads.engine import SyncEngine
from fleetcache.format.keys import Layout
from fleetcache.shared.stray_rights import Rights
from tests.conftest import StartServer
from tests.support.proxy import Proxy
from tests.support.run import run
from tests.support.scene import CLAIM, PLACEHOLDER
from tests.support.servers import Server
from tests.support.waiting import eventually, wait_until

LEASE_MS = 60_000
OPTIONS: dict[str, Any] = {"operation_timeout": "500ms", "max_staleness": 0.9}


@pytest.fixture
def proxy(server: Server) -> Iterator[Proxy]:
    with Proxy(server) as proxy:
        yield proxy


def exists(server: Server, key: bytes) -> bool:
    with server.client() as client:
        return bool(client("EXISTS", key) == 1)


def ask_for(cache: Any, kind: str) -> None:
    """Request a right to load, as ``policy`` does."""
    shared, token = cache._engine.shared, cache._engine.coherence.open_fill("k")
    if kind == "lease":
        shared.acquire("k", PLACEHOLDER, LEASE_MS, Any, token)
    else:
        shared.claim("k", CLAIM, LEASE_MS)


def place(prefix: str, kind: str) -> bytes:
    layout = Layout(prefix)
    return layout.entry("k") if kind == "lease" else layout.claim("k")


KINDS = ["lease", "claim"]


async def _cut_while_asking(server: Server, proxy: Proxy, prefix: str, kind: str) -> bool:
    """Return True if the right is still on the server when the link is back."""
    async with Cache(proxy.url, prefix=prefix, **OPTIONS) as cache:
        await cache.get("k")
        proxy.stall("down")
        ask_for(cache, kind)
        await eventually(lambda: exists(server, place(prefix, kind)))
        proxy.reset()
        proxy.release()
        await eventually(lambda: cache.stats().epoch >= 2 and cache.stats().link == "online")
        return exists(server, place(prefix, kind))


@pytest.mark.parametrize("kind", KINDS)
def test_a_right_that_was_asked_for_and_not_answered_is_given_back(
    server: Server, proxy: Proxy, prefix: str, kind: str
) -> None:
    assert not run(_cut_while_asking(server, proxy, prefix, kind))


@pytest.mark.parametrize("kind", KINDS)
def test_twin_who_does_not_remember_it_leaves_it_there(
    server: Server, proxy: Proxy, prefix: str, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Rights, "lost", lambda *_: None)
    assert run(_cut_while_asking(server, proxy, prefix, kind))


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_on_threads(server: Server, proxy: Proxy, prefix: str, kind: str) -> None:
    with SyncCache(proxy.url, prefix=prefix, **OPTIONS) as cache:
        cache.get("k")
        proxy.stall("down")
        engine = cache._engine
        assert isinstance(engine, SyncEngine)
        with engine.monitor.locked():
            ask_for(cache, kind)
        wait_until(lambda: exists(server, place(prefix, kind)))
        proxy.reset()
        proxy.release()
        wait_until(lambda: cache.stats().epoch >= 2 and cache.stats().link == "online")
        assert not exists(server, place(prefix, kind))


def test_what_stands_there_by_now_is_left_alone(server: Server, proxy: Proxy, prefix: str) -> None:
    async def scene() -> None:
        async with Cache(proxy.url, prefix=prefix, **OPTIONS) as cache, Cache(server.url, prefix=prefix) as other:
            await cache.get("k")
            proxy.stall("down")
            ask_for(cache, "lease")
            await eventually(lambda: exists(server, place(prefix, "lease")))
            await other.set("k", "value", strict=True)
            proxy.reset()
            proxy.release()
            await eventually(lambda: cache.stats().epoch >= 2 and cache.stats().link == "online")
            assert await cache.get("k") == "value"

    run(scene())


def test_an_answer_that_comes_late_says_where_the_right_is(server: Server, proxy: Proxy, prefix: str) -> None:
    """The cache releases the right at once, on the same connection, and remembers nothing."""

    async def scene() -> None:
        async with Cache(proxy.url, prefix=prefix, **OPTIONS) as cache:
            await cache.get("k")
            proxy.stall("down")
            assert await cache.claim("k") is not None, "the server could not be asked"
            rights = cache._engine.shared.rights
            await eventually(lambda: len(rights) == 1)
            proxy.release()
            await eventually(lambda: cache.stats().link == "online" and len(rights) == 0)
            await eventually(lambda: not exists(server, place(prefix, "claim")))
            assert cache.stats().epoch == 1

    run(scene())


def test_a_load_that_ends_in_an_outage_gives_its_lease_back_after_it(server: Server, proxy: Proxy, prefix: str) -> None:
    lease = place(prefix, "lease")

    async def quick() -> str:
        return "loaded by another"

    async def scene() -> None:
        async def slow() -> str:
            proxy.refuse()
            proxy.reset()
            await eventually(lambda: cache.stats().link == "offline")
            return "loaded"

        async with Cache(proxy.url, prefix=prefix, **OPTIONS) as cache, Cache(server.url, prefix=prefix) as other:
            assert await cache.get_or_set("k", slow) == "loaded"
            with server.client() as client:
                assert client("PEXPIRE", lease, LEASE_MS) == 1  # it does not end by itself before the test does
            proxy.accept()
            await eventually(lambda: cache.stats().link == "online")
            assert not exists(server, lease)
            assert await other.get_or_set("k", quick) == "loaded by another"

    run(scene())


@pytest.mark.parametrize("kind", KINDS)
def test_a_right_whose_return_was_refused_is_given_back_later(
    fresh_server: StartServer, prefix: str, kind: str
) -> None:
    server = fresh_server("tcp")

    def stand(*primary: str | int) -> None:
        with server.client() as client:
            client("REPLICAOF", *primary)

    async def scene() -> None:
        async with Cache(server.url, prefix=prefix, **OPTIONS) as cache:
            await cache.get("k")
            ask_for(cache, kind)
            await eventually(lambda: exists(server, place(prefix, kind)))
            stand("127.0.0.1", 1)
            stamp = PLACEHOLDER if kind == "lease" else CLAIM
            cache._engine.shared.release_raw(place(prefix, kind), stamp)
            await eventually(lambda: cache.stats().link == "offline")
            assert exists(server, place(prefix, kind))
            stand("NO", "ONE")
            await eventually(lambda: cache.stats().link == "online")
            await eventually(lambda: not exists(server, place(prefix, kind)))

    run(scene())


def test_a_claim_that_is_given_back_in_an_outage_is_free_after_it(server: Server, proxy: Proxy, prefix: str) -> None:
    async def scene() -> None:
        async with Cache(proxy.url, prefix=prefix, **OPTIONS) as cache:
            claim = await cache.claim("k", ttl="1m")
            assert claim is not None
            assert exists(server, place(prefix, "claim"))
            proxy.refuse()
            proxy.reset()
            await eventually(lambda: cache.stats().link == "offline")
            await claim.release()
            proxy.accept()
            await eventually(lambda: cache.stats().link == "online")
            assert not exists(server, place(prefix, "claim"))

    run(scene())


@pytest.mark.parametrize(("may_kill", "left"), [(True, True), (False, False)])
def test_who_may_not_end_the_old_connection_gives_back_once_more(
    server: Server, prefix: str, may_kill: bool, left: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The old connection's last commands may run after the handshake, as they do here."""
    monkeypatch.setattr("tests.faults.test_orphans.LEASE_MS", 500)
    with server.client() as client:
        client(
            "ACL", "SETUSER", "plain", "on", ">secret", "~*", "&*", "+@all", *(() if may_kill else ("-client|kill",))
        )

    async def scene(proxy: Proxy) -> None:
        url = proxy.url.replace("://", "://plain:secret@")
        async with Cache(url, prefix=prefix, **OPTIONS) as cache:
            await cache.get("k")
            proxy.stall("down")
            ask_for(cache, "lease")
            await eventually(lambda: exists(server, place(prefix, "lease")))
            proxy.reset()
            proxy.release()
            await eventually(lambda: cache.stats().epoch >= 2 and cache.stats().link == "online")
            with server.client() as late:
                late("SET", place(prefix, "lease"), PLACEHOLDER, "PX", LEASE_MS * 100)
            if left:
                await asyncio.sleep(1.5)  # a lease, and a heartbeat
                assert exists(server, place(prefix, "lease"))
            else:
                await eventually(lambda: not exists(server, place(prefix, "lease")))

    with Proxy(server) as proxy:
        run(scene(proxy))
