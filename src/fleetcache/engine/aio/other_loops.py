"""Calls from a second event loop: they are sent to the cache's own loop, and their answers come back.

Rules:

1. A loop other than the cache's own touches only the cache's near store.
2. A caller on another loop waits up to one operation timeout for the cache's loop to begin the call. After that the
   answer is the same as without a server, and a removal is carried out when the cache's loop runs again.
3. A loader runs on the loop of its caller, whose objects it uses, and its result is not stored.
"""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from functools import wraps
from typing import Any, NoReturn, ParamSpec, TypeVar

from ...clock import Clock
from ...errors import Closed, Unavailable
from .runtime import without_farewell

__all__ = ["WAY_OUT", "ElsewhereError", "not_known", "on_its_loop", "sent_to"]

P = ParamSpec("P")
T = TypeVar("T")

WAY_OUT = (
    "this cache is in use on another event loop that still runs: give each loop its own Cache, "
    "or have all of them use one SyncCache(...).aio"
)

# Seconds between two checks that a silent loop still runs.
LOOK_EVERY = 0.5


class ElsewhereError(Closed):
    """The cache belongs to another event loop, which runs.

    Args:
        loop: The cache's loop.
        clock: Seconds.
        patience: Seconds that a call waits until the loop begins it: one operation timeout.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, clock: Clock, patience: float) -> None:
        super().__init__(WAY_OUT)
        self.loop, self.clock, self.patience = loop, clock, patience


def _nothing() -> None:
    """Return ``None``, the answer of most verbs without a server."""


def not_known() -> NoReturn:
    """Refuse to answer, for a verb that makes no guess.

    Raises:
        Unavailable: Always.
    """
    raise Unavailable(WAY_OUT)


def on_its_loop(
    absent: Callable[[], Any] = _nothing,
) -> Callable[[Callable[P, Coroutine[Any, Any, T]]], Callable[P, Coroutine[Any, Any, T]]]:
    """Make a verb without a loader callable on any event loop.

    Args:
        absent: Returns the verb's answer when the cache's own loop is blocked. With ``strict`` the verb raises
            ``Unavailable`` then.
    """

    def decorate(verb: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, Coroutine[Any, Any, T]]:
        @wraps(verb)
        async def called(*args: P.args, **kwargs: P.kwargs) -> T:
            try:
                return await verb(*args, **kwargs)
            except ElsewhereError as error:
                elsewhere = error
            answer: T = await sent_to(
                elsewhere, lambda: verb(*args, **kwargs), not_known if kwargs.get("strict") else absent
            )
            return answer

        return called

    return decorate


async def sent_to(elsewhere: ElsewhereError, call: Callable[[], Coroutine[Any, Any, T]], absent: Callable[[], T]) -> T:
    """Run a call on the cache's own loop and return its answer, or ``absent()`` if that loop is blocked."""
    loop, clock, here = elsewhere.loop, elsewhere.clock, asyncio.get_running_loop()
    over: asyncio.Future[asyncio.Task[T]] = here.create_future()
    begun = taken_back = False

    async def there() -> T:
        nonlocal begun
        begun = True
        return await call()

    def begin() -> None:
        if not taken_back:
            task = loop.create_task(there())
            without_farewell(task)
            task.add_done_callback(ended)

    def ended(task: "asyncio.Task[T]") -> None:
        if not begun:  # cancelled before its first step: the loop is about to end, and has time for one
            begin()
            return
        if not task.cancelled():
            task.exception()  # retrieved here, because its caller might no longer wait for it
        with suppress(RuntimeError):  # the caller's loop has ended
            here.call_soon_threadsafe(_open, over, task)

    until = clock() + elsewhere.patience
    with suppress(RuntimeError):  # the cache's loop has just been closed
        loop.call_soon_threadsafe(begin)
    while not over.done() and loop.is_running() and (begun or clock() < until):
        patience = LOOK_EVERY if begun else min(LOOK_EVERY, elsewhere.patience)
        await asyncio.wait((over,), timeout=patience)  # if cancelled here, the call continues there: a removal must
    if not begun and not loop.is_running():  # the cache's loop has ended: the cache moves to this loop
        taken_back = True
        return await call()
    return over.result().result() if over.done() and not over.result().cancelled() else absent()


def _open(future: "asyncio.Future[T]", result: T) -> None:
    if not future.done():
        future.set_result(result)
