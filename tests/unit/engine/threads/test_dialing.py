"""A thread connects to the address of a name that answers first, gives up in time, and loses no socket."""

import os
import socket
import time

import pytest

from fleetcache.engine.threads.dialing import dial_blocking
from fleetcache.testing.server import free_port
from tests.support.clock import ManualClock


def resolved_to(monkeypatch: pytest.MonkeyPatch, *addresses: tuple[str, int]) -> None:
    infos = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", address) for address in addresses]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_options: list(infos))


def descriptors() -> int:
    return len(os.listdir("/dev/fd"))  # noqa: PTH208 - names alone


def soon() -> float:
    return time.monotonic() + 10


def test_the_address_that_answers_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        resolved_to(monkeypatch, ("127.0.0.1", free_port()), ("127.0.0.1", port))
        with dial_blocking("name", port, soon(), time.monotonic) as sock:
            assert sock.getpeername() == ("127.0.0.1", port)
            assert not sock.getblocking()


def test_where_none_answers_the_first_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    resolved_to(monkeypatch, ("127.0.0.1", free_port()), ("127.0.0.1", free_port()))
    before = descriptors()
    with pytest.raises(ConnectionRefusedError):
        dial_blocking("name", 1, soon(), time.monotonic)
    assert descriptors() == before


def test_a_name_without_an_address_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    resolved_to(monkeypatch)
    with pytest.raises(OSError, match="name has no address"):
        dial_blocking("name", 1, soon(), time.monotonic)


def test_it_is_given_up_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    resolved_to(monkeypatch, ("127.0.0.1", free_port()))
    clock = ManualClock()
    before = descriptors()
    with pytest.raises(TimeoutError, match="no address of name answers"):
        dial_blocking("name", 1, clock(), clock)
    assert descriptors() == before


def test_a_wait_that_is_broken_off_closes_what_it_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    readings = 0

    def clock() -> float:
        nonlocal readings
        readings += 1
        if readings > 1:  # a signal's exception, once the attempt has begun
            raise KeyboardInterrupt
        return 0.0

    with socket.create_server(("127.0.0.1", 0)) as listener:
        resolved_to(monkeypatch, listener.getsockname())
        before = descriptors()
        with pytest.raises(KeyboardInterrupt):
            dial_blocking("name", 1, 10.0, clock)
        assert (descriptors(), readings) == (before, 2)
