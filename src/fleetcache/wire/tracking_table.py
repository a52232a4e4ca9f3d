"""The server's tracking table: the keys that it has promised to push, and the room for them.

Rules:

1. ``INFO stats`` gives the number of keys and of readers, ``CONFIG GET`` the limit of keys. Both are asked for together
   with the evictions: in the handshake and once a minute. Only a server that tracks for this connection is asked.
2. A server that does not report its limit, or may not be asked, is not asked for it again on this connection, and
   counts as a server without one. So does the limit 0.
3. The table is nearly full from 80 % of its limit, or of the bytes that there are for it, if these are known. When it
   is full, the server forgets a key for each new one and pushes it as if it had changed.
"""

from collections.abc import Callable
from typing import Any

from ..clock import Clock
from .server_role import info_fields
from .session import Command

__all__ = ["LIMIT", "NEARLY_FULL", "TrackingTable", "bytes_of"]

LIMIT: Command = ("CONFIG", "GET", "tracking-table-max-keys")

# Early enough to raise the limit before it is reached, late enough not to warn a fleet of a usual size.
NEARLY_FULL = 0.8

# Bytes of a key without its readers, and of each reader. INFO memory of Valkey 9.1 with 50,000 keys and 1 to 32 readers
# says 64 for keys of 20 characters and 123 for keys of 61; Redis 7.0 takes a fifth less.
KEY_BYTES, READER_BYTES = 100, 63


def bytes_of(keys: int, readers: int) -> int:
    """Return about how many bytes a table takes: of each key one part, and one for each of its readers.

    Example:
        >>> bytes_of(1_000_000, 50_000_000)
        3250000000
    """
    return keys * KEY_BYTES + readers * READER_BYTES


class TrackingTable:
    """The table of the server in use, as far as it is known.

    Args:
        clock: Seconds.
        warn: Called with ``filling`` when the table has become nearly full.

    Attributes:
        keys: Keys in the table; ``None`` if unknown.
        limit: Most keys in it; ``None`` if unknown or without a limit.
        bytes: About how many bytes it takes.
        room: Bytes that there are for it.
        is_nearly_full: Whether the table is nearly full.
        since: When that was found out, on the clock of this process.
    """

    def __init__(self, clock: Clock, warn: Callable[[str], None] = lambda _filling: None) -> None:
        self._clock, self._warn = clock, warn
        self.room = float("inf")
        self.since = 0.0
        self.is_nearly_full = False
        self.keys: int | None = None
        self.limit: int | None = None
        self.bytes = 0
        self._tells = self._tells_limit = False

    def begin(self, *, tells: bool) -> None:
        """Start over on a new connection, which may lead to another server.

        Args:
            tells: Whether the server tracks for this connection and may be asked. The known numbers stay until it
                answers: after a reconnect, a table that is still nearly full must not be reported a second time.
        """
        self._tells = self._tells_limit = tells
        if not tells:
            self._know(None, 0, None)

    def asks(self) -> tuple[Command, ...]:
        """Return the question for the limit, to be sent after ``INFO stats``; nothing if it is of no use."""
        return (LIMIT,) if self._tells_limit else ()

    def heard(self, stats: Any, limit: Any = None) -> None:
        """Handle the replies to ``INFO stats`` and to ``asks``."""
        if not self._tells:
            return
        most = _limit_in(limit)
        self._tells_limit = self._tells_limit and most is not None
        said = info_fields(stats)
        keys, readers = _number(said.get("tracking_total_keys")), _number(said.get("tracking_total_items"))
        self._know(keys, readers or 0, most or None)

    @property
    def share(self) -> float:
        """The part of the table that is in use: of its keys or of its bytes, whichever is more. 1.0 is full."""
        return max(self._share_of_keys, self.bytes / self.room)

    @property
    def _share_of_keys(self) -> float:
        return (self.keys or 0) / (self.limit or float("inf"))

    @property
    def filling(self) -> str:
        """The same in words, for the log."""
        if self._share_of_keys >= self.bytes / self.room:
            return f"{self.keys:,} of {self.limit:,} keys" if self.keys and self.limit else "no limit"
        return f"about {self.bytes:,} of {self.room:,} bytes"

    def _know(self, keys: int | None, readers: int, limit: int | None) -> None:
        self.keys, self.limit, self.bytes = keys, limit, bytes_of(keys or 0, readers)
        before, self.is_nearly_full = self.is_nearly_full, self.share >= NEARLY_FULL
        if self.is_nearly_full and not before:
            self.since = self._clock()
            self._warn(self.filling)


def _number(said: Any) -> int | None:
    text = said.decode(errors="replace") if isinstance(said, bytes) else said
    return int(text) if isinstance(text, str) and text.isdecimal() else None


def _limit_in(reply: Any) -> int | None:
    """Return the limit in a reply to ``CONFIG GET``: a map, or a list of a name and its value."""
    values = list(reply.values()) if isinstance(reply, dict) else reply[1:] if isinstance(reply, list) else []
    return _number(values[0]) if values else None
