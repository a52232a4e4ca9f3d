"""Log records of the logger ``fleetcache``: one place makes all of them, so that all have the same fields.

Each record carries ``event`` (a stable code for alerts), ``reason`` (a code of the health report), ``driver`` and
``seconds`` in addition to its text; a field that does not apply to the event is ``None``. The text is
``<event>: <object> (<reason>); <effect>``, with the event in words. It does not repeat the logger's name.
"""

import logging
from collections.abc import Callable
from functools import partial
from typing import Any

__all__ = ["TELL", "Teller"]

log = logging.getLogger("fleetcache")


class Teller:
    """Writes log records.

    Args:
        driver: Driver of the cache that writes them.

    Attributes:
        defer: Takes a function that writes a record, and has it called soon; ``False``: the caller must call it now.

    Example:
        >>> tell = Teller("redis")
        >>> tell(logging.DEBUG, "online", "online: %s (after %.1f s)", "redis://cache", 2.0, seconds=2.0)
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
        """Write a record.

        Args:
            level: As for ``logging``.
            event: The event, as a stable code.
            text: ``<event>: <object> (<reason>); <effect>``, with placeholders.
            *args: Values of the placeholders in the text.
            reason: The event's cause, as a code of the health report.
            seconds: How long the event took or lasted.
            error: An exception, such as a defect of this library; the record shows its traceback.
        """
        more: dict[str, Any] = {"event": event, "reason": reason, "driver": self.driver, "seconds": seconds}
        write = partial(log.log, level, text, *args, exc_info=error, extra=more, stacklevel=2)
        if not self.defer(write):
            write()


def _at_once(_write: Callable[[], None]) -> bool:
    return False


TELL = Teller()
"""Writes the records of events that belong to no cache, or to no cache yet."""
