"""incr: exact among many, and clear about what is no counter; the same on every driver, signed and not."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable

import pytest

from fleetcache import MISSING, Cache, CodecError, Unavailable, calls
from tests.core.drivers import Driver
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
        await cache.incr("k", ttl="200ms")
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


def test_beyond_what_can_be_counted_exactly_is_an_error(on: On) -> None:
    async def body(cache: Cache) -> None:
        most = 2**53 - 1
        assert await cache.incr("k", most) == most
        for key, delta in (("k", 1), ("k", most), ("other", most + 1), ("other", -(2**70))):
            with pytest.raises(CodecError, match=r"beyond 2\^53 - 1"):
                await cache.incr(key, delta)
        assert await cache.get("k") == most
        assert await cache.incr("k", -1) == most - 1
        await cache.set("k", 2**53 + 1)
        with pytest.raises(CodecError, match="beyond"):
            await cache.incr("k")
        assert await cache.incr("k", -3) == 2**53 - 2

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
        async with remote.cache(operation_timeout="100ms") as cache:
            await cache.incr("k")
            client = remote.server.client()  # type: ignore[union-attr]  # looked at above
            with client:
                client("CLIENT", "PAUSE", 300, "ALL")
            with pytest.raises(Unavailable, match="incr of 'k'"):
                await cache.incr("k")

    run(main())


@pytest.mark.parametrize("reply", ["'odd'", "7", "{7}"])
def test_an_answer_that_is_none_is_no_count(
    server: Server, prefix: str, reply: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = f"return {reply}"
    sha = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()
    monkeypatch.setitem(calls.SCRIPTS, "incr", calls.Script("incr", text, sha))

    async def main() -> None:
        async with Cache(server.url, prefix=prefix) as cache:
            with pytest.raises(Unavailable):
                await cache.incr("visits")

    run(main())
