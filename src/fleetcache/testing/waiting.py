"""Waiting for a condition, not for a fixed time: as quick as the condition, with an error that names the condition."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar, overload

__all__ = ["eventually", "wait_until"]

T = TypeVar("T")

_PAUSE = 0.002  # seconds between two calls: short for a round trip to a server, long for a call


@overload
def eventually(predicate: Callable[[], Awaitable[T]], timeout: float = 5) -> Coroutine[Any, Any, T]: ...
@overload
def eventually(predicate: Callable[[], T], timeout: float = 5) -> Coroutine[Any, Any, T]: ...
async def eventually(predicate: Callable[[], Any], timeout: float = 5) -> Any:  # noqa: ASYNC109 - see below
    """Call ``predicate`` until its result is true, and return that result.

    The timeout is not an ``asyncio.timeout``, so that a call of an async predicate is never cancelled.

    Args:
        predicate: A plain or async function without arguments.
        timeout: Seconds.

    Returns:
        The first true result.

    Raises:
        AssertionError: No result was true in time; the text shows the last result.

    Example:
        >>> asyncio.run(eventually(lambda: "online"))
        'online'
    """
    deadline = time.monotonic() + timeout
    while True:
        found = predicate()
        result = await found if inspect.isawaitable(found) else found
        if result:
            return result
        if time.monotonic() > deadline:
            raise AssertionError(_never(predicate, timeout, result))
        await asyncio.sleep(_PAUSE)


def wait_until(predicate: Callable[[], T], timeout: float = 5) -> T:
    """Do the same as ``eventually`` where there is no event loop.

    Args:
        predicate: A plain function without arguments.
        timeout: Seconds.

    Raises:
        AssertionError: No result was true in time; the text shows the last result.

    Example:
        >>> wait_until(lambda: "online")
        'online'
    """
    deadline = time.monotonic() + timeout
    while not (result := predicate()):
        if time.monotonic() > deadline:
            raise AssertionError(_never(predicate, timeout, result))
        time.sleep(_PAUSE)
    return result


def _never(predicate: Callable[[], object], timeout: float, result: object) -> str:
    return f"{predicate!r} was not true within {timeout} s; last result: {result!r}"
