"""The fault proxy works as documented, before servers of every engine and transport."""

import gc
import os
import socket
import ssl
import struct
import time
import warnings
from collections.abc import Iterator

import pytest

from tests.conftest import StartServer
from tests.support.client import Client
from tests.support.proxy import Proxy
from tests.support.run import run
from tests.support.servers import Server
from tests.support.waiting import eventually, wait_until


def connect(proxy: Proxy, server: Server) -> Client:
    context = ssl.create_default_context(cafile=server.certs.ca) if server.transport == "tls" else None
    return Client.tcp("127.0.0.1", proxy.port, tls=context)


def read_to_end(sock: socket.socket) -> None:
    while sock.recv(1000):
        pass


def get(server: Server, key: str) -> object:
    with server.client() as client:
        return client("GET", key)


def client_ids(server: Server) -> set[int]:
    with server.client() as client:
        return {int(word[3:]) for word in client("CLIENT", "LIST").split() if word.startswith(b"id=")}


@pytest.fixture
def proxy(any_server: Server) -> Iterator[Proxy]:
    with Proxy(any_server) as proxy:
        yield proxy


@pytest.fixture
def client(proxy: Proxy, any_server: Server) -> Iterator[Client]:
    with connect(proxy, any_server) as client:
        yield client


def test_passes_and_counts(proxy: Proxy, client: Client) -> None:
    value = os.urandom(1_000_000)
    client("SET", "key", value)
    assert client("GET", "key") == value
    assert (proxy.connections, proxy.open) == (1, 1)
    assert proxy.delivered("up") > len(value)
    assert proxy.delivered("down") > len(value)
    client.close()
    wait_until(lambda: proxy.open == 0)


def test_delays_each_byte_alike_and_in_order(proxy: Proxy, client: Client) -> None:
    proxy.delay(0.1, "down")
    started = time.monotonic()
    for number in range(10):
        client.send(("ECHO", number))
    assert [client.frame() for _ in range(10)] == [str(number).encode() for number in range(10)]
    assert 0.1 <= time.monotonic() - started < 0.6  # seconds; 1 s if the delays added up


def test_stalls_up_and_delivers_later_in_order(proxy: Proxy, client: Client, any_server: Server) -> None:
    proxy.stall("up")
    client.send(("SET", "key", "1"))
    client.send(("APPEND", "key", "2"))
    wait_until(lambda: proxy.held("up") > 50)
    assert get(any_server, "key") is None
    proxy.release()
    assert [client.frame(), client.frame()] == [b"OK", 2]


def test_stalls_down_while_the_server_hears(proxy: Proxy, client: Client, any_server: Server) -> None:
    proxy.stall("down")
    client.send(("SET", "key", "1"))
    wait_until(lambda: get(any_server, "key") == b"1" and proxy.held("down"))
    assert client.drain(0.02) == []
    proxy.release()
    assert client.frame() == b"OK"


def test_drops_what_it_held(server: Server) -> None:
    with Proxy(server) as proxy, connect(proxy, server) as client:
        proxy.stall("up")
        client.send(("SET", "key", "1"))
        wait_until(proxy.held)
        proxy.drop()
        assert proxy.held() == 0
        proxy.heal()
        assert client("PING") == b"PONG"
        assert get(server, "key") is None


def test_held_bytes_land_after_the_client_closed(proxy: Proxy, client: Client, any_server: Server) -> None:
    proxy.stall("up")
    client.send(("SET", "key", "late"))
    wait_until(proxy.held)
    client.close()
    assert get(any_server, "key") is None
    proxy.release()
    wait_until(lambda: get(any_server, "key") == b"late")
    wait_until(lambda: proxy.open == 0)


def test_held_bytes_are_gone_when_the_client_reset(proxy: Proxy, client: Client, any_server: Server) -> None:
    proxy.stall("up")
    client.send(("SET", "key", "late"))
    wait_until(proxy.held)
    client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()
    wait_until(lambda: not proxy.held())
    assert client_ids(any_server) >= {client.id}  # the server cannot know yet
    proxy.release()
    wait_until(lambda: client.id not in client_ids(any_server))
    assert get(any_server, "key") is None


def test_holds_nothing_for_a_client_that_is_gone(server: Server) -> None:
    with Proxy(server) as proxy, connect(proxy, server) as client:
        # The traceback of an error keeps a pipe alive until the garbage collector runs.
        pipes = proxy._do(lambda: [*proxy._up._pipes, *proxy._down._pipes])
        proxy.stall("down")
        for number in range(1, 4):
            client.send(("PING",))
            wait_until(lambda count=number: proxy.held("down") == count * len("+PONG\r\n"))  # type: ignore[misc]
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()
        wait_until(lambda: client.id not in client_ids(server))
        proxy.release()
        wait_until(lambda: proxy.open == 0)
        assert len(pipes) == 2
        assert proxy.held() == 0


def test_cuts_all(proxy: Proxy, client: Client) -> None:
    proxy.cut()
    assert client.socket.recv(100) == b""
    wait_until(lambda: proxy.open == 0)


def test_resets_all(proxy: Proxy, client: Client, any_server: Server) -> None:
    proxy.reset()
    with socket.socket(fileno=os.dup(client.socket.fileno())) as below_tls, pytest.raises(ConnectionResetError):
        read_to_end(below_tls)
    wait_until(lambda: client.id not in client_ids(any_server))


def test_cuts_after_some_bytes_once(proxy: Proxy, client: Client, any_server: Server) -> None:
    before = proxy.delivered("down")
    proxy.cut_after(3, "down")
    with pytest.raises(OSError, match=r"closed|EOF"):
        client("ECHO", "0123456789")
    assert proxy.delivered("down") - before == 3
    with connect(proxy, any_server) as again:
        assert again("ECHO", "0123456789") == b"0123456789"


def test_refuses_new_ones_and_keeps_old_ones(proxy: Proxy, client: Client, any_server: Server) -> None:
    proxy.refuse()
    with pytest.raises(ConnectionRefusedError):
        connect(proxy, any_server)
    assert client("PING") == b"PONG"
    proxy.accept()
    with connect(proxy, any_server) as again:
        assert again("PING") == b"PONG"


def test_a_dead_server_is_a_reset(fresh_server: StartServer) -> None:
    server = fresh_server()
    with Proxy(server) as proxy:
        server.kill()
        with pytest.raises(ConnectionError):
            connect(proxy, server)


def test_steered_from_an_event_loop(proxy: Proxy, client: Client) -> None:
    async def steer() -> None:
        proxy.stall()
        client.send(("PING",))
        await eventually(lambda: proxy.held("up"))
        proxy.heal()

    run(steer())
    assert client.frame() == b"PONG"


def test_resets_are_no_errors_in_the_log_and_defects_are(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    with Proxy(server) as proxy:
        for error in (ConnectionResetError("of a client"), ZeroDivisionError("a defect")):
            told = {"message": "Future exception was never retrieved", "exception": error}
            proxy._do(lambda told=told: proxy._loop.call_exception_handler(told))  # type: ignore[misc]
    assert [record.exc_info and record.exc_info[0] for record in caplog.records] == [ZeroDivisionError]


def test_a_connection_that_comes_as_it_stops_leaves_no_socket_open(server: Server) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(20):
            proxy = Proxy(server)
            with socket.create_connection(("127.0.0.1", proxy.port)):
                proxy.stop()
            del proxy
        gc.collect()  # a socket left open would warn now, and fail this test
