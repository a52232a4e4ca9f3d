"""incr: exact with many callers, and a clear error for other values; the same on every driver, signed and not."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack

import pytest

from fleetcache import MISSING, Cache, CodecError, SyncCache, Unavailable
from fleetcache.shared import scripts
from tests.support.client import Client
from tests.support.drivers import Driver, commands_of
from tests.support.proxy import Proxy
from tests.support.run import run
from tests.support.servers import Server
from tests.support.waiting import eventually

KEY = b"k" * 32


@pytest.fixture(params=[(), (KEY,)], ids=["unsigned", "signed"])
def on(driver: Driver, request: pytest.FixtureRequest) -> Callable[[Callable[[Cache], Awaitable[None]]], None]:
    def run_on(body: Callable[[Cache], Awaitable[None]]) -> None:
        async def main() -> None:
            async with driver.cache(signing_keys=request.param) as cache:
                await body(cache)

        run(main())

    return run_on


On = Callable[[Callable[[Cache], Awaitable[None]]], None]


def test_a_counter_begins_at_zero_and_counts_by_any_step(on: On) -> None:
    async def body(cache: Cache) -> None:
        assert await cache.incr("k") == 1
        assert await cache.incr("k", 41) == 42
        assert await cache.incr("k", -50) == -8
        assert await cache.incr("k", 0) == -8
        assert await cache.get("k", type=int) == -8

    on(body)


def test_a_counter_that_is_not_there_may_be_left_so(on: On) -> None:
    async def body(cache: Cache) -> None:
        with pytest.raises(KeyError, match="k"):
            await cache.incr("k", create=False)
        assert await cache.get("k", MISSING) is MISSING
        await cache.set("k", 41)
        assert await cache.incr("k", create=False) == 42
        assert await cache.get("k") == 42

    on(body)


def test_an_integer_that_was_set_is_a_counter(on: On) -> None:
    async def body(cache: Cache) -> None:
        for value, kind in ((40, object), (-3, int)):
            await cache.set("k", value, type=kind)
            assert await cache.incr("k", 2) == value + 2
            assert await cache.get("k") == value + 2

    on(body)


def test_a_counter_with_tags_keeps_them(on: On) -> None:
    async def body(cache: Cache) -> None:
        await cache.set("k", 1, tags=["t"])
        assert await cache.incr("k") == 2
        await cache.invalidate_tags("t")
        assert await cache.get("k", MISSING) is MISSING
        assert await cache.incr("k") == 1

    on(body)


def test_after_delete_and_clear_it_begins_anew(on: On) -> None:
    async def body(cache: Cache) -> None:
        await cache.incr("k", 5)
        await cache.delete("k")
        assert await cache.incr("k") == 1
        await cache.clear()
        assert await cache.incr("k") == 1
        view = cache.namespace("n")
        await view.incr("k", 7)
        await view.clear()
        assert await view.incr("k") == 1
        assert await cache.incr("k") == 2

    on(body)


def test_only_the_first_call_decides_how_long_it_lives(on: On) -> None:
    async def body(cache: Cache) -> None:
        await cache.incr("k", ttl="1s")
        await cache.incr("k", ttl="1h")

        async def ended() -> bool:
            return await cache.get("k", MISSING) is MISSING

        await eventually(ended)
        assert await cache.incr("k") == 1

    on(body)


def test_what_is_no_integer_is_not_counted_and_not_changed(on: On) -> None:
    async def body(cache: Cache) -> None:
        for value in ("5", 1.0, True, None, [1], b"1"):
            await cache.set("k", value)
            with pytest.raises(CodecError, match=f"holds a {type(value).__name__}, not an integer"):
                await cache.incr("k")
            assert await cache.get("k") == value

    on(body)


def test_counts_are_exact_to_int64_and_an_error_beyond(on: On) -> None:
    async def body(cache: Cache) -> None:
        exact, most = 2**53, 2**63 - 1
        assert await cache.incr("k", exact - 1) == exact - 1
        assert [await cache.incr("k") for _ in range(3)] == [exact, exact + 1, exact + 2]
        assert await cache.get("k") == exact + 2
        assert await cache.incr("k", -3) == exact - 1
        assert await cache.incr("k", -1) == exact - 2
        assert await cache.incr("k", most - exact + 2) == most
        for key, delta in (("k", 1), ("k", most), ("other", most + 1), ("other", -(2**70))):
            with pytest.raises(CodecError, match=r"beyond int64 \(2\^63 - 1\)"):
                await cache.incr(key, delta)
        assert await cache.get("k") == most
        assert await cache.incr("k", -most) == 0
        assert await cache.incr("k", -most - 1) == -most - 1
        with pytest.raises(CodecError, match="beyond"):
            await cache.incr("k", -1)
        assert await cache.incr("new", most) == most
        assert await cache.get("new", type=int) == most
        await cache.set("k", exact + 1, ttl="1h")
        assert await cache.incr("k", ttl="1s") == exact + 2
        seen = await cache.explain("k")
        assert (seen.near_fresh_for or seen.shared_fresh_for or 0) > 3000  # its own life, which further calls keep

    on(body)


@pytest.mark.parametrize("signing_keys", [(), (KEY,)], ids=["unsigned", "signed"])
@pytest.mark.parametrize("start", ["absent", "set", "tagged"])
def test_many_instances_count_exactly(remote: Driver, signing_keys: tuple[bytes, ...], start: str) -> None:
    async def main() -> None:
        async with (
            remote.cache(signing_keys=signing_keys) as a,
            remote.cache(signing_keys=signing_keys) as b,
            remote.cache(signing_keys=signing_keys) as c,
        ):
            if start != "absent":
                await a.set("k", 0, tags=["t"] if start == "tagged" else ())
            results: list[int] = []

            async def count(cache: Cache) -> None:
                for _ in range(10):
                    results.append(await cache.incr("k"))  # noqa: PERF401 - a comprehension would be a generator

            await asyncio.gather(*(count(cache) for cache in (a, b, c)))
            assert sorted(results) == list(range(1, 31))
            assert [await cache.get("k", type=int) for cache in (a, b, c)] == [30] * 3

    run(main())


def test_many_at_once_in_one_process_count_exactly(on: On) -> None:
    async def body(cache: Cache) -> None:
        await cache.set("k", 0, tags=["t"])
        results = await asyncio.gather(*(cache.incr("k") for _ in range(40)))
        assert sorted(results) == list(range(1, 41))

    on(body)


def test_what_the_server_did_not_acknowledge_is_not_guessed(remote: Driver) -> None:
    assert remote.server is not None

    async def main() -> None:
        async with remote.cache(operation_timeout="500ms") as cache:
            await cache.incr("k")
            client = remote.server.client()  # type: ignore[union-attr]  # looked at above
            with client:
                client("CLIENT", "PAUSE", 1500, "ALL")
            with pytest.raises(Unavailable, match="incr of 'k'"):
                await cache.incr("k")

    run(main())


@pytest.mark.parametrize("reply", ["'odd'", "7", "{7}"])
def test_an_answer_that_is_none_is_no_count(
    server: Server, prefix: str, reply: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = f"return {reply}"
    sha = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()
    monkeypatch.setitem(scripts.SCRIPTS, "incr", scripts.Script("incr", text, sha))

    async def main() -> None:
        async with Cache(server.url, prefix=prefix, operation_timeout="5s") as cache:
            with pytest.raises(Unavailable):
                await cache.incr("visits")

    run(main())


# -- no call starves ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("create", [True, False])
@pytest.mark.parametrize("start", ["absent", "set", "tagged"])
def test_many_at_once_on_one_signed_counter_all_succeed_with_few_commands(
    remote: Driver, start: str, create: bool
) -> None:
    """Each alias of Django's cache counts this way."""
    assert remote.server is not None

    async def main(client: Client) -> None:
        async with remote.cache(signing_keys=(KEY,), operation_timeout="1s") as cache:
            if start != "absent":
                await cache.set("k", 0, tags=["t"] if start == "tagged" else ())
            elif not create:
                assert await cache.incr("k", 0) == 0
            before = commands_of(client)
            totals = await asyncio.gather(*(cache.incr("k", create=create) for _ in range(128)))
            after = commands_of(client)
            assert sorted(totals) == list(range(1, 129))
            # Threads run in the system's order, and any number of them meet.
            if not remote.variant.endswith("on threads"):
                assert totals == sorted(totals)  # in the order of their calls
                assert sum(after.values()) - sum(before.values()) <= 8 * 128 / 4
            assert sum(after.values()) - sum(before.values()) <= 8 * 128

    with remote.server.client() as client:
        run(main(client))


def test_many_instances_at_once_all_succeed(remote: Driver) -> None:
    assert remote.server is not None

    async def main(client: Client) -> None:
        async with AsyncExitStack() as stack:
            caches = [
                await stack.enter_async_context(remote.cache(signing_keys=(KEY,), operation_timeout="2s"))
                for _ in range(8)
            ]
            before = commands_of(client)
            totals = await asyncio.gather(*(cache.incr("k") for _ in range(40) for cache in caches))
            after = commands_of(client)
            assert sorted(totals) == list(range(1, 321))
            assert sum(after.values()) - sum(before.values()) <= 8 * 320

    with remote.server.client() as client:
        run(main(client))


def test_threads_and_tasks_of_one_process_are_summed_alike(server: Server, prefix: str) -> None:
    with (
        SyncCache(server.url, prefix=prefix, signing_keys=(KEY,), operation_timeout="5s") as cache,
        ThreadPoolExecutor(32) as pool,
    ):

        async def tasks() -> list[int]:
            return list(await asyncio.gather(*(cache.aio.incr("k") for _ in range(64))))

        by_tasks = pool.submit(asyncio.run, tasks())
        by_threads = [pool.submit(cache.incr, "k") for _ in range(64)]
        assert sorted([*by_tasks.result(), *(one.result() for one in by_threads)]) == list(range(1, 129))


def test_each_call_of_a_sum_is_told_its_own(remote: Driver) -> None:
    async def main() -> None:
        async with remote.cache(signing_keys=(KEY,)) as cache:
            absent = (cache.incr("k", create=False) for _ in range(3))
            told = await asyncio.gather(
                *absent, cache.incr("k", 5), cache.incr("k", create=False), return_exceptions=True
            )
            # Threads run in the system's order, tasks in the order of their calls.
            in_order = not remote.variant.endswith("on threads")
            totals = [one for one in told if isinstance(one, int)]
            assert sorted(totals) == list(range(5, 5 + len(totals)))
            assert {type(one) for one in told} <= {int, KeyError}, "a call before its creation finds no counter"
            assert not in_order or totals == told[3:] == [5, 6]
            last, most = max(totals), 2**63 - 1
            told = await asyncio.gather(*(cache.incr("k", step) for step in (1, most, -1)), return_exceptions=True)
            up, over, down = told
            assert isinstance(over, CodecError)
            assert (up, down) in ({(last + 1, last)} if in_order else {(last + 1, last), (last, last - 1)})
            await cache.set("word", "one")
            told = await asyncio.gather(*(cache.incr("word") for _ in range(5)), return_exceptions=True)
            assert [type(one) for one in told] == [CodecError] * 5

    run(main())


@pytest.mark.parametrize("gone", [0, 1, 2])
def test_who_is_cancelled_takes_nobody_with_it(server: Server, prefix: str, gone: int) -> None:
    async def main(proxy: Proxy) -> None:
        async with Cache(proxy.url, prefix=prefix, signing_keys=(KEY,), operation_timeout="5s") as cache:
            await cache.incr("k", 0)
            with proxy.frozen():
                calls = [asyncio.create_task(cache.incr("k")) for _ in range(3)]
                await eventually(proxy.held)
                calls[gone].cancel()
            told = await asyncio.gather(*calls, return_exceptions=True)
            assert [type(one) for one in told] == [asyncio.CancelledError if n == gone else int for n in range(3)]
            assert sorted(one for one in told if isinstance(one, int)) == [1, 2]
            assert await cache.incr("k") == 3

    with Proxy(server) as proxy:
        run(main(proxy))


def test_who_gave_up_before_it_was_summed_is_not_counted(server: Server, prefix: str) -> None:
    async def main(proxy: Proxy) -> None:
        async with Cache(proxy.url, prefix=prefix, signing_keys=(KEY,), operation_timeout="500ms") as cache:
            await cache.incr("k", 0)
            with proxy.frozen():
                told = await asyncio.gather(*(cache.incr("k") for _ in range(5)), return_exceptions=True)
                assert [type(one) for one in told] == [Unavailable] * 5
            await eventually(lambda: cache.stats().link == "online")
            assert await cache.incr("k") == 1

    with Proxy(server) as proxy:
        run(main(proxy))
