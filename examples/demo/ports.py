"""Free ports of the loopback interface."""

import random
import socket

__all__ = ["HOST", "free_port"]

HOST = "127.0.0.1"
# Below the range that Linux and macOS take outgoing ports from: while the server is down nothing may land on its port,
# least of all an instance that connects to itself.
_RANGE = range(12_000, 30_000)
_ATTEMPTS = 200


def free_port() -> int:
    """Return a port that is free now. Somebody may still take it before you do."""
    for port in random.sample(_RANGE, _ATTEMPTS):
        with socket.socket() as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                sock.bind((HOST, port))
            except OSError:
                continue
            return port
    raise OSError(f"none of {_ATTEMPTS} ports in {_RANGE} is free")
