"""The verbs on the server: rights of one caller, stores that compare first, and nothing sent without a server."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from fleetcache import Cache
from fleetcache.engine.engine import Engine
from fleetcache.near.coherence import FillToken
from fleetcache.policy.lookup import ClaimReply, DecodedValue, EntryState, Lookup, NewEntry
from fleetcache.policy.options import CallOptions
from tests.support.drivers import Driver
from tests.support.run import run

OPTIONS = CallOptions(ttl=60.0, stale=5.0, tags=("*",), offline_ttl=10.0)


async def reply(engine: Engine, future: Any) -> Any:
    assert future is not None, "nothing was sent"
    return await engine.ports.wait(future, engine.clock() + 10)


def both(remote: Driver, body: Callable[[Engine, Engine], Awaitable[None]]) -> None:
    """Run a body with the engines of two instances."""

    async def main() -> None:
        async with remote.cache() as one, remote.cache() as other:
            for cache in (one, other):
                await cache.get("warm")
            await body(one._engine, other._engine)

    run(main())


def packed(engine: Engine, value: Any, token: FillToken | None = None) -> NewEntry:
    captured = engine.coherence.captured(OPTIONS.tags)
    assert captured is not None
    return engine.entries.pack("k", engine.entries.encode(value, Any), captured, OPTIONS, token=token)


def test_one_instance_has_the_lease_until_it_gives_it_back(remote: Driver) -> None:
    async def body(one: Engine, other: Engine) -> None:
        async def acquire(engine: Engine, placeholder: bytes) -> Lookup:
            token = engine.coherence.open_fill("k", OPTIONS.tags)
            seen = await reply(engine, engine.shared.acquire("k", placeholder, 10_000, Any, token))
            engine.coherence.close_fill(token)
            assert isinstance(seen, Lookup)
            return seen

        mine, theirs = one.entries.stamp(b"L"), other.entries.stamp(b"L")
        assert (await acquire(one, mine)).state is EntryState.GRANTED
        seen = await acquire(other, theirs)
        assert seen.state is EntryState.LOADING
        assert 0 < seen.remaining <= 10
        other.shared.release("k", theirs)  # this instance does not hold it
        assert (await acquire(other, theirs)).state is EntryState.LOADING
        one.shared.release("k", mine)
        await reply(one, one.shared.ping())
        assert (await acquire(other, theirs)).state is EntryState.GRANTED

    both(remote, body)


def test_one_instance_has_the_claim_until_it_gives_it_back(remote: Driver) -> None:
    async def body(one: Engine, other: Engine) -> None:
        async def claim(engine: Engine, mark: bytes) -> ClaimReply:
            claimed = await reply(engine, engine.shared.claim("k", mark, 10_000))
            assert isinstance(claimed, ClaimReply)
            return claimed

        mine = one.entries.stamp(b"C")
        assert (await claim(one, mine)).granted
        claimed = await claim(other, other.entries.stamp(b"C"))
        assert not claimed.granted
        assert 0 < claimed.remaining <= 10
        assert await reply(other, other.shared.is_claimed("k")) is True
        one.shared.unclaim("k", mine)
        await reply(one, one.shared.ping())
        assert await reply(other, other.shared.is_claimed("k")) is False

    both(remote, body)


def test_a_swap_replaces_what_it_expects_and_nothing_else(remote: Driver) -> None:
    async def body(one: Engine, other: Engine) -> None:
        placeholder = one.entries.stamp(b"L")
        token = one.coherence.open_fill("k", OPTIONS.tags)
        await reply(one, one.shared.acquire("k", placeholder, 10_000, Any, token))
        entry, again = packed(one, "first", token), packed(one, "second", token)
        assert await reply(one, one.shared.swap("k", placeholder, entry)) is True
        assert await reply(one, one.shared.swap("k", placeholder, again)) is False
        assert (entry.current, again.current) == (True, False)
        assert one.near.items["k"].stamp == entry.stamp
        one.coherence.close_fill(token)
        assert await reply(other, other.shared.touch("k", entry.stamp, 90_000)) is True
        assert await reply(other, other.shared.touch("k", placeholder, 90_000)) is False

    both(remote, body)


def test_a_removal_says_whether_something_alive_was_there(remote: Driver) -> None:
    async def body(one: Engine, _other: Engine) -> None:
        async def removed() -> Any:
            return await reply(one, one.shared.remove(("e", "k"), one.coherence.journal.next()))

        assert await removed() is False
        placeholder = one.entries.stamp(b"L")
        token = one.coherence.open_fill("k", OPTIONS.tags)
        await reply(one, one.shared.acquire("k", placeholder, 10_000, Any, token))
        one.coherence.close_fill(token)
        assert await removed() is False, "a lease is no value"
        number = one.coherence.journal.next()
        token = one.coherence.open_fill("k", OPTIONS.tags)
        assert await reply(one, one.shared.put("k", packed(one, "x", token), number)) is True
        one.coherence.close_fill(token)
        assert await removed() is True

    both(remote, body)


@pytest.mark.parametrize("url", ["memory://", "redis://127.0.0.1:1"])
def test_nothing_is_sent_where_no_server_is(url: str) -> None:
    shared = Cache(url, prefix="shop")._engine.shared
    assert shared.is_claimed("k") is None
    assert shared.claim("k", b"C" * 17, 1000) is None
    assert shared.swap("k", b"", NewEntry(b"", 1000, b"", DecodedValue(1, b"", 0, Any), OPTIONS, ())) is None
    assert shared.touch("k", b"", 1000) is None
    assert shared.ping() is None
    shared._coherence.defer(("e", "other"), 1)
    assert shared.remove(("e", "k"), shared._coherence.journal.next()) is None
    assert len(shared._coherence.journal) == 2, "a removal that could not be sent is owed"
