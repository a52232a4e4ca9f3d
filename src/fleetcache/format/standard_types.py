"""The types of the standard library without a form in msgpack or JSON: the functions that write and read their values.

A row's code and word are part of the format. They never change, and no other row ever gets them.
"""

import math
import re
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from functools import cache
from typing import Any, Final
from uuid import UUID

from msgspec import Struct

from .time_zones import read_zone, zone_of

__all__ = [
    "BYTES",
    "CLASS",
    "DICT",
    "FLOAT",
    "INT",
    "REGISTERED",
    "Kind",
    "NotHeldError",
    "is_leaf",
    "long_int",
    "pairs_of",
    "read_leaf",
    "read_pattern",
    "readers",
    "standard",
]

# The longest text of a storable pattern: a longer text costs more to compile.
_MAX_PATTERN: Final = 1000
# A range of letters beyond ASCII: where case is ignored, compiling looks at every letter of it.
_WIDE_RANGE: Final = r"-(?:[^\x00-\x7f]|\\[uUN])"
# The most digits that Python by default converts to decimal text: a longer int is data rather than a number.
_MAX_DIGITS: Final = 4300
_MAX_HEX_DIGITS: Final = int(_MAX_DIGITS * math.log(10, 16)) + 1
# Not ``DEBUG``, which prints.
_FLAGS: Final = int(re.IGNORECASE | re.LOCALE | re.MULTILINE | re.DOTALL | re.UNICODE | re.VERBOSE | re.ASCII)
_FACTORIES: Final[Mapping[str, Any]] = {
    kind.__name__: kind for kind in (list, dict, set, int, float, str, tuple, bool, Counter)
} | {"": None}
_LEAVES: Final = frozenset({"ipaddress", "pathlib", "pathlib._local", "re"})


class NotHeldError(Exception):
    """A part of a value has no mark; ``why`` gives the reason if it is not the part's type."""

    def __init__(self, part: Any, why: str = "") -> None:
        super().__init__(why)
        self.part, self.why = part, why


class Kind(Struct, frozen=True):
    """One row of the table."""

    code: int  # in msgpack; part of the format
    word: str  # in JSON
    write: Callable[[Any], Any]
    read: Callable[[Any], Any]


def _moment(value: datetime | time) -> list[Any]:
    try:
        zone = zone_of(value)
    except Exception as error:
        raise NotHeldError(value, "its zone has neither a key nor a fixed offset: convert it to UTC") from error
    return [value.replace(tzinfo=None, fold=0).isoformat(), zone, value.fold]


def _read_moment(kind: Any) -> Callable[[Any], Any]:
    def read(node: Any) -> Any:
        text, zone, fold = node
        return kind.fromisoformat(text).replace(tzinfo=read_zone(zone), fold=fold)

    return read


def _read_date(node: Any) -> date:
    return date.fromisoformat(node)


def _read_timedelta(node: Any) -> timedelta:
    days, seconds, microseconds = node
    return timedelta(days, seconds, microseconds)


def long_int(value: int) -> str:
    """Return the text of an int of more than 64 bits.

    Raises:
        NotHeldError: The int has too many digits.
    """
    text = f"{value:x}"
    if not -(10**_MAX_DIGITS) < value < 10**_MAX_DIGITS:
        raise NotHeldError(value, f"it has more than {_MAX_DIGITS:,} digits: pass it as str or bytes")
    return text


def _read_int(node: Any) -> int:
    if not re.fullmatch(r"-?[0-9a-f]+", node) or len(node) > _MAX_HEX_DIGITS + 1:
        raise ValueError(node)
    return int(node, 16)


def _read_uuid(node: Any) -> UUID:
    return UUID(bytes=node) if type(node) is bytes else UUID(node)


def _pattern(value: "re.Pattern[Any]") -> list[Any]:
    text = value.pattern
    if len(text if isinstance(text, bytes) else text.encode(errors="surrogatepass")) > _MAX_PATTERN:
        raise NotHeldError(value, f"its text is longer than {_MAX_PATTERN:,} bytes")
    if _is_slow(text, value.flags):
        raise NotHeldError(value, "it ignores case and has a range of letters beyond ASCII, which is slow to compile")
    return [text, value.flags]


def _is_slow(text: str | bytes, flags: int) -> bool:
    return bool(flags & re.IGNORECASE) and isinstance(text, str) and re.search(_WIDE_RANGE, text) is not None


def read_pattern(node: Any) -> "re.Pattern[Any]":
    """Return the compiled pattern."""
    text, flags = node
    if len(text) > _MAX_PATTERN or flags & ~_FLAGS or _is_slow(text, flags):
        raise ValueError(flags)
    # The flags of every text pattern include re.UNICODE; re.compile refuses it for a pattern of bytes.
    return re.compile(text, flags)


def pairs_of(value: Any) -> list[Any]:
    """Return the items of a mapping, as plain data."""
    return [[*pair] for pair in value.items()]


def _read_pairs(node: Any) -> dict[Any, Any]:
    if not all(type(pair) is list for pair in node):  # two letters are not a pair
        raise TypeError(node)
    return dict(node)


def _default(value: "defaultdict[Any, Any]") -> list[Any]:
    factory: Any = value.default_factory
    word = "" if factory is None else getattr(factory, "__name__", "?")
    if word not in _FACTORIES or _FACTORIES[word] is not factory:
        raise NotHeldError(value, "its default_factory is not a builtin type: return dict(...) of it")
    return [word, pairs_of(value)]


def _read_default(node: Any) -> "defaultdict[Any, Any]":
    word, pairs = node
    return defaultdict(_FACTORIES[word], _read_pairs(pairs))


def _read_deque(node: Any) -> "deque[Any]":
    parts, maxlen = node
    return deque(parts, maxlen)


def _read_complex(node: Any) -> complex:
    real, imag = node
    return complex(real, imag)


def _read_list(kind: Any) -> Callable[[Any], Any]:
    def read(node: Any) -> Any:
        if type(node) is not list:
            raise TypeError(node)
        return kind(node)

    return read


def _read_text(kind: Any) -> Callable[[Any], Any]:
    def read(node: Any) -> Any:
        if type(node) is not str:
            raise TypeError(node)
        return kind(node)

    return read


def _unreadable(node: Any) -> Any:
    raise TypeError(node)


DICT: Final = Kind(1, "dict", pairs_of, _read_pairs)
INT: Final = Kind(2, "int", long_int, _read_int)
FLOAT: Final = Kind(3, "float", repr, _read_text(float))
BYTES: Final = Kind(4, "bytes", bytes.hex, bytes.fromhex)
CLASS: Final = Kind(5, "class", _unreadable, _unreadable)
REGISTERED: Final = Kind(6, "registered", _unreadable, _unreadable)


_ROWS: Final[Mapping[type, Kind]] = {
    tuple: Kind(10, "tuple", list, _read_list(tuple)),
    set: Kind(11, "set", list, _read_list(set)),
    frozenset: Kind(12, "frozenset", list, _read_list(frozenset)),
    Decimal: Kind(13, "Decimal", str, _read_text(Decimal)),
    date: Kind(14, "date", date.isoformat, _read_date),
    datetime: Kind(15, "datetime", _moment, _read_moment(datetime)),
    time: Kind(16, "time", _moment, _read_moment(time)),
    timedelta: Kind(
        17,
        "timedelta",
        lambda value: [value.days, value.seconds, value.microseconds],
        _read_timedelta,
    ),
    UUID: Kind(18, "UUID", lambda value: value.hex, _read_uuid),
    complex: Kind(19, "complex", lambda value: [value.real, value.imag], _read_complex),
    deque: Kind(20, "deque", lambda value: [[*value], value.maxlen], _read_deque),
    OrderedDict: Kind(21, "OrderedDict", pairs_of, lambda node: OrderedDict(_read_pairs(node))),
    Counter: Kind(22, "Counter", pairs_of, lambda node: Counter(_read_pairs(node))),
    defaultdict: Kind(23, "defaultdict", _default, _read_default),
    re.Pattern: Kind(24, "Pattern", _pattern, read_pattern),
}


@cache
def _table() -> dict[type, Kind]:
    """Return the table. It is made at first use, because its last rows import modules that many apps do not need."""
    import ipaddress  # noqa: PLC0415 - as said
    import pathlib  # noqa: PLC0415 - as said

    texts: tuple[type, ...] = (
        ipaddress.IPv4Address,
        ipaddress.IPv6Address,
        ipaddress.IPv4Network,
        ipaddress.IPv6Network,
        ipaddress.IPv4Interface,
        ipaddress.IPv6Interface,
        pathlib.PosixPath,
        pathlib.WindowsPath,
        pathlib.PurePosixPath,
        pathlib.PureWindowsPath,
    )
    return {
        **_ROWS,
        **{kind: Kind(code, kind.__name__, str, _read_text(kind)) for code, kind in enumerate(texts, 30)},
    }


@cache
def readers() -> dict[int | str, Kind]:
    """Return the rows by code and by word, without the rows of classes, which ``marks`` reads."""
    rows = [DICT, INT, FLOAT, BYTES, *_table().values()]
    return {row.code: row for row in rows} | {row.word: row for row in rows}


def standard(kind: type) -> Kind | None:
    """Return the row of a type of the standard library; ``None`` for any other type."""
    return _table().get(kind)


def is_leaf(kind: type) -> bool:
    """Return True if a type of the standard library has no parts: msgspec then reads it alone, by ``read_leaf``."""
    return kind.__module__ in _LEAVES or kind is complex


def read_leaf(kind: Any, node: Any) -> Any:
    """Return the value of a leaf type for the data that its row writes."""
    row = standard(kind)
    return row.read(node) if row is not None else _read_text(kind)(node)  # Path makes a PosixPath
