"""Examines the parts of a value: whether the value is immutable, and whether it came back from its bytes unchanged.

``codec`` turns values into bytes and back; this module judges the result.
"""

from collections import deque
from collections.abc import Callable, Iterable
from collections.abc import Set as AbstractSet
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from functools import cached_property, lru_cache
from math import copysign
from typing import TYPE_CHECKING, Any, Final, cast
from uuid import UUID

from msgspec import Struct

from .registered_types import registered, rewritten
from .time_zones import zone_of

_Parts = Iterable[tuple[Any, Any]] | None
"""The parts of two values of one kind side by side; ``None``: the values differ."""
_Way = Callable[[Any, Any], _Parts]

if TYPE_CHECKING:
    from dataclasses import Field

__all__ = [
    "ALL_GIVEN",
    "ATOMS",
    "GIVEN",
    "JSON_SCALARS",
    "SCALARS",
    "dataclass_fields",
    "describe_change",
    "describe_unsupported",
    "field_names",
    "find_change",
    "immutable",
    "is_plain",
    "with_article",
]

# These come out of the codec exactly as they went in. JSON has no bytes, NaN or infinity.
JSON_SCALARS: Final = frozenset[type]({str, int, bool, type(None)})
SCALARS: Final = JSON_SCALARS | frozenset[type]({float, bytes})
ATOMS: Final = SCALARS | frozenset[type]({Decimal, UUID, date, datetime, time, timedelta, complex})
# Two equal values of one of these types are the same. Floats are left out: 0.0 and -0.0 are equal, but not the same.
_COUNTABLE: Final = SCALARS - {float}
# Modules of the standard library whose objects are immutable, and whose == compares their whole content.
_STANDARD: Final = frozenset({"datetime", "uuid", "ipaddress", "pathlib", "pathlib._local", "re"})
# Plain data that may be given for another declared type: text for a date, a dict for a dataclass.
GIVEN: Final = SCALARS | {dict}
# Where each part of the type names one kind, a list may be given for a tuple too. A tuple given for a Sequence, or for
# Any, is of that type already, and must not become a list.
ALL_GIVEN: Final = GIVEN | {list, tuple, set, frozenset, bytearray}
# Slots that are not part of the value. Only a model's own dump preserves which of its fields were set.
_NO_PARTS: Final = frozenset({"__dict__", "__weakref__", "__pydantic_fields_set__"})
_ABSENT: Final = object()
# The most levels of an error's path; for a deeper part the error names the type alone.
_DEEPEST: Final = 8


def immutable(value: object) -> bool:
    """Return True if the value is immutable at every depth: many callers may then share the same object."""
    if type(value) in ATOMS:
        return True
    try:
        return _immutable(value)
    except RecursionError:
        return False


def _immutable(value: object) -> bool:
    kind = type(value)
    if kind in ATOMS or isinstance(value, Enum) or kind.__module__ in _STANDARD:
        return True
    if kind is tuple or kind is frozenset or (isinstance(value, tuple) and not hasattr(value, "__dict__")):
        return all(map(_immutable, cast("Iterable[object]", value)))
    # The class's own flag: a subclass that is not a dataclass itself may be mutable.
    if "__dataclass_params__" in kind.__dict__ and kind.__dict__["__dataclass_params__"].frozen:
        return all(_immutable(getattr(value, field.name, None)) for field in dataclass_fields(value) or ())
    if isinstance(value, Struct) and value.__struct_config__.frozen:
        return all(_immutable(getattr(value, name, None)) for name in value.__struct_fields__)
    return False


def is_plain(value: Any, exact: frozenset[type]) -> bool:
    """Return True if all parts of a value are of kinds that come back unchanged. Most values need no comparison."""
    kind = type(value)
    if kind is list:
        return exact.issuperset(map(type, value)) or all(is_plain(part, exact) for part in value)
    if kind is dict:
        keys = {str} if bytes not in exact else exact  # JSON's keys are text
        values = value.values()
        return keys.issuperset(map(type, value)) and (
            exact.issuperset(map(type, values)) or all(is_plain(part, exact) for part in values)
        )
    return kind in exact


def find_change(value: Any, back: Any, given: AbstractSet[type] = frozenset()) -> tuple[Any, Any] | None:
    """Return the first part that the round trip changed, and its changed form; ``None``: the value came back unchanged.

    The ``==`` of a class is used only for types of the standard library. Elsewhere it may be identity, may leave out
    fields, and treats ``1``, ``1.0`` and ``True`` as equal.

    Args:
        value: The given value.
        back: The value decoded from its bytes.
        given: Kinds of plain data that may be given for a declared type: text for a date, a dict for a dataclass.
    """
    kind = type(value)
    parts: _Parts
    if kind is not type(back):
        if kind not in given:
            return value, back
        if kind is int and type(back) is float:  # the most frequent, so without the import
            return None if value == back else (value, back)
        from .given import parts_of_given  # noqa: PLC0415 - few values are given as plain data

        parts = parts_of_given(value, back, field_names)
    elif kind in SCALARS:
        same = value == back if kind is not float else _same_float(value, back)
        return None if same else (value, back)
    else:
        parts = _way(kind)(value, back)  # type: ignore[arg-type]  # a class can be hashed
    if parts is None:
        return value, back
    return next((found for old, new in parts if (found := find_change(old, new, given))), None)


def _same_float(value: float, back: float) -> bool:
    return copysign(1.0, value) == copysign(1.0, back) if value == back else value != value and back != back  # noqa: PLR0124 - NaN


@lru_cache(maxsize=1024)
def _way(kind: Any) -> _Way:  # noqa: PLR0911 - one exit for each kind of value
    """Return the comparison for a kind of value: a function that pairs the parts of two values side by side."""
    if issubclass(kind, Enum):
        return _same_object
    if issubclass(kind, (datetime, time)):
        return _same_moment
    if issubclass(kind, Decimal):
        return _same_text  # 1.0 is not 1.00, and a NaN equals no value
    if issubclass(kind, complex):
        return _of_complex
    if registered(kind) is not None:
        return _of_registered
    if issubclass(kind, (list, tuple, deque)):
        return _of_list
    if issubclass(kind, dict):
        return _of_dict
    if issubclass(kind, (set, frozenset)):
        return _members
    if kind.__module__ in _STANDARD:
        return _same_value
    return _of_object if any(_layout(kind)[:2]) else _same_value


def _same_object(value: Any, back: Any) -> _Parts:
    return () if value is back else None


def _same_moment(value: Any, back: Any) -> _Parts:
    try:
        same = value.fold == back.fold and zone_of(value) == zone_of(back)
    except Exception:  # noqa: BLE001 - a zone may be of any class
        return None
    return () if same and value.replace(tzinfo=None) == back.replace(tzinfo=None) else None


def _same_text(value: Any, back: Any) -> _Parts:
    return () if str(value) == str(back) else None


def _same_value(value: Any, back: Any) -> _Parts:
    try:
        return () if (value == back) is True else None
    except Exception:  # noqa: BLE001 - == of a foreign class may raise anything; the values then count as changed
        return None


def _of_complex(value: Any, back: Any) -> _Parts:
    return (value.real, back.real), (value.imag, back.imag)


def _of_registered(value: Any, back: Any) -> _Parts:
    return ((rewritten(value), rewritten(back)),)


def _of_list(value: Any, back: Any) -> _Parts:
    if getattr(value, "maxlen", None) != getattr(back, "maxlen", None):
        return None
    kinds = [*map(type, value)]
    if _COUNTABLE.issuperset(kinds) and kinds == [*map(type, back)] and value == back:
        return ()
    return _pairs([*value], [*back])


def _of_dict(value: Any, back: Any) -> _Parts:
    if getattr(value, "default_factory", None) is not getattr(back, "default_factory", None):
        return None
    return _pairs([*value, *value.values()], [*back, *back.values()])


def _of_object(value: Any, back: Any) -> _Parts:
    kind: Any = type(value)
    names, is_open, computed = _layout(kind)
    parts: list[tuple[Any, Any]] = []
    if is_open:
        held, new = vars(value), vars(back)
        if computed:
            held, new = _without(held, computed), _without(new, computed)
        if held.keys() != new.keys():
            return None
        parts += _pairs([*held.values()], [*map(new.__getitem__, held)]) or ()
    for name in names:
        old, other = getattr(value, name, _ABSENT), getattr(back, name, _ABSENT)
        if old is not other:
            parts.append((old, other))
    return parts


def _without(held: dict[str, Any], names: frozenset[str]) -> dict[str, Any]:
    return {name: part for name, part in held.items() if name not in names}


def _pairs(value: list[Any], back: list[Any]) -> _Parts:
    """Pair parts side by side, without equal scalars; ``0.0`` stays in, because it equals ``-0.0``."""
    if len(value) != len(back):
        return None
    return [
        (old, new)
        for old, new in zip(value, back, strict=True)
        if (kind := type(old)) is not type(new) or kind not in SCALARS or old != new or (kind is float and not old)
    ]


def _members(value: Any, back: Any) -> _Parts:
    """Pair each member of one set with its equal in the other."""
    if len(value) != len(back):
        return None
    found = {member: member for member in back}
    pairs = [(member, found.pop(member, _ABSENT)) for member in value]
    rest = [*found]  # a NaN equals no other NaN, and a set may have several
    return [(member, rest.pop() if other is _ABSENT and rest else other) for member, other in pairs]


def _attributes(value: Any) -> dict[str, Any]:
    """Return all attributes of an object, declared as fields or not."""
    kind: Any = type(value)
    names, is_open, _ = _layout(kind)
    return (vars(value) if is_open else {}) | {name: getattr(value, name, _ABSENT) for name in names}


@lru_cache(maxsize=1024)
def _layout(kind: Any) -> tuple[tuple[str, ...], bool, frozenset[str]]:
    """Return the slots of a class, whether its objects have a ``__dict__``, and its cached properties."""
    slots: list[str] = []
    computed: list[str] = []
    for base in kind.__mro__:
        own = base.__dict__.get("__slots__", ())
        for name in (own,) if isinstance(own, str) else own:
            mangled = name.startswith("__") and not name.endswith("__")
            slots.append(f"_{base.__name__.lstrip('_')}{name}" if mangled else name)
        computed += [name for name, part in base.__dict__.items() if type(part) is cached_property]
    names = [name for name in slots if name not in _NO_PARTS]
    if issubclass(kind, Struct):
        names += kind.__struct_fields__
    return tuple(dict.fromkeys(names)), kind.__dictoffset__ != 0, frozenset(computed)


def dataclass_fields(value: Any) -> "tuple[Field[Any], ...] | None":
    """Return the fields of an instance of a dataclass; ``None`` for any other value."""
    if not hasattr(type(value), "__dataclass_fields__"):
        return None
    from dataclasses import fields  # noqa: PLC0415 - needed only for dataclasses; importing fleetcache must stay cheap

    return fields(value)


def field_names(kind: Any) -> tuple[str, ...] | None:
    """Return the fields that a class declares; ``None`` for a class that declares none in a known way."""
    if issubclass(kind, Struct):
        return tuple(kind.__struct_fields__)
    if hasattr(kind, "__dataclass_fields__"):
        from dataclasses import fields  # noqa: PLC0415 - as above

        return tuple(field.name for field in fields(kind))
    if hasattr(kind, "__attrs_attrs__"):
        return tuple(attribute.name for attribute in kind.__attrs_attrs__)
    names: tuple[str, ...] | None = getattr(kind, "_fields", None) if issubclass(kind, tuple) else None
    return names


def describe_change(value: object, part: object, back: object, declared: Any = Any, made: object = None) -> str:
    """Return the error text for a ``part`` of ``value``, declared as a type or not, that comes back as ``back``.

    ``made`` is the whole value that the declared type made of plain data: its fields give the path to the part.
    """
    kind = type(part)
    if kind is type(back):
        change = "with another value"
    else:
        change = f"as {type(back).__name__}"
    if declared is Any:
        whole = _as_generic(type(value))
        if part is value:
            return f"{with_article(kind)} would come back {change}: pass type={whole} or annotate the loader"
        inside = f"{with_article(kind)} inside the {type(value).__name__}"
        return f"{inside} would come back {change}: declare the whole (type={whole}) or annotate the loader"
    path, whole_kind = "" if part is value else _path_to(value, part), type(value)
    if made is not None and part is not value and (found := _path_to(made, back)):
        path, whole_kind = found, type(made)
    what = f"{whole_kind.__name__}{path} ({kind.__name__})" if path else with_article(kind)
    if isinstance(part, dict) and (fields := field_names(type(back))) is not None:
        return f"{what} would lose keys: the fields of {type(back).__name__} are {', '.join(fields)}"
    if kind is type(back):
        return (
            f"{what} would come back {change}: leave it out of the type, register_type() it, or return NoStore(value)"
        )
    return f"{what} would come back {change}: name {kind.__name__} in the declared type, alone or in a union"


def _path_to(value: Any, part: Any, depth: int = 0) -> str:
    """Return the path to a part of a value, such as ``.user.name`` or ``[].name``, without keys: they may be secret."""
    if depth > _DEEPEST:
        return ""
    inside: Iterable[tuple[str, Any]] = ()
    if isinstance(value, (list, tuple, set, frozenset, deque)):
        inside = [("[]", inner) for inner in value]
    elif isinstance(value, dict):
        inside = [("[]", inner) for inner in [*value, *value.values()]]
    elif type(value) not in ATOMS:
        inside = [(f".{name}", inner) for name, inner in _attributes(value).items()]
    for name, inner in inside:
        if inner is part:
            return name
        if type(inner) not in ATOMS and (rest := _path_to(inner, part, depth + 1)):
            return name + rest
    return ""


# Attributes that identify models and rows of SQLAlchemy, and models of Django, peewee and Tortoise.
_ORM_MARKS: Final = ("__mapper__", "_mapping", "_meta")


def _as_generic(kind: type) -> str:
    return f"{kind.__name__}[...]" if kind in {tuple, list, dict, set, frozenset} else kind.__name__


def describe_unsupported(value: object) -> str:
    """Return the error text for a value that only pickle could store."""
    for base in (str, int, float, bytes):
        if isinstance(value, base):
            return f"{with_article(type(value))} would come back as {base.__name__}: pass a plain {base.__name__}"
    what, ways = (
        f"{with_article(type(value))} cannot be stored",
        "return plain types, a dataclass, a Struct or a pydantic model",
    )
    if any(hasattr(type(value), mark) for mark in _ORM_MARKS):
        return f"{what}: it is tied to its session; {ways} made of it, such as Out.model_validate(row)"
    return f"{what}: {ways}, or register_type() it"


def with_article(kind: type) -> str:
    """Return the type's name with its article, for an error."""
    return f"{'an' if kind.__name__[0] in 'AEIOaeio' else 'a'} {kind.__name__}"
