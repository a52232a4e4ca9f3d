"""Two releases on one server: an entry of the other release is unusable, so it is loaded again, and never wrong."""

from collections.abc import Iterator

import pytest

from fleetcache import Cache
from fleetcache.format import entry
from tests.promises.variants import ours
from tests.support.run import run
from tests.support.servers import Server

# Offsets at the end of the head: the format, and behind it the codec and the flags.
FORMAT, FLAGS = 17, 19


async def load() -> int:
    return 2


def of_others(written: bytes) -> Iterator[bytes]:
    """Yield entries as an earlier and a later release write them."""
    for number in (0, 1, 3, 255):
        yield written[:FORMAT] + bytes((number,)) + written[FORMAT + 1 :]
    for flag in (2, 4, 8, 0x10, 0x20, 0x2A):
        yield written[:FLAGS] + bytes((flag,)) + written[FLAGS + 1 :]
    yield b"F" + bytes(16) + b"2 3000"


async def _meets(server: Server, prefix: str, foreign: bytes | None) -> list[object]:
    """Return the verbs' answers for a key that holds another release's entry."""
    async with ours(server.url, prefix=prefix, operation_timeout="5s", near_max_bytes=0) as cache:
        raw = cache._engine.layout.entry("k")
        await cache.set("k", 1)
        with server.client() as client:
            planted = client("GET", raw) if foreign is None else foreign
            said: list[object] = []
            for verb in ("get", "touch", "get_or_set", "add", "incr"):
                client("SET", raw, planted, "PX", 60_000)
                said.append(await answer(cache, verb))
            return said


async def answer(cache: Cache, verb: str) -> object:
    if verb == "get":
        return await cache.get("k", "none")
    if verb == "touch":
        return await cache.touch("k", 60)
    if verb == "get_or_set":
        return await cache.get_or_set("k", load), await cache.get("k")
    if verb == "add":
        return await cache.add("k", 3), await cache.get("k")
    return await cache.incr("k", 4), await cache.get("k")


def test_what_another_release_wrote_is_replaced_and_never_read(one_server: Server, prefix: str) -> None:
    async def main() -> None:
        async with ours(one_server.url, prefix=prefix, operation_timeout="5s") as cache:
            await cache.set("k", 1)
            with one_server.client() as client:
                written = client("GET", cache._engine.layout.entry("k"))
        for foreign in of_others(written):
            assert await _meets(one_server, prefix, foreign) == ["none", False, (2, 2), (True, 3), (4, 4)], foreign[:24]

    run(main())


def test_twin_of_this_release_it_is_read(one_server: Server, prefix: str) -> None:
    said = run(_meets(one_server, prefix, None))
    assert said == [1, True, (1, 1), (False, 1), (5, 5)]


def test_a_process_of_the_format_before_does_not_read_this_one(
    one_server: Server, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        async with ours(one_server.url, prefix=prefix, operation_timeout="5s", near_max_bytes=0) as cache:
            await cache.set("k", "new")
            with monkeypatch.context() as earlier:
                earlier.setattr(entry, "FORMAT_WRITTEN", 1)
                earlier.setattr(entry, "FORMATS_READ", frozenset({1}))
                assert await cache.get("k") is None
                assert await cache.get_or_set("k", load) == 2
            assert await cache.get("k") is None
            assert cache.stats().unusable["format"] >= 2

    run(main())
