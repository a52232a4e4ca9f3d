"""Waiting for another instance's load: pushes that never come, grants that come too late, loads that are doomed."""

import asyncio
import hashlib
import time
from collections.abc import Iterator
from typing import Any

import pytest
from msgspec.structs import replace

from fleetcache import Cache
from fleetcache.format.keys import Layout
from fleetcache.policy.waits import Waits
from fleetcache.shared.scripts import SCRIPTS
from fleetcache.shared.store import Shared
from tests.support.client import Client
from tests.support.proxy import Proxy
from tests.support.run import run
from tests.support.servers import Server
from tests.support.waiting import eventually

LEASE_MS = 300


# -- a holder that died -----------------------------------------------------------------------------------------------


@pytest.fixture
def never_expires(server: Server) -> Iterator[Client]:
    """A server that deletes expired keys only on access: it behaves like one with 100,000 other keys."""
    with server.client() as client:
        client("DEBUG", "SET-ACTIVE-EXPIRE", 0)
        yield client
        client("DEBUG", "SET-ACTIVE-EXPIRE", 1)


async def _wait_for_the_dead(server: Server, prefix: str, client: Client, load_wait: float) -> float:
    """Return how long a caller waits for a value under the lease of a dead process, ``load_wait`` seconds at most."""

    async def load() -> str:
        return "loaded"

    async with Cache(server.url, prefix=prefix, load_wait=load_wait, operation_timeout="1s") as cache:
        began = time.monotonic()
        client("SET", Layout(prefix).entry("k"), b"L" + b"x" * 16, "PX", LEASE_MS)
        assert await cache.get_or_set("k", load) == "loaded"
        return time.monotonic() - began


def test_a_waiter_has_its_own_timer(server: Server, prefix: str, never_expires: Client) -> None:
    took = run(_wait_for_the_dead(server, prefix, never_expires, load_wait=10))
    assert LEASE_MS / 1000 * 0.9 < took < 8


def test_twin_a_waiter_that_relies_on_the_push_waits_in_vain(
    server: Server, prefix: str, never_expires: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    own_timer = Waits.for_change

    async def only_pushes(self: Waits, future: Any, _remaining: float, give_up: float) -> bool:
        return await own_timer(self, future, 1000.0, give_up)

    monkeypatch.setattr(Waits, "for_change", only_pushes)
    assert run(_wait_for_the_dead(server, prefix, never_expires, load_wait=1)) >= 0.99


# -- a grant that comes too late --------------------------------------------------------------------------------------


async def _be_granted_too_late(server: Server, prefix: str, client: Client) -> Any:
    """Return the value under the key after the reply to ``acquire`` came too late for its caller."""

    async def load() -> str:
        return "loaded"

    timeout = 1.0
    with Proxy(server) as proxy:
        async with Cache(proxy.url, prefix=prefix, operation_timeout=timeout, max_staleness="5s") as cache:
            # The first read takes most of this caller's time for the server, and the grant more than the rest.
            proxy.delay(timeout * 0.65, "down")
            assert await cache.get_or_set("k", load) == "loaded"
            await eventually(lambda: cache.stats().leases == 1)
            proxy.delay(0, "down")
            await cache.get("another")
            assert cache.stats().link == "online"
            return client("GET", Layout(prefix).entry("k"))


def test_a_grant_after_its_callers_deadline_is_given_back(server: Server, prefix: str) -> None:
    with server.client() as client:
        assert run(_be_granted_too_late(server, prefix, client)) is None


def test_twin_without_giving_it_back_the_key_stays_held(
    server: Server, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Shared, "release", lambda _self, _key, _placeholder: None)
    with server.client() as client:
        held = run(_be_granted_too_late(server, prefix, client))
        assert held is not None
        assert held[:1] == b"L"


# -- a load that a foreign removal has doomed -------------------------------------------------------------------------


async def _ask_after_a_foreign_delete(server: Server, prefix: str, client: Client, patience: float = 5) -> bool:
    """Return True if a call after another instance's delete is answered while the older load still runs."""
    source, go_on = ["old"], asyncio.Event()

    async def load() -> str:
        value = source[0]
        if value == "old":
            await go_on.wait()
        return value

    async with Cache(server.url, prefix=prefix, operation_timeout="1s") as cache:
        first = asyncio.create_task(cache.get_or_set("k", load))
        await eventually(lambda: cache.stats().loads == 1)
        source[0] = "new"
        client("DEL", Layout(prefix).entry("k"))
        await cache.get("another")  # its reply comes after the push, if any
        second = asyncio.create_task(cache.get_or_set("k", load))
        await asyncio.wait((second,), timeout=patience)
        at_once = second.done()
        go_on.set()
        assert (await first, await second) == ("old", "new")
        assert await cache.get("k") == "new"
        return at_once


def test_nobody_joins_a_load_that_a_foreign_delete_has_doomed(server: Server, prefix: str) -> None:
    with server.client() as client:
        assert run(_ask_after_a_foreign_delete(server, prefix, client)) is True


def test_twin_a_grant_that_leaves_its_holder_unregistered_makes_others_wait_for_the_doomed_load(
    server: Server, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even so no other caller gets the old value: its swap is refused, and a joined caller asks again."""
    script = SCRIPTS["acquire"]
    text = script.text.replace("redis.call('PTTL', KEYS[1])\nreturn -failed", "return -failed")
    assert text != script.text
    sha = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()
    monkeypatch.setitem(SCRIPTS, "acquire", replace(script, text=text, sha=sha))
    with server.client() as client:
        assert run(_ask_after_a_foreign_delete(server, prefix, client, patience=0.3)) is False
