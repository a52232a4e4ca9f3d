"""Ports for servers and proxies of tests."""

import random
import socket

__all__ = ["HOST", "free_port"]

HOST = "127.0.0.1"
# Below the range that Linux and macOS take outgoing ports from: while a server is down nothing may land on its port,
# least of all the client under test, connecting to itself.
_PORTS = range(12000, 30000)


def free_port() -> int:
    """Return a port of the loopback interface that is free now. Somebody may still take it before you do.

    Raises:
        RuntimeError: None of 200 ports tried is free.
    """
    for port in random.sample(_PORTS, 200):
        with socket.socket() as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                sock.bind((HOST, port))
            except OSError:
                continue
            return port
    raise RuntimeError(f"no free port among 200 of {_PORTS}")
