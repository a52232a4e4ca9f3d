"""Which task waits for which task, read from the callbacks that asyncio runs when a task ends.

A task that another task waits for is distinguished from one that was only started, however the wait is written:
``await``, ``gather``, ``wait``, ``wait_for``, ``shield``, ``as_completed``, a task group of asyncio or anyio.
"""

import asyncio
from collections.abc import Iterator
from functools import partial
from typing import Any

__all__ = ["is_awaited"]


def is_awaited(task: Any, by: Any) -> bool:
    """Return whether the task ``by`` cannot continue before ``task`` ends, directly or through other tasks.

    A wait that asyncio cannot see, such as for an event that the task sets, does not count.

    Args:
        task: The task that would be waited for.
        by: Another task of the same event loop.
    """
    todo, seen = [task], set[int]()
    while todo:
        future = todo.pop()
        if future is by:
            return True
        if id(future) not in seen:
            seen.add(id(future))
            todo += _told(future)
    return False


def _told(future: Any) -> Iterator[Any]:
    """Yield the futures and tasks that are notified when a future ends."""
    for entry in getattr(future, "_callbacks", None) or ():
        callback = entry[0]
        owner = getattr(callback, "__self__", None)  # of a task's own wake-up, the task; of a group's method, the group
        yield from _futures_of(owner)
        if isinstance(callback, partial):
            for part in callback.args:
                yield from _futures_of(part)
        for cell in getattr(callback, "__closure__", None) or ():
            try:
                yield from _futures_of(cell.cell_contents)
            except ValueError:  # an empty cell
                continue


def _futures_of(held: Any) -> Iterator[Any]:
    """Yield the object if it is a future, else the futures among its attributes; for a queue, its waiting getters."""
    # The items of a collection are not searched: a set that keeps background tasks alive is notified when each task
    # ends, but waits for none.
    if asyncio.isfuture(held):
        yield held
    elif isinstance(held, asyncio.Queue):
        yield from getattr(held, "_getters", ())
    elif held is not None and not isinstance(held, type):
        for value in list(getattr(held, "__dict__", {}).values()):
            if asyncio.isfuture(value):
                yield value
            elif isinstance(value, asyncio.Queue):
                yield from getattr(value, "_getters", ())
