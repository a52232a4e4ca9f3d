"""``Cache.sync``: threads work on the cache of an event loop, through the same near store, flights and link.

Every rule runs on the loop; only near hits and loaders run in the thread. A thread sends its call there and waits, and
the loop sends back what only the thread can do: its loader, in its own context.
"""

import asyncio
import functools
from asyncio import AbstractEventLoop
from collections.abc import Callable, Coroutine
from contextlib import suppress
from contextvars import copy_context
from queue import Empty, SimpleQueue
from threading import get_ident
from typing import TYPE_CHECKING, Any, TypeVar

from ..errors import Closed
from ..policy.ports import LoaderEndedError
from ..policy.single_flight import CURRENT
from .threads.pool import Around, RefreshPool
from .threads.runtime import call_plain, has_room

if TYPE_CHECKING:
    from .engine import Engine

__all__ = ["LoopPortal"]

T = TypeVar("T")

# Seconds between two looks whether the loop, from which nothing comes, is still there.
LOOK_EVERY = 0.5


class _PortalCall:
    """One call of one thread, on the loop. No lock is between the two: either may be interrupted anywhere."""

    def __init__(
        self, engine: "Engine", loop: AbstractEventLoop, pool: RefreshPool, loader: Any, amid: set[int]
    ) -> None:
        self._engine, self._loop, self._pool, self._loader, self._amid = engine, loop, pool, loader, amid
        self._news: SimpleQueue[tuple[asyncio.Future[Any], Any, tuple[Any, ...]] | None] = SimpleQueue()
        self._gone = False  # the thread waits no more, and has no answer
        self._begun = False
        self._task: asyncio.Task[Any] | None = None
        self._context = copy_context()
        if (inside := CURRENT.get()) is not None:  # of a loader: what a thread waits for nobody can tell
            self._context.run(CURRENT.set, (inside[0], None))

    # -- in the thread -----------------------------------------------------------------------------------------------

    def do(self, coro: Coroutine[Any, Any, T]) -> T:
        """Have it run on the loop, and run the loader for it."""
        me, outermost = get_ident(), get_ident() not in self._amid
        try:
            self._amid.add(me)
            self._send(coro)
            while (asked := self._next()) is not None:
                self._load(*asked)
        except BaseException:
            self._leave()
            raise
        finally:
            if outermost:
                self._amid.discard(me)
        answer: T = self._answer()
        return answer

    def _send(self, coro: Coroutine[Any, Any, Any]) -> None:
        try:
            self._loop.call_soon_threadsafe(self._begin, coro)
        except RuntimeError:
            coro.close()
            raise _ended() from None

    def _next(self) -> Any:
        """What the loop asks for; ``None`` when it has the answer."""
        settings = self._engine.settings
        now = self._engine.clock
        patience = settings.load_wait if self._loader is None else settings.operation_timeout
        stuck_at = now() + patience
        while True:
            try:
                return self._news.get(timeout=LOOK_EVERY if self._begun else min(LOOK_EVERY, patience))
            except Empty:
                if self._loop.is_closed() or not self._loop.is_running():
                    raise _ended() from None
                if not self._begun and now() >= stuck_at:
                    raise _StuckError from None

    def _load(self, future: "asyncio.Future[Any]", inside: Any, args: tuple[Any, ...]) -> None:
        outer, me = CURRENT.set(inside), get_ident()
        amid = me in self._amid
        try:
            self._amid.discard(me)
            result, error = call_plain(self._loader, *args), None
        except Exception as raised:  # noqa: BLE001 - the loader's own, for every caller of the flight
            result, error = None, raised
        except BaseException:
            self._tell(future, None, _interrupted())
            raise
        finally:
            if amid:
                self._amid.add(me)
            CURRENT.reset(outer)
        self._tell(future, result, error)

    def _tell(self, future: "asyncio.Future[Any]", result: Any, error: Exception | None) -> None:
        try:
            self._loop.call_soon_threadsafe(_settle, future, result, error)
        except RuntimeError:
            raise _ended() from None

    def _leave(self) -> None:
        """Whoever waits for this thread's loader must know that it will not run."""
        self._gone = True  # what the loop asks from here on it takes back itself
        with suppress(RuntimeError):  # the loop has ended, and whoever waited there
            self._loop.call_soon_threadsafe(self._take_back)
            self._loop.call_soon_threadsafe(self._cancel)

    def _answer(self) -> Any:
        task = self._task
        if task is None or task.cancelled():
            raise _ended()
        error = task.exception()
        if error is not None:
            raise error
        return task.result()

    # -- on the loop -------------------------------------------------------------------------------------------------

    def _begin(self, coro: Coroutine[Any, Any, Any]) -> None:
        if self._gone and self._loader is not None:
            coro.close()  # it went its own way
            return
        self._begun = True
        self._task = self._loop.create_task(coro, name="fleetcache-errand", context=self._context)
        self._task.add_done_callback(self._done)

    def _done(self, task: "asyncio.Task[Any]") -> None:
        if not task.cancelled():
            task.exception()  # looked at: a thread that has gone does not
        self._news.put(None)

    def _cancel(self) -> None:
        # A write goes on: what was to be removed must be.
        if self._task is not None and self._loader is not None:
            self._task.cancel()

    async def load(self, *args: Any) -> Any:
        """The loader as the loop sees it."""
        future: asyncio.Future[Any] = self._loop.create_future()
        current = CURRENT.get()
        inside = None if current is None else (current[0], None)
        answered = self._task is not None and self._task.done()
        if not answered:
            self._news.put((future, inside, args))
            if self._gone:
                self._take_back()
        elif not self._in_pool(future, inside, args):
            raise _interrupted()
        return await future

    def _take_back(self) -> None:
        """The thread has gone: it will do nothing of what it was asked."""
        with suppress(Empty):
            while True:
                asked = self._news.get_nowait()
                if asked is not None:
                    _settle(asked[0], None, _interrupted())

    def _in_pool(self, future: "asyncio.Future[Any]", inside: Any, args: tuple[Any, ...]) -> bool:
        """The thread has its answer already, a stale one: the refresh runs where no request does."""

        def job() -> None:
            self._load(future, inside, args)

        def over() -> None:
            if not self._loop.is_closed():
                self._loop.call_soon_threadsafe(_settle, future, None, _interrupted())

        return self._context.copy().run(self._pool.start, job, over)


class _StuckError(Exception):
    """The loop did not take the call."""


class LoopPortal:
    """Runs the rules of a cache on its event loop, for threads beside it."""

    def __init__(self, home: "Engine") -> None:
        self._home = home
        self.around: list[Around] = []
        self._pool = RefreshPool(self.around, tell=home.tell)
        self._amid: set[int] = set()  # threads that wait for the loop

    def run(self, coro: Coroutine[Any, Any, T]) -> T:
        """To its end, on the loop, while this thread waits."""
        try:
            loop = self._loop()
        except BaseException:
            coro.close()
            raise
        errand = _PortalCall(self._home.active, loop, self._pool, None, self._amid)
        try:
            return errand.do(coro)
        except _StuckError:
            raise RuntimeError(
                "cache.sync: the event loop of this cache took no call for "
                f"{self._home.settings.load_wait:g} s: it is blocked, perhaps by a wait for this thread"
            ) from None

    def run_loading(
        self, loader: Callable[..., Any], make: Callable[[Any], Coroutine[Any, Any, T]], alone: Callable[[], T]
    ) -> T:
        """The same, with a loader that the loop may call and this thread runs."""
        # Amid another call, in a signal handler or a finalizer, it could wait for what this thread itself is to load.
        if get_ident() in self._amid or (CURRENT.get() is not None and not has_room()):
            return alone()
        loop = self._loop()
        errand = _PortalCall(self._home.active, loop, self._pool, loader, self._amid)
        lent = functools.update_wrapper(functools.partial(errand.load), loader)
        try:
            return errand.do(make(lent))
        except _StuckError:  # the loop is busy with something else: then this caller alone, and nothing is kept
            return alone()

    def _loop(self) -> AbstractEventLoop:
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            pass
        else:
            raise RuntimeError(
                "cache.sync was called on a thread that runs an event loop, which would wait for itself: "
                "await the cache's own verb there; cache.sync is for other threads"
            )
        loop = self._home.active.loop
        if self._home.active.closed:
            raise Closed("this cache was closed: open a new one")
        if loop is None:
            raise RuntimeError(
                "cache.sync: open the cache on its event loop first, `async with cache:` or `cache.open()`"
            )
        if loop.is_closed():
            raise _ended()
        return loop


def _settle(future: "asyncio.Future[Any]", result: Any, error: Exception | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(result)
    elif isinstance(error, StopIteration):  # which no future takes, nor any coroutine
        future.set_exception(RuntimeError("the loader raised StopIteration"))
    else:
        future.set_exception(error)


def _interrupted() -> LoaderEndedError:
    """For those who wait: nobody's answer, so one of them takes over."""
    return LoaderEndedError(asyncio.CancelledError())


def _ended() -> Closed:
    return Closed("the event loop of this cache has ended: open the cache on another")
