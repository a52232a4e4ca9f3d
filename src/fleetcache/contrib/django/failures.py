"""Failures in Django's words: errors that are also those of Django's other backends, and the failed keys of a batch."""

import pickle
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from fleetcache import CodecError, Unavailable

__all__ = ["NotCounted", "NotPicklable", "pickling", "reported"]


class NotPicklable(CodecError, pickle.PicklingError):
    """A value that cannot be stored; a ``PicklingError`` too, as Django's other backends raise.

    Example:
        >>> issubclass(NotPicklable, CodecError), issubclass(NotPicklable, pickle.PicklingError)
        (True, True)
    """


class NotCounted(Unavailable, ValueError):
    """The server did not count; a ``ValueError`` too, as for a missing counter.

    Example:
        >>> issubclass(NotCounted, Unavailable), issubclass(NotCounted, ValueError)
        (True, True)
    """


@contextmanager
def pickling() -> Iterator[None]:
    """Raise ``NotPicklable`` for each ``CodecError`` of the block."""
    try:
        yield
    except CodecError as error:
        raise NotPicklable(str(error)) from error


@contextmanager
def reported(keys: Iterable[Any]) -> Iterator[list[Any]]:
    """Yield the failed keys of a write: none, or all ``keys`` once the block has raised ``Unavailable``."""
    failed: list[Any] = []
    try:
        yield failed
    except Unavailable:
        failed.extend(keys)
