"""The Litestar store is made, opened and closed with the app, at each start of the app, and on any event loop."""

import asyncio
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from fleetcache import Cache, ConfigError
from fleetcache.contrib.litestar import FleetStore
from tests.conftest import GetServer
from tests.support.forking import in_a_child
from tests.support.run import run
from tests.support.servers import Server


@pytest.fixture
def server(shared_servers: GetServer) -> Server:
    """One engine is enough: the tests of the core run with all of them."""
    return shared_servers("valkey", "tcp")


def new(server: Server, prefix: str, **options: Any) -> FleetStore:
    return FleetStore(server.url, **{"prefix": prefix, "operation_timeout": "2s", **options})


def test_a_wrong_setting_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="accepted: redis"):
        FleetStore("http://secret@example")
    with pytest.raises(ConfigError, match="a ready Cache has its settings: pass prefix, ttl where it is made"):
        FleetStore(Cache("memory://"), ttl=5, prefix="p")
    monkeypatch.setenv("CACHE_DRIVER", "memcached")
    with pytest.raises(ConfigError, match="CACHE_DRIVER"):
        FleetStore()


def test_it_closes_what_it_made_and_begins_anew(server: Server, prefix: str) -> None:
    store = new(server, prefix)
    child = store.with_namespace("child")

    async def lifespan() -> Cache:
        async with store, child:
            await child.set("k", b"v")
        return store.cache

    async def once_more() -> None:
        async with store:
            cache = store.cache
            assert not cache.closed
            async with child:
                assert await child.get("k") == b"v"
            assert not cache.closed  # another store of this cache is open
        assert cache.closed

    run(lifespan())
    run(once_more())


def test_memory_outlives_the_app() -> None:
    store = FleetStore("memory://")

    async def lifespan() -> None:
        async with store:
            await store.set("k", b"v")

    run(lifespan())
    assert run(store.get("k")) == b"v"


def test_a_cache_of_yours_stays_open(server: Server, prefix: str) -> None:
    async def main() -> None:
        async with Cache(server.url, prefix=prefix, operation_timeout="5s") as cache:
            async with FleetStore(cache):
                pass
            assert not cache.closed

    run(main())


@contextmanager
def in_an_app(store: FleetStore) -> Iterator[None]:
    """Run an app's loop, which has used the store, in a thread."""
    begun, over = threading.Event(), threading.Event()

    async def app() -> None:
        async with store:
            await store.set("k", b"v")
            begun.set()
            await asyncio.to_thread(over.wait, 10)

    thread = threading.Thread(target=run, args=(app(),))
    thread.start()
    begun.wait(10)
    try:
        yield
    finally:
        over.set()
        thread.join()


def test_a_test_may_look_into_it_from_a_loop_beside_the_apps(server: Server, prefix: str) -> None:
    store = new(server, prefix, near_max_bytes=0)
    with in_an_app(store):
        assert run(store.get("k")) == b"v"
        assert run(store.cache.health()).shared, "what the cache is asked there is sent to the app's loop"


def test_a_child_that_was_forked_meanwhile_has_a_loop_of_its_own(server: Server, prefix: str) -> None:
    store = new(server, prefix)

    async def child() -> str:
        async with asyncio.timeout(5), store:
            return str(await store.get("k"))

    with in_an_app(store):
        assert in_a_child(lambda: asyncio.run(child())) == "b'v'"


def test_without_litestar_the_error_says_what_to_install() -> None:
    code = "import sys; sys.modules['litestar.stores.base'] = sys.modules['litestar'] = None; "
    command = [sys.executable, "-c", code + "import fleetcache.contrib.litestar"]
    ended = subprocess.run(command, check=False, capture_output=True, text=True)  # noqa: S603 - our own code
    assert ended.returncode == 1
    assert "pip install fleetcache[litestar]" in ended.stderr.splitlines()[-1]
