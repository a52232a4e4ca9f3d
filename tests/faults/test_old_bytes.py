"""Bytes of an aborted connection that land later: an old ``set`` must not come back after its replacement.

A kernel goes on retransmitting the bytes of an orphaned socket. The cache has two guards: it resets the connection
instead of closing it, and its next handshake ends the old one on the server. Each guard holds alone; without both,
the old value comes back.
"""

import asyncio
import gc
import struct
from typing import Any

import pytest

from fleetcache import Cache
from fleetcache.engine.aio import connection as aio
from fleetcache.format.keys import Layout
from tests.support.client import Client
from tests.support.loops import ON_UVLOOP, close_over_connections
from tests.support.pipes import Way
from tests.support.proxy import Proxy
from tests.support.run import run
from tests.support.servers import Server
from tests.support.waiting import eventually

STALENESS = 0.2  # the cache drops a connection without an answer for three times this


class Network(Proxy):
    """A proxy that holds up its earlier connections, and lets later ones pass."""

    def spare_new_connections(self) -> tuple[Way, Way]:
        """Let connections from now on pass; return the rules that still hold for the earlier ones."""
        old = self._up, self._down
        self._do(self._new_ways)
        return old

    def _new_ways(self) -> None:
        self._up, self._down = Way(), Way()

    def release_old(self, old: tuple[Way, Way]) -> None:
        """Heal the network for the earlier connections, too."""
        for way in old:
            self._do(way.go)

    def held_by(self, old: tuple[Way, Way]) -> int:
        """Return how many bytes of the earlier connections still wait."""
        return self._do(lambda: sum(way.held for way in old))


def login(client: Client, *, may_kill: bool) -> str:
    """Add a user with or without the right to end connections; return its login."""
    client("ACL", "SETUSER", "limited", "on", ">secret", "~*", "&*", "+@all", *(() if may_kill else ("-client|kill",)))
    return "limited:secret"


async def _write_into_a_black_hole(server: Server, prefix: str, who: str, client: Client) -> str:
    """Return the cache's answer for a key after the old connection's bytes had every chance to land."""
    raw = Layout(prefix).entry("k")
    with Network(server) as network:
        url = f"redis://{who}@127.0.0.1:{network.port}/0"
        async with Cache(url, prefix=prefix, operation_timeout=0.1, max_staleness=STALENESS) as cache:
            await cache.set("k", "first")
            before = cache.stats().epoch  # more than 1 if the machine stood still for some tenths of a second
            network.stall("up")
            await cache.set("k", "OLD")  # stuck on its way
            old = network.spare_new_connections()
            await eventually(lambda: cache.stats().epoch > before and cache.stats().link == "online")
            assert client("EXISTS", raw) == 0, "the replay removed what was not acknowledged"
            network.release_old(old)
            await eventually(lambda: network.held_by(old) == 0)
            await eventually(lambda: network.open == 1)  # the old connection has ended, its last bytes before it
            return await _answer_of_another(server, prefix)


async def _answer_of_another(server: Server, prefix: str) -> str:
    """Return the answer of a cache that has no faulty network before it, and time to ask."""
    async with Cache(server.url, prefix=prefix, operation_timeout="5s") as another:
        found: str = await another.get("k", "gone")
        return found


def _leave_a_loop_behind(server: Server, prefix: str, who: str, client: Client) -> str:
    """Return the answer after the event loop of the old connection was closed over the open cache."""
    raw = Layout(prefix).entry("k")
    with Network(server) as network:
        url = f"redis://{who}@127.0.0.1:{network.port}/0"
        cache = Cache(url, prefix=prefix, operation_timeout=0.1, max_staleness="60s")

        async def write() -> None:
            await cache.set("k", "first")
            network.stall("up")
            await cache.set("k", "OLD")

        loop = asyncio.new_event_loop()
        loop.run_until_complete(write())
        close_over_connections(loop)
        old = network.spare_new_connections()

        async def read() -> str:
            await eventually(lambda: cache.stats().link == "online")
            assert client("EXISTS", raw) == 0, "the replay removed what was not acknowledged"
            network.release_old(old)
            await eventually(lambda: network.held_by(old) == 0)
            await eventually(lambda: network.open == 1)
            await cache.close()
            return await _answer_of_another(server, prefix)

        async def on_another() -> str:
            await cache.get("another")
            return await read()

        try:
            return run(on_another())
        finally:
            gc.collect()


@pytest.fixture
def without_reset(monkeypatch: pytest.MonkeyPatch) -> None:
    """Close connections without the option that resets them."""
    monkeypatch.setattr(aio, "struct", NoLinger)


class NoLinger:
    """Packs "do not linger" in place of "linger for zero seconds"."""

    @staticmethod
    def pack(layout: str, *_numbers: Any) -> bytes:
        return struct.pack(layout, 0, 0)


def test_a_reset_connection_leaves_nothing_behind(server: Server, prefix: str) -> None:
    with server.client() as client:
        assert run(_write_into_a_black_hole(server, prefix, login(client, may_kill=False), client)) == "gone"


@pytest.mark.usefixtures("without_reset")
def test_the_next_handshake_ends_a_connection_that_was_closed_only(server: Server, prefix: str) -> None:
    with server.client() as client:
        assert run(_write_into_a_black_hole(server, prefix, login(client, may_kill=True), client)) == "gone"


@pytest.mark.usefixtures("without_reset")
def test_twin_without_both_the_old_value_is_back(server: Server, prefix: str) -> None:
    with server.client() as client:
        assert run(_write_into_a_black_hole(server, prefix, login(client, may_kill=False), client)) == "OLD"


@pytest.mark.parametrize("may_kill", [True, False])
def test_nothing_that_a_closed_loop_had_sent_lands_later(server: Server, prefix: str, *, may_kill: bool) -> None:
    with server.client() as client:
        # uvloop closes a closed loop's sockets without a reset, so that only the server can end the connection.
        expected = "gone" if may_kill or not ON_UVLOOP else "OLD"
        assert _leave_a_loop_behind(server, prefix, login(client, may_kill=may_kill), client) == expected


@pytest.mark.usefixtures("without_reset")
def test_the_handshake_on_the_next_loop_ends_the_last_ones_connection(server: Server, prefix: str) -> None:
    with server.client() as client:
        assert _leave_a_loop_behind(server, prefix, login(client, may_kill=True), client) == "gone"


@pytest.mark.usefixtures("without_reset")
def test_twin_a_closed_loops_connection_that_is_neither_reset_nor_ended_brings_it_back(
    server: Server, prefix: str
) -> None:
    with server.client() as client:
        assert _leave_a_loop_behind(server, prefix, login(client, may_kill=False), client) == "OLD"
