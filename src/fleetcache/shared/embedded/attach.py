"""A seat: the right to find the server there. Whoever has one keeps it alive, and who comes first starts it.

1. A seat is a shared lock on the folder. Only with one in hand anybody looks for the server, or starts it: whoever
   ends it locks the folder alone first, so it cannot be on its way out.
2. The file ``lock`` in the folder is locked by whoever starts, supervises or is the server, and handed on from one to
   the next. So who gets it knows that there is no server, whatever files are there, and may start one.
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

__all__ = ["TIMEOUT", "join"]

TIMEOUT = 5.0
"""Seconds to find or start the server. It takes a twentieth of one, but the machine may be busy starting us all."""

# Seconds between two looks at a lock or a socket: a start takes several of them.
PAUSE = 0.01


class _Wait:
    """The time that is left, and whether anybody still wants the result."""

    def __init__(self, timeout: float, given_up: threading.Event | None) -> None:
        self._timeout, self._deadline = timeout, time.monotonic() + timeout
        self._given_up = given_up or threading.Event()

    @property
    def left(self) -> float:
        return max(0.0, self._deadline - time.monotonic())

    def pause(self, what: str) -> None:
        if self._given_up.wait(PAUSE) or not self.left:
            raise EmbeddedError("timeout", f"{what} after {self._timeout:g} s")


def join(
    folder: Folder, max_bytes: int, *, timeout: float = TIMEOUT, given_up: threading.Event | None = None
) -> FileLock:
    """Take a seat, and start the server if none is there. Blocks: not for an event loop.

    Args:
        folder: Where the server lives.
        max_bytes: Bound of its memory, should it be started.
        timeout: Seconds for all of it.
        given_up: Set by whoever no longer wants the seat.

    Returns:
        The seat; the server at ``folder.socket`` stays until this is closed.

    Raises:
        EmbeddedError: There is no server, and why.
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
            if lock.try_alone():
                if started:
                    words = f"the server ended as it started: {last_words(seat.descriptor)}"
                    raise EmbeddedError("embedded_start", words)
                launch(folder, seat.descriptor, lock, max_bytes, timeout=wait.left)
                started = True
        wait.pause(f"the server at {folder.socket} does not listen")


def _listens(path: Path) -> bool:
    """Whether a server has the socket open. A frozen one has."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.setblocking(False)
        try:
            sock.connect(str(path))
        except BlockingIOError:
            return True  # its queue is full
        except (FileNotFoundError, ConnectionRefusedError):
            return False
    return True
