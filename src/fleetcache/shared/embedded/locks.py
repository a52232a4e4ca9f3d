"""File locks that end with their process, whatever ends it, and that a forked child has not got.

The kernel holds a lock as long as anybody has its descriptor open, a forked child too: so a child closes what it
inherited, and takes locks of its own when it needs them.
"""

import fcntl
import os
from contextlib import suppress
from typing import Self
from weakref import WeakSet

__all__ = ["FileLock"]

_OPEN: "WeakSet[FileLock]" = WeakSet()


class FileLock:
    """An open file or folder, locked or not. Closing it, losing it and the end of the process all give it up.

    Args:
        descriptor: What to lock; it is closed with this.
    """

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        _OPEN.add(self)

    def try_shared(self) -> bool:
        """Hold it beside others, if nobody holds it alone."""
        return self._try(fcntl.LOCK_SH)

    def try_alone(self) -> bool:
        """Hold it alone, if nobody holds it."""
        return self._try(fcntl.LOCK_EX)

    def _try(self, kind: int) -> bool:
        try:
            fcntl.flock(self.descriptor, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def close(self) -> None:
        """Give it up. Never by unlocking: that would take it from everybody who was handed the descriptor too."""
        descriptor, self.descriptor = self.descriptor, -1
        if descriptor >= 0:
            with suppress(OSError):
                os.close(descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()


def _after_fork() -> None:
    for lock in list(_OPEN):
        lock.close()


os.register_at_fork(after_in_child=_after_fork)
