"""Waiting for a condition instead of for a time: as quick as the condition, and an error that says what never came."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar, overload

__all__ = ["eventually", "wait_until"]

T = TypeVar("T")

_PAUSE = 0.002  # seconds between two looks: short beside a round trip to a server, long beside a look


@overload
def eventually(predicate: Callable[[], Awaitable[T]], timeout: float = 5) -> Coroutine[Any, Any, T]: ...
@overload
def eventually(predicate: Callable[[], T], timeout: float = 5) -> Coroutine[Any, Any, T]: ...
async def eventually(predicate: Callable[[], Any], timeout: float = 5) -> Any:  # noqa: ASYNC109 - see below
    """Look until ``predicate`` gives something true, and return that.

    The timeout is ours and not ``asyncio.timeout``, so that a look under way is never cancelled in the middle.

    Args:
        predicate: A plain or async function without arguments.
        timeout: Seconds.

    Returns:
        What it gave.

    Raises:
        AssertionError: It gave nothing true in time; shows the last result.

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
    """Do as ``eventually`` where there is no event loop.

    Args:
        predicate: A plain function without arguments.
        timeout: Seconds.

    Raises:
        AssertionError: It gave nothing true in time; shows the last result.

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
