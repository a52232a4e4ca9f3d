"""``SyncCache`` with the interface of ``Cache``, so that a test written for tasks checks threads, too.

Each call runs in its own thread; a loader written as ``async def`` is awaited for the thread that runs it.
"""

import asyncio
import contextvars
import functools
import inspect
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Self, cast

from fleetcache import Cache, SyncCache
from fleetcache.engine.threads.monitor import finish

__all__ = ["Threaded", "inline", "threaded"]

# The most callers that a test has at once; idle threads cost nothing.
_POOL = ThreadPoolExecutor(400, thread_name_prefix="caller")

_AT_ONCE = {"peek", "stats", "status_now", "closed", "tried", "settings", "bypass", "key", "around_refresh"}
_CALLABLE = {"get_or_set", "refresh", "get_or_set_many"}


async def _in_thread(call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    context = contextvars.copy_context()
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(_POOL, functools.partial(context.run, call, *args, **kwargs))


def _plain(loader: Any) -> Any:
    """Return a ``def`` that waits in its thread for the result of an ``async def`` on the test's loop."""
    if not callable(loader):
        return loader
    loop = asyncio.get_running_loop() if _has_loop() else None

    @functools.wraps(loader)
    def load(*args: Any, **kwargs: Any) -> Any:
        result = loader(*args, **kwargs)
        if not inspect.isawaitable(result):
            return result
        assert loop is not None
        # Under the caller's context, as a task of the flight would be.
        context = contextvars.copy_context()
        done: Any = asyncio.run_coroutine_threadsafe(_awaited(result, context), loop)
        return done.result()

    return load


async def _awaited(result: Any, context: contextvars.Context) -> Any:
    async def main() -> Any:
        return await result

    return await asyncio.get_running_loop().create_task(main(), context=context)


def _has_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


class _Wrapped:
    """A part of the sync face, with awaitable calls."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if name.startswith("_") or name in _AT_ONCE or not callable(found):
            return found
        if name in _CALLABLE:
            return lambda *args, **more: _in_thread(found, *map(_plain, args), **more)
        return functools.partial(_in_thread, found)

    async def __aenter__(self) -> Any:
        await _in_thread(self._inner.__enter__)
        return self

    async def __aexit__(self, *exc: object) -> None:
        await _in_thread(self._inner.__exit__, *exc)


class _Function(_Wrapped):
    """A cached function."""

    async def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return await _in_thread(self._inner, *args, **kwargs)

    def __get__(self, obj: object | None, owner: type | None = None) -> Any:
        return self if obj is None else _Function(self._inner.__get__(obj, owner))


class Threaded(_Wrapped):
    """A ``SyncCache`` or a namespace of one."""

    def namespace(self, *args: Any, **kwargs: Any) -> "Threaded":
        """Return a namespace, as the cache does."""
        return Threaded(self._inner.namespace(*args, **kwargs))

    async def claim(self, *args: Any, **kwargs: Any) -> Any:
        """Claim a key, as the cache does."""
        claim = await _in_thread(self._inner.claim, *args, **kwargs)
        return None if claim is None else _Wrapped(claim)

    def cached(self, fn: Any = None, **options: Any) -> Any:
        """Cache an ``async def`` or a ``def``, as the cache does."""
        return self._cached(fn) if fn is not None else lambda function: self._cached(function, **options)

    def _cached(self, fn: Any, **options: Any) -> Any:
        @functools.wraps(fn)
        def load(*args: Any, **kwargs: Any) -> Any:
            # Called in a thread; the loop is the test's current one.
            return _plain_now(fn, *args, **kwargs)

        return _Function(self._inner.cached(**options)(load))

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


def _plain_now(fn: Any, *args: Any, **kwargs: Any) -> Any:
    result = fn(*args, **kwargs)
    return asyncio.run(result) if inspect.iscoroutine(result) else result


def threaded(url: str, **settings: Any) -> Cache:
    """Return a cache for threads that tests use as ``Cache``."""
    return cast("Cache", Threaded(SyncCache(url, **settings)))


class Inline(Threaded):
    """The same in the caller's own thread, which blocks: the time of a call is then its cost."""

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if name.startswith("_") or name in _AT_ONCE or not callable(found):
            return found

        async def here(*args: Any, **kwargs: Any) -> Any:
            return found(*[_step(arg) if name in _CALLABLE else arg for arg in args], **kwargs)

        return here

    def _cached(self, fn: Any, **options: Any) -> Any:
        function = self._inner.cached(**options)(_step(fn))

        async def here(*args: Any, **kwargs: Any) -> Any:
            return function(*args, **kwargs)

        return here


def _step(loader: Any) -> Any:
    """Return a ``def`` of a loader that awaits nothing."""
    if not callable(loader):
        return loader

    @functools.wraps(loader)
    def load(*args: Any, **kwargs: Any) -> Any:
        result = loader(*args, **kwargs)
        return finish(result) if inspect.iscoroutine(result) else result

    return load


def inline(url: str, **settings: Any) -> Cache:
    """Return a cache for threads that tests use as ``Cache``, with one thread."""
    return cast("Cache", Inline(SyncCache(url, **settings)))
