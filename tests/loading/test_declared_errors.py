"""Errors that belong to a function's results: stored like a value, raised again everywhere, a value for no caller."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from fleetcache import MISSING, Cache, CodecError, ConfigError, SyncCache
from tests.support.drivers import VARIANTS, Driver
from tests.support.run import run
from tests.support.servers import Server, Transport
from tests.support.waiting import eventually


class NotFoundError(Exception):
    """The declared error."""


class OtherError(Exception):
    """An error that was not declared."""


class StatusError(Exception):
    """An error that would come back without its status."""

    def __init__(self, status: int) -> None:
        super().__init__("refused")
        self.status = status


ERRORS: Any = {NotFoundError: "30s"}

Body = Callable[[Cache, Cache], Awaitable[None]]
Play = Callable[..., None]


@pytest.fixture(params=[*VARIANTS, "memory on threads", "valkey on threads", "valkey json", "valkey signed"])
def play(request: pytest.FixtureRequest, shared_servers: Callable[[str, Transport], Server], prefix: str) -> Play:
    """Plays with two instances of each kind; in memory they are one."""
    variant: str = request.param
    remote = not variant.startswith("memory")
    server = shared_servers(variant.split(maxsplit=1)[0], "tcp") if remote else None
    more: dict[str, Any] = {}
    if variant.endswith("json"):
        more = {"codec": "json"}
    if variant.endswith("signed"):
        more = {"codec": "pickle", "signing_keys": "k" * 32}
    driver = Driver(variant, server, prefix)

    def run_on(body: Body, **settings: Any) -> None:
        async def main() -> None:
            async with driver.cache(**more, **settings) as cache:
                if not remote:
                    await body(cache, cache)
                    return
                async with driver.cache(**more, **settings) as other:
                    await other.get("warm")
                    await body(cache, other)

        run(main())

    return run_on


class Source:
    """A source that raises what it is told."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error, self.loads = error, 0

    async def load(self) -> int:
        self.loads += 1
        if self.error is not None:
            raise self.error
        return self.loads

    async def ask(self, cache: Cache, **options: Any) -> int:
        return await cache.get_or_set("k", self.load, **{"ttl": "1h", "errors": ERRORS, "tags": ("t",), **options})

    async def fails(self, cache: Cache, **options: Any) -> Exception:
        with pytest.raises(Exception) as caught:  # noqa: PT011 - the test looks at it
            await self.ask(cache, **options)
        return caught.value

    async def gives(self, cache: Cache, value: int, **options: Any) -> None:
        """Wait until the cache answers with the value: until the push is there, near may raise the error."""

        async def given() -> bool:
            try:
                return await self.ask(cache, **options) == value
            except NotFoundError:
                return False

        await eventually(given)


def test_a_declared_error_is_loaded_once_and_raised_everywhere(play: Play) -> None:
    async def body(cache: Cache, other: Cache) -> None:
        source = Source(NotFoundError("no user", 7, None, ["a"]))
        found = [await source.fails(each) for each in (cache, cache, other, other)]
        assert {type(error) for error in found} == {NotFoundError}
        assert {error.args for error in map(_frozen, found)} == {("no user", 7, None, ("a",))}
        assert source.loads == 1
        assert found[-1].__cause__ is found[-1].__context__ is None

    play(body)


def _frozen(error: Exception) -> Exception:
    return NotFoundError(*(tuple(arg) if isinstance(arg, list) else arg for arg in error.args))


def test_all_who_ask_at_once_get_the_error_of_one_load(play: Play) -> None:
    async def body(cache: Cache, other: Cache) -> None:
        source = Source(NotFoundError("x"))
        calls = (source.fails(each) for each in (cache, other) * 10)
        assert {type(error) for error in await asyncio.gather(*calls)} == {NotFoundError}
        assert source.loads == 1

    play(body)


def test_it_is_no_value_for_any_other_verb(play: Play) -> None:
    async def body(cache: Cache, other: Cache) -> None:
        source = Source(NotFoundError("x"))
        for each in (cache, other):
            await source.fails(each)
            await source.fails(each)
            assert await each.get("k", MISSING) is MISSING
            assert await each.get("k", MISSING, allow_stale=True) is MISSING
            assert each.peek("k", MISSING) is MISSING
            assert await each.get_many(["k"]) == {}
            assert await each.lookup("k") is None
            assert await each.touch("k", "1h") is False
            assert await each.delete("absent") is False
        assert source.loads == 1

    play(body)


def test_explain_says_error(play: Play) -> None:
    async def body(cache: Cache, _other: Cache) -> None:
        await Source(NotFoundError("x")).fails(cache)
        told = await cache.explain("k")
        assert "error" in {told.near, told.shared}
        assert told.near in {"error", "none"}
        assert told.shared in {"error", "fault"}

    play(body)


REMOVALS: dict[str, Callable[[Cache], Awaitable[Any]]] = {
    "set": lambda cache: cache.set("k", 5),
    "delete": lambda cache: cache.delete("k"),
    "tag": lambda cache: cache.invalidate_tags("t"),
    "clear": lambda cache: cache.clear(),
    "add": lambda cache: cache.add("k", 5),
    "incr": lambda cache: cache.incr("k", 5),
}


@pytest.mark.parametrize("verb", REMOVALS)
def test_any_write_removes_it(play: Play, verb: str) -> None:
    async def body(cache: Cache, other: Cache) -> None:
        source = Source(NotFoundError("x"))
        await source.fails(other)
        done = await REMOVALS[verb](cache)
        assert done in {None, True, 5} or (verb == "delete" and done is False)
        source.error = None
        await source.gives(other, 5 if verb in {"set", "add", "incr"} else 2)

    play(body, max_staleness="2s")


def test_it_ends_with_its_time(play: Play) -> None:
    async def body(cache: Cache, _other: Cache) -> None:
        source = Source(NotFoundError("x"))
        await source.fails(cache, errors={NotFoundError: "50ms"}, stale="1h")
        source.error = None
        await source.gives(cache, 2, errors={NotFoundError: "50ms"}, stale="1h")

    play(body)


def test_an_unknown_class_is_a_miss(play: Play) -> None:
    async def body(cache: Cache, other: Cache) -> None:
        source = Source(NotFoundError("x"))
        await source.fails(cache)
        assert type(await source.fails(other, errors={OtherError: 30})) is NotFoundError
        assert source.loads == 2
        source.error = None
        assert await source.ask(other, errors=None) == 3
        await source.gives(cache, 3)
        assert source.loads == 3

    play(body, max_staleness="2s")


def test_an_error_of_no_declared_class_is_not_stored(play: Play) -> None:
    async def body(cache: Cache, _other: Cache) -> None:
        source = Source(OtherError("x"))
        await source.fails(cache)
        assert type(await source.fails(cache)) is OtherError
        assert source.loads == 2

    play(body)


def test_refresh_stores_it_over_a_value_and_a_background_refresh_does_not(play: Play) -> None:
    async def body(cache: Cache, other: Cache) -> None:
        source = Source()
        assert await source.ask(cache, ttl="20ms", stale="1h") == 1
        source.error = NotFoundError("x")
        await asyncio.sleep(0.03)
        assert await source.ask(cache, ttl="20ms", stale="1h") == 1, "the stale value comes first"
        await eventually(lambda: source.loads == 2 and cache.stats().flights == 0)
        assert await cache.get("k", allow_stale=True) == 1, "the error does not replace it"
        with pytest.raises(NotFoundError):
            await cache.refresh("k", source.load, errors=ERRORS, tags=("t",))
        assert type(await source.fails(other, ttl="20ms", stale="1h")) is NotFoundError
        assert source.loads == 3

    play(body)


def test_an_error_that_would_come_back_changed_is_told_and_not_stored(
    play: Play, caplog: pytest.LogCaptureFixture
) -> None:
    async def body(cache: Cache, _other: Cache) -> None:
        source = Source(StatusError(429))
        for _ in range(2):
            error = await source.fails(cache, errors={StatusError: 30})
            assert isinstance(error, StatusError)
            assert error.status == 429
        source.error = NotFoundError(object())
        await source.fails(cache)
        assert source.loads == 3

    with caplog.at_level(logging.ERROR, "fleetcache"):
        play(body)
    told = [record.getMessage() for record in caplog.records]
    assert sum("StatusError cannot be stored: it has the attribute status" in each for each in told) == 1
    assert len(told) == 2


def test_with_strict_it_raises(play: Play) -> None:
    async def body(cache: Cache, _other: Cache) -> None:
        assert type(await Source(StatusError(429)).fails(cache, errors={StatusError: 30})) is CodecError

    play(body, strict=True)


def test_a_decorated_function(play: Play) -> None:
    async def body(cache: Cache, other: Cache) -> None:
        calls: list[int] = []

        def decorated(cache: Cache) -> Any:
            async def user(number: int, calls: list[int] = calls) -> int:
                calls.append(number)
                raise NotFoundError(number)

            return cache.cached(key="user:{number}", errors=ERRORS)(user)

        for function in (decorated(cache), decorated(other)):
            for _ in range(2):
                with pytest.raises(NotFoundError, match="7"):
                    await function(7)
        assert calls == [7]
        assert await decorated(cache).invalidate(7) is False, "an error is no live value"
        with pytest.raises(NotFoundError):
            await decorated(cache)(7)
        assert calls == [7, 7]

    play(body)


def test_a_batch_takes_it_for_a_miss(play: Play) -> None:
    async def load(keys: list[str]) -> dict[str, int]:
        return dict.fromkeys(keys, 5)

    async def body(cache: Cache, other: Cache) -> None:
        source = Source(NotFoundError("x"))
        await source.fails(cache)
        assert await other.get_or_set_many(["k", "l"], load) == {"k": 5, "l": 5}

    play(body)


def test_wrong_mappings_are_refused_where_they_are_written(play: Play) -> None:
    async def body(cache: Cache, _other: Cache) -> None:
        with pytest.raises(ConfigError, match="not a class of exceptions"):
            await Source().ask(cache, errors={"NotFound": 5})
        assert await Source().ask(cache, errors={}) == 1

    play(body)


@pytest.mark.parametrize("face", [Cache, SyncCache])
def test_a_wrong_mapping_is_refused_where_a_function_is_decorated(face: Any) -> None:
    with pytest.raises(ConfigError, match="errors="):
        face("memory://").cached(errors=[NotFoundError])


@pytest.mark.parametrize("options", [{}, {"offline_ttl": "5s"}, {"stale": "1h"}])
def test_an_error_from_near_counts_as_one_hit(play: Play, options: dict[str, Any]) -> None:
    async def body(cache: Cache, _other: Cache) -> None:
        source = Source(NotFoundError("x"))
        await source.fails(cache, **options)
        before = cache.stats()
        await source.fails(cache, **options)
        after = cache.stats()
        assert after.near_hits + after.shared_hits - before.near_hits - before.shared_hits == 1

    play(body)
