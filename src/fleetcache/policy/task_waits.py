"""Which task waits for which: asked of asyncio, which tells it by who is called when a task ends.

A task that was started and is not waited for is told from one that is, however the waiting is written: ``await``,
``gather``, ``wait``, ``wait_for``, ``shield``, ``as_completed``, a task group of asyncio or anyio.
"""

import asyncio
from collections.abc import Iterator
from functools import partial
from typing import Any

__all__ = ["is_awaited"]


def is_awaited(task: Any, by: Any) -> bool:
    """Whether ``by`` cannot go on before ``task`` ends, directly or through others.

    A wait that asyncio cannot see, such as for an event that the task sets, is none.

    Args:
        task: A task.
        by: Another of the same loop.
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
    """The futures and tasks that hear of the end of one."""
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
            except ValueError:  # not filled yet
                continue


def _futures_of(held: Any) -> Iterator[Any]:
    """The object if it is a future, who waits at a queue, or the futures that an object has as attributes."""
    # Never what a collection holds: the set that keeps background tasks alive is told of the end of each.
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
