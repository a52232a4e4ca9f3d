"""A cached function without its call: keys, declared type and options. The functions of both faces build on it."""

import functools
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, Protocol, Self, TypeVar, cast

from msgspec.structs import replace

from ..errors import ConfigError
from ..format.function_keys import FunctionKey
from ..policy.options import CallOptions
from ..policy.reading import LoadRequest
from ..policy.return_types import declared_type

if TYPE_CHECKING:
    from ..engine.engine import Engine
    from .scope import Scope

__all__ = ["KeyedFunction", "Verbs"]

P = ParamSpec("P")
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
        """Return the key of this call, without a namespace's prefix.

        Args:
            *args: The arguments of the call.
            **kwargs: The arguments of the call by name.

        Returns:
            The key, by the template or function of ``cached(key=...)``, or the function's name and all arguments.

        Raises:
            KeyRuleError: The arguments make no key.

        Example:
            >>> from fleetcache import SyncCache
            >>> cache = SyncCache("memory://")
            >>> @cache.cached(key="double:{n}")
            ... def double(n: int) -> int:
            ...     return 2 * n
            >>> double.key(21), double.key(n=21)
            ('double:21', 'double:21')
        """
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
                verbs._counters.near_hits -= 1  # noqa: SLF001 - of another type, or a stored error: ``policy`` counts
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
        """Return the result if the near cache has it, without a call of the function and without I/O.

        Args:
            *args: The arguments of the call.
            **kwargs: The arguments of the call by name.

        Returns:
            The result, or ``None``.

        Example:
            >>> from fleetcache import SyncCache
            >>> cache = SyncCache("memory://")
            >>> @cache.cached
            ... def double(n: int) -> int:
            ...     return 2 * n
            >>> double.peek(21), double(21), double.peek(21)
            (None, 42, 42)
        """
        found: T | None = self._verbs.peek(self._key(args, kwargs), type=self._declare())
        return found
