"""The suspect link: this process's own stall, values loaded past a stuck server, removals that it never received."""

import asyncio
import time
from contextlib import suppress
from typing import Any

import pytest

from fleetcache import Cache
from fleetcache.clock import monotonic
from fleetcache.engine.aio.connection import AioConnection
from fleetcache.near.store import Near
from fleetcache.shared.recovery import Recovery
from fleetcache.wire.link_state import LinkState
from fleetcache.wire.session import Call, Session
from tests.conftest import StartServer
from tests.support.client import Client
from tests.support.run import run
from tests.support.servers import Server
from tests.support.waiting import eventually, wait_until

TIMEOUT = 0.6
STALL = 0.7


# -- our own stall ---------------------------------------------------------------------------------------------------


async def _stall_ourselves(server: Server, prefix: str) -> tuple[int, set[LinkState]]:
    """Return the lost replies and the link's states, while the loop was blocked longer than the timeout."""
    # More than the loop reads in one turn, so that timers are due while bytes still wait in the socket. Less than the
    # kernel takes from the server, so that all of them wait there.
    values = {f"k{n}": bytes([n]) * 60_000 for n in range(15)}
    with server.client() as client:
        return await _stall_while_it_answers(server, prefix, client, values)


async def _stall_while_it_answers(
    server: Server, prefix: str, client: Client, values: dict[str, bytes]
) -> tuple[int, set[LinkState]]:
    async with (
        Cache(server.url, prefix=prefix, operation_timeout="5s") as writer,
        Cache(server.url, prefix=prefix, operation_timeout=TIMEOUT, max_staleness="5s") as cache,
    ):
        await writer.set_many(values)
        states = _record_states(cache)
        reads = [asyncio.create_task(cache.get(key)) for key in values]
        await asyncio.sleep(0)
        await asyncio.sleep(0)  # the commands are written now
        time.sleep(STALL)  # noqa: ASYNC251 - this is the trap
        wait_until(lambda: _has_answered(client, cache))  # on a busy machine that takes longer
        found = await asyncio.gather(*reads)
        lost = sum(got != value for got, value in zip(found, values.values(), strict=True))
        return lost + cache.stats().timeouts, set(states)


def _has_answered(client: Client, cache: Cache) -> bool:
    """Return True if the server has handled all commands of the cache and the kernel has all of its answers."""
    name = f"name=fleetcache-{cache.status_now().instance} "
    (line,) = (line for line in client("CLIENT", "LIST").decode().splitlines() if name in line)
    return " qbuf=0 " in line and " obl=0 " in line and " oll=0 " in line


def _record_states(cache: Cache) -> set[LinkState]:
    states: set[LinkState] = set()
    link: Any = cache._engine.link
    tell = link._on_state

    def note(old: LinkState, new: LinkState, new_epoch: bool) -> None:
        states.add(new)
        tell(old, new, new_epoch)

    link._on_state = note
    return states


def test_our_own_stall_loses_no_reply_and_suspects_nobody(server: Server, prefix: str) -> None:
    assert run(_stall_ourselves(server, prefix)) == (0, set())


def test_twin_without_a_look_at_the_socket_the_server_is_taken_for_slow(
    server: Server, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(AioConnection, "_has_bytes", lambda _self: False)
    lost, states = run(_stall_ourselves(server, prefix))
    assert lost > 0
    assert LinkState.SUSPECT in states


async def _stall_before_we_write(server: Server, prefix: str) -> tuple[Any, set[LinkState]]:
    """Return a batch's answer and the link's states, with the loop blocked between the call and the write."""
    settings: dict[str, Any] = {"operation_timeout": TIMEOUT, "max_staleness": "10s"}  # no heartbeat in the stall
    async with Cache(server.url, prefix=prefix, near_max_bytes=0, **settings) as cache:
        await cache.set("k", "v")
        states = _record_states(cache)
        read = asyncio.create_task(cache.get_many(["k"]))
        await asyncio.sleep(0)
        time.sleep(STALL)  # noqa: ASYNC251 - this is the trap
        return await read, set(states)


def test_what_we_write_late_is_not_overdue_at_once(server: Server, prefix: str) -> None:
    assert run(_stall_before_we_write(server, prefix)) == ({"k": "v"}, set())


def test_twin_timed_from_when_it_was_asked_the_server_is_taken_for_slow(
    server: Server, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue, flush = Session.queue, AioConnection._flush
    asked_at = [0.0]

    def queued(self: Session, call: Call) -> int:
        asked_at[0] = monotonic()
        return queue(self, call)

    def flushed(self: AioConnection) -> None:
        flush(self)
        for call in self.session.calls:
            call.sent_at = asked_at[0]
        self._tick()

    monkeypatch.setattr(Session, "queue", queued)
    monkeypatch.setattr(AioConnection, "_flush", flushed)
    monkeypatch.setattr(AioConnection, "_has_bytes", lambda _self: False)  # the answer is not there yet
    found, states = run(_stall_before_we_write(server, prefix))
    assert found == {}
    assert LinkState.SUSPECT in states


# -- values that shared never confirmed ------------------------------------------------------------------------------


async def _load_past_a_stuck_server(server: Server, prefix: str) -> tuple[str, Any]:
    """Return the cache's answer, after the server goes on, for a key that it loaded and another cache removed."""
    source = ["old"]

    async def load() -> str:
        return source[0]

    async with (
        Cache(server.url, prefix=prefix, operation_timeout=0.1, max_staleness="10s") as cache,
        Cache(server.url, prefix=prefix, operation_timeout="5s", max_staleness="10s") as other,
    ):
        await eventually(lambda: cache.stats().link == "online")
        server.freeze()
        assert await cache.get_or_set("k", load) == "old"
        assert cache.stats().link == "suspect"
        assert cache.peek("k") == "old", "while the link is not online it answers"
        source[0] = "new"
        server.thaw()
        await eventually(lambda: cache.stats().link == "online")
        epoch = cache.stats().epoch
        fast_path = cache.peek("k")
        await other.delete("k")  # the key does not exist, so that no push is sent
        answer = await cache.get_or_set("k", load)
        assert epoch == 1
        return answer, fast_path


def test_what_was_loaded_past_a_stuck_server_is_never_served_once_online(
    fresh_server: StartServer, prefix: str
) -> None:
    assert run(_load_past_a_stuck_server(fresh_server(), prefix)) == ("new", None)


def test_twin_kept_unconfirmed_values_outlive_a_removal_that_nobody_hears_of(
    fresh_server: StartServer, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Near, "forget_unconfirmed", lambda _self: 0)
    assert run(_load_past_a_stuck_server(fresh_server(), prefix)) == ("old", "old")


# -- removals that the server never received -------------------------------------------------------------------------


async def _delete_past_a_stuck_server(server: Server, prefix: str, patience: float = 5) -> tuple[str, int]:
    """Return another cache's answer, after the server goes on, for a key deleted while the link could not send.

    Args:
        server: A server that the test may freeze.
        prefix: The prefix of the caches.
        patience: Seconds to wait for the removal.
    """
    async with (
        Cache(server.url, prefix=prefix, operation_timeout=0.1, max_staleness="10s") as cache,
        Cache(server.url, prefix=prefix, operation_timeout="5s", max_staleness="10s") as other,
    ):
        await eventually(lambda: cache.stats().link == "online")
        await other.set("k", "old", strict=True)
        server.freeze()
        await cache.get("absent")
        assert cache.stats().link == "suspect"
        assert await cache.delete("k") is False
        assert cache.stats().journal == 1
        assert await cache.get("k") is None
        server.thaw()
        await eventually(lambda: cache.stats().link == "online")
        with suppress(AssertionError):
            await eventually(lambda: cache.stats().journal == 0, timeout=patience)
        assert cache.stats().epoch == 1, "the same connection"
        found = await other.get_many(["k"], near=False)
        return found.get("k", "gone"), cache.stats().journal


def test_the_journal_is_replayed_on_the_connection_that_was_stuck(fresh_server: StartServer, prefix: str) -> None:
    assert run(_delete_past_a_stuck_server(fresh_server(), prefix)) == ("gone", 0)


def test_twin_without_the_replay_the_deleted_value_stays(
    fresh_server: StartServer, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Recovery, "_replay_live", lambda _self: None)
    assert run(_delete_past_a_stuck_server(fresh_server(), prefix, patience=0.3)) == ("old", 1)
