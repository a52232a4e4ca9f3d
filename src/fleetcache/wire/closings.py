"""Commands at which the other end closes the connection: some proxies answer so to what they do not know.

Rules:

1. A command counts once the connection was closed at it twice in a row, the second time after another command was
   answered: a server that is going away closes at anything.
2. Whoever asks what counts gets an error reply, as from a server that refuses it, and nothing is sent.
3. It is tried again after a while: another server may be there by then.
4. Only commands count that the cache can do without.
"""

from ..clock import Clock
from .session import Command, ReplyError

__all__ = ["Closings"]

# Long beside the connections it costs to find out again, short beside how long a server stays in use.
FORGET = 300.0

_DISPENSABLE = frozenset({"HELLO", "CLIENT", "INFO", "SCRIPT"})


class Closings:
    """What is known of the other end, from one connection to the next.

    Args:
        clock: Seconds.

    Attributes:
        spoke: Whether a command was answered on the connection at hand.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._until: dict[str, float] = {}
        self._before: str | None = None  # at what the connection before this one was closed
        self._at: str | None = None
        self.spoke = False

    @property
    def careful(self) -> bool:
        """Whether something is to be asked before HELLO that every server answers."""
        return self._before is not None or bool(self._until)

    def connected(self) -> None:
        """A connection stands, and nothing was asked on it."""
        self._before, self._at = self._at, None
        self.spoke = False
        now = self._clock()
        self._until = {word: until for word, until in self._until.items() if now < until}

    def answered(self) -> None:
        """A command was answered."""
        self.spoke = True

    def closed_at(self, command: Command) -> None:
        """The other end closed the connection before it answered this."""
        word = str(command[0])
        if word not in _DISPENSABLE:
            return
        self._at = word
        if self.spoke and self._before == word:
            self._until[word] = self._clock() + FORGET

    def refusal(self, command: Command) -> ReplyError | None:
        """The error reply that stands for the closed connection."""
        word = str(command[0])
        return ReplyError(f"ERR the server closes the connection at {word}") if word in self._until else None
