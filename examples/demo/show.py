"""How the story reaches its audience: a Protocol with two forms, ``Lines`` and ``Screen``."""

from types import TracebackType
from typing import Protocol, Self

from .finding import Finding
from .numbers import Numbers

__all__ = ["Show"]


class Show(Protocol):
    """Told everything as it happens; a context manager around the whole story."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def act(self, number: int) -> None:
        """An act of the story begins; 0 is the first."""

    def say(self, line: str) -> None:
        """A line of the story."""

    def found(self, finding: Finding) -> None:
        """A promise was looked at."""

    def count(self, numbers: Numbers) -> None:
        """The newest numbers, several times a second."""
