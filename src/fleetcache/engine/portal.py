"""``Cache.sync``: threads work on the cache of an event loop, through the same near store, flights and link.

Every rule runs on the loop; only near hits and loaders run in the thread. A thread sends its call to the loop and
waits, and the loop sends back the call of the thread's loader, which runs in the thread's own context.
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

from ..errors import Closed, LoadTimeout
from ..policy.ports import LoaderEndedError
from ..policy.results import unwrap
from ..policy.single_flight import CURRENT, Flight
from .threads.pool import Around, RefreshPool
from .threads.runtime import call_plain, has_room

if TYPE_CHECKING:
    from .engine import Engine

__all__ = ["LoopPortal"]

T = TypeVar("T")

# Seconds between two checks that a silent loop still runs.
LOOK_EVERY = 0.5


class _PortalCall:
    """One call of a thread on the loop. The two share no lock, because either may be interrupted anywhere."""

    def __init__(
        self,
        engine: "Engine",
        loop: AbstractEventLoop,
        pool: RefreshPool,
        loader: Any,
        amid: set[int],
        *,
        many: bool = False,
    ) -> None:
        self._many = many
        self._engine, self._loop, self._pool, self._loader, self._amid = engine, loop, pool, loader, amid
        self._news: SimpleQueue[tuple[asyncio.Future[Any], Any, tuple[Any, ...]] | None] = SimpleQueue()
        self._gone = False  # whether the thread stopped waiting without an answer
        self._begun = self._answered = False
        self._task: asyncio.Task[Any] | None = None
        self._late: tuple[Any, Exception | None] | None = None  # the loader's result, if its load_limit had passed
        self._abandoned = 0  # requests that the loop has given up while the loader runs
        self._context = copy_context()
        if (inside := _inside()) is not None:  # in a loader: the loop cannot see which flight a thread waits for
            self._context.run(CURRENT.set, inside)

    # -- in the thread -----------------------------------------------------------------------------------------------

    def do(self, coro: Coroutine[Any, Any, T]) -> T:
        """Run the coroutine on the loop, and its loader in this thread."""
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
        """Return the loop's next request to load; ``None`` when the loop has the answer."""
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
        try:
            result, error = self._loaded(inside, args), None
        except Exception as raised:  # noqa: BLE001 - the loader's own, for every caller of the flight
            result, error = None, raised
        except BaseException:
            self._tell(future, None, _interrupted())
            raise
        try:
            if future.cancelled() and not self._many:
                self._late = result, error
            self._tell(future, result, error)
        finally:
            del future, error  # this frame is in the error's traceback

    def _loaded(self, inside: Any, args: tuple[Any, ...]) -> Any:
        outer, me = CURRENT.set(inside), get_ident()
        amid = me in self._amid
        try:
            self._amid.discard(me)
            return call_plain(self._loader, *args)
        finally:
            if amid:
                self._amid.add(me)
            CURRENT.reset(outer)

    def _tell(self, future: "asyncio.Future[Any]", result: Any, error: Exception | None) -> None:
        try:
            self._loop.call_soon_threadsafe(self._take, future, result, error)
        except RuntimeError:
            raise _ended() from None

    def _leave(self) -> None:
        """Tell the callers that wait for this thread's loader that it will not run."""
        self._gone = True  # from here on the loop takes back its own requests
        with suppress(RuntimeError):  # the loop has ended, and with it the callers that waited there
            self._loop.call_soon_threadsafe(self._take_back)
            self._loop.call_soon_threadsafe(self._cancel)

    def _answer(self) -> Any:
        self._answered = True
        task, self._task = self._task, None  # the task keeps its exception, whose traceback refers to this call
        if task is None or task.cancelled():
            raise _ended()
        try:
            return task.result()
        except LoadTimeout as error:
            if not error.over_limit or self._late is None:
                raise
        finally:
            del task
        result, late_error = self._late  # the limit has ended the load for all callers but this thread's
        self._late = None
        if late_error is not None:
            raise late_error
        return unwrap(result)

    # -- on the loop -------------------------------------------------------------------------------------------------

    def _begin(self, coro: Coroutine[Any, Any, Any]) -> None:
        if self._gone and self._loader is not None:
            coro.close()  # the thread has left, and its loader with it
            return
        self._begun = True
        self._task = self._loop.create_task(coro, name="fleetcache-errand", context=self._context)
        self._task.add_done_callback(self._done)

    def _done(self, task: "asyncio.Task[Any]") -> None:
        if not task.cancelled():
            task.exception()  # retrieved here, because a thread that has left does not
        self._news.put(None)

    def _cancel(self) -> None:
        # A write continues: a removal must be carried out.
        if self._task is not None and self._loader is not None:
            self._task.cancel()

    async def load(self, *args: Any) -> Any:
        """Run the thread's loader, for the loop."""
        future: asyncio.Future[Any] = self._loop.create_future()
        inside, task = _inside(), self._task
        if not (self._answered or (task is not None and task.done())):
            self._news.put((future, inside, args))
            if self._gone:
                self._take_back()
        elif not self._in_pool(future, inside, args):
            raise _interrupted()
        try:
            return await future
        except asyncio.CancelledError:
            if not self._gone:  # the thread is in its loader, which cannot be cancelled
                self._abandoned += 1
                self._engine.policy.loading.limits.abandoned += 1
            raise
        finally:
            del future, task  # this frame is in the traceback of the loader's exception

    def _take(self, future: "asyncio.Future[Any]", result: Any, error: Exception | None) -> None:
        """Hand the result of the thread's loader to the callers on the loop."""
        self._engine.policy.loading.limits.abandoned -= self._abandoned
        self._abandoned = 0
        _settle(future, result, error)

    def _take_back(self) -> None:
        """End the requests that the thread has not taken: it has left, and will not run its loader."""
        with suppress(Empty):
            while True:
                asked = self._news.get_nowait()
                if asked is not None:
                    _settle(asked[0], None, _interrupted())

    def _in_pool(self, future: "asyncio.Future[Any]", inside: Any, args: tuple[Any, ...]) -> bool:
        """Run the loader in the refresh pool, because the thread has continued with a stale value."""

        def job() -> None:
            self._load(future, inside, args)

        def over() -> None:
            if not self._loop.is_closed():
                self._loop.call_soon_threadsafe(_settle, future, None, _interrupted())

        return self._context.copy().run(self._pool.start, job, over)


class _StuckError(Exception):
    """The loop did not take the call in time."""


class LoopPortal:
    """Runs the rules of a cache on its event loop, for threads of the same process."""

    def __init__(self, home: "Engine") -> None:
        self._home = home
        self.around: list[Around] = []
        self._pool = RefreshPool(self.around, tell=home.tell)
        self._amid: set[int] = set()  # threads that wait for the loop

    def run(self, coro: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine to its end on the loop, while this thread waits."""
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
        self,
        loader: Callable[..., Any],
        make: Callable[[Any], Coroutine[Any, Any, T]],
        alone: Callable[[], T],
        *,
        many: bool = False,
    ) -> T:
        """Run a coroutine on the loop, with a loader that the loop may call and this thread runs.

        Args:
            loader: The loader.
            make: Makes the coroutine from the loader as the loop sees it.
            alone: Called instead, if the loop is busy or this thread must not wait for it.
            many: Whether the loader loads a batch of keys.
        """
        # In the middle of another call (in a signal handler or a finalizer) this thread could wait for its own load.
        if get_ident() in self._amid or (CURRENT.get() is not None and not has_room()):
            return alone()
        loop = self._loop()
        errand = _PortalCall(self._home.active, loop, self._pool, loader, self._amid, many=many)
        lent = functools.update_wrapper(functools.partial(errand.load), loader)
        try:
            return errand.do(make(lent))
        except _StuckError:  # the loop is busy: this caller loads alone, and the result is not stored
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


def _inside() -> tuple[Flight, None] | None:
    """Return the flight whose loader runs in this context, for a thread."""
    current = CURRENT.get()
    return None if current is None else (current[0], None)


def _settle(future: "asyncio.Future[Any]", result: Any, error: Exception | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(result)
    elif isinstance(error, StopIteration):  # neither a future nor a coroutine accepts a StopIteration
        future.set_exception(RuntimeError("the loader raised StopIteration"))
    else:
        future.set_exception(error)


def _interrupted() -> LoaderEndedError:
    """Return the error that makes one of the waiting callers take over the load."""
    return LoaderEndedError(asyncio.CancelledError())


def _ended() -> Closed:
    return Closed("the event loop of this cache has ended: open the cache on another")
