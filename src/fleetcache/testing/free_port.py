"""Ports for servers and proxies of tests."""

import random
import socket

__all__ = ["HOST", "free_port"]

HOST = "127.0.0.1"
# Below the range from which Linux and macOS take outgoing ports. While a server is down, no other connection may get
# its port, least of all the client under test, which would connect to itself.
_PORTS = range(12000, 30000)


def free_port() -> int:
    """Return a port of the loopback interface that is free now. Another process may still take it before you do.

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
