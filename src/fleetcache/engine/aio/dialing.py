"""Open a TCP connection to the first address of a name that answers: half of the addresses may lead nowhere.

``asyncio`` has the same race, but loses sockets when it is cancelled in the middle of it, as by ``close()``.
"""

import asyncio
import socket
from typing import Any

__all__ = ["dial"]

# Seconds until the next address is tried while the last attempt continues (RFC 8305). If an address fails, the next
# begins at once.
HEAD_START = 0.25


async def dial(host: str, port: int) -> socket.socket:
    """Return a connected socket.

    Args:
        host: A name or an address.
        port: The port.

    Raises:
        OSError: The name has no address; or no address answers, with the error of the first address.
    """
    loop = asyncio.get_running_loop()
    infos = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    tries: list[asyncio.Task[socket.socket]] = []
    winner = None
    try:
        for info in infos:
            tries.append(loop.create_task(_attempt(*info)))
            winner = await _first(tries, HEAD_START)
            if winner is not None:
                break
        while winner is None and not all(task.done() for task in tries):
            winner = await _first(tries, None)
    finally:
        _give_up(tries, winner)
    if winner is None:
        raise (tries and tries[0].exception()) or OSError(f"{host} has no address")
    return winner


async def _attempt(family: int, kind: int, protocol: int, _name: str, address: Any) -> socket.socket:
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, address)
    except BaseException:
        sock.close()
        raise
    return sock


async def _first(tries: "list[asyncio.Task[socket.socket]]", within: float | None) -> socket.socket | None:
    """Return the first connected socket; ``None`` if an attempt failed meanwhile or the time is up."""
    running = [task for task in tries if not task.done()]
    if running:
        await asyncio.wait(running, timeout=within, return_when=asyncio.FIRST_COMPLETED)
    return next((task.result() for task in tries if task.done() and task.exception() is None), None)


def _give_up(tries: "list[asyncio.Task[socket.socket]]", winner: socket.socket | None) -> None:
    """Close the losing sockets; an attempt that is still under way closes its own when it is cancelled.

    Nothing here suspends, so no cancellation can come in between.
    """
    for task in tries:
        if not task.cancel() and task.exception() is None and task.result() is not winner:
            task.result().close()
