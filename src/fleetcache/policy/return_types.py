"""The declared return type of a loader: its values are decoded as this type when the call names no type.

An annotation is resolved at first use, since it may name a class that is defined further down. The type is remembered
for as long as the loader's code lives. An annotation that cannot be resolved counts as absent, and the reason is
remembered, too.
"""

import functools
import inspect
import types
import typing
import weakref
from collections.abc import Awaitable, Callable
from typing import Any, Final

from .results import Keep, NoStore

__all__ = ["annotated_type", "declared_type", "why_untyped"]

_NOT_ANNOTATED: Final = object()
# Decorators on one loader. The bound is far above any real code; it ends the search in a wrapper of itself.
_MAX_LAYERS: Final = 100
# code's id -> (code, its annotation, the type, why it has none).
# Keyed by code, because a loader is often a new function object at each call.
# The annotation is compared, because a `def` inside a function may be annotated with that function's arguments. The
# weak reference's callback removes the row before the id can be used again.
_resolved: dict[int, tuple[weakref.ref[types.CodeType], object, Any, str | None]] = {}


def declared_type(loader: Callable[..., Any]) -> Any:
    """Return the declared type of the values of ``loader``, or ``Any``.

    ``Awaitable[T]``, ``Coroutine[..., T]``, ``NoStore[T]`` and ``Keep[T]`` stand for ``T``, in unions as well.

    Example:
        >>> async def load() -> "int | NoStore[int]": ...
        >>> declared_type(load)
        <class 'int'>
    """
    plain = type(loader) is types.FunctionType and not hasattr(loader, "__wrapped__")
    function = loader if plain else _function_of(loader)
    try:
        annotation = function.__annotations__.get("return", _NOT_ANNOTATED)
    except (AttributeError, NameError):  # a builtin; a lazily evaluated annotation that names nothing
        return Any
    if annotation is _NOT_ANNOTATED:
        return Any
    code = getattr(function, "__code__", None)
    if code is None:
        return _resolve(function, annotation)[0]
    found = _resolved.get(id(code))
    if found is not None and (found[1] is annotation or found[1] == annotation):
        return found[2]
    declared, why = _resolve(function, annotation)
    key = id(code)
    forget = functools.partial(_resolved.pop, key)  # called with the dead reference, which serves as pop's default
    _resolved[key] = (weakref.ref(code, forget), annotation, declared, why)
    return declared


def why_untyped(loader: Callable[..., Any]) -> str | None:
    """Return why ``declared_type`` could not resolve the loader's return annotation; ``None`` if it could.

    Example:
        >>> async def load() -> "Usr": ...
        >>> declared_type(load), why_untyped(load)
        (typing.Any, "its return annotation names 'Usr', which does not exist at run time: ...
    """
    found = _resolved.get(id(getattr(_function_of(loader), "__code__", None)))
    return None if found is None else found[3]


def annotated_type(function: Any) -> Any:
    """Return the return annotation unchanged if it can be resolved now; else ``Any``."""
    annotation = getattr(function, "__annotations__", {}).get("return", Any)
    try:
        return _evaluated(function, annotation)
    except Exception:  # noqa: BLE001 - as in _resolve; its names may be defined further down
        return Any


def _function_of(loader: Any) -> Any:
    """Return the function behind wrappers, partials, methods and callable objects; ``None`` if there is none."""
    for _ in range(_MAX_LAYERS):
        if (wrapped := getattr(loader, "__wrapped__", None)) is not None:
            loader = wrapped
        elif isinstance(loader, functools.partial):
            loader = loader.func
        elif inspect.ismethod(loader):
            loader = loader.__func__
        elif inspect.isfunction(loader):
            return loader
        elif inspect.isroutine(loader) or isinstance(loader, type):
            return None
        else:
            loader = getattr(type(loader), "__call__", None)  # noqa: B004 - the function is wanted, not its existence
    return None


def _resolve(function: Any, annotation: object) -> tuple[Any, str | None]:
    try:
        return _stripped(_evaluated(function, annotation)), None
    except NameError as error:
        why = f"its return annotation names {error.name!r}, which does not exist at run time"
    except Exception as error:  # noqa: BLE001 - evaluating an annotation may raise anything; not annotated then
        why = f"its return annotation cannot be evaluated ({type(error).__name__}: {error})"
    return Any, f"{why}: import it where TYPE_CHECKING does not hide it, or pass type="


def _evaluated(function: Any, annotation: object) -> Any:
    # A helper function carries this one annotation, so that other annotations that cannot be resolved do not matter.
    def holder() -> None: ...

    holder.__annotations__ = {"return": annotation}
    names = {parameter.__name__: parameter for parameter in getattr(function, "__type_params__", ())}
    hints = typing.get_type_hints(holder, getattr(function, "__globals__", {}), names or None, include_extras=True)
    return hints["return"]


def _stripped(declared: Any) -> Any:
    origin, arguments = typing.get_origin(declared), typing.get_args(declared)
    if origin is typing.Union or origin is types.UnionType:
        members = [_stripped(member) for member in arguments]
        # typing does not reduce Union[Any, int] to Any, although it tells a decoder nothing more.
        return Any if Any in members else typing.Union[tuple(members)]  # noqa: UP007 - members known at run time only
    kind = origin or declared
    if kind is NoStore or kind is Keep or (isinstance(kind, type) and issubclass(kind, Awaitable)):
        return _stripped(arguments[-1]) if arguments else Any
    return Any if declared in (object, typing.NoReturn, typing.Never) else declared
