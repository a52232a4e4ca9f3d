"""A proxy that closes connections idle for less than a heartbeat: the cache works, but badly, and health says why."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from fleetcache import Cache, SyncCache
from fleetcache.telemetry import outages
from fleetcache.wire.reconnect import MIN_IDLE
from tests.support.run import run
from tests.support.servers import Server
from tests.support.waiting import eventually, wait_until

IDLE = 0.1  # seconds; a heartbeat comes after 0.67


@contextmanager
def impatient(server: Server) -> Iterator[str]:
    """Yield the URL of a proxy that closes idle connections."""

    def pump(source: socket.socket, sink: socket.socket) -> None:
        source.settimeout(IDLE)
        with suppress(OSError):
            while data := source.recv(65_536):
                sink.sendall(data)
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def serve() -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            upstream = socket.create_connection((server.address.host, server.address.port))
            for ends in ((client, upstream), (upstream, client)):
                threads.append(threading.Thread(target=pump, args=ends, daemon=True))
                threads[-1].start()
            sockets.extend((client, upstream))

    threads: list[threading.Thread] = []
    sockets: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threads.append(threading.Thread(target=serve, daemon=True))
        threads[0].start()
        yield f"redis://127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join(5)
        for sock in sockets:
            sock.close()


@pytest.mark.parametrize("face", [Cache, SyncCache])
def test_it_is_named(
    face: type[Cache | SyncCache],
    server: Server,
    prefix: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(outages, "QUIET", 0.0)  # log every line, not one a minute
    hint = "without a command: is there a proxy whose idle timeout is below the heartbeat of 0.67 s?"

    def named(cache: Cache | SyncCache) -> bool:
        return hint in str(cache.status_now().last_error) and hint in caplog.text

    async def on_tasks(cache: Cache) -> None:
        async with cache:
            await eventually(lambda: named(cache), timeout=20)

    with impatient(server) as url:
        cache = face(url, prefix=prefix)
        if isinstance(cache, Cache):
            run(on_tasks(cache))
        else:
            with cache:
                wait_until(lambda: named(cache), timeout=20)


def test_a_server_that_is_restarted_is_no_such_proxy(server: Server, prefix: str) -> None:
    """A restarted server closes one or two connections; an impatient proxy closes them over and over."""

    async def body() -> None:
        async with Cache(server.url, prefix=prefix) as cache:
            for epoch in (1, 2):
                await eventually(lambda epoch=epoch: cache.status_now().epoch == epoch)  # type: ignore[misc]
                with server.client() as client:
                    await asyncio.sleep(2 * MIN_IDLE)
                    client("CLIENT", "KILL", "TYPE", "normal")
            await eventually(lambda: cache.status_now().epoch == 3)
            assert "proxy" not in str(cache.status_now().last_error)

    run(body())
