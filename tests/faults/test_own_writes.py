"""Own writes in an outage: a process sees its own writes, even after other calls and after the journal merges them."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from fleetcache import MISSING, Cache, CodecError, Unavailable
from fleetcache.near.journal import Journal
from tests.support.drivers import Driver, On
from tests.support.proxy import Proxy
from tests.support.run import run
from tests.support.servers import Server
from tests.support.tasked import tasked
from tests.support.threaded import threaded
from tests.support.waiting import eventually

NOWHERE = "redis://127.0.0.1:1"  # no server listens there: the cache is offline from the first call on
MORE = Journal.MAX + 50

Body = Callable[[Any], Awaitable[None]]


@pytest.fixture(params=[Cache, threaded, tasked], ids=["tasks", "threads", "tasks of threads"])
def away(request: pytest.FixtureRequest, prefix: str) -> Callable[..., None]:
    """Runs a body with a cache of each face, with the server away."""

    def run_on(body: Body, **settings: Any) -> None:
        async def main() -> None:
            async with request.param(NOWHERE, prefix=prefix, **settings) as cache:
                await eventually(lambda: cache.stats().link == "offline")
                await body(cache)

        run(main())

    return run_on


Away = Callable[..., None]


async def many_deletes(cache: Any) -> None:
    await cache.delete_many([f"gone:{number}" for number in range(MORE)])


BEFORE: dict[str, Body] = {
    "a clear": lambda cache: cache.clear(),
    "a clear of a namespace": lambda cache: cache.namespace("n").clear(),
    "removals beyond the journal": many_deletes,
    "tags beyond the journal": lambda cache: cache.invalidate_tags(*(f"tag:{number}" for number in range(MORE))),
}


@pytest.mark.parametrize("before", BEFORE)
def test_what_was_set_is_seen_whatever_was_removed_before(away: Away, before: str) -> None:
    async def body(cache: Any) -> None:
        await cache.set("old", 1)
        await BEFORE[before](cache)
        await cache.set("a", 2, tags=["t"])
        assert await cache.get("a") == 2
        await cache.set_many({"b": 3, "c": [4], "d": 5})
        assert await cache.get_many(["a", "b", "c", "d"]) == {"a": 2, "b": 3, "c": [4], "d": 5}
        view = cache.namespace("n")
        await view.set_many({"a": 6, "b": 7})
        assert await view.get_many(["a", "b"]) == {"a": 6, "b": 7}

    away(body)


def test_what_was_set_is_seen_beyond_the_journal(away: Away) -> None:
    async def body(cache: Any) -> None:
        keys = [f"k:{number}" for number in range(MORE)]
        await cache.set_many(dict.fromkeys(keys, 1))
        found = await cache.get_many(keys)
        assert len(found) == MORE
        await cache.set("one more", 2)
        assert await cache.get("one more") == 2
        assert await cache.get("k:0") == 1

    away(body, near_max_items=2 * MORE)


@pytest.mark.parametrize("before", BEFORE)
def test_what_was_removed_after_it_was_set_is_not_seen(away: Away, before: str) -> None:
    async def body(cache: Any) -> None:
        await BEFORE[before](cache)
        removals: list[Body] = [
            lambda cache: cache.delete("a"),
            lambda cache: cache.invalidate_tags("t"),
            lambda cache: cache.clear(),
        ]
        for remove in removals:
            await cache.set("a", 1, tags=["t"])
            assert await cache.get("a") == 1
            await remove(cache)
            assert await cache.get("a", MISSING) is MISSING

    away(body)


def test_more_than_the_journal_holds_is_one_warning_and_counted(away: Away, caplog: pytest.LogCaptureFixture) -> None:
    async def body(cache: Any) -> None:
        for _ in range(2):
            await many_deletes(cache)
        assert cache.stats().journal_overflows == 1
        assert cache.stats().journal == 1

    with caplog.at_level(logging.WARNING):
        away(body)
    assert [record.levelname for record in caplog.records if "removals are pending" in record.message] == ["WARNING"]


def test_what_was_sent_and_not_answered_is_seen_though_everything_is_owed(server: Server, prefix: str) -> None:
    """The journal merges many removals into one; only a removal after a write counts for that write."""

    async def main(proxy: Proxy) -> None:
        async with Cache(proxy.url, prefix=prefix, operation_timeout="500ms") as cache:
            cache._engine.coherence.journal._most = 2
            await cache.set_many({"a": 0, "d": 0}, tags=["t"])
            with proxy.frozen():
                await asyncio.gather(
                    cache.set_many({"a": 1, "b": 2, "c": 3}),
                    cache.set("d", 4, tags=["t"]),
                    cache.delete_many(["b", "e"]),
                    cache.invalidate_tags("t"),
                )
                assert cache.stats().journal_overflows == 1
                assert await cache.get_many(list("abcde")) == {"a": 1, "c": 3}

    with Proxy(server) as proxy:
        run(main(proxy))


def test_when_the_server_is_back_own_writes_of_the_outage_are_gone_everywhere(remote: Driver) -> None:
    assert remote.server is not None

    async def main(proxy: Proxy) -> None:
        through = Driver(remote.variant, proxy, remote.prefix)  # type: ignore[arg-type]
        async with remote.cache() as other, through.cache() as cache:
            await other.set_many({"a": "before", "b": "before"})
            with proxy.away():
                await eventually(lambda: cache.stats().link == "offline")
                await cache.clear()
                await cache.set_many({"a": "own", "c": "own"})
                assert await cache.get_many(list("abc")) == {"a": "own", "c": "own"}
            await eventually(lambda: cache.stats().link == "online")
            assert await cache.get_many(list("abc")) == {}
            assert await other.get_many(list("abc"), near=False) == {}

    with Proxy(remote.server) as proxy:
        run(main(proxy))


# -- add, incr and touch -----------------------------------------------------------------------------------------------


def test_of_those_who_add_in_an_outage_the_first_of_the_process_wins(away: Away) -> None:
    async def body(cache: Any) -> None:
        view = cache.namespace("n")
        assert [await cache.add("k", n, tags=["t"]) for n in range(3)] == [True, False, False]
        assert [await view.add("k", n) for n in range(5, 8)] == [True, False, False]
        assert (await cache.get("k"), await view.get("k")) == (0, 5)
        assert cache.stats().journal == 2  # both keys are removed from the server when it is back
        await cache.set("set", 1)
        assert not await cache.add("set", 2)
        for remove in (cache.delete("k"), cache.invalidate_tags("t"), cache.clear()):
            await remove
            assert await cache.get("k", MISSING) is MISSING
            assert await cache.add("k", "again", tags=["t"])
            assert await cache.get("k") == "again"

    away(body)


def test_what_was_added_in_an_outage_is_kept_for_its_offline_ttl(away: Away) -> None:
    async def body(cache: Any) -> None:
        assert await cache.add("k", 1)
        assert await cache.add("short", 1, offline_ttl="100ms")
        await cache.set_many({"set": 1}, offline_ttl="100ms")

        async def gone() -> bool:
            return bool(await cache.get_many(["k", "short", "set"]) == {"k": 1})

        await eventually(gone)
        assert await cache.add("short", 2)
        assert not await cache.add("k", 2)
        owed = cache.stats().journal
        assert not await cache.add("never", 1, offline_ttl=0)
        assert cache.stats().journal == owed  # another instance may have added it to the server
        assert await cache.get("never", MISSING) is MISSING

    away(body)


def test_a_lookup_has_a_bound_of_its_own(away: Away) -> None:
    async def body(cache: Any) -> None:
        await cache.set("k", 1)
        found = await cache.lookup("k")
        assert found is not None
        assert found.value == 1
        assert await cache.lookup("k", offline_ttl=0) is None

    away(body)


def test_what_near_cannot_hold_is_not_added(away: Away) -> None:
    async def body(cache: Any) -> None:
        assert not await cache.add("k", 1)
        assert cache.stats().journal == 0  # another instance may have added it to the server

    away(body, near_max_bytes=0)


def test_strict_is_for_who_must_have_the_servers_word(away: Away) -> None:
    async def body(cache: Any) -> None:
        with pytest.raises(Unavailable, match="add of 'k'"):
            await cache.add("k", 1, strict=True)
        assert await cache.get("k", MISSING) is MISSING
        with cache.bypass(), pytest.raises(Unavailable, match="bypassed"):
            await cache.add("k", 1, strict=True)

    away(body)


def test_strict_changes_nothing_where_the_server_decides(on: On) -> None:
    async def body(cache: Cache) -> None:
        assert [await cache.add("k", n, strict=True) for n in range(2)] == [True, False]

    on(body)


def test_a_counter_counts_in_an_outage_only_where_it_was_set_in_it(away: Away) -> None:
    async def body(cache: Any) -> None:
        with pytest.raises(Unavailable, match="incr of 'n'"):
            await cache.incr("n")
        with pytest.raises(Unavailable):
            await cache.incr("n", create=False)
        assert not await cache.touch("n", "1m")
        await cache.set("n", 5)
        assert [await cache.incr("n"), await cache.incr("n", -3, create=False)] == [6, 3]
        assert await cache.add("m", 1)
        assert await cache.incr("m") == 2
        assert await cache.touch("m", "1m")
        assert await cache.get_many(["n", "m"]) == {"n": 3, "m": 2}
        await cache.set("word", "one")
        with pytest.raises(CodecError, match="holds a str"):
            await cache.incr("word")
        await cache.delete("n")
        with pytest.raises(Unavailable):
            await cache.incr("n")

    away(body)


def test_what_was_counted_on_in_an_outage_does_not_fall_back_to_what_the_server_had(remote: Driver) -> None:
    """The counter is gone when the server is back, as set values are: no caller takes an old count for the newest."""
    assert remote.server is not None

    async def seven() -> int:
        return 7

    async def main(proxy: Proxy) -> None:
        through = Driver(remote.variant, proxy, remote.prefix)  # type: ignore[arg-type]
        async with remote.cache() as other, through.cache() as cache:
            await other.set("n", 5)
            with proxy.away():
                await eventually(lambda: cache.stats().link == "offline")
                assert await cache.get_or_set("n", seven) == 7
                assert await cache.incr("n") == 8
            await eventually(lambda: cache.stats().link == "online")
            assert await cache.get("n", MISSING) is MISSING
            assert await other.get_many(["n"], near=False) == {}

    with Proxy(remote.server) as proxy:
        run(main(proxy))


def test_what_came_from_the_server_is_neither_counted_nor_added_over(remote: Driver) -> None:
    assert remote.server is not None

    async def main(proxy: Proxy) -> None:
        through = Driver(remote.variant, proxy, remote.prefix)  # type: ignore[arg-type]
        async with through.cache() as cache:
            await cache.set("n", 5)
            with proxy.away():
                await eventually(lambda: cache.stats().link == "offline")
                assert not await cache.add("n", 1)
                assert not await cache.touch("n", "1m")
                with pytest.raises(Unavailable):
                    await cache.incr("n")
                assert await cache.get("n") == 5

    with Proxy(remote.server) as proxy:
        run(main(proxy))


def test_a_server_that_is_only_late_leaves_no_two_winners(remote: Driver) -> None:
    """The server may be well for other instances: an instance that cannot hear it at the moment has not won."""
    assert remote.server is not None

    async def main(proxy: Proxy) -> None:
        through = Driver(remote.variant, proxy, remote.prefix)  # type: ignore[arg-type]
        async with remote.cache() as other, through.cache(operation_timeout="500ms") as cache:
            await cache.set("warm", 1)
            with proxy.frozen():
                assert not await cache.add("sent", "ours")
                assert cache.stats().link == "suspect"
                assert not await cache.add("k", "ours")
                with pytest.raises(Unavailable):
                    await cache.add("k", "ours", strict=True)
                with pytest.raises(Unavailable):
                    await cache.incr("k")
                assert await other.add("k", "theirs")
            await eventually(lambda: cache.stats().link == "online")
            assert await cache.get("k") == "theirs"

    with Proxy(remote.server) as proxy:
        run(main(proxy))


def test_what_was_added_in_an_outage_is_nowhere_when_it_is_over(remote: Driver) -> None:
    assert remote.server is not None

    async def main(proxy: Proxy) -> None:
        through = Driver(remote.variant, proxy, remote.prefix)  # type: ignore[arg-type]
        async with remote.cache() as other, through.cache() as cache:
            with proxy.away():
                await eventually(lambda: cache.stats().link == "offline")
                assert await cache.add("k", "ours")
                assert await other.add("k", "theirs")
            await eventually(lambda: cache.stats().link == "online")
            assert await cache.get("k", MISSING) is MISSING
            assert await other.get_many(["k"], near=False) == {}
            assert await cache.add("k", "new")

    with Proxy(remote.server) as proxy:
        run(main(proxy))
