"""TLS to a plain port, plain to a TLS port, untrusted certificates: ``last_error`` names the setting to check."""

import asyncio
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest

from fleetcache import Cache, SyncCache
from fleetcache.telemetry.health import Health
from fleetcache.testing import Proxy
from tests.conftest import StartServer
from tests.support.certs import Kind, certificates
from tests.support.run import run
from tests.support.servers import Server
from tests.support.waiting import eventually, wait_until

Face = type[Cache | SyncCache]

UNTRUSTED = "ssl_ca_certs=FILE in the URL names the one to trust"
PLAIN = "no TLS answer: is it a plain port (redis://)?"
TLS = "if this port speaks TLS, the URL begins with rediss://"

both = pytest.mark.parametrize("face", [Cache, SyncCache])


def health_of(cache: Cache | SyncCache, until: Callable[[Health], object]) -> Health:
    """Return the first health report that fulfils ``until``."""

    async def of_tasks(cache: Cache) -> Health:
        async with cache:
            await eventually(lambda: until(cache.status_now()), timeout=10)
            return cache.status_now()

    if isinstance(cache, Cache):
        return run(of_tasks(cache))
    with cache:
        wait_until(lambda: until(cache.status_now()), timeout=10)
        return cache.status_now()


def failure(face: Face, url: str, prefix: str, connect_timeout: str = "5s") -> tuple[str, str]:
    """Return the reason for being offline, and the text of the last error."""
    cache = face(url, prefix=prefix, connect_timeout=connect_timeout)
    health = health_of(cache, lambda health: health.link == "offline")
    return str(health.reason), str(health.last_error)


@contextmanager
def answering(answer: Callable[[socket.socket], None]) -> Iterator[int]:
    """Listen on a port that answers each connection this way and closes it."""

    def serve() -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            with client:
                try:
                    answer(client)
                except OSError:
                    continue

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(5)


@both
@pytest.mark.parametrize(
    ("kind", "said"),
    [("other_ca", UNTRUSTED), ("other_host", "the host in the URL must be a name in the certificate")],
)
def test_a_certificate_that_is_not_trusted(
    face: Face, kind: Kind, said: str, fresh_server: StartServer, prefix: str
) -> None:
    server = fresh_server("tls", certs=certificates(kind))
    trusted = (certificates() if kind == "other_ca" else certificates(kind)).ca
    reason, error = failure(face, server.url_for(ssl_ca_certs=trusted), prefix)
    assert reason == "tls"
    assert said in error


@both
def test_tls_to_a_port_that_speaks_none(face: Face, server: Server, prefix: str) -> None:
    """The server waits for the rest of a command. To the cache that is silence, which might end by itself."""
    reason, error = failure(face, server.url.replace("redis://", "rediss://"), prefix, "1s")
    assert reason == "timeout"
    assert error.startswith("TimeoutError: ")
    assert error.endswith(f"; {PLAIN}")


@both
@pytest.mark.parametrize("words", [b"-ERR unknown command\r\n", b"HTTP/1.1 400 Bad Request\r\n\r\n"])
def test_tls_to_a_port_that_answers_in_words(face: Face, words: bytes, prefix: str) -> None:
    def answer(client: socket.socket) -> None:
        client.recv(10)
        client.sendall(words)
        client.recv(65_536)

    with answering(answer) as port:
        reason, error = failure(face, f"rediss://127.0.0.1:{port}", prefix)
    assert reason == "tls"
    assert PLAIN in error


@both
def test_tls_to_a_port_that_hangs_up(face: Face, prefix: str) -> None:
    def answer(client: socket.socket) -> None:
        client.recv(65_536)

    with answering(answer) as port:
        reason, error = failure(face, f"rediss://127.0.0.1:{port}", prefix)
    assert reason in {"reset", "tls"}
    assert PLAIN in error


@both
def test_no_tls_to_a_port_that_speaks_it(face: Face, fresh_server: StartServer, prefix: str) -> None:
    server = fresh_server("tls")
    reason, error = failure(face, f"redis://127.0.0.1:{server.address.port}", prefix)
    assert reason == "reset"
    assert TLS in error


@both
def test_a_server_that_asks_for_our_certificate(face: Face, prefix: str) -> None:
    good = certificates()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=good.ca)
    context.load_cert_chain(good.cert, good.key)
    context.verify_mode = ssl.CERT_REQUIRED

    def answer(client: socket.socket) -> None:
        client.settimeout(5)
        with (
            client.dup() as left,
            suppress(ssl.SSLError),
        ):  # unread bytes would cause a reset that overtakes the alert
            try:
                context.wrap_socket(client, server_side=True)
            finally:
                while left.recv(65_536):
                    pass

    with answering(answer) as port:
        _, error = failure(face, f"rediss://127.0.0.1:{port}?ssl_ca_certs={good.ca}", prefix)
    assert "the server asks for a client certificate: ssl_certfile=FILE" in error


def test_a_server_that_spoke_tls_is_no_plain_port_when_it_is_silent(fresh_server: StartServer, prefix: str) -> None:
    server = fresh_server("tls")
    with Proxy(server) as proxy:

        async def body() -> str:
            async with Cache(proxy.url, prefix=prefix, connect_timeout="1s", max_staleness="300ms") as cache:
                await eventually(lambda: cache.status_now().shared)
                proxy.blackhole()
                await eventually(lambda: "TimeoutError" in str(cache.status_now().last_error), timeout=10)
                return str(cache.status_now().last_error)

        assert "port" not in run(body())


def test_the_words_of_a_reset_do_not_speak_of_tls_to_one_who_was_connected(server: Server, prefix: str) -> None:
    with Proxy(server) as proxy:

        async def body() -> str:
            async with Cache(proxy.url, prefix=prefix) as cache:
                await eventually(lambda: cache.status_now().shared)
                proxy.away()
                await eventually(lambda: cache.status_now().link == "offline")
                await asyncio.sleep(0.3)
                return str(cache.status_now().last_error)

        assert TLS not in run(body())
