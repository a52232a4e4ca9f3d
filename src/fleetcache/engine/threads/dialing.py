"""The race of ``aio.dialing``, for a thread: connect to the first address of a name that answers."""

import os
import select
import socket
from collections.abc import Callable
from typing import Any

from ..aio.dialing import HEAD_START

__all__ = ["dial_blocking"]


def dial_blocking(host: str, port: int, until: float, clock: Callable[[], float]) -> socket.socket:
    """Return a connected, non-blocking socket.

    Args:
        host: A name or an address.
        port: The port.
        until: The time to give up at.
        clock: Seconds.

    Raises:
        OSError: The name has no address; or no address answers, with the first error of them.
    """
    waiting = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    tries: dict[int, socket.socket] = {}
    poll = select.poll()
    first: OSError | None = None
    next_at = -float("inf")
    try:
        while waiting or tries:
            now = clock()
            if now >= until:
                raise TimeoutError(f"no address of {host} answers")
            if waiting and (not tries or now >= next_at):
                next_at = now + HEAD_START
                try:
                    sock = _attempt(*waiting.pop(0))
                except OSError as error:
                    first = first or error
                    continue
                tries[sock.fileno()] = sock
                poll.register(sock.fileno(), select.POLLOUT)
            wake = min(until, next_at) if waiting else until
            for descriptor, _ in poll.poll(max(0.0, wake - clock()) * 1000):
                poll.unregister(descriptor)
                sock = tries.pop(descriptor)
                code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                if code == 0:
                    return sock
                sock.close()
                first = first or OSError(code, os.strerror(code))
    finally:
        for sock in tries.values():
            sock.close()
    raise first or OSError(f"{host} has no address")


def _attempt(family: int, kind: int, protocol: int, _name: str, address: Any) -> socket.socket:
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setblocking(False)
        sock.connect(address)
    except BlockingIOError:
        return sock
    except BaseException:
        sock.close()
        raise
    return sock
