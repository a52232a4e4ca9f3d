"""Rights to load that are in doubt: the process asked for one or released one, and got no answer or a refusal.

A cut connection can leave such a right on the server, as can a primary that refuses all writes while it is demoted. The
whole fleet would wait for a load that no process runs.

Rules:

1. A right in doubt is released in the next handshake, by compare-and-delete: another value under its key is left
   alone. A right that a load returns while the handshake runs is released after it.
2. Unless the server has ended the last connection, a command sent on it may still arrive. In that case the right is
   released once more, after its lease time.
"""

from ..clock import Clock

__all__ = ["GOOD_FOR", "Right", "Rights"]

# The longest lease, in seconds.
GOOD_FOR = 10.0

Right = tuple[bytes, bytes]
"""The key on the server, and the head of its value: a placeholder, or the mark of a claim."""


class Rights:
    """The rights in doubt.

    Args:
        clock: Seconds.
    """

    # As many as removals. Rights beyond the bound are dropped here and expire on the server.
    MAX = 10_000

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lost: dict[Right, float] = {}  # rights with their lease time in seconds
        self._due: dict[Right, float] = {}  # rights to release once more, and when

    def __len__(self) -> int:
        return len(self._lost) + len(self._due)

    def lost(self, key: bytes, stamp: bytes, seconds: float) -> None:
        """Record a right that may be left on the server, which keeps it for at most ``seconds``."""
        self._lost[key, stamp] = seconds
        if len(self._lost) > self.MAX:
            del self._lost[next(iter(self._lost))]

    def answered(self, key: bytes, stamp: bytes) -> None:
        """Forget a right whose answer came after all: it is no longer in doubt."""
        if self._lost:
            self._lost.pop((key, stamp), None)

    def pending(self) -> list[Right]:
        """Return the rights that the next handshake releases."""
        return list(self._lost)

    def returned(self, right: Right, *, surely: bool) -> None:
        """Record that a right was released.

        With ``surely`` no further command of the connection that asked for the right can reach the server.
        """
        seconds = self._lost.pop(right, 0.0)
        if not surely:
            self._due[right] = self._clock() + seconds
            if len(self._due) > self.MAX:
                del self._due[next(iter(self._due))]

    def take_due(self) -> list[Right]:
        """Remove and return the rights that are now due to be released once more."""
        if not self._due:
            return []
        now = self._clock()
        due = [right for right, when in self._due.items() if when <= now]
        for right in due:
            del self._due[right]
        return due
