"""What the library writes to the log ``fleetcache``: one place makes the records, so that all have the same fields.

Each record carries ``event`` (a stable code for alerts), ``reason`` (a code of the health report), ``driver`` and
``seconds`` beside its text, ``None`` where an event has no such thing. The text does not repeat the logger's name.
"""

import logging
from collections.abc import Callable
from functools import partial
from typing import Any

__all__ = ["TELL", "Teller"]

log = logging.getLogger("fleetcache")


class Teller:
    """Writes records.

    Args:
        driver: Of the cache that speaks.

    Attributes:
        defer: Takes what writes a record, to have it written soon; ``False``: it is to be written now.

    Example:
        >>> tell = Teller("redis")
        >>> tell(logging.DEBUG, "online", "cache online again after %.1f s", 2.0, seconds=2.0)
    """

    __slots__ = ("defer", "driver")

    def __init__(self, driver: str | None = None) -> None:
        self.driver = driver
        self.defer: Callable[[Callable[[], None]], bool] = _at_once

    def __call__(
        self,
        level: int,
        event: str,
        text: str,
        *args: object,
        reason: str | None = None,
        seconds: float | None = None,
        error: BaseException | None = None,
    ) -> None:
        """Write one.

        Args:
            level: As for ``logging``.
            event: What happened, as a code that stays.
            text: What happened, in words.
            *args: What stands in the text.
            reason: Why, as a code of the health report.
            seconds: How long it took or lasted.
            error: A defect of ours, whose trace the record shows.
        """
        more: dict[str, Any] = {"event": event, "reason": reason, "driver": self.driver, "seconds": seconds}
        write = partial(log.log, level, text, *args, exc_info=error, extra=more, stacklevel=2)
        if not self.defer(write):
            write()


def _at_once(_write: Callable[[], None]) -> bool:
    return False


TELL = Teller()
"""For what belongs to no cache, or to none yet."""
