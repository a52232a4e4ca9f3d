"""A declared type, read without msgspec: the classes that the type names, and a check whether a value is of the type.

This check serves types for which msgspec has no form, such as a union of two dataclasses. Where the type names a class,
a value must be of exactly this class: the additions of a subclass would be lost.
"""

import collections.abc
import enum
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, Final

import msgspec
from msgspec import Struct

from .marks import Classes, ClassOf
from .msgspec_hooks import from_plain, is_model, to_plain
from .registered_types import name_of, registered
from .standard_types import NotHeldError, standard
from .values import field_names

__all__ = ["Fit", "fit_of"]

Check = Callable[[Any], bool]

# ``bool`` is not an ``int`` here, as everywhere in a cache that distinguishes ``1`` from ``True``.
_SCALARS: Final = frozenset({bool, int, str, bytes, type(None)})
# Builtin containers: an instance of a subclass comes back only if that subclass has a mark of its own.
_KEPT: Final = frozenset({dict, list, set, frozenset, tuple})
_MISSING: Final = object()


class Fit(Struct, frozen=True):
    """A declared type: the classes that its values may hold, and the check whether a value is of the type."""

    classes: Classes
    check: Check


def fit_of(declared: Any) -> Fit:
    """Return the classes and the check of a declared type.

    Raises:
        TypeError: The type names something that no value read from bytes can be.
        NameError: The type names something that is not defined.
    """
    reading = _Reading()
    check = reading.check(declared, {})
    return Fit(reading.classes, check)


class _Reading:
    """Reads one declared type."""

    def __init__(self) -> None:
        self.classes: dict[str, ClassOf] = {}
        self._checks: dict[Any, list[Check]] = {}

    def check(self, declared: Any, bound: Mapping[Any, Any]) -> Check:  # noqa: PLR0911 - one exit for each form of a type
        """Return the check for a type, with its type variables bound to types."""
        if isinstance(declared, typing.TypeVar):
            return self.check(bound[declared], {}) if declared in bound else _always
        if declared is Any or declared is object or getattr(declared, "_is_protocol", False):
            return _always
        if declared is None:
            return _is_exactly(type(None))
        if hasattr(declared, "__supertype__"):
            return self.check(declared.__supertype__, bound)
        origin, arguments = typing.get_origin(declared), typing.get_args(declared)
        value = getattr(origin or declared, "__value__", _MISSING)  # ``type Name = ...``
        if value is not _MISSING and not isinstance(declared, type):
            names = getattr(origin or declared, "__type_params__", ())
            return self.check(value, {**bound, **dict(zip(names, arguments, strict=False))})
        if origin is typing.Union or origin is types.UnionType:
            return _any_of([self.check(member, bound) for member in arguments])
        if origin is typing.Literal:
            return lambda value: any(type(value) is type(choice) and value == choice for choice in arguments)
        if origin is typing.Annotated:
            return self._annotated(declared, arguments, bound)
        if origin in {typing.Required, typing.NotRequired, typing.Final, typing.ClassVar}:
            return self.check(arguments[0], bound)
        if getattr(origin, "_is_protocol", False) and not issubclass(origin, collections.abc.Iterable):
            return _always
        kind = origin or declared
        if not isinstance(kind, type):
            raise TypeError(f"{declared!r} is not the type of a value")
        return self._class(kind, declared, arguments, bound)

    def _annotated(self, declared: Any, arguments: tuple[Any, ...], bound: Mapping[Any, Any]) -> Check:
        inner = self.check(arguments[0], bound)
        if not any(isinstance(extra, msgspec.Meta) for extra in arguments[1:]):
            return inner

        def check(value: Any) -> bool:
            try:
                msgspec.convert(value, declared)
            except Exception:  # noqa: BLE001 - the value violates a constraint
                return False
            return inner(value)

        return check

    def _class(self, kind: type, declared: Any, arguments: tuple[Any, ...], bound: Mapping[Any, Any]) -> Check:  # noqa: PLR0911 - as above
        if typing.is_typeddict(kind):
            return self._remembered(declared, lambda: self._typed_dict(kind, arguments, bound))
        if registered(kind) is not None:
            return _is_exactly(kind)
        if kind in _SCALARS:
            return _is_exactly(kind)
        if kind is float:
            return lambda value: type(value) is float or type(value) is int
        if issubclass(kind, enum.Enum):
            self._name(kind, ClassOf(kind, _write_member(kind), _read_member(kind)))
            return _is_exactly(kind)
        if is_model(kind):
            self._name(kind, ClassOf(kind, to_plain, partial(from_plain, kind)))
            return _is_exactly(kind)
        if field_names(kind) is not None:
            return self._remembered(declared, lambda: self._fields(kind, arguments, bound))
        if kind in _KEPT or (
            issubclass(kind, collections.abc.Iterable) and kind.__module__ in {"collections", "collections.abc"}
        ):
            return self._container(kind, arguments, bound)
        if standard(kind) is not None or kind.__module__.partition(".")[0] == "pathlib":
            return lambda value: isinstance(value, kind)
        raise TypeError(f"no value of type {kind.__qualname__} can be made of bytes: register_type() says how")

    def _container(self, kind: type, arguments: tuple[Any, ...], bound: Mapping[Any, Any]) -> Check:
        if kind is tuple and arguments and not (len(arguments) == 2 and arguments[1] is ...):  # noqa: PLR2004 - tuple[T, ...]
            parts = [] if arguments == ((),) else [self.check(part, bound) for part in arguments]
            return lambda value: (
                type(value) is tuple
                and len(value) == len(parts)
                and all(check(part) for check, part in zip(parts, value, strict=True))
            )
        inner = [self.check(part, bound) for part in arguments if part is not ...]
        if kind is collections.Counter and inner:
            inner.append(_is_exactly(int))
        if issubclass(kind, collections.abc.Mapping):
            key, part = inner or (_always, _always)
            return lambda value: isinstance(value, kind) and all(map(key, value)) and all(map(part, value.values()))
        (each,) = inner or (_always,)
        exactly = kind in _KEPT
        return lambda value: (
            (type(value) is kind if exactly else isinstance(value, kind) and not isinstance(value, (str, bytes)))
            and all(map(each, value))
        )

    def _remembered(self, declared: Any, make: Callable[[], Check]) -> Check:
        """Return the check of a type that may contain itself: the inner check is looked up when it is used."""
        known = self._checks.get(declared)
        if known is None:
            known = self._checks[declared] = []
            known.append(make())
            return known[0]

        def later(value: Any) -> bool:
            return known[0](value)

        return later

    def _hints(
        self, kind: Any, names: Iterable[str], arguments: tuple[Any, ...], bound: Mapping[Any, Any]
    ) -> dict[str, Check]:
        variables = dict(zip(getattr(kind, "__parameters__", ()), arguments, strict=False))
        inside = {name: bound.get(part, part) for name, part in variables.items()}
        hints = typing.get_type_hints(kind, include_extras=True)
        return {name: self.check(hints[name], inside) for name in names if name in hints}

    def _typed_dict(self, kind: Any, arguments: tuple[Any, ...], bound: Mapping[Any, Any]) -> Check:
        checks, required = self._hints(kind, kind.__annotations__, arguments, bound), kind.__required_keys__
        return lambda value: (
            isinstance(value, dict)
            and required <= value.keys()
            and all(checks[key](part) for key, part in value.items() if key in checks)
        )

    def _fields(self, kind: type, arguments: tuple[Any, ...], bound: Mapping[Any, Any]) -> Check:
        self._name(kind, ClassOf(kind, _write_fields(kind), _read_fields(kind)))
        checks = list(self._hints(kind, field_names(kind) or (), arguments, bound).items())
        return lambda value: type(value) is kind and all(check(getattr(value, name, None)) for name, check in checks)

    def _name(self, kind: type, row: ClassOf) -> None:
        name = name_of(kind)
        if name in self.classes and self.classes[name].kind is not kind:
            raise TypeError(f"two classes are called {name}")
        self.classes[name] = row


def _always(_value: Any) -> bool:
    return True


def _is_exactly(kind: type) -> Check:
    return lambda value: type(value) is kind


def _any_of(checks: list[Check]) -> Check:
    return lambda value: any(check(value) for check in checks)


def _write_member(kind: type) -> Callable[[Any], Any]:
    return lambda member: member.value if issubclass(kind, enum.Flag) else member.name


def _read_member(kind: Any) -> Callable[[Any], Any]:
    return kind if issubclass(kind, enum.Flag) else lambda name: kind[name]


def _write_fields(kind: Any) -> Callable[[Any], Any]:
    names = field_names(kind) or ()

    def write(value: Any) -> Any:
        held = {name: getattr(value, name, _MISSING) for name in names}
        absent = [name for name, part in held.items() if part is _MISSING]
        if absent:
            raise NotHeldError(value, f"it has no {absent[0]}")
        return held

    return write


def _read_fields(kind: Any) -> Callable[[Any], Any]:
    """Return the reader of a class with fields.

    It restores objects without ``__init__`` and ``__post_init__``: both have already run once, for the loader.
    """
    names = field_names(kind) or ()
    if issubclass(kind, tuple):
        return lambda node: kind(**{name: node[name] for name in names if name in node})
    if issubclass(kind, msgspec.Struct):
        return lambda node: kind(**{name: node[name] for name in names if name in node})
    defaults = _defaults(kind)

    def read(node: Any) -> Any:
        made = object.__new__(kind)
        for name in names:
            part = node[name] if name in node else defaults[name]()
            object.__setattr__(made, name, part)
        return made

    return read


def _defaults(kind: Any) -> dict[str, Callable[[], Any]]:
    """Return the defaults for fields that an entry written by an older release of the app lacks."""
    import dataclasses  # noqa: PLC0415 - needed only for dataclasses; importing fleetcache must stay cheap

    found: dict[str, Callable[[], Any]] = {}
    for field in getattr(kind, "__dataclass_fields__", {}).values():
        if field.default_factory is not dataclasses.MISSING:
            found[field.name] = field.default_factory
        elif field.default is not dataclasses.MISSING:
            found[field.name] = partial(_itself, field.default)
    return found


def _itself(value: Any) -> Any:
    return value


def effective(declared: Any) -> Any:
    """Return ``Any`` for types that say nothing about how a value is built: ``object``, type variables, protocols."""
    if declared is object or isinstance(declared, typing.TypeVar):
        return Any
    return Any if getattr(typing.get_origin(declared) or declared, "_is_protocol", False) else declared


def describe_type(declared: Any) -> str:
    """Return the name of a declared type for an error, such as ``User`` or ``dict[str, int]``."""
    return declared.__qualname__ if isinstance(declared, type) and not typing.get_args(declared) else repr(declared)
