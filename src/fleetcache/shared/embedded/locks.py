"""File locks that end with their process, however it ends, and that a forked child does not keep.

The kernel holds a lock as long as any process has its descriptor open, a forked child too. So a child closes the
inherited descriptors, and takes its own locks when it needs them.
"""

import fcntl
import os
from contextlib import suppress
from typing import Self
from weakref import WeakSet

__all__ = ["FileLock"]

_OPEN: "WeakSet[FileLock]" = WeakSet()


class FileLock:
    """An open file or folder, locked or not.

    ``close``, garbage collection and the end of the process all give up the lock.

    Args:
        descriptor: The descriptor of the file or folder; closed together with this object.
    """

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        _OPEN.add(self)

    def try_shared(self) -> bool:
        """Take a shared lock, unless another descriptor holds an exclusive lock. Return True if taken."""
        return self._try(fcntl.LOCK_SH)

    def try_exclusive(self) -> bool:
        """Take an exclusive lock, unless another descriptor holds any lock. Return True if taken."""
        return self._try(fcntl.LOCK_EX)

    def _try(self, kind: int) -> bool:
        try:
            fcntl.flock(self.descriptor, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def close(self) -> None:
        """Give up the lock by closing the descriptor.

        An explicit unlock would also take the lock from every process that was handed the descriptor.
        """
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
