"""Another client writes between the two commands of a read: the old value must not get the life of the new one."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import pytest

from fleetcache import Cache
from fleetcache.shared.reading import Reads
from tests.support.run import run
from tests.support.servers import Server
from tests.support.waiting import eventually


class Tearing:
    """A relay that runs an action before it passes on a chosen command.

    Args:
        server: The server behind it.
    """

    def __init__(self, server: Server) -> None:
        self._server = server
        self._answered = asyncio.Event()
        self._before, self._left = b"", 0
        self._act: Callable[[], object] = lambda: None

    def tear(self, before: bytes, *, number: int, act: Callable[[], object]) -> None:
        """Run ``act`` before the ``number``-th command with these bytes, once all bytes ahead of it are answered."""
        self._before, self._left, self._act = before, number, act

    @property
    def done(self) -> bool:
        """Whether the action has run."""
        return self._left == 0

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[str]:
        """Relay connections; the value is the address for a URL."""
        tasks: set[asyncio.Task[None]] = set()

        def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            tasks.add(asyncio.create_task(self._relay(reader, writer)))

        relay = await asyncio.start_server(connected, "127.0.0.1", 0)
        host, port = relay.sockets[0].getsockname()
        try:
            yield f"{host}:{port}"
        finally:
            relay.close()
            await asyncio.gather(*tasks)

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        address = self._server.address
        from_server, to_server = await asyncio.open_connection(address.host, address.port)
        back = asyncio.create_task(self._answer(from_server, writer))
        with suppress(ConnectionError):
            while data := await reader.read(65536):
                await self._ask(data, to_server)
        to_server.close()
        await back
        writer.close()
        await asyncio.gather(to_server.wait_closed(), writer.wait_closed(), return_exceptions=True)

    async def _ask(self, data: bytes, to_server: asyncio.StreamWriter) -> None:
        while self._left and (at := data.find(self._before)) >= 0:
            self._answered.clear()
            to_server.write(data[:at])
            self._left -= 1
            if not self._left:
                await self._answered.wait()  # the read ahead of it is done
                await asyncio.to_thread(self._act)
            to_server.write(self._before)
            data = data[at + len(self._before) :]
        to_server.write(data)

    async def _answer(self, from_server: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await from_server.read(65536):
                self._answered.set()
                writer.write(data)


LOGIN = "plain:secret@"


async def _read_torn(server: Server, prefix: str, *, tracked: bool, number: int) -> str | None:
    """Return the answer of a read of an expired value, whose successor was written between its two commands.

    Args:
        server: The server.
        prefix: Of the keys.
        tracked: Whether the server tells the reader of the write.
        number: 1 tears the read; 2 tears the second look, which comes with the claim.
    """
    with server.client() as client:
        client("ACL", "SETUSER", "plain", "on", ">secret", "~*", "&*", "+@all", "-client|tracking")
    relay = Tearing(server)
    async with relay.listening() as address, Cache(server.url, prefix=prefix, operation_timeout="5s") as writer:
        url = f"redis://{'' if tracked else LOGIN}{address}"
        async with Cache(url, prefix=prefix, operation_timeout="2s") as cache:
            raw = cache._engine.layout.entry("k")
            await writer.set("k", "new", ttl="60s")
            with server.client() as client:
                new, left = client("GET", raw), client("PTTL", raw)
                await writer.set("k", "old", ttl="50ms")
                await eventually(lambda: _is_expired(client, raw))
                await cache.get("warm")

                def replace() -> None:
                    client("SET", raw, new, "PX", left)

                command = b"*2\r\n$4\r\nPTTL\r\n$%d\r\n%b\r\n" % (len(raw), raw)
                relay.tear(command, number=number, act=replace)
                if number == 1:
                    answer = await cache.get("k", type=str)
                else:
                    answer = await cache.get_or_set("k", _load, ttl=60)
                assert relay.done
                return answer


async def _load() -> str | None:
    return "loaded"


def _is_expired(client: Callable[..., object], raw: bytes) -> bool:
    left = client("PTTL", raw)
    assert isinstance(left, int)
    return left < 10_000  # the grace


TRACKED = pytest.mark.parametrize("tracked", [True, False], ids=["tracked", "untracked"])


@TRACKED
def test_a_torn_read_is_asked_for_once_more(server: Server, prefix: str, *, tracked: bool) -> None:
    assert run(_read_torn(server, prefix, tracked=tracked, number=1)) == "new"


@TRACKED
def test_a_torn_look_beside_a_claim_is_too(server: Server, prefix: str, *, tracked: bool) -> None:
    assert run(_read_torn(server, prefix, tracked=tracked, number=2)) == "new"


@TRACKED
@pytest.mark.parametrize("number", [1, 2])
def test_twin_else_an_expired_value_is_fresh_again(
    server: Server, prefix: str, monkeypatch: pytest.MonkeyPatch, *, tracked: bool, number: int
) -> None:
    monkeypatch.setattr(Reads, "is_torn", lambda *_: False)
    assert run(_read_torn(server, prefix, tracked=tracked, number=number)) == "old"
