"""What one caller waits on, whatever runs it: an event loop or threads."""

from enum import Enum
from typing import Any, Final, Protocol

__all__ = ["NO_ANSWER", "Future", "NoAnswer", "tell_unanswered"]


class NoAnswer(Enum):
    """The one value a call ends with when no reply came in time, or the connection was lost."""

    NO_ANSWER = "no answer"


NO_ANSWER: Final = NoAnswer.NO_ANSWER


class Future(Protocol):
    """Something one caller waits on, opened once. ``asyncio.Future`` is one."""

    def done(self) -> bool:
        """Whether it is open."""
        ...

    def set_result(self, result: Any, /) -> None:
        """Open it."""
        ...


def tell_unanswered(future: Future | None) -> None:
    """Open it with the word that no answer came, if somebody still waits."""
    if future is not None and not future.done():
        future.set_result(NO_ANSWER)
