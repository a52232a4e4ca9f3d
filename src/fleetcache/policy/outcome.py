"""How a flight ends, and the next step of each of its callers."""

from enum import Enum
from typing import NoReturn

from .lookup import DecodedValue

__all__ = ["Outcome", "Resolution"]


class Resolution(Enum):
    """The next step of a caller in a flight that has ended."""

    RETURN = "answer"  # take the answer
    RAISE = "raise"  # the loader's own exception
    RETRY = "again"  # ask again: the value is good for the caller that started the load only, or there is none
    BESIDE = "beside"  # the load takes longer than ``load_wait``: join or start the load beside it
    LOAD_ALONE = "alone"  # run the loader for this caller alone: the value cannot be copied for a second caller


class Outcome:
    """How a flight ended.

    ``own`` is the next step of its starter, ``others`` that of callers that joined before ``until``. ``callers`` is how
    many callers have not taken the error yet.
    """

    __slots__ = ("answer", "callers", "error", "others", "own", "stale", "trace", "until")

    def __init__(
        self,
        own: Resolution,
        others: Resolution | None = None,
        *,
        answer: DecodedValue | None = None,
        error: BaseException | None = None,
        stale: bool = False,
        until: float = float("inf"),
    ) -> None:
        self.until = until
        self.own = own
        self.others = own if others is None else others
        self.answer = answer
        self.error = error
        self.trace = None if error is None else error.__traceback__  # must not grow each time the error is raised
        self.stale = stale
        self.callers = 0

    def raise_error(self) -> NoReturn:
        """Raise the error for one caller; the last caller takes it out.

        The error's traceback refers to frames that refer to this outcome. All of that would stay in memory until a full
        collection.
        """
        error, trace = self.error, self.trace
        self.leave()
        try:
            raise AssertionError("a failed load without its error") if error is None else error.with_traceback(trace)
        finally:
            del error, trace

    def leave(self) -> None:
        """Note that one caller has the error or needs none."""
        self.callers -= 1
        if self.callers <= 0:
            self.drop_error()

    def drop_error(self) -> None:
        """Drop the error: no caller waits for it."""
        self.error = self.trace = None
