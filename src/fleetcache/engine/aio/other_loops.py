"""Calls from a second event loop beside the one that a cache lives on: they are sent there, and answers come back.

Rules:

1. Nothing of a cache but its near store is touched from another loop than its own.
2. Whoever calls from another loop waits no longer than an operation takes for the cache's loop to begin. Then the
   answer is as without a server, and what was to be removed is removed when that loop turns again.
3. A loader runs on the loop of its caller, whose things it uses, and what it brings is not stored.
"""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from functools import wraps
from typing import TYPE_CHECKING, Any, NoReturn, ParamSpec, TypeVar

from ...errors import Closed, Unavailable
from .loop_end import without_farewell

if TYPE_CHECKING:
    from ..engine import Engine

__all__ = ["WAY_OUT", "ElsewhereError", "not_known", "on_its_loop", "sent_to"]

P = ParamSpec("P")
T = TypeVar("T")

WAY_OUT = (
    "this cache is in use on another event loop that still runs: give each loop its own Cache, "
    "or have all of them use one SyncCache(...).aio"
)

# Seconds between two looks whether the loop, from which nothing comes, is still there.
LOOK_EVERY = 0.5


class ElsewhereError(Closed):
    """The cache lives on another event loop, which runs."""

    def __init__(self, engine: "Engine", loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(WAY_OUT)
        self.engine, self.loop = engine, loop


def _nothing() -> None:
    """What most verbs answer without a server."""


def not_known() -> NoReturn:
    """For verbs that make no guess.

    Raises:
        Unavailable: Always.
    """
    raise Unavailable(WAY_OUT)


def on_its_loop(
    absent: Callable[[], Any] = _nothing,
) -> Callable[[Callable[P, Coroutine[Any, Any, T]]], Callable[P, Coroutine[Any, Any, T]]]:
    """A verb without a loader, which is called on whatever event loop.

    Args:
        absent: Gives what it answers when the cache's own loop does not; ``strict`` raises then.
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
    """What a call answers on the cache's own loop, or ``absent()`` if that does not turn."""
    engine, loop, here = elsewhere.engine, elsewhere.loop, asyncio.get_running_loop()
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
        if not begun:  # cancelled before its first step: the loop is about to end, with time for one
            begin()
            return
        if not task.cancelled():
            task.exception()  # looked at: nobody may wait for it any more
        with suppress(RuntimeError):  # the caller's loop has ended
            here.call_soon_threadsafe(_open, over, task)

    until = engine.clock() + engine.settings.operation_timeout
    with suppress(RuntimeError):  # it was closed this moment
        loop.call_soon_threadsafe(begin)
    while not over.done() and loop.is_running() and (begun or engine.clock() < until):
        patience = LOOK_EVERY if begun else min(LOOK_EVERY, engine.settings.operation_timeout)
        await asyncio.wait((over,), timeout=patience)  # cancelled here, it goes on there: a removal must
    if not begun and not loop.is_running():  # it has ended: the cache moves here
        taken_back = True
        return await call()
    return over.result().result() if over.done() and not over.result().cancelled() else absent()


def _open(future: "asyncio.Future[T]", result: T) -> None:
    if not future.done():
        future.set_result(result)
