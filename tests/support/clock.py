"""Time that a test moves by hand."""

__all__ = ["ManualClock"]


class ManualClock:
    """A ``fleetcache.clock.Clock`` that stands still until it is told to move.

    Args:
        now: Where it starts, in seconds. Not zero, so that code which takes "no time yet" for zero is found out.

    Example:
        >>> clock = ManualClock()
        >>> clock.advance(0.5)
        >>> clock()
        1000.5
    """

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        """Move on. A clock never goes back: negative is an error."""
        if seconds < 0:
            raise ValueError(f"a clock cannot go back {-seconds} s")
        self.now += seconds
