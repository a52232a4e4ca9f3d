"""Recovery: the cache's own step of the handshake, and the heartbeat that proves the server's identity."""

from collections.abc import Awaitable, Callable
from typing import Any

from hiredis import ReplyError

from fleetcache import Cache
from fleetcache.shared.scripts import SCRIPTS
from fleetcache.wire.link_state import LinkState
from tests.support.client import Client
from tests.support.drivers import Driver
from tests.support.run import run
from tests.support.waiting import eventually

Body = Callable[[Cache, Client], Awaitable[None]]


def played(remote: Driver, body: Body) -> None:
    async def main() -> None:
        assert remote.server is not None
        async with remote.cache() as cache:
            await cache.set("k", 1, ttl="1m")
            with remote.server.client() as raw:
                await body(cache, raw)

    run(main())


def beaten(cache: Cache, standing: Any) -> None:
    """Answer a heartbeat."""
    engine = cache._engine
    captured = engine.coherence.captured(("*",))
    assert captured is not None
    engine.recovery.heartbeat().handle([standing, captured[0][1]])


def test_after_the_handshake_the_server_knows_every_script_and_the_tag_of_every_entry(remote: Driver) -> None:
    async def body(cache: Cache, raw: Client) -> None:
        assert raw("SCRIPT", "EXISTS", *(script.sha for script in SCRIPTS.values())) == [1] * len(SCRIPTS)
        assert raw("EXISTS", cache._engine.layout.tag("*")) == 1

    played(remote, body)


def test_a_server_that_became_a_replica_is_given_up(remote: Driver) -> None:
    async def body(cache: Cache, _raw: Client) -> None:
        beaten(cache, b"role:slave\r\n")
        await eventually(lambda: cache._engine.link.reason == "readonly" or cache._engine.link.epoch > 1)

    played(remote, body)


def test_another_history_empties_near(remote: Driver) -> None:
    async def body(cache: Cache, _raw: Client) -> None:
        assert cache.peek("k") == 1
        beaten(cache, b"role:master\r\nmaster_replid:another\r\n")
        assert cache.peek("k") is None
        assert cache._engine.link.state is LinkState.ONLINE

    played(remote, body)


def test_a_server_that_tells_nothing_of_itself_is_believed_and_not_asked_again(remote: Driver) -> None:
    async def body(cache: Cache, _raw: Client) -> None:
        beaten(cache, ReplyError("NOPERM no"))
        assert cache.peek("k") == 1
        assert b"INFO" not in cache._engine.recovery.heartbeat().payload

    played(remote, body)


def test_the_heartbeat_repeats_what_is_owed(remote: Driver) -> None:
    async def body(cache: Cache, raw: Client) -> None:
        engine = cache._engine
        engine.coherence.defer(("e", "k"), engine.coherence.journal.next())
        engine.recovery.heartbeat()
        await eventually(lambda: len(engine.coherence.journal) == 0)
        assert raw("EXISTS", engine.layout.entry("k")) == 0
        assert cache.stats().replayed == 1

    played(remote, body)
