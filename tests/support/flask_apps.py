"""What the tests with Flask share: apps of one process share caches, which somebody has to close."""

from collections.abc import Iterator
from contextlib import contextmanager

from fleetcache.contrib import flask

__all__ = ["closing_caches"]


@contextmanager
def closing_caches() -> Iterator[None]:
    """Close, at the end, what apps have opened."""
    try:
        yield
    finally:
        while flask._shared:
            flask._shared.popitem()[1].close()
