"""The choice among the addresses of a name; no socket is lost on the way."""

import asyncio
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from fleetcache import Cache
from fleetcache.config.url import Address
from fleetcache.engine.aio.dialing import dial
from tests.support.run import run
from tests.support.servers import Server, free_port

HOST = "127.0.0.1"


@contextmanager
def listening(backlog: int = 100) -> Iterator[int]:
    with socket.create_server((HOST, 0), backlog=backlog) as listener:
        yield listener.getsockname()[1]


@contextmanager
def leading_nowhere() -> Iterator[int]:
    """Yield a port that takes no more connections and does not answer: its queue is full."""
    with ExitStack() as stack:
        port = stack.enter_context(listening(backlog=0))
        for _ in range(8):
            sock = stack.enter_context(socket.socket())
            sock.setblocking(False)
            sock.connect_ex((HOST, port))
        yield port


def resolving_to(*ports: int) -> None:
    """Let the running loop resolve every name to these ports."""
    infos = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (HOST, port)) for port in ports]

    async def getaddrinfo(*_: Any, **__: Any) -> list[Any]:
        return infos

    loop = asyncio.get_running_loop()
    setattr(loop, getaddrinfo.__name__, getaddrinfo)


async def reached(*ports: int) -> int:
    resolving_to(*ports)
    with await dial("name.example", 1) as sock:
        return int(sock.getpeername()[1])


def test_an_address_that_refuses_makes_way_for_the_next() -> None:
    with listening() as port:
        assert run(reached(free_port(), port)) == port


def test_an_address_that_leads_nowhere_is_not_waited_for() -> None:
    async def main(nowhere: int, port: int) -> int:
        async with asyncio.timeout(20):  # the system would try for two minutes
            return await reached(nowhere, port, nowhere)

    with leading_nowhere() as nowhere, listening() as port:
        assert run(main(nowhere, port)) == port


def test_when_none_answers_the_first_refusal_is_told() -> None:
    with pytest.raises(ConnectionRefusedError):
        run(reached(free_port(), free_port()))


def test_a_name_without_an_address() -> None:
    with pytest.raises(OSError, match=r"name\.example has no address"):
        run(reached())


def open_files() -> int:
    return len(list(Path("/dev/fd").iterdir()))


@pytest.mark.parametrize("others", [0, 1])
def test_cancelled_at_any_moment_it_leaves_no_socket_open(others: int) -> None:
    async def cancelled_after(turns: int, ports: list[int]) -> bool:
        resolving_to(*ports)
        dialling = asyncio.ensure_future(dial("name.example", 1))
        for _ in range(turns):
            await asyncio.sleep(0)
        dialling.cancel()
        await asyncio.wait((dialling,))
        if not dialling.cancelled():
            dialling.result().close()
        for _ in range(5):  # connections still under way close their own
            await asyncio.sleep(0)
        return dialling.cancelled()

    async def main(ports: list[int]) -> None:
        await cancelled_after(0, ports)  # opens the loop's own files
        before = open_files()
        ended = [await cancelled_after(turns, ports) for turns in (*range(30), 2000)]
        assert open_files() == before
        assert ended[0]
        assert others or not ended[-1]

    with listening() as port, ExitStack() as stack:
        nowhere = [stack.enter_context(leading_nowhere()) for _ in range(others)]
        run(main([*nowhere, port]))


def test_certificates_are_read_in_another_thread(prefix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of the system take tens of milliseconds, at each attempt to connect."""
    readers: set[int] = set()
    read = Address.ssl_context

    def noting(self: Address) -> ssl.SSLContext | None:
        readers.add(threading.get_ident())
        return read(self)

    monkeypatch.setattr(Address, "ssl_context", noting)

    async def main(url: str) -> None:
        async with Cache(url, prefix=prefix, operation_timeout="5s") as cache:
            assert await cache.get("k") is None
            assert cache.status_now().shared

    with Server("valkey", "tls") as server:
        run(main(server.url))
    assert readers
    assert threading.get_ident() not in readers
