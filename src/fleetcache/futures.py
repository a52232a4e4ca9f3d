"""The future that one caller waits on, in a task of an event loop or in a thread.

Two classes satisfy the protocol: ``asyncio.Future`` and ``engine.threads.monitor.ThreadFuture``. Policy, near and wire
see only the protocol. They resolve a future in frame order, on its loop or under the monitor, so a class needs no lock.
"""

from enum import Enum
from typing import Any, Final, Protocol

__all__ = ["NO_ANSWER", "Future", "NoAnswer", "tell_unanswered"]


class NoAnswer(Enum):
    """The result of a call whose reply did not come in time, or whose connection was lost."""

    NO_ANSWER = "no answer"


NO_ANSWER: Final = NoAnswer.NO_ANSWER


class Future(Protocol):
    """A result that one caller waits for and that is set once.

    The reply, a timeout and the end of the connection may each want to set the result. So each asks ``done`` first, and
    the first of them wins. A future never has an exception: a failure is a value, as ``NO_ANSWER`` is.
    """

    def done(self) -> bool:
        """Return True if the future has its result, or if its caller was cancelled and waits no more."""
        ...

    def set_result(self, result: Any, /) -> None:
        """Set the result and wake the caller, whose code runs later: it must not run in the middle of a frame."""
        ...


def tell_unanswered(future: Future | None) -> None:
    """Set ``NO_ANSWER`` as the result of a future that is not done."""
    if future is not None and not future.done():
        future.set_result(NO_ANSWER)
