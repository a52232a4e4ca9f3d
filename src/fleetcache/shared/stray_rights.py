"""Rights to load that this process may hold on the server without knowing: asked for or given back, and not answered.

A connection that is cut leaves them there, and the whole fleet would wait for a load that nobody runs.

Rules:

1. Such a right is given back in the next handshake, by compare-and-delete: whatever stands there by now is left alone.
2. What the last connection had sent may still be on its way, unless the server has ended that connection. Else the
   right is given back once more, after the time it is good for.
"""

from ..clock import Clock

__all__ = ["GOOD_FOR", "Rights"]

# Seconds a lease is asked for at most.
GOOD_FOR = 10.0

Right = tuple[bytes, bytes]
"""The key on the server, and the head of what stands there: a placeholder, or the mark of a claim."""


class Rights:
    """What is not known to be given back.

    Args:
        clock: Seconds.
    """

    # As many as removals. Those beyond it end by themselves, with their time.
    MAX = 10_000

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lost: dict[Right, float] = {}  # with the seconds each is good for
        self._due: dict[Right, float] = {}  # to be given back again, and when

    def __len__(self) -> int:
        return len(self._lost) + len(self._due)

    def lost(self, key: bytes, stamp: bytes, seconds: float) -> None:
        """No answer came to the question for it, or to its return; ``seconds`` it is good for at most."""
        self._lost[key, stamp] = seconds
        if len(self._lost) > self.MAX:
            del self._lost[next(iter(self._lost))]

    def answered(self, key: bytes, stamp: bytes) -> None:
        """The answer came after all: it is known where the right is."""
        if self._lost:
            self._lost.pop((key, stamp), None)

    def pending(self) -> list[Right]:
        """What the next handshake gives back."""
        return list(self._lost)

    def returned(self, right: Right, *, surely: bool) -> None:
        """It was given back; ``surely``: nothing more of the connection that asked for it reaches the server."""
        seconds = self._lost.pop(right, 0.0)
        if not surely:
            self._due[right] = self._clock() + seconds
            if len(self._due) > self.MAX:
                del self._due[next(iter(self._due))]

    def take_due(self) -> list[Right]:
        """What is to be given back once more by now."""
        if not self._due:
            return []
        now = self._clock()
        due = [right for right, when in self._due.items() if when <= now]
        for right in due:
            del self._due[right]
        return due
