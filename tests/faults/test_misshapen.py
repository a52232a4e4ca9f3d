"""A server with a wrong answer or push: no error for the caller, one reason in health, the link stays."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import hiredis
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleetcache import Cache, SyncCache
from fleetcache.errors import FleetcacheError
from fleetcache.shared.scripts import SCRIPTS
from tests.support.run import run
from tests.support.servers import Server

ODD = {
    "empty list": b"*0\r\n",
    "list": b"*1\r\n$1\r\nx\r\n",
    "number": b":7\r\n",
    "text": b"$1\r\nx\r\n",
    "null": b"_\r\n",
}
EVALS = {script.sha: name for name, script in SCRIPTS.items()}


class Liar:
    """Relays to a real server, command by command, and answers some itself.

    Args:
        server: The real server.
        tracks: Whether the server's tracking is passed on.

    Attributes:
        lies: Replies by name of the command or script.
        pushes: What comes before the reply to each ``PTTL``, so between the two replies of a read.
    """

    def __init__(self, server: Server, *, tracks: bool = False) -> None:
        self.server, self.tracks = server, tracks
        self.lies: dict[str, bytes] = {}
        self.pushes = b""
        self.connections = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        there, to = await asyncio.open_connection(self.server.address.host, self.server.address.port)
        commands = hiredis.Reader()
        try:
            while data := await reader.read(65536):
                commands.feed(data)
                while (command := commands.gets()) is not False:
                    if command[0] == b"PTTL":
                        writer.write(self.pushes)
                    writer.write(self.lie(command) or await self.ask(command, there, to))
        except OSError:
            pass
        finally:
            writer.transport.abort()
            to.transport.abort()
            # Else the garbage collector may report the reset of a connection as an error that no code fetched.
            await asyncio.gather(writer.wait_closed(), to.wait_closed(), return_exceptions=True)

    def lie(self, command: list[bytes]) -> bytes | None:
        name = command[0].decode()
        if command[:2] == [b"CLIENT", b"TRACKING"] and not self.tracks:
            return b"-ERR unknown subcommand\r\n"
        return self.lies.get(EVALS.get(command[1].decode(), name) if name == "EVALSHA" else name)

    async def ask(self, command: list[bytes], there: asyncio.StreamReader, to: asyncio.StreamWriter) -> bytes:
        to.write(hiredis.pack_command(tuple(command)))  # type: ignore[arg-type]
        frames, answer = hiredis.Reader(), b""
        while True:
            data = await there.read(65536)
            answer += data
            frames.feed(data)
            while (frame := frames.gets()) is not False:
                if not isinstance(frame, hiredis.PushNotification):
                    return answer


@asynccontextmanager
async def lying(server: Server, *, tracks: bool = False) -> AsyncIterator[tuple[Liar, str]]:
    liar = Liar(server, tracks=tracks)
    tasks: set[asyncio.Task[None]] = set()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.create_task(liar.serve(reader, writer)))

    listener = await asyncio.start_server(connected, "127.0.0.1", 0)
    try:
        yield liar, f"redis://127.0.0.1:{listener.sockets[0].getsockname()[1]}/0"
    finally:
        listener.close()
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


async def use(cache: Any, number: int) -> None:
    """Use every verb; only ``incr`` may raise."""
    key = f"key{number}"

    async def load() -> str:
        return "loaded"

    async def load_many(keys: Any) -> dict[str, str]:
        return dict.fromkeys(keys, "loaded")

    assert await cache.get_or_set(key, load) == "loaded"
    assert await cache.refresh(key, load) == "loaded"
    assert await cache.get_or_set_many([f"{key}a", f"{key}b"], load_many) == {f"{key}a": "loaded", f"{key}b": "loaded"}
    await cache.set(key, "set", ttl="1m", tags=("tag",))
    await cache.get(key)
    await cache.get_many([key, "other"])
    await cache.add(key, "added")
    await cache.touch(key, "2m")
    with suppress(FleetcacheError):
        await cache.incr(f"{key}count")
    await cache.invalidate_tags("tag")
    await cache.delete(key)
    await cache.clear()


LIED = [*SCRIPTS, "GET", "PTTL", "SET", "DEL", "GETRANGE"]


@pytest.mark.parametrize("what", LIED)
def test_no_shape_of_a_reply_costs_the_link_or_a_traceback(
    server: Server, prefix: str, what: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def scene() -> None:
        async with lying(server) as (liar, url), Cache(url, prefix=prefix, operation_timeout="2s") as cache:
            await cache.get("warm")
            for number, odd in enumerate(ODD.values()):
                if (what, odd) in {("GET", ODD["text"]), ("GETRANGE", ODD["text"]), ("PTTL", ODD["number"])}:
                    continue  # a legal answer
                liar.lies = {what: odd}
                await use(cache, number)
            liar.lies = {}
            assert (liar.connections, cache.stats().epoch) == (1, 1)
            assert await cache.get_or_set("after", _load) == "loaded"

    run(scene())
    assert errors_in(caplog) == []


PUSHES = {
    "no parts": b">0\r\n",
    "one part": b">1\r\n$10\r\ninvalidate\r\n",
    "three parts": b">3\r\n$10\r\ninvalidate\r\n*0\r\n:1\r\n",
    "number for keys": b">2\r\n$10\r\ninvalidate\r\n:5\r\n",
    "text for keys": b">2\r\n$10\r\ninvalidate\r\n$1\r\nk\r\n",
    "truth for keys": b">2\r\n$10\r\ninvalidate\r\n#t\r\n",
    "map for keys": b">2\r\n$10\r\ninvalidate\r\n%1\r\n$1\r\nk\r\n%1\r\n+a\r\n%0\r\n",
    "error for keys": b">2\r\n$10\r\ninvalidate\r\n-ERR no\r\n",
    "numbers among keys": b">2\r\n$10\r\ninvalidate\r\n*2\r\n$1\r\nk\r\n:5\r\n",
    "list among keys": b">2\r\n$10\r\ninvalidate\r\n*1\r\n*1\r\n$1\r\nk\r\n",
    "null among keys": b">2\r\n$10\r\ninvalidate\r\n*1\r\n_\r\n",
    "no keys": b">2\r\n$10\r\ninvalidate\r\n*0\r\n",
    "all keys": b">2\r\n$10\r\ninvalidate\r\n_\r\n",
    "unknown kind": b">2\r\n$7\r\nmessage\r\n:5\r\n",
    "kind that is a number": b">2\r\n:1\r\n:5\r\n",
    "kind that is a map": b">2\r\n%1\r\n+a\r\n+b\r\n:5\r\n",
}
HARMLESS = {"no parts", "no keys", "unknown kind", "kind that is a number", "kind that is a map"}


@pytest.mark.parametrize("tracks", [True, False])
def test_no_shape_of_a_push_costs_the_link_or_a_traceback(
    server: Server, prefix: str, tracks: bool, caplog: pytest.LogCaptureFixture
) -> None:
    async def scene() -> None:
        async with (
            lying(server, tracks=tracks) as (liar, url),
            Cache(url, prefix=prefix, operation_timeout="2s") as cache,
        ):
            for number, (name, odd) in enumerate(PUSHES.items()):
                liar.pushes = odd
                assert await cache.get_or_set(f"key{number}", _load) == "loaded"
                await cache.set("near", "held", ttl="1h")
                await cache.get_many(["absent", "also absent"])
                liar.pushes = b""
                hits = cache.stats().near_hits
                assert await cache.get("near") == "held"
                assert (cache.stats().near_hits - hits == 1) is (name in HARMLESS), name
            assert (liar.connections, cache.stats().epoch) == (1, 1)

    run(scene())
    assert errors_in(caplog) == []


PARTS = st.recursive(
    st.sampled_from([b":5\r\n", b"$1\r\nk\r\n", b"+invalidate\r\n", b"_\r\n", b"#t\r\n", b",1.5\r\n", b"-ERR no\r\n"]),
    lambda parts: st.one_of(
        st.lists(parts, max_size=3).map(lambda some: b"*%d\r\n%b" % (len(some), b"".join(some))),
        st.lists(parts, max_size=3).map(
            lambda some: b"%%%d\r\n%b" % (len(some), b"".join(b"+k\r\n" + part for part in some))
        ),
    ),
    max_leaves=6,
)


def test_nor_does_any_made_up_one(one_server: Server, prefix: str, caplog: pytest.LogCaptureFixture) -> None:
    async def scene(pushed: list[bytes]) -> None:
        async with (
            lying(one_server, tracks=True) as (liar, url),
            Cache(url, prefix=prefix, operation_timeout="5s") as writer,
        ):
            await writer.set("k", "value", ttl="1h")
            async with Cache(url, prefix=prefix, operation_timeout="2s") as cache:
                await cache.get("warm")
                liar.pushes = b">%d\r\n%b" % (len(pushed), b"".join(pushed))
                assert await cache.get("k") in {"value", None}  # every read of it was torn
                liar.pushes = b""
                assert await cache.get("k") == "value"
                assert (liar.connections, cache.stats().epoch) == (2, 1)

    @settings(max_examples=30, deadline=None)
    @given(st.lists(PARTS, max_size=3), st.booleans())
    def play(parts: list[bytes], named: bool) -> None:
        run(scene([b"+invalidate\r\n", *parts] if named else parts))

    play()
    assert errors_in(caplog) == []


def errors_in(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]


async def _load() -> str:
    return "loaded"


def test_health_says_protocol_until_it_is_well(server: Server, prefix: str) -> None:
    async def scene() -> None:
        async with lying(server) as (liar, url), Cache(url, prefix=prefix, operation_timeout="2s") as cache:
            await cache.get("warm")
            liar.lies = {"acquire": ODD["empty list"]}
            assert await cache.get_or_set("k", _load) == "loaded"
            report = await cache.health()
            assert (report.status, report.reason) == ("degraded", "protocol")
            assert cache.stats().errors["protocol"] >= 1
            liar.lies = {}
            await cache.set("k", "v")
            assert (await cache.health()).reason != "protocol"

    run(scene())


def test_the_same_on_threads(server: Server, prefix: str, caplog: pytest.LogCaptureFixture) -> None:
    def act(url: str, liar: Liar) -> tuple[str, int]:
        with SyncCache(url, prefix=prefix, operation_timeout="2s") as cache:
            liar.lies = {"acquire": ODD["empty list"]}
            loaded = cache.get_or_set("k", lambda: "loaded")
            liar.lies = {}
            cache.set("l", "set", ttl="1h")
            for odd in PUSHES.values():
                liar.pushes = odd
                cache.get("l")
            return loaded, cache.stats().epoch

    async def scene() -> None:
        async with lying(server) as (liar, url):
            assert await asyncio.to_thread(act, url, liar) == ("loaded", 1)

    run(scene())
    assert errors_in(caplog) == []
