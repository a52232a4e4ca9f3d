"""A seat: a process's right to use the server. Each seat keeps the server alive, and the first process starts it.

1. A seat is a shared lock on the folder. A process looks for the server, or starts it, only while it holds a seat. The
   supervisor locks the folder exclusively before it ends the server, so a seat's server is never about to end.
2. The process that starts the server, the supervisor and the server itself hold the lock on the file ``lock`` in the
   folder, passed on from one to the next. A process that gets this lock may start a server, because none runs then,
   even if the folder holds a server's files.
"""

import os
import socket
import threading
import time
from pathlib import Path

from .errors import EmbeddedError
from .folder import Folder
from .launch import last_words, launch
from .locks import FileLock

__all__ = ["TIMEOUT", "attach"]

TIMEOUT = 5.0
"""Seconds to find or start the server. A start takes 0.05 s, but longer when the machine starts many processes."""

# Seconds between two checks of a lock or a socket: a start takes several such pauses.
PAUSE = 0.01


class _Wait:
    """The time left to take a seat, and whether the caller still wants one."""

    def __init__(self, timeout: float, given_up: threading.Event | None) -> None:
        self._timeout, self._deadline = timeout, time.monotonic() + timeout
        self._given_up = given_up or threading.Event()

    @property
    def left(self) -> float:
        return max(0.0, self._deadline - time.monotonic())

    def pause(self, what: str) -> None:
        if self._given_up.wait(PAUSE) or not self.left:
            raise EmbeddedError("timeout", f"{what} after {self._timeout:g} s")


def attach(
    folder: Folder, max_bytes: int, *, timeout: float = TIMEOUT, given_up: threading.Event | None = None
) -> FileLock:
    """Take a seat, and start the server if none runs. Blocks: not for an event loop.

    Args:
        folder: The server's folder.
        max_bytes: Bound of the server's memory, without its tracking table, if this call starts it.
        timeout: Seconds for the whole call.
        given_up: Set when the caller no longer wants the seat.

    Returns:
        The seat; the server at ``folder.socket`` stays until the seat is closed.

    Raises:
        EmbeddedError: There is no server; gives the reason.
    """
    wait = _Wait(timeout, given_up)
    try:
        seat = _take_seat(folder, wait)
        try:
            _find_or_start(folder, seat, max_bytes, wait)
        except BaseException:
            seat.close()
            raise
    except OSError as error:
        raise folder.unusable(error) from None
    return seat


def _take_seat(folder: Folder, wait: _Wait) -> FileLock:
    while True:
        try:
            seat = FileLock(folder.open())
        except FileNotFoundError:
            wait.pause(f"{folder.path} is removed again and again")
            continue
        if seat.try_shared() and folder.is_still(seat.descriptor):
            return seat
        seat.close()
        wait.pause(f"{folder.path} is locked by a server that does not end")


def _find_or_start(folder: Folder, seat: FileLock, max_bytes: int, wait: _Wait) -> None:
    started = False
    while not _listens(folder.socket):
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        with FileLock(os.open("lock", flags, 0o600, dir_fd=seat.descriptor)) as lock:
            if lock.try_exclusive():
                if started:
                    words = f"the server ended as it started: {last_words(seat.descriptor)}"
                    raise EmbeddedError("embedded_start", words)
                launch(folder, seat.descriptor, lock, max_bytes, timeout=wait.left)
                started = True
        wait.pause(f"the server at {folder.socket} does not listen")


def _listens(path: Path) -> bool:
    """Return True if a server has the socket open, even a frozen server."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.setblocking(False)
        try:
            sock.connect(str(path))
        except BlockingIOError:
            return True  # the server's queue of connections is full
        except (FileNotFoundError, ConnectionRefusedError):
            return False
    return True
