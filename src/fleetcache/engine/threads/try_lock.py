"""A role that one thread at a time has. No signal can lose it, as it can a lock between its taking and the ``try``."""

import time

__all__ = ["TryLock"]

# Seconds between two tries of who must have the role. Others have it for one system call that does not block.
PAUSE = 0.0005


class TryLock:
    """Taken with a token of one's own, inside the ``try`` whose ``finally`` drops it: each a step of the interpreter.

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
        """Whether somebody has it."""
        return bool(self._holder)

    def try_acquire(self, token: object) -> bool:
        """Have it, unless another has."""
        return self._holder.setdefault(None, token) is token

    def release(self, token: object) -> bool:
        """Have it no more; whether one had."""
        if self._holder.get(None) is not token:
            return False
        del self._holder[None]
        return True

    def acquire(self, token: object) -> None:
        """Wait until it is one's own."""
        while not self.try_acquire(token):
            time.sleep(PAUSE)
