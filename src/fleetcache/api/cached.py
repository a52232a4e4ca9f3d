"""``@cache.cached``: a function whose results are cached by its arguments.

The cached function keeps the name, signature and types, counts as a coroutine function, and binds as a method does.
"""

import asyncio
import functools
import inspect
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Concatenate, Generic, ParamSpec, Protocol, Self, TypeVar, cast, overload

from msgspec.structs import replace

from ..config.spelling import decorated_with
from ..errors import ConfigError
from ..format.function_keys import FunctionKey
from ..policy.options import CallOptions
from ..policy.reading import LoadRequest
from ..policy.results import Loader, Wrapping
from ..policy.return_types import declared_type
from .storable import check_storable

if TYPE_CHECKING:
    from ..engine.engine import Engine
    from .scope import Scope

__all__ = ["CachedFunction", "Decorator", "KeyedFunction"]

P = ParamSpec("P")
Q = ParamSpec("Q")
T = TypeVar("T")

# Keys of recent calls, so that a hit need not bind and write its arguments again: up to this many for each function.
_MAX_KEYS = 4096
# Equal arguments of the same type mean the same call, for these types. Not for float (0.0 == -0.0) or containers
# ((1,) == (True,)).
_PLAIN = frozenset({str, int, bool, bytes, type(None)})


class Verbs(Protocol):
    """The verbs below a cached function: ``Namespace``."""

    _scope: "Scope"
    _engine: "Engine"
    _items: Mapping[str, Any]
    _ticks: Iterator[float]
    _link: Any
    _counters: Any

    def _near_hit(self, key: Any, *, refreshes: bool = False) -> Any: ...
    async def _obtain(self, asked: LoadRequest) -> Any: ...
    async def _renew(self, asked: LoadRequest) -> Any: ...
    def _invalidate(self, tags: Iterable[str], *, strict: bool) -> Coroutine[Any, Any, None]: ...
    def peek(self, key: str, *, type: Any) -> Any:  # noqa: A002 - the field's word
        """Return the value of a near hit."""
        ...

    async def delete(self, key: str) -> bool:
        """Remove an entry."""
        ...


class Decorator(Protocol):
    """The decorator that ``cached(...)`` with parentheses returns."""

    @overload
    def __call__(self, fn: Wrapping[P, T], /) -> "CachedFunction[P, T]": ...
    @overload
    def __call__(self, fn: Loader[P, T], /) -> "CachedFunction[P, T]": ...


class KeyedFunction(Generic[P, T]):
    """A cached function without its call: keys, declared type and options. Both faces build on it.

    Args:
        verbs: The cache or namespace.
        fn: The function.
        key: A template, a function or ``None``.
        options: The options of every call, resolved once.
        type_: The declared type, or ``...`` for the return annotation.
        clearable: Whether results carry a tag of the function's own, for ``invalidate_all``.

    Raises:
        ConfigError: ``fn`` is not a function but a ``staticmethod`` or ``classmethod`` object.
        KeyRuleError: The template does not fit the function.
    """

    # Attributes that a hit reads have slots. The dict, which holds the function's own attributes, takes longer.
    __slots__ = ("__dict__", "__weakref__", "_declared", "_keys", "_quick", "_verbs")

    def __init__(self, verbs: Verbs, fn: Any, key: Any, options: CallOptions, type_: Any, *, clearable: bool) -> None:
        if isinstance(fn, staticmethod | classmethod):
            raise ConfigError(f"put @cached below @{type(fn).__name__}, next to the function")
        functools.update_wrapper(cast("Any", self), fn)
        scope = verbs._scope  # noqa: SLF001 - a part of the verbs
        self._maker = FunctionKey(fn, key, scope.root.names, scope.prefix)
        self._family = self._maker.tag(scope.prefix) if clearable else None
        if self._family is not None:
            options = replace(options, tags=(self._family, *options.tags))
        self._verbs, self._fn, self._options, self._type = verbs, fn, options, type_
        self._keys: dict[Any, tuple[Any, str]] = {}
        # If the function has its own ``offline_ttl``, ``policy`` judges every near entry.
        self._near_hit = options.offline_ttl == scope.defaults.offline_ttl
        self._refreshes = options.refreshes
        self._quick = self._near_hit and not self._refreshes
        self._declared: Any = None

    def __repr__(self) -> str:
        return f"<cached {self._maker.name}>"

    def __reduce__(self) -> str:
        """Pickle by name, as every function: another process imports the function from where it was defined."""
        return getattr(self, "__qualname__", self._maker.name)

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, _memo: object) -> Self:
        return self

    def key(self, *args: P.args, **kwargs: P.kwargs) -> str:
        """Return the key of this call, without a namespace's prefix."""
        return self._key(args, kwargs)

    def _key(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
        if kwargs:
            return self._maker.key(args, kwargs)
        try:
            known = self._keys.get(args)
        except TypeError:
            return self._maker.key(args, kwargs)
        kinds = type(args[0]) if len(args) == 1 else tuple(map(type, args))
        if known is not None and known[0] == kinds:
            return known[1]
        key = self._maker.key(args, kwargs)
        if _PLAIN.issuperset(map(type, args)):
            if len(self._keys) >= _MAX_KEYS:
                self._keys.clear()
            self._keys[args] = (kinds, key)
        return key

    def _declare(self) -> Any:
        if self._declared is None:
            self._declared = declared_type(self._fn) if self._type is ... else self._type
        return self._declared

    def _asked(self, key: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> LoadRequest:
        loader: Callable[..., Any] = functools.partial(self._fn, **kwargs) if kwargs else self._fn
        full = self._verbs._scope.key(key)  # noqa: SLF001 - one way to a key
        return LoadRequest(full, loader, self._options, self._declare(), self._maker.group, args)

    def _near_or_asked(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Return the near cache's value for a call, or else the ``LoadRequest`` for it. Both faces use this."""
        verbs = self._verbs
        key = self._key(args, kwargs)
        if self._near_hit:
            held = verbs._near_hit(key, refreshes=self._refreshes)  # noqa: SLF001 - as above
            if held is not None:
                answer = verbs._engine.entries.decode_near(held, self._declare())  # noqa: SLF001 - as above
                if answer is not None:
                    return answer.value
        return self._asked(key, args, kwargs)

    async def _remove_all(self, *, strict: bool) -> None:
        if self._family is None:
            name = self._maker.name
            raise ConfigError(
                f"{name}.invalidate_all(): results of {name} carry no tag to remove them by; "
                "decorate it with @cached(clearable=True)"
            )
        await self._verbs._invalidate((self._family,), strict=strict)  # noqa: SLF001 - the tag is an internal one, which invalidate_tags refuses

    def peek(self, *args: P.args, **kwargs: P.kwargs) -> T | None:
        """Return the result if the near cache has it, without I/O."""
        found: T | None = self._verbs.peek(self._key(args, kwargs), type=self._declare())
        return found


class CachedFunction(KeyedFunction[P, T]):
    """A cached ``async def``; callers call it as before.

    Raises:
        ConfigError: The function is not ``async def``.
    """

    def __init__(self, verbs: Verbs, fn: Any, key: Any, options: CallOptions, type_: Any, *, clearable: bool) -> None:
        decorated_with(fn)
        check_storable(getattr(fn, "__qualname__", repr(fn)), fn, type_, verbs._scope.root.settings.codec)  # noqa: SLF001 - a part of the verbs
        if not isinstance(fn, staticmethod | classmethod) and not inspect.iscoroutinefunction(fn):
            name = getattr(fn, "__qualname__", repr(fn))
            raise ConfigError(f"@cached on {name}: the async cache wants an `async def`; SyncCache takes a `def`")
        super().__init__(verbs, fn, key, options, type_, clearable=clearable)
        # Frameworks must see a coroutine function: Python 3.11 goes by the function's shape, later versions by a mark.
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
                    if held.fresh_until > now and (verbs._link.trusted_until > now or held.unconfirmed):  # noqa: SLF001 - as above
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
        """Remove the result of this call everywhere."""
        return await self._verbs.delete(self._key(args, kwargs))

    async def invalidate_all(self, *, strict: bool = False) -> None:
        """Remove the results of every call everywhere, at the cost of one ``DEL``. Needs ``cached(clearable=True)``.

        Args:
            strict: Raise if the server did not acknowledge; either way the removal is repeated until the server does.

        Raises:
            ConfigError: The function is not clearable.
            Unavailable: ``strict`` is set and the server did not acknowledge the removal.
        """
        await self._remove_all(strict=strict)

    async def refresh(self, *args: P.args, **kwargs: P.kwargs) -> T:
        """Call the function now and replace its cached result."""
        result: T = await self._verbs._renew(self._asked(self._key(args, kwargs), args, kwargs))  # noqa: SLF001
        return result

    def uncached(self, *args: P.args, **kwargs: P.kwargs) -> Awaitable[T]:
        """Call the function itself, without the cache."""
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
