"""A lock for one thread at a time. No signal can leak it; a ``Lock`` can leak between ``acquire`` and ``try``."""

import time

__all__ = ["TryLock"]

# Seconds between two tries of ``acquire``. A holder keeps the lock for one system call that does not block.
PAUSE = 0.0005


class TryLock:
    """A lock acquired with the caller's own token, inside the ``try`` whose ``finally`` releases it.

    Acquiring and releasing are one step of the interpreter each, so a signal finds the lock either held or not.

    Example:
        >>> role, token = TryLock(), object()
        >>> try:
        ...     print(role.try_acquire(token), role.try_acquire(object()))
        ... finally:
        ...     print(role.release(token), role.release(token))
        True False
        True False
        >>> role.taken
        False
    """

    __slots__ = ("_holder",)

    def __init__(self) -> None:
        self._holder: dict[None, object] = {}

    @property
    def taken(self) -> bool:
        """Return True if the lock is held."""
        return bool(self._holder)

    def try_acquire(self, token: object) -> bool:
        """Acquire the lock, unless another token holds it; return whether this token holds it."""
        return self._holder.setdefault(None, token) is token

    def release(self, token: object) -> bool:
        """Release the lock, if this token holds it; return whether it did."""
        if self._holder.get(None) is not token:
            return False
        del self._holder[None]
        return True

    def acquire(self, token: object) -> None:
        """Wait until this token holds the lock."""
        while not self.try_acquire(token):
            time.sleep(PAUSE)
