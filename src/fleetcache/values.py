"""What a value is made of: whether it can change, and whether it came back from its bytes as it was.

``codec`` turns values into bytes and back; the judgement of the result is here.
"""

from collections.abc import Iterable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from itertools import chain
from typing import TYPE_CHECKING, Any, Final, cast
from uuid import UUID

from msgspec import Struct

if TYPE_CHECKING:
    from dataclasses import Field

__all__ = [
    "JSON_SCALARS",
    "SCALARS",
    "a",
    "dataclass_fields",
    "describe_change",
    "describe_unsupported",
    "find_change",
    "immutable",
    "is_plain",
]

# These come out of the codec exactly as they went in. JSON has no bytes, NaN or infinity.
JSON_SCALARS: Final = frozenset[type]({str, int, bool, type(None)})
SCALARS: Final = JSON_SCALARS | frozenset[type]({float, bytes})
_ATOMS: Final = SCALARS | frozenset[type]({Decimal, UUID, date, datetime, time, timedelta})


def immutable(value: object) -> bool:
    """Whether nobody can change the value, at any depth: such a value may be handed to many callers as it is."""
    if type(value) in _ATOMS:
        return True
    try:
        return _immutable(value)
    except RecursionError:
        return False


def _immutable(value: object) -> bool:
    kind = type(value)
    if kind in _ATOMS or isinstance(value, Enum):
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
    """Whether a value is made of nothing but what comes back as it is; most values are, and need no comparison."""
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


def find_change(value: Any, back: Any, *, typed: bool) -> tuple[Any, Any] | None:
    """The first part that would not come back as it is, and what it would be."""
    kind = type(value)
    if kind is not type(back):
        # A declared float may be given as int; both readers get the float.
        return None if typed and kind is int and type(back) is float and value == back else (value, back)
    if isinstance(value, (float, Decimal)):
        return None if value == back or (value != value and back != back) else (value, back)  # noqa: PLR0124 - NaN
    if isinstance(value, datetime):
        # Equal moments in different zones are not the same value, unless the type was declared.
        return None if value == back and (typed or value.utcoffset() == back.utcoffset()) else (value, back)
    parts = _parts(value, back)
    if parts is None:
        return None if value == back else (value, back)
    return next((found for old, new in parts if (found := find_change(old, new, typed=typed))), None)


def _parts(value: Any, back: Any) -> Iterable[tuple[Any, Any]] | None:
    """The parts of two values of one type side by side; ``None``: it has none, or not equally many."""
    if isinstance(value, (list, tuple)) and len(value) == len(back):
        return zip(value, back, strict=True)
    if isinstance(value, dict) and len(value) == len(back):
        return zip(chain(value, value.values()), chain(back, back.values()), strict=True)
    # Fields, not ==, which a class may leave at identity.
    if isinstance(value, Struct):
        return [(getattr(value, name, None), getattr(back, name, None)) for name in value.__struct_fields__]
    held = dataclass_fields(value)
    if held is not None:
        names = [field.name for field in held if field.compare]
        return [(getattr(value, name, None), getattr(back, name, None)) for name in names]
    return None


def dataclass_fields(value: Any) -> "tuple[Field[Any], ...] | None":
    """The fields of an instance of a dataclass; ``None`` for any other value."""
    if not hasattr(type(value), "__dataclass_fields__"):
        return None
    from dataclasses import fields  # noqa: PLC0415 - to import us must not cost what only its users need

    return fields(value)


def describe_change(value: object, part: object, back: object) -> str:
    """What to say of a ``part`` of ``value`` that would come back as ``back``."""
    if type(part) is not type(back):
        change = f"as {type(back).__name__}"
    else:
        change = "in UTC" if isinstance(part, datetime) else "with another value"
    whole = _as_generic(type(value))
    if part is value:
        return f"{a(type(part))} would come back {change}: pass type={whole} or annotate the loader"
    inside = f"{a(type(part))} inside the {type(value).__name__}"
    return f"{inside} would come back {change}: declare the whole (type={whole}) or annotate the loader"


def _as_generic(kind: type) -> str:
    return f"{kind.__name__}[...]" if kind in {tuple, list, dict, set, frozenset} else kind.__name__


def describe_unsupported(value: object) -> str:
    """What to say of a value that no codec but pickle has bytes for."""
    for base in (str, int, float, bytes):
        if isinstance(value, base):
            return f"{a(type(value))} would come back as {base.__name__}: pass a plain {base.__name__}"
    return f"{a(type(value))} cannot be stored: return plain types, a dataclass, a Struct or a pydantic model"


def a(kind: type) -> str:
    """The type as an error names it."""
    return f"{'an' if kind.__name__[0] in 'AEIOaeio' else 'a'} {kind.__name__}"
