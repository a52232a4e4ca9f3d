"""Commands at which the other end closes the connection: some proxies answer unknown commands in this way.

Rules:

1. A command counts once the connection was closed at it twice in a row, the second time after another command was
   answered: a server that is going away closes at any command.
2. A caller that sends a counted command gets an error reply, as from a server that refuses it, and nothing is sent.
3. The command is tried again after a while: another server may be there by then.
4. The rules apply only to commands that the cache can do without.
5. After a close, the next connection sends one command at a time: the command that was not answered is the cause.
"""

from ..clock import Clock
from .session import Command, ReplyError

__all__ = ["Closings"]

# Seconds. Long compared with the two connections that finding out again costs, short compared with the time that a
# server stays in use.
FORGET = 300.0

_DISPENSABLE = frozenset({"HELLO", "CLIENT", "INFO", "SCRIPT", "CONFIG"})


class Closings:
    """The commands at which the other end closed, remembered from one connection to the next.

    Args:
        clock: Seconds.

    Attributes:
        spoke: Whether a command was answered on the current connection.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._until: dict[str, float] = {}
        self._before: str | None = None  # the command at which the previous connection was closed
        self._at: str | None = None
        self.spoke = False

    @property
    def careful(self) -> bool:
        """Return True if commands should be sent one by one, and one that every server answers before HELLO."""
        return self._before is not None or bool(self._until)

    def connected(self) -> None:
        """Record that a connection is open, and that no command was sent on it yet."""
        self._before, self._at = self._at, None
        self.spoke = False
        now = self._clock()
        self._until = {word: until for word, until in self._until.items() if now < until}

    def answered(self) -> None:
        """Record that a command was answered."""
        self.spoke = True

    def closed_at(self, command: Command) -> None:
        """Record that the other end closed the connection before it answered this command."""
        word = str(command[0])
        self._at = word
        if word in _DISPENSABLE and self.spoke and self._before == word:
            self._until[word] = self._clock() + FORGET

    def refusal(self, command: Command) -> ReplyError | None:
        """Return the error reply that stands for the closed connection; ``None`` if the command may be sent."""
        word = str(command[0])
        return ReplyError(f"ERR the server closes the connection at {word}") if word in self._until else None
