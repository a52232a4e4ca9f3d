"""Runs an async test and checks its leftovers: tasks still pending, errors that no code fetched."""

import asyncio
import gc
from collections.abc import Coroutine
from typing import Any, TypeVar

__all__ = ["run"]

T = TypeVar("T")

# Passes of the event loop that ending tasks may still take: a cancelled task needs a few.
_LAST_PASSES = 10


def run(coro: Coroutine[Any, Any, T]) -> T:
    """Run ``coro`` in a fresh event loop and return its result.

    Raises:
        AssertionError: The test left a task pending, or the loop's exception handler got a report, such as an exception
            of a task that was never retrieved.
    """
    reports: list[dict[str, Any]] = []
    result = asyncio.run(_watched(coro, reports), debug=False)
    gc.collect()  # unretrieved errors are reported when they are collected
    assert not reports, f"reported to the event loop: {reports}"
    return result


async def _watched(coro: Coroutine[Any, Any, T], reports: list[dict[str, Any]]) -> T:
    asyncio.get_running_loop().set_exception_handler(lambda _loop, report: reports.append(report))
    result = await coro
    for _ in range(_LAST_PASSES):
        if not _others():
            return result
        await asyncio.sleep(0)
    raise AssertionError(f"left pending: {_others()}")


def _others() -> set[asyncio.Task[Any]]:
    return asyncio.all_tasks() - {asyncio.current_task()}
