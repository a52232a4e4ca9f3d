"""Reads: an entry is judged as its reply comes, and unknown versions of tags are asked for in between."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from fleetcache import Cache
from fleetcache.futures import Future
from fleetcache.policy.lookup import EntryState, Lookup
from fleetcache.shared.reading import Reads
from tests.support.client import Client
from tests.support.drivers import Driver
from tests.support.run import run
from tests.support.waiting import eventually

Body = Callable[[Cache, Client], Awaitable[None]]


def played(remote: Driver, body: Body) -> None:
    async def main() -> None:
        assert remote.server is not None
        async with remote.cache() as writer, remote.cache() as cache:
            await writer.set("k", "x", tags=["geo"])
            await writer.set("plain", "y")
            await cache.get("warm")
            with remote.server.client() as raw:
                await body(cache, raw)

    run(main())


async def looked(cache: Cache, key: str, declared: Any = str) -> Lookup:
    return await reply(cache, cache._engine.shared.look(key, declared, None))


async def reply(cache: Cache, future: Future | None) -> Lookup:
    assert future is not None, "nothing was sent"
    engine = cache._engine
    seen = await engine.ports.wait(future, engine.clock() + 10)
    assert isinstance(seen, Lookup)
    return seen


def test_an_entry_an_empty_key_and_a_foreign_value_are_told_apart(remote: Driver) -> None:
    async def body(cache: Cache, raw: Client) -> None:
        raw("SET", cache._engine.layout.entry("foreign"), "hello")
        states = [(await looked(cache, key)).state for key in ("plain", "absent", "foreign")]
        assert states == [EntryState.FRESH, EntryState.ABSENT, EntryState.FOREIGN]

    played(remote, body)


def test_an_unknown_tag_is_asked_for_and_the_same_bytes_are_judged_again(remote: Driver) -> None:
    async def body(cache: Cache, raw: Client) -> None:
        engine = cache._engine
        seen = await looked(cache, "k")
        assert (seen.state, seen.unknown) == (EntryState.TAGS_UNKNOWN, ("geo",))
        raw("DEL", engine.layout.entry("k"))  # judged are the bytes that were read
        settled = await reply(cache, engine.shared.settle("k", seen, str, None))
        assert (settled.state, settled.answer and settled.answer.value) == (EntryState.FRESH, "x")
        assert not engine.coherence.missing(("geo",))

    played(remote, body)


def test_a_version_that_was_removed_is_minted_anew(remote: Driver) -> None:
    async def body(cache: Cache, raw: Client) -> None:
        engine = cache._engine
        seen = await looked(cache, "k")
        assert raw("DEL", engine.layout.tag("geo")) == 1
        settled = await reply(cache, engine.shared.settle("k", seen, str, None))
        assert (settled.state, settled.reason) == (EntryState.INVALID, "tags")
        assert raw("EXISTS", engine.layout.tag("geo")) == 1

    played(remote, body)


async def filled(cache: Cache) -> None:
    assert [await cache.get(key) for key in ("k", "plain")] == ["x", "y"]
    assert [cache.peek(key) for key in ("k", "plain")] == ["x", "y"]


@pytest.mark.parametrize("tag", ["*", "geo"])
def test_a_push_without_a_change_is_asked_about_and_empties_nothing(remote: Driver, tag: str) -> None:
    async def body(cache: Cache, raw: Client) -> None:
        coherence, key = cache._engine.coherence, cache._engine.layout.tag(tag)
        await filled(cache)
        for _ in range(3):
            pushed = cache.stats().invalidations
            raw("SET", key, raw("GET", key))  # the same bytes: a push all the same
            await eventually(lambda: cache.stats().invalidations > pushed)  # noqa: B023 - awaited in this turn
            await eventually(lambda: tag not in coherence.doubts)
            assert not coherence.missing((tag,))
            assert [cache.peek(name) for name in ("k", "plain")] == ["x", "y"]
        assert cache.stats().shared_hits == 2

    played(remote, body)


def test_a_push_with_a_change_empties_near_without_a_reader(remote: Driver) -> None:
    async def body(cache: Cache, raw: Client) -> None:
        await filled(cache)
        raw("DEL", cache._engine.layout.tag("geo"))
        await eventually(lambda: cache.peek("k") is None)
        assert cache.peek("plain") == "y"
        assert raw("EXISTS", cache._engine.layout.tag("geo")) == 1  # the answer is a new version

    played(remote, body)


def test_a_question_that_is_refused_empties_near(remote: Driver) -> None:
    async def body(cache: Cache, raw: Client) -> None:
        key = cache._engine.layout.tag("geo")
        await filled(cache)
        raw.transaction(("DEL", key), ("LPUSH", key, "no version"))
        await eventually(lambda: cache.peek("k") is None)
        assert cache.peek("plain") == "y"

    played(remote, body)


def test_a_refused_read_is_shown_until_one_succeeds(remote: Driver) -> None:
    async def body(cache: Cache, raw: Client) -> None:
        engine = cache._engine
        raw("LPUSH", engine.layout.entry("list"), "x")
        assert (await looked(cache, "list")).state is EntryState.UNAVAILABLE
        assert engine.shared.refusals["read"][0] == "wrongtype"
        await looked(cache, "plain")
        assert "read" not in engine.shared.refusals

    played(remote, body)


def test_a_pair_that_is_torn_twice_is_left_to_the_next_script(remote: Driver, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key that another client writes all the time must not be read for ever."""
    asked: list[str] = []

    def torn(_self: Reads, key: str, *_: Any) -> bool:
        asked.append(key)
        return True

    async def body(cache: Cache, _raw: Client) -> None:
        cache._engine.coherence.tracking = False  # each pair is checked
        monkeypatch.setattr(Reads, "is_torn", torn)
        assert (await looked(cache, "plain")).state is EntryState.ABSENT
        assert asked == ["plain", "plain"]

    played(remote, body)
