"""A removal beats every load, with leases and with fills in frame order; the remover does not see the old value."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import pytest

from fleetcache import Cache
from fleetcache.format.keys import Layout
from fleetcache.near.coherence import Coherence, FillToken
from fleetcache.near.store import NearEntry
from fleetcache.policy.outcome import Outcome
from fleetcache.policy.single_flight import Flights
from tests.conftest import StartServer
from tests.stress.fleet import PATIENCE, Tally, World, fleet, stress
from tests.support.client import Client
from tests.support.run import run
from tests.support.servers import Server

KEYS = ("s0", "s1", "s2", "s3")
SECONDS = 2.5
INSTANCES = 6

Reading = Callable[[World, Cache, str], Awaitable[int]]


async def leased(world: World, cache: Cache, key: str) -> int:
    """Read with ``get_or_set``, as it is right."""
    value: int = await cache.get_or_set(key, partial(world.load, key), type=int)
    return value


async def get_load_set(world: World, cache: Cache, key: str) -> int:
    """Get, load and set, as it is common."""
    value = await cache.get(key, type=int)
    if value is None:
        value = await world.load(key)
        await cache.set(key, value, type=int)
    return value


async def remove(world: World, client: Client, layout: Layout, cache: Cache, _tally: Tally) -> None:
    """Remove in the source first, then in the cache; now and then a process dies with a new lease."""
    key = world.pick()
    world.versions[key] += 1
    await cache.delete(key)
    if world.random.random() < 0.02:
        client("SET", layout.entry(key), b"L" + os.urandom(16), "NX", "PX", 150)


async def remove_and_look(world: World, cache: Cache, tally: Tally) -> None:
    """Remove and look: the remover must not get a value from before."""
    key = world.pick()
    world.versions[key] += 1
    wanted = world.versions[key]
    await cache.delete(key)
    tally.check(await leased(world, cache, key) >= wanted)


async def _removals(server: Server, prefix: str, reading: Reading, **how: Any) -> Tally:
    world = World(KEYS)
    with server.client() as client:
        async with fleet(server, prefix, INSTANCES) as caches:
            write = partial(remove, world, client, Layout(prefix))
            return await stress(caches, world, partial(reading, world), write, **how)


async def _own_removals(server: Server, prefix: str, **how: Any) -> Tally:
    world = World(KEYS)
    async with fleet(server, prefix, INSTANCES) as caches:
        return await stress(caches, world, partial(leased, world), partial(remove_and_look, world), **how)


def test_nothing_superseded_is_left_anywhere(server: Server, prefix: str) -> None:
    tally = run(_removals(server, prefix, leased, seconds=SECONDS))
    assert tally.checks > 40
    assert tally.wrong == 0


def test_nothing_superseded_is_left_with_io_threads(fresh_server: StartServer, prefix: str) -> None:
    server = fresh_server("tcp", "--io-threads", "3")
    with server.client() as client:
        # Unknown to Valkey, which always reads in threads.
        client.pipeline(("CONFIG", "SET", "io-threads-do-reads", "yes"))
        assert client("CONFIG", "GET", "io-threads") == {b"io-threads": b"3"}
    tally = run(_removals(server, prefix, leased, seconds=SECONDS))
    assert tally.checks > 40
    assert tally.wrong == 0


def test_twin_get_load_set_stores_what_was_removed(server: Server, prefix: str) -> None:
    assert run(_removals(server, prefix, get_load_set, seconds=PATIENCE, until_wrong=True)).wrong > 0


def test_twin_near_filled_after_the_frames_holds_what_was_removed(
    server: Server, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A coroutine fills near after it has waited: the reply was good when it came, and the push came with it."""

    def later(self: Coherence, token: FillToken, held: NearEntry) -> bool:
        if token.valid:
            asyncio.get_running_loop().call_soon(self.near.put, token.key, held)
        return token.valid

    monkeypatch.setattr(Coherence, "fill", later)
    assert run(_removals(server, prefix, leased, seconds=PATIENCE, until_wrong=True)).wrong > 0


def test_whoever_removed_a_key_does_not_see_it_again(server: Server, prefix: str) -> None:
    tally = run(_own_removals(server, prefix, seconds=SECONDS))
    assert tally.checks > 40
    assert tally.wrong == 0


def test_twin_whoever_joins_any_flight_sees_again_what_he_removed(
    server: Server, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Outcome.__init__

    def same_for_all(self: Outcome, own: Any, _others: Any = None, **more: Any) -> None:
        made(self, own, own, **more)

    monkeypatch.setattr(Outcome, "__init__", same_for_all)
    monkeypatch.setattr(Flights, "detach_key", lambda _self, _key: None)
    assert run(_own_removals(server, prefix, seconds=PATIENCE, until_wrong=True)).wrong > 0
