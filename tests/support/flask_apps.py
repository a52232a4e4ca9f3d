"""A fixture for the tests with Flask: apps of one process share caches, and the fixture closes them."""

from collections.abc import Iterator
from contextlib import contextmanager

from fleetcache.contrib import flask

__all__ = ["closing_caches"]


@contextmanager
def closing_caches() -> Iterator[None]:
    """Close, at the end, all caches that apps have opened."""
    try:
        yield
    finally:
        while flask._shared:
            flask._shared.popitem()[1].close()
