"""The future that one caller waits on, in a task of an event loop or in a thread."""

from enum import Enum
from typing import Any, Final, Protocol

__all__ = ["NO_ANSWER", "Future", "NoAnswer", "tell_unanswered"]


class NoAnswer(Enum):
    """The result of a call whose reply did not come in time, or whose connection was lost."""

    NO_ANSWER = "no answer"


NO_ANSWER: Final = NoAnswer.NO_ANSWER


class Future(Protocol):
    """A result that one caller waits for and that is set once. ``asyncio.Future`` satisfies this protocol."""

    def done(self) -> bool:
        """Return True if the future has its result or was cancelled."""
        ...

    def set_result(self, result: Any, /) -> None:
        """Set the result and wake the caller."""
        ...


def tell_unanswered(future: Future | None) -> None:
    """Set ``NO_ANSWER`` as the result of a future that is not done."""
    if future is not None and not future.done():
        future.set_result(NO_ANSWER)
