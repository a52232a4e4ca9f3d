"""Time that a test moves by hand."""

from ..config.durations import Duration, seconds

__all__ = ["ManualClock"]


class ManualClock:
    """A clock that stands still until it is told to move. Give it to ``memory_cache`` or ``override``.

    Args:
        now: Where it starts, in seconds. Not zero, so that code which takes "no time yet" for zero is found out.

    Attributes:
        now: The time it shows.

    Example:
        >>> clock = ManualClock()
        >>> clock.advance("1m30s")
        >>> clock()
        1090.0
    """

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        """The time, as every clock of the cache gives it."""
        return self.now

    def advance(self, duration: Duration) -> None:
        """Move on.

        Args:
            duration: Seconds, ``timedelta`` or text such as ``"10m"``.

        Raises:
            ConfigError: It is negative: a clock cannot go back.
        """
        self.now += seconds(duration, name="advance", zero=True)
