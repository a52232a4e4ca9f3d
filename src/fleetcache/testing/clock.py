"""A clock that a test moves."""

from ..config.durations import Duration, parse_duration

__all__ = ["ManualClock"]


class ManualClock:
    """A clock that moves only by ``advance``. Pass it to ``memory_cache`` or ``override``.

    Args:
        now: The start time, in seconds. The default is not zero, so that tests expose code that uses zero for "no time
            yet".

    Attributes:
        now: The current time of the clock.

    Example:
        >>> clock = ManualClock()
        >>> clock.advance("1m30s")
        >>> clock()
        1090.0
    """

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        """Return the time, in seconds, as every clock of the cache does."""
        return self.now

    def advance(self, duration: Duration) -> None:
        """Move the clock forward.

        Args:
            duration: Seconds, ``timedelta`` or text such as ``"10m"``.

        Raises:
            ConfigError: The duration is negative: a clock cannot go back.
        """
        self.now += parse_duration(duration, name="advance", zero=True)
