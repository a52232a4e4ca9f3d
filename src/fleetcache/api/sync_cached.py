"""``@cache.cached`` on a ``def``: a function whose results are cached by its arguments, for threads."""

import inspect
from collections.abc import Coroutine
from typing import Any, Concatenate, Generic, ParamSpec, Protocol, TypeVar, overload

from ..config.spelling import decorated_with
from ..engine.threads.runtime import call_alone
from ..errors import ConfigError
from ..policy.options import CallOptions
from ..policy.reading import LoadRequest
from ..policy.results import SyncLoader, SyncWrapping, unwrap
from .keyed_function import KeyedFunction, Verbs
from .runner import Run, Runner
from .storable import check_storable

__all__ = ["SyncCachedFunction", "SyncDecorator"]

P = ParamSpec("P")
Q = ParamSpec("Q")
T = TypeVar("T")


class SyncVerbs(Protocol):
    """The verbs below a cached function: ``SyncNamespace``."""

    _run: Run
    _runner: Runner

    @property
    def _verbs(self) -> Verbs: ...
    def delete(self, key: str) -> bool:
        """Remove an entry."""
        ...


class SyncDecorator(Protocol):
    """The decorator that ``cached(...)`` with parentheses returns."""

    @overload
    def __call__(self, fn: SyncWrapping[P, T], /) -> "SyncCachedFunction[P, T]": ...
    @overload
    def __call__(self, fn: SyncLoader[P, T], /) -> "SyncCachedFunction[P, T]": ...


class SyncCachedFunction(KeyedFunction[P, T]):
    """A cached ``def``; callers call it as before.

    Raises:
        ConfigError: The function is an ``async def``.

    Example:
        >>> from fleetcache import SyncCache
        >>> cache = SyncCache("memory://")
        >>> @cache.cached(ttl="10m")
        ... def double(n: int) -> int:
        ...     return 2 * n
        >>> double(21), double.peek(21)
        (42, 42)
    """

    def __init__(
        self, verbs: SyncVerbs, fn: Any, key: Any, options: CallOptions, type_: Any, *, clearable: bool
    ) -> None:
        decorated_with(fn)
        check_storable(getattr(fn, "__qualname__", repr(fn)), fn, type_, verbs._verbs._scope.root.settings.codec)  # noqa: SLF001 - two faces of one cache
        if inspect.iscoroutinefunction(fn):
            name = getattr(fn, "__qualname__", repr(fn))
            raise ConfigError(f"@cached on {name}: the cache for threads needs a `def`; Cache takes an `async def`")
        super().__init__(verbs._verbs, fn, key, options, type_, clearable=clearable)  # noqa: SLF001 - two faces of one cache
        self._sync = verbs

    @overload
    def __get__(self, obj: None, owner: type | None = None) -> "SyncCachedFunction[P, T]": ...
    @overload
    def __get__(
        self: "SyncCachedFunction[Concatenate[Any, Q], T]", obj: object, owner: type | None = None
    ) -> "SyncBoundFunction[Q, T]": ...
    def __get__(self, obj: object | None, owner: type | None = None) -> Any:
        """Bind to an object as a method does."""
        return self if obj is None else SyncBoundFunction(self, obj)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> T:
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
        result: T = self._load(found, anew=False) if type(found) is LoadRequest else found
        return result

    def _load(self, asked: LoadRequest, *, anew: bool) -> T:
        loader = asked.loader
        way = self._verbs._renew if anew else self._verbs._obtain  # noqa: SLF001 - the verbs without their options

        def make(borrowed: Any) -> Coroutine[Any, Any, T]:
            asked.loader = borrowed
            return way(asked)

        def alone() -> T:
            result: T = unwrap(call_alone(loader, *asked.args))
            return result

        return self._sync._runner.run_loading(loader, make, alone)  # noqa: SLF001 - as above

    def invalidate(self, *args: P.args, **kwargs: P.kwargs) -> bool:
        """Remove the result of this call everywhere.

        Args:
            *args: The arguments of the call.
            **kwargs: The arguments of the call by name.

        Returns:
            Whether a result is known to be removed; as for ``SyncCache.delete``.

        Example:
            >>> from fleetcache import SyncCache
            >>> cache = SyncCache("memory://")
            >>> @cache.cached
            ... def double(n: int) -> int:
            ...     return 2 * n
            >>> double(21), double.invalidate(21), double.peek(21)
            (42, True, None)
        """
        return self._sync.delete(self._key(args, kwargs))

    def invalidate_all(self, *, strict: bool = False) -> None:
        """Remove the results of every call everywhere, at the cost of one ``DEL``. Needs ``cached(clearable=True)``.

        Args:
            strict: Raise if the server did not acknowledge; either way the removal is repeated until the server does.

        Raises:
            ConfigError: The function is not clearable.
            Unavailable: ``strict`` is set and the server did not acknowledge the removal.

        Example:
            >>> from fleetcache import SyncCache
            >>> cache = SyncCache("memory://")
            >>> @cache.cached(clearable=True)
            ... def double(n: int) -> int:
            ...     return 2 * n
            >>> double(21)
            42
            >>> double.invalidate_all()
            >>> double.peek(21)
        """
        self._sync._run(self._remove_all(strict=strict))  # noqa: SLF001 - as above

    def refresh(self, *args: P.args, **kwargs: P.kwargs) -> T:
        """Call the function now and replace its cached result; a removal during the call still wins.

        Args:
            *args: The arguments of the call.
            **kwargs: The arguments of the call by name.

        Returns:
            The new result.

        Example:
            >>> from fleetcache import SyncCache
            >>> cache = SyncCache("memory://")
            >>> @cache.cached
            ... def double(n: int) -> int:
            ...     return 2 * n
            >>> double.refresh(21)
            42
        """
        return self._load(self._asked(self._key(args, kwargs), args, kwargs), anew=True)

    def uncached(self, *args: P.args, **kwargs: P.kwargs) -> T:
        """Call the function itself, without the cache.

        Args:
            *args: The arguments of the call.
            **kwargs: The arguments of the call by name.

        Returns:
            The function's own return value.

        Example:
            >>> from fleetcache import SyncCache
            >>> cache = SyncCache("memory://")
            >>> @cache.cached
            ... def double(n: int) -> int:
            ...     return 2 * n
            >>> double.uncached(21), double.peek(21)
            (42, None)
        """
        result: T = self._fn(*args, **kwargs)
        return result


class SyncBoundFunction(Generic[P, T]):
    """A cached method, bound to its object: the same verbs, without ``self``."""

    def __init__(self, function: SyncCachedFunction[..., T], obj: object) -> None:
        self._function, self._obj = function, obj
        self.__wrapped__ = function
        self.__name__ = function._fn.__name__  # noqa: SLF001 - two halves of one concept
        self.__doc__ = function.__doc__
        self.__self__ = obj

    def __reduce__(self) -> tuple[Any, ...]:
        return getattr, (self.__self__, self.__name__)

    @property
    def __signature__(self) -> inspect.Signature:
        whole = inspect.signature(self._function)
        return whole.replace(parameters=list(whole.parameters.values())[1:])

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> T:
        """Return the cached result; without one, call the method and cache its result."""
        return self._function(self._obj, *args, **kwargs)

    def key(self, *args: P.args, **kwargs: P.kwargs) -> str:
        """Return the key of this call."""
        return self._function.key(self._obj, *args, **kwargs)

    def invalidate(self, *args: P.args, **kwargs: P.kwargs) -> bool:
        """Remove the result of this call everywhere."""
        return self._function.invalidate(self._obj, *args, **kwargs)

    def invalidate_all(self, *, strict: bool = False) -> None:
        """Remove the results of every call on every object everywhere, not on this object alone."""
        self._function.invalidate_all(strict=strict)

    def refresh(self, *args: P.args, **kwargs: P.kwargs) -> T:
        """Call the method now and replace its cached result."""
        return self._function.refresh(self._obj, *args, **kwargs)

    def peek(self, *args: P.args, **kwargs: P.kwargs) -> T | None:
        """Return the result if the near cache has it."""
        return self._function.peek(self._obj, *args, **kwargs)

    def uncached(self, *args: P.args, **kwargs: P.kwargs) -> T:
        """Call the method itself, without the cache."""
        return self._function.uncached(self._obj, *args, **kwargs)
