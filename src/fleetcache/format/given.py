"""Compares plain data with the value that the declared type made of it.

A dict may be given for a class, text for a date, an int for a float. The parts of the two are paired here, and the
comparison in ``values`` goes on with each pair.

1. A number becomes an equal number. Text becomes no bytes: JSON would read it as base64.
2. Each key of a dict is a field of the class, and each element of a list is a member of the set.
"""

import re
from collections.abc import Callable, Iterable
from collections.abc import Set as AbstractSet
from datetime import datetime, time, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final

__all__ = ["parts_of_given"]

_Parts = Iterable[tuple[Any, Any]] | None
_FieldNames = Callable[[Any], tuple[str, ...] | None]
_NUMBERS: Final = (int, float, Decimal)
# Two equal values of one of these types are the same.
_EXACT: Final = frozenset({str, int, bool, bytes})
_ARRAYS: Final = (list, tuple)
_BYTES: Final = (bytes, bytearray)
# Text of a moment with more than microseconds, which would be rounded.
_too_fine = re.compile(r"[.,][0-9]{6}0*[1-9]").search


def parts_of_given(value: Any, back: Any, field_names: _FieldNames) -> _Parts:  # noqa: PLR0911 - one exit a kind
    """Return the parts of given plain data and of the value made of it, side by side; ``None``: a part is lost.

    Args:
        value: The plain data.
        back: The value made of it.
        field_names: Returns the fields that a class declares; ``None`` if it declares none in a known way.
    """
    if isinstance(value, dict) and not isinstance(back, dict):
        return _fields(value, back, field_names)
    if isinstance(back, AbstractSet) and isinstance(value, (*_ARRAYS, AbstractSet)):
        return _members(value, back)
    if isinstance(value, (*_ARRAYS, AbstractSet)):
        return _elements(value, back)
    if isinstance(value, (int, float)):
        return _same_number(value, back)
    if isinstance(value, _BYTES):  # JSON would write them as base64 where text is declared
        return () if isinstance(back, _BYTES) and bytes(value) == bytes(back) else None
    if isinstance(value, str):
        return _same_text(value, back)
    return ()


def _same_number(value: float, back: Any) -> _Parts:
    if not isinstance(back, _NUMBERS):
        return ()  # a member of an enum, or what a class of the user makes of a number
    try:
        return () if type(value)(back) == value or (value != value and back != back) else None  # noqa: PLR0124 - NaN
    except (ValueError, OverflowError):
        return None


def _same_text(value: str, back: Any) -> _Parts:
    """Judge text: JSON would read it as base64 where bytes are declared, and as JSON where a model is."""
    if isinstance(back, (*_BYTES, memoryview)) or hasattr(type(back), "model_validate_json"):
        return None
    return None if isinstance(back, (datetime, time, timedelta)) and _too_fine(value) else ()


def _fields(value: dict[Any, Any], back: Any, field_names: _FieldNames) -> _Parts:
    """Pair the keys of a dict with the fields of the object made of it."""
    fields, tag = _names(type(back), field_names)  # type: ignore[arg-type]  # a class can be hashed
    if fields is None:
        return ()  # of a class of the user, whose own code made it
    pairs = []
    for key, part in value.items():
        name = fields.get(key)
        if name is None:
            if key != tag:
                return None
        elif (kind := type(made := getattr(back, name))) is not type(part) or kind not in _EXACT or part != made:
            pairs.append((part, made))
    return pairs


@lru_cache(maxsize=1024)
def _names(kind: Any, field_names: _FieldNames) -> tuple[dict[str, str] | None, str | None]:
    """Return the fields of a class by the key that a dict has for each, and the key of its tag."""
    names = field_names(kind)
    if names is None:
        return None, None
    keys = getattr(kind, "__struct_encode_fields__", names)
    tag = kind.__struct_config__.tag_field if hasattr(kind, "__struct_config__") else None
    return dict(zip(keys, names, strict=True)), tag


def _elements(value: Any, back: Any) -> _Parts:
    """Pair the elements of a list with those of another list, a tuple or an object that is written as a list."""
    kind: Any = type(back)
    if isinstance(back, _ARRAYS):
        return zip(value, back, strict=False)  # a named tuple may have more: its defaults
    if not hasattr(kind, "__struct_config__"):
        return ()
    parts = [getattr(back, name) for name in kind.__struct_fields__]
    given = [*value][0 if kind.__struct_config__.tag is None else 1 :]
    return None if len(given) > len(parts) else zip(given, parts, strict=False)


def _members(value: Any, back: Any) -> _Parts:
    """Pair the elements of a list with the members of a set, whose order is another.

    A member that was made of text may be any; no two texts make different members equal without changing the size. A
    member that was made of a dict cannot be found again.
    """
    if len(value) != len(back):
        return None
    found = {member: member for member in back}
    numbers: dict[type, set[Any]] = {}
    one_of_each = {type(member): member for member in back}
    pairs: list[tuple[Any, Any]] = []
    for given in value:
        member = _frozen(given)
        if isinstance(member, dict):
            return None
        if member in found:
            pairs.append((given, found[member]))
        elif isinstance(member, (int, float)):
            kind = type(member)
            if kind not in numbers:
                numbers[kind] = {kind(each) for each in back if isinstance(each, _NUMBERS)}
            if member not in numbers[kind]:
                return None
        elif isinstance(member, str) and any(_same_text(member, each) is None for each in one_of_each.values()):
            return None
    return pairs


def _frozen(value: Any) -> Any:
    return tuple(map(_frozen, value)) if isinstance(value, list) else value
