"""``Server``: one of a user's own, started, emptied, frozen, killed and restarted."""

import socket
from pathlib import Path

import psutil
import pytest

from fleetcache.testing import Server


def say(server: Server, command: str) -> bytes:
    with socket.create_connection((server.address.host, server.address.port), timeout=5) as sock:
        sock.sendall(command.encode() + b"\r\n")
        return sock.recv(1000)


def test_it_runs_until_the_block_ends() -> None:
    with Server("--maxmemory", "5mb") as server:
        assert say(server, "PING") == b"+PONG\r\n"
        assert b"5242880" in say(server, "CONFIG GET maxmemory")
        assert server.url == f"redis://127.0.0.1:{server.address.port}/0"
        assert f"pid={server.pid}" in repr(server)
        assert server.alive
    assert not psutil.pid_exists(server.pid)
    assert not server.folder.exists()


def test_it_can_be_emptied() -> None:
    with Server() as server:
        say(server, "SET k v")
        server.flush()
        assert say(server, "GET k") == b"$-1\r\n"


def test_one_that_does_not_let_itself_be_emptied_says_so() -> None:
    with Server("--requirepass", "secret") as server, pytest.raises(RuntimeError, match="NOAUTH"):
        server.flush()


def test_it_comes_back_empty_at_the_same_address() -> None:
    with Server() as server:
        say(server, "SET k v")
        address = server.address
        server.kill()
        assert not server.alive
        with pytest.raises(ConnectionRefusedError):
            say(server, "PING")
        server.restart()
        assert server.address == address
        assert say(server, "GET k") == b"$-1\r\n"


def test_frozen_it_says_nothing_until_it_is_thawed() -> None:
    with Server() as server:
        server.freeze()
        with socket.create_connection((server.address.host, server.address.port)) as sock:
            sock.sendall(b"PING\r\n")
            sock.settimeout(0.05)
            with pytest.raises(TimeoutError):
                sock.recv(100)
            server.thaw()
            sock.settimeout(5)
            assert sock.recv(100) == b"+PONG\r\n"


def test_one_that_does_not_start_says_why(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="no-such-setting"):
        Server("--no-such-setting", "1")
    with pytest.raises(FileNotFoundError):
        Server(binary=tmp_path / "none")
