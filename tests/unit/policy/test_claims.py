"""Manual claims: one in the fleet, handed on at once, gone with its holder; without a server, a lock of the process."""

import asyncio
import gc
import time
from collections.abc import Callable
from typing import Any

import pytest

from fleetcache import Cache, ConfigError
from fleetcache.policy.claims import MANY
from fleetcache.testing.server import free_port
from tests.conftest import StartServer
from tests.support.client import Client
from tests.support.drivers import Driver, On, commands_of
from tests.support.run import run
from tests.support.waiting import eventually

SOON = 8.0  # seconds; well under the 10 that a claim lives, so that no waiter got it by its end


async def in_time(waiting: Any) -> Any:
    async with asyncio.timeout(SOON):
        return await waiting


def on_server(remote: Driver) -> tuple[Client, str]:
    assert remote.server is not None
    return remote.server.client(), f"{remote.prefix}:c:k"


def test_there_is_one_at_a_time(on: On) -> None:
    async def body(cache: Cache) -> None:
        assert not await cache.is_claimed("k")
        claim = await cache.claim("k")
        assert claim is not None
        assert await cache.claim("k", wait=False) is None
        assert await cache.claim("k", wait="20ms") is None
        assert await cache.is_claimed("k")
        assert await cache.claim("other", wait=False) is not None
        assert await claim.release()
        assert not await cache.is_claimed("k")
        again = await cache.claim("k", wait=False)
        assert again is not None
        assert not await claim.release()  # a released claim is not released twice: another caller holds it now
        assert await cache.is_claimed("k")
        assert await again.release()

    on(body)


def test_namespaces_have_their_own(on: On) -> None:
    async def body(cache: Cache) -> None:
        held = [await cache.claim("k"), await cache.namespace("n").claim("k", wait=False)]
        assert None not in held
        assert await cache.claim("n:k", wait=False) is None

    on(body)


def test_who_waits_gets_it_when_it_is_given_back(on: On) -> None:
    async def body(cache: Cache) -> None:
        claim = await cache.claim("k")
        assert claim is not None
        waiting = asyncio.create_task(cache.claim("k"))
        await asyncio.sleep(0.02)
        assert not waiting.done()
        await claim.release()
        assert await in_time(waiting) is not None

    on(body)


def test_in_the_fleet_too(remote: Driver) -> None:
    async def main() -> None:
        async with remote.cache() as a, remote.cache() as b:
            claim = await a.claim("k")
            assert claim is not None
            assert await b.claim("k", wait=False) is None
            assert await b.is_claimed("k")
            waiting = asyncio.create_task(b.claim("k"))
            await asyncio.sleep(0.05)
            assert not waiting.done()
            await claim.release()
            second = await in_time(waiting)  # woken: a claim that was not released would have lived longer
            assert await a.is_claimed("k")
            assert await second.release()
            assert await eventually(lambda: a.claim("k", wait=False)) is not None  # the release is on its way

    run(main())


@pytest.mark.parametrize("instances", [1, 2])
def test_many_take_turns(remote: Driver, instances: int) -> None:
    async def main() -> None:
        async with remote.cache() as a, remote.cache() as b:
            inside, most = 0, 0

            async def work(cache: Cache) -> None:
                nonlocal inside, most
                claim = await cache.claim("k")
                assert claim is not None
                inside += 1
                most = max(most, inside)
                await asyncio.sleep(0.001)
                inside -= 1
                await claim.release()

            await in_time(asyncio.gather(*(work((a, b)[i % instances]) for i in range(40))))
            assert most == 1
            assert not await a.is_claimed("k")

    run(main())


def test_those_of_one_process_do_not_ask_the_server_one_by_one(remote: Driver) -> None:
    async def main() -> None:
        async with remote.cache() as cache:
            claim = await cache.claim("k")
            assert claim is not None
            raw, _ = on_server(remote)
            with raw:
                before = commands_of(raw).get("set", 0)

                async def work() -> None:
                    turn = await cache.claim("k")
                    assert turn is not None
                    await turn.release()

                crowd = asyncio.gather(*(work() for _ in range(20)))
                await asyncio.sleep(0.1)
                await claim.release()
                await in_time(crowd)
                assert commands_of(raw).get("set", 0) - before < 5

    run(main())


def test_those_of_one_process_do_not_keep_it_from_another(remote: Driver) -> None:
    """Even if many callers of the process wait and ask again."""

    async def main() -> None:
        async with remote.cache() as cache, remote.cache() as other:

            async def work() -> None:
                while True:
                    claim = await cache.claim("k", ttl="200ms")
                    assert claim is not None
                    await asyncio.sleep(0.01)
                    await claim.release()

            crowd = [asyncio.create_task(work()) for _ in range(3)]
            await asyncio.sleep(0.05)
            assert await in_time(other.claim("k")) is not None
            for each in crowd:
                each.cancel()
            await asyncio.gather(*crowd, return_exceptions=True)

    run(main())


def test_what_was_handed_on_is_renewed_no_oftener(remote: Driver) -> None:
    async def main() -> None:
        async with remote.cache() as cache:
            raw, _ = on_server(remote)
            with raw:
                claim = await cache.claim("k", ttl="300ms")
                for _ in range(5):  # each holder keeps it for longer than its life, so that it is requested again
                    following = asyncio.create_task(cache.claim("k", ttl="300ms"))
                    await asyncio.sleep(0.35)
                    assert claim is not None
                    await claim.release()
                    claim = await in_time(following)
                before = commands_of(raw).get("evalsha", 0)
                began = time.monotonic()
                await asyncio.sleep(1.5)
                renewals = commands_of(raw)["evalsha"] - before
                assert 0 < renewals < 15 * (time.monotonic() - began)  # ten a second, and not twice that
                assert claim is not None
                await claim.release()

    run(main())


def test_a_holder_that_died_is_waited_for_no_longer_than_its_claim_lives(remote: Driver) -> None:
    async def main() -> None:
        raw, key = on_server(remote)
        async with remote.cache() as cache:
            with raw:
                raw("SET", key, b"C" + bytes(16), "PX", 300)
            assert await cache.claim("k", wait=False) is None
            assert await in_time(cache.claim("k")) is not None

    run(main())


def test_it_outlives_its_ttl_while_its_holder_lives(remote: Driver) -> None:
    async def main() -> None:
        raw, key = on_server(remote)
        async with remote.cache() as cache:
            claim = await cache.claim("k", ttl="2s")
            assert claim is not None
            with raw:
                await eventually(lambda: raw("PTTL", key) < 1700)
                await eventually(lambda: raw("PTTL", key) > 1800)
                await claim.release()
                await eventually(lambda: raw("EXISTS", key) == 0)

    run(main())


def test_one_that_was_dropped_is_free_here_at_once(on: On) -> None:
    async def body(cache: Cache) -> None:
        claim = await cache.claim("k")
        assert claim is not None
        claim = None

        async def is_free() -> bool:
            gc.collect()
            return not await cache.is_claimed("k")

        await eventually(is_free)  # the thread that took the claim lets go of it after it has handed it over
        again = await cache.claim("k", wait=False)
        assert again is not None
        assert await cache.claim("k", wait=False) is None

    on(body)


def test_who_waits_for_one_that_is_dropped_gets_it(on: On) -> None:
    async def body(cache: Cache) -> None:
        claim = await cache.claim("k")
        assert claim is not None

        async def wait() -> bool:
            return await cache.claim("k") is not None

        waiting = asyncio.ensure_future(wait())
        await asyncio.sleep(0.05)
        assert not waiting.done()
        claim = None
        gc.collect()
        assert await in_time(waiting)

    on(body)


def test_one_that_was_dropped_is_given_back_on_the_server(remote: Driver) -> None:
    async def main() -> None:
        raw, key = on_server(remote)
        async with remote.cache() as cache, remote.cache() as other:
            claim = await cache.claim("k", ttl="600ms")
            assert claim is not None
            with raw:
                assert raw("EXISTS", key) == 1
                claim = None
                gc.collect()
                await eventually(lambda: raw("EXISTS", key) == 0)
            assert await in_time(other.claim("k")) is not None

    run(main())


def test_those_that_were_dropped_are_not_kept_in_memory(on: On) -> None:
    async def body(cache: Cache) -> None:
        for number in range(2 * MANY + 10):
            await cache.claim(f"k{number}", wait=False)
        assert len(cache._engine.claims._turns) < MANY

    on(body)


def test_a_block_gives_it_back(on: On) -> None:
    async def body(cache: Cache) -> None:
        claim = await cache.claim("k")
        assert claim is not None

        async def work() -> None:
            async with claim as same:
                assert same is claim
                assert await cache.claim("k", wait=False) is None
                raise RuntimeError("in the block")

        with pytest.raises(RuntimeError, match="in the block"):
            await work()
        assert not await cache.is_claimed("k")

    on(body)


def test_a_lost_one_is_not_given_back_over_the_head_of_the_next(remote: Driver) -> None:
    async def main() -> None:
        raw, key = on_server(remote)
        async with remote.cache() as a, remote.cache() as b:
            first = await a.claim("k")
            assert first is not None
            with raw:
                raw("DEL", key)  # as if a had been frozen for too long
                assert await b.claim("k") is not None
                await first.release()
                assert await a.claim("k", wait=False) is None

    run(main())


def test_who_gives_up_leaves_nothing_behind(on: On) -> None:
    async def body(cache: Cache) -> None:
        claim = await cache.claim("k")
        assert claim is not None
        gone = [await cache.claim("k", wait="10ms") for _ in range(3)]
        assert gone == [None] * 3
        await claim.release()
        after = await cache.claim("k", wait=False)
        assert after is not None
        await after.release()
        assert not await cache.is_claimed("k")

    on(body)


def test_a_waiter_that_is_cancelled_at_its_turn_hands_it_on() -> None:
    async def main() -> None:
        async with Cache("memory://") as cache:
            claim = await cache.claim("k")
            assert claim is not None
            cancelled, following = (asyncio.create_task(cache.claim("k")) for _ in range(2))
            await asyncio.sleep(0.02)
            await claim.release()
            cancelled.cancel()
            assert await in_time(following) is not None
            assert cancelled.cancelled()

    run(main())


def test_close_gives_it_back(remote: Driver) -> None:
    async def main() -> None:
        async with remote.cache() as other:
            async with remote.cache() as cache:
                assert await cache.claim("k") is not None
            assert await in_time(other.claim("k")) is not None

    run(main())


def test_in_a_bypass_the_server_hears_nothing_of_it(remote: Driver) -> None:
    async def main() -> None:
        raw, key = on_server(remote)
        async with remote.cache() as cache:
            with cache.bypass():
                claim = await cache.claim("k")
                assert claim is not None
                assert await cache.claim("k", wait=False) is None
            with raw:
                assert raw("EXISTS", key) == 0
            await claim.release()

    run(main())


def test_nobody_refreshes_an_entry_that_is_claimed(remote: Driver) -> None:
    async def main() -> None:
        loads: list[str] = []

        async def load() -> str:
            loads.append("loaded")
            return "new"

        async with remote.cache() as a, remote.cache() as b:
            await a.set("k", "old", ttl="50ms", stale="1h")
            claim = await a.claim("k")
            assert claim is not None
            await asyncio.sleep(0.1)
            assert await b.get_or_set("k", load, stale="1h") == "old"
            assert await b.claim("k", wait="100ms") is None  # and its background refresh is over
            assert loads == []
            await claim.release()

            async def is_new() -> bool:
                return await b.get_or_set("k", load, stale="1h") == "new"

            await eventually(is_new)

    run(main())


def test_without_a_server_it_is_a_lock_of_the_process(prefix: str, make: Callable[..., Cache]) -> None:
    async def main() -> None:
        async with make(f"redis://127.0.0.1:{free_port()}", prefix=prefix, connect_timeout="100ms") as cache:
            claim = await cache.claim("k")
            assert claim is not None
            assert await cache.claim("k", wait="20ms") is None
            assert await cache.is_claimed("k")
            assert await claim.release()
            assert not await cache.is_claimed("k")

    run(main())


def test_who_waits_for_another_does_not_wait_for_a_dead_server(
    fresh_server: StartServer, prefix: str, make: Callable[..., Cache]
) -> None:
    server = fresh_server()

    async def main() -> None:
        async with make(server.url, prefix=prefix) as a, make(server.url, prefix=prefix) as b:
            assert await a.claim("k") is not None
            waiting = asyncio.create_task(b.claim("k"))
            await asyncio.sleep(0.05)
            server.kill()
            assert await in_time(waiting) is not None

    run(main())


@pytest.fixture
def make(driver: Driver) -> Callable[..., Cache]:
    """Return a maker of caches of the tested face."""
    from tests.support.threaded import threaded  # noqa: PLC0415 - as the drivers do

    return threaded if driver.variant.endswith("on threads") else Cache


def test_what_is_no_time_is_refused(on: On) -> None:
    async def body(cache: Cache) -> None:
        for options, named in (
            ({"ttl": 0}, "ttl = 0 must be more than zero"),
            ({"ttl": "1ms"}, "ttl = '1ms' is under 100ms"),
            ({"wait": -1}, "wait = -1 must not be negative"),
            ({"wait": "long"}, "wait = 'long' is not a duration"),
        ):
            with pytest.raises(ConfigError, match=named):
                await cache.claim("k", **options)

    on(body)
