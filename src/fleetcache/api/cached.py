"""``@cache.cached``: a function whose results are cached by its arguments.

The cached function keeps the name, signature and types, counts as a coroutine function, and binds as a method does.
"""

import asyncio
import inspect
from collections.abc import Awaitable
from typing import Any, Concatenate, Generic, ParamSpec, Protocol, TypeVar, overload

from ..config.spelling import decorated_with
from ..errors import ConfigError
from ..policy.options import CallOptions
from ..policy.reading import LoadRequest
from ..policy.results import Loader, Wrapping
from .keyed_function import KeyedFunction, Verbs
from .storable import check_storable

__all__ = ["CachedFunction", "Decorator"]

P = ParamSpec("P")
Q = ParamSpec("Q")
T = TypeVar("T")


class Decorator(Protocol):
    """The decorator that ``cached(...)`` with parentheses returns."""

    @overload
    def __call__(self, fn: Wrapping[P, T], /) -> "CachedFunction[P, T]": ...
    @overload
    def __call__(self, fn: Loader[P, T], /) -> "CachedFunction[P, T]": ...


class CachedFunction(KeyedFunction[P, T]):
    """A cached ``async def``; callers call it as before.

    Raises:
        ConfigError: The function is not ``async def``.

    Example:
        >>> from fleetcache import Cache
        >>> cache = Cache("memory://")
        >>> @cache.cached(ttl="10m")
        ... async def double(n: int) -> int:
        ...     return 2 * n
        >>> await double(21), double.peek(21)
        (42, 42)
    """

    def __init__(self, verbs: Verbs, fn: Any, key: Any, options: CallOptions, type_: Any, *, clearable: bool) -> None:
        decorated_with(fn)
        check_storable(getattr(fn, "__qualname__", repr(fn)), fn, type_, verbs._scope.root.settings.codec)  # noqa: SLF001 - a part of the verbs
        if not isinstance(fn, staticmethod | classmethod) and not inspect.iscoroutinefunction(fn):
            name = getattr(fn, "__qualname__", repr(fn))
            raise ConfigError(f"@cached on {name}: the async cache needs an `async def`; SyncCache takes a `def`")
        super().__init__(verbs, fn, key, options, type_, clearable=clearable)
        # Frameworks must see a coroutine function: Python 3.11 checks the function's code, later versions a mark.
        if inspect.isfunction(fn):  # a partial has no ``__code__``
            self.__code__ = fn.__code__
            self.__defaults__, self.__kwdefaults__ = fn.__defaults__, fn.__kwdefaults__
        self._is_coroutine = getattr(asyncio.coroutines, "_is_coroutine", None)
        if hasattr(inspect, "markcoroutinefunction"):
            inspect.markcoroutinefunction(self)

    @overload
    def __get__(self, obj: None, owner: type | None = None) -> "CachedFunction[P, T]": ...
    @overload
    def __get__(
        self: "CachedFunction[Concatenate[Any, Q], T]", obj: object, owner: type | None = None
    ) -> "BoundFunction[Q, T]": ...
    def __get__(self, obj: object | None, owner: type | None = None) -> Any:
        """Bind to an object as a method does."""
        return self if obj is None else BoundFunction(self, obj)

    async def __call__(self, *args: P.args, **kwargs: P.kwargs) -> T:
        """Return the cached result; without one, call the function and cache its result."""
        verbs = self._verbs
        if self._quick and not kwargs:
            # Repeats ``_key`` and ``_near_hit`` for a plain hit, because the two calls would cost as much as the hit
            try:
                kinds, key = self._keys[args]
                held = verbs._items[key]  # noqa: SLF001 - the verbs' hot path
                if (held.declared is self._declared or held.also is self._declared) and (
                    not args or kinds is type(args[0]) or kinds == tuple(map(type, args))
                ):
                    now = next(verbs._ticks)  # noqa: SLF001 - as above
                    if held.fresh_until > now and held.generation.until > now:
                        if held.freq < 3:  # noqa: PLR2004 - near's mark
                            held.freq += 1
                        return held.value  # type: ignore[no-any-return] # the near cache holds the function's results
                    verbs._counters.near_hits -= 1  # noqa: SLF001 - as above
            except (KeyError, TypeError):  # no such entry, or an argument without a hash
                pass
        found = self._near_or_asked(args, kwargs)
        if type(found) is LoadRequest:
            found = await self._verbs._obtain(found)  # noqa: SLF001 - the verbs without their options
        result: T = found
        return result

    async def invalidate(self, *args: P.args, **kwargs: P.kwargs) -> bool:
        """Remove the result of this call everywhere.

        Args:
            *args: The arguments of the call.
            **kwargs: The arguments of the call by name.

        Returns:
            Whether a result is known to be removed; as for ``Cache.delete``.

        Example:
            >>> from fleetcache import Cache
            >>> cache = Cache("memory://")
            >>> @cache.cached
            ... async def double(n: int) -> int:
            ...     return 2 * n
            >>> await double(21), await double.invalidate(21), double.peek(21)
            (42, True, None)
        """
        return await self._verbs.delete(self._key(args, kwargs))

    async def invalidate_all(self, *, strict: bool = False) -> None:
        """Remove the results of every call everywhere, at the cost of one ``DEL``. Needs ``cached(clearable=True)``.

        Args:
            strict: Raise if the server did not acknowledge; either way the removal is repeated until the server does.

        Raises:
            ConfigError: The function is not clearable.
            Unavailable: ``strict`` is set and the server did not acknowledge the removal.

        Example:
            >>> from fleetcache import Cache
            >>> cache = Cache("memory://")
            >>> @cache.cached(clearable=True)
            ... async def double(n: int) -> int:
            ...     return 2 * n
            >>> await double(21)
            42
            >>> await double.invalidate_all()
            >>> double.peek(21)
        """
        await self._remove_all(strict=strict)

    async def refresh(self, *args: P.args, **kwargs: P.kwargs) -> T:
        """Call the function now and replace its cached result; a removal during the call still wins.

        Args:
            *args: The arguments of the call.
            **kwargs: The arguments of the call by name.

        Returns:
            The new result.

        Example:
            >>> from fleetcache import Cache
            >>> cache = Cache("memory://")
            >>> @cache.cached
            ... async def double(n: int) -> int:
            ...     return 2 * n
            >>> await double.refresh(21)
            42
        """
        result: T = await self._verbs._renew(self._asked(self._key(args, kwargs), args, kwargs))  # noqa: SLF001
        return result

    def uncached(self, *args: P.args, **kwargs: P.kwargs) -> Awaitable[T]:
        """Call the function itself, without the cache.

        Args:
            *args: The arguments of the call.
            **kwargs: The arguments of the call by name.

        Returns:
            The function's own return value, to be awaited.

        Example:
            >>> from fleetcache import Cache
            >>> cache = Cache("memory://")
            >>> @cache.cached
            ... async def double(n: int) -> int:
            ...     return 2 * n
            >>> await double.uncached(21), double.peek(21)
            (42, None)
        """
        result: Awaitable[T] = self._fn(*args, **kwargs)
        return result


class BoundFunction(Generic[P, T]):
    """A cached method, bound to its object: the same verbs, without ``self``."""

    def __init__(self, function: CachedFunction[..., T], obj: object) -> None:
        self._function, self._obj = function, obj
        self.__wrapped__ = function
        self.__name__ = function._fn.__name__  # noqa: SLF001 - two halves of one concept
        self.__doc__ = function.__doc__
        self.__self__ = obj
        self._is_coroutine = getattr(asyncio.coroutines, "_is_coroutine", None)
        if hasattr(inspect, "markcoroutinefunction"):
            inspect.markcoroutinefunction(self)

    def __reduce__(self) -> tuple[Any, ...]:
        return getattr, (self.__self__, self.__name__)

    # ``inspect`` must see a coroutine function of the remaining arguments. It rarely asks, so the answers are not kept.

    @property
    def __code__(self) -> Any:
        return self._function.__code__

    @property
    def __defaults__(self) -> Any:
        return self._function.__defaults__

    @property
    def __kwdefaults__(self) -> Any:
        return self._function.__kwdefaults__

    @property
    def __signature__(self) -> inspect.Signature:
        whole = inspect.signature(self._function)
        return whole.replace(parameters=list(whole.parameters.values())[1:])

    async def __call__(self, *args: P.args, **kwargs: P.kwargs) -> T:
        """Return the cached result; without one, call the method and cache its result."""
        return await self._function(self._obj, *args, **kwargs)

    def key(self, *args: P.args, **kwargs: P.kwargs) -> str:
        """Return the key of this call."""
        return self._function.key(self._obj, *args, **kwargs)

    async def invalidate(self, *args: P.args, **kwargs: P.kwargs) -> bool:
        """Remove the result of this call everywhere."""
        return await self._function.invalidate(self._obj, *args, **kwargs)

    async def invalidate_all(self, *, strict: bool = False) -> None:
        """Remove the results of every call on every object, not on this object alone."""
        await self._function.invalidate_all(strict=strict)

    async def refresh(self, *args: P.args, **kwargs: P.kwargs) -> T:
        """Call the method now and replace its cached result."""
        return await self._function.refresh(self._obj, *args, **kwargs)

    def peek(self, *args: P.args, **kwargs: P.kwargs) -> T | None:
        """Return the result if the near cache has it."""
        return self._function.peek(self._obj, *args, **kwargs)

    def uncached(self, *args: P.args, **kwargs: P.kwargs) -> Awaitable[T]:
        """Call the method itself, without the cache."""
        return self._function.uncached(self._obj, *args, **kwargs)
