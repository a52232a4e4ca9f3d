"""One argument of a call -> its part of the key: readable, the same in every process, never shared by two values.

1. Text is written unchanged where possible; text that would read as a number, ``True``, ``None`` ... is put in quotes.
2. Every other value is written as a Python literal or ``type(...)``. Text never contains the characters of these forms,
   nor a separator: such characters are percent-escaped.
3. A value of an unknown type that does not define its own text is an error. ``__cache_key__()`` gives the type such a
   text.
"""

import re
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum, Flag
from typing import Any, Final
from uuid import UUID

from msgspec import Struct

from .standard_types import NotHeldError, is_leaf, standard
from .values import dataclass_fields

__all__ = ["SEPARATORS", "Unwritable", "write_argument"]

# No written value ever contains one of these characters, so any of them between two values is a boundary.
SEPARATORS: Final = frozenset(':;|#&?*<>{}^$!`"\\ ')

_RESERVED: Final = re.compile(r"[^\w.+@/~\u0080-\ud7ff\ue000-\U0010ffff-]", re.ASCII)
_has_reserved: Final = _RESERVED.search
# Written forms of other values (numbers, ``True``, ``None``) that contain no bracket: text that looks like one is
# quoted.
_is_literal: Final = re.compile(r"(?:None|True|False|-?(?:inf|nan|\d+(?:\.\d+)?(?:e[+-]?\d+)?))\Z", re.ASCII).match
# The first characters of these forms: most text begins with another character and needs no further check.
_LITERAL_STARTS: Final = "-0123456789NTFin"


class Unwritable(Exception):
    """The value has no text of its own; the message names its type."""


def write_argument(value: Any) -> str:
    """Return the value's part of a key.

    Raises:
        Unwritable: The value, or a part of it, is of a type that has no text of its own.
    """
    kind = type(value)
    if kind is str:
        if value and not _has_reserved(value) and (value[0] not in _LITERAL_STARTS or not _is_literal(value)):
            text: str = value
            return text
        return _quoted(value)
    writer = _WRITERS.get(kind)
    return writer(value) if writer is not None else _other(value, kind)


def _quoted(text: str) -> str:
    escaped = _escaped(text)
    # Escaped text never looks like a literal.
    return escaped if escaped != text else f"'{text}'"


def _escaped(text: str) -> str:
    return _RESERVED.sub(lambda match: "".join(f"%{b:02X}" for b in match[0].encode(errors="surrogatepass")), text)


def _joined(values: Iterable[Any]) -> str:
    return ",".join(map(write_argument, values))


def _sorted(values: Iterable[Any]) -> str:
    return ",".join(sorted(map(write_argument, values)))


def _pairs(items: Iterable[tuple[Any, Any]]) -> list[str]:
    return [f"{write_argument(key)}={write_argument(value)}" for key, value in items]


def _zone(value: datetime | time) -> str:
    """Return the parts that ``isoformat`` leaves out: the zone's name, and the fold of a repeated hour in autumn."""
    name = getattr(value.tzinfo, "key", None)
    return (f",{_escaped(name)}" if isinstance(name, str) else "") + (",fold" if value.fold else "")


_WRITERS: Final[dict[type, Callable[[Any], str]]] = {
    type(None): repr,
    bool: repr,
    int: repr,
    float: repr,
    str: write_argument,
    bytes: lambda value: f"b'{value.hex()}'",
    list: lambda value: f"[{_joined(value)}]",
    tuple: lambda value: f"({_joined(value)})",
    # Equal sets and equal dicts are the same argument, regardless of the order of insertion.
    set: lambda value: f"set({_sorted(value)})",
    frozenset: lambda value: f"frozenset({_sorted(value)})",
    dict: lambda value: f"dict({','.join(sorted(_pairs(value.items())))})",
    UUID: lambda value: f"UUID({value})",
    Decimal: lambda value: f"Decimal({value})",
    datetime: lambda value: f"datetime({_escaped(value.isoformat())}{_zone(value)})",
    date: lambda value: f"date({value.isoformat()})",
    time: lambda value: f"time({_escaped(value.isoformat())}{_zone(value)})",
    timedelta: lambda value: f"timedelta({value.days},{value.seconds},{value.microseconds})",
}
# datetime before date, of which it is a subclass; None and bool have no subclasses.
_BASES: Final = tuple(kind for kind in _WRITERS if kind not in {type(None), bool})


def _other(value: Any, kind: type) -> str:
    """Write a value of any further type: the type's full name around its content."""
    own: Callable[[], Any] | None = getattr(value, "__cache_key__", None)
    if isinstance(value, type):
        return _class(value, own)
    row = standard(kind) if is_leaf(kind) or kind is deque else None
    if row is not None:  # by a fixed word: the module of a path differs between versions of Python
        return f"{row.word}({_standard(row.write, value)})"
    return f"{_name(kind)}({_content(value, own)})"


def _standard(write: Callable[[Any], Any], value: Any) -> str:
    try:
        return write_argument(write(value))
    except NotHeldError as error:
        raise Unwritable(f"a {type(value).__qualname__} cannot take part: {error.why}") from None


def _class(value: type, own: Callable[[], Any] | None) -> str:
    # Only a classmethod counts; a method of the instances says nothing about the class.
    if own is None or id(getattr(own, "__self__", None)) != id(value):
        raise Unwritable(f"the class {value.__qualname__} has no __cache_key__() of its own")
    return f"type({_name(value)},{write_argument(own())})"


def _content(value: Any, own: Callable[[], Any] | None) -> str:
    if own is not None:
        return write_argument(own())
    if isinstance(value, Enum):
        return write_argument(value.value) if isinstance(value, Flag) else _escaped(value.name)
    held = _fields(value)
    if held is not None:
        return ",".join(f"{name}={write_argument(part)}" for name, part in held)
    if isinstance(value, OrderedDict):
        return ",".join(_pairs(value.items()))  # here the order is part of equality
    for base in _BASES:
        if isinstance(value, base):
            return _WRITERS[base](_as_base(value, base))
    raise Unwritable(f"a {type(value).__qualname__} has no text of its own")


def _fields(value: Any) -> list[tuple[str, Any]] | None:
    if isinstance(value, Struct):
        return [(name, getattr(value, name)) for name in value.__struct_fields__]
    held = dataclass_fields(value)
    if held is not None:
        return [(field.name, getattr(value, field.name)) for field in held if field.compare]
    if hasattr(type(value), "model_dump_json"):  # a pydantic model, known without importing pydantic
        return [*vars(value).items(), *sorted((value.model_extra or {}).items())]
    return None


def _as_base(value: Any, base: type) -> Any:
    # The value's own methods could return anything; the methods of the base see only the content.
    return base.__str__(value) if base is str else base(value) if base in {int, float, bytes} else value


def _name(kind: type) -> str:
    return _escaped(f"{kind.__module__}.{kind.__qualname__}")
