"""Values that msgpack and JSON have no form for, marked with what they are, so that they come back as themselves.

1. Plain data stands as it is. Everything else is a *mark*: a kind, and the plain data, with marks in it, that it is
   made of.
2. A mark names its kind by a number or word of the table below, a class by its module and qualified name. A name is
   looked up among the classes that the declared type names, and among those that were registered: nothing is imported.
3. In msgpack a mark is an extension type. In JSON it is ``{"$": [word, data]}``; a dict with the key ``$`` is marked.
4. Bytes that are not this raise an exception of whatever type. No more is made of them than values of these kinds.
"""

import math
import re
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from functools import cache
from typing import Any, Final, NamedTuple, TypeVar
from uuid import UUID

import msgspec

from .registered import name_of, registered, registered_as
from .values import JSON_SCALARS, SCALARS
from .zones import read_zone, zone_of

__all__ = [
    "ClassOf",
    "Classes",
    "JsonMarks",
    "Marks",
    "MsgpackMarks",
    "NotHeldError",
    "is_leaf",
    "read_leaf",
    "standard",
]

T = TypeVar("T")

# Text of a pattern that is kept: to compile one costs more the longer it is.
_LONGEST_PATTERN: Final = 1000
# Patterns that one value may have, for the same reason.
_MOST_PATTERNS: Final = 100
# A range of letters beyond ASCII: where case is ignored, compiling looks at every letter of it.
_has_wide_range: Final = re.compile(r"-(?:[^\x00-\x7f]|\\[uUN])").search
# What Python turns into decimal text without being told: a longer one is no number but data.
_MOST_DIGITS: Final = 4300
_NO_DIGITS_LONGER: Final = len(f"{10**_MOST_DIGITS:x}")
_is_hex: Final = re.compile(r"-?[0-9a-f]+", re.ASCII).fullmatch
# Not ``DEBUG``, which prints.
_FLAGS: Final = int(re.IGNORECASE | re.LOCALE | re.MULTILINE | re.DOTALL | re.UNICODE | re.VERBOSE | re.ASCII)
_FACTORIES: Final[Mapping[str, Any]] = {
    kind.__name__: kind for kind in (list, dict, set, int, float, str, tuple, bool, Counter)
} | {"": None}
_KEY: Final = "$"
_LEAVES: Final = frozenset({"ipaddress", "pathlib", "pathlib._local", "re"})


class NotHeldError(Exception):
    """The part of a value that no mark stands for, and why if that is not its type."""

    def __init__(self, part: Any, why: str = "") -> None:
        super().__init__(why)
        self.part, self.why = part, why


class Kind(NamedTuple):
    """One row of the table."""

    code: int  # in msgpack; part of the format
    word: str  # in JSON
    write: Callable[[Any], Any]
    read: Callable[[Any], Any]


class ClassOf(NamedTuple):
    """A class that a declared type names."""

    kind: type
    write: Callable[[Any], Any]
    read: Callable[[Any], Any]


Classes = Mapping[str, ClassOf]
"""Classes by ``module.qualname``."""


# -- the standard library ----------------------------------------------------------------------------------------------


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


def _long_int(value: int) -> str:
    text = f"{value:x}"
    if not -(10**_MOST_DIGITS) < value < 10**_MOST_DIGITS:
        raise NotHeldError(value, f"it has more than {_MOST_DIGITS:,} digits: pass it as str or bytes")
    return text


def _read_int(node: Any) -> int:
    if not _is_hex(node) or len(node) > _NO_DIGITS_LONGER + 1:
        raise ValueError(node)
    return int(node, 16)


def _read_uuid(node: Any) -> UUID:
    return UUID(bytes=node) if type(node) is bytes else UUID(node)


def _pattern(value: "re.Pattern[Any]") -> list[Any]:
    text = value.pattern
    if len(text if isinstance(text, bytes) else text.encode(errors="surrogatepass")) > _LONGEST_PATTERN:
        raise NotHeldError(value, f"its text is longer than {_LONGEST_PATTERN:,} bytes")
    if _is_slow(text, value.flags):
        raise NotHeldError(value, "it ignores case and has a range of letters beyond ASCII, which is slow to compile")
    return [text, value.flags]


def _is_slow(text: str | bytes, flags: int) -> bool:
    return bool(flags & re.IGNORECASE) and isinstance(text, str) and _has_wide_range(text) is not None


def _read_pattern(node: Any) -> "re.Pattern[Any]":
    text, flags = node
    if len(text) > _LONGEST_PATTERN or flags & ~_FLAGS or _is_slow(text, flags):
        raise ValueError(flags)
    # Compiled text has the flag by itself, and a pattern of bytes may not.
    return re.compile(text, flags)


def _pairs(value: Any) -> list[Any]:
    return [[*pair] for pair in value.items()]


def _read_pairs(node: Any) -> dict[Any, Any]:
    if not all(type(pair) is list for pair in node):  # two letters are no pair
        raise TypeError(node)
    return dict(node)


def _default(value: "defaultdict[Any, Any]") -> list[Any]:
    factory: Any = value.default_factory
    word = "" if factory is None else getattr(factory, "__name__", "?")
    if word not in _FACTORIES or _FACTORIES[word] is not factory:
        raise NotHeldError(value, "its default_factory is no builtin type: return dict(...) of it")
    return [word, _pairs(value)]


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


_DICT: Final = Kind(1, "dict", _pairs, _read_pairs)
_INT: Final = Kind(2, "int", _long_int, _read_int)
_FLOAT: Final = Kind(3, "float", repr, _read_text(float))
_BYTES: Final = Kind(4, "bytes", bytes.hex, bytes.fromhex)
_CLASS: Final = Kind(5, "class", _unreadable, _unreadable)
_REGISTERED: Final = Kind(6, "registered", _unreadable, _unreadable)


@cache
def _table() -> dict[type, Kind]:
    """The table; made when something of it is met first, since it brings modules that not everybody needs."""
    import ipaddress  # noqa: PLC0415 - as said
    import pathlib  # noqa: PLC0415 - as said

    rows: dict[type, Kind] = {
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
        OrderedDict: Kind(21, "OrderedDict", _pairs, lambda node: OrderedDict(_read_pairs(node))),
        Counter: Kind(22, "Counter", _pairs, lambda node: Counter(_read_pairs(node))),
        defaultdict: Kind(23, "defaultdict", _default, _read_default),
        re.Pattern: Kind(24, "Pattern", _pattern, _read_pattern),
    }
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
    for code, kind in enumerate(texts, 30):
        rows[kind] = Kind(code, kind.__name__, str, _read_text(kind))
    return rows


@cache
def _readers() -> dict[int | str, Kind]:
    rows = [_DICT, _INT, _FLOAT, _BYTES, *_table().values()]
    return {row.code: row for row in rows} | {row.word: row for row in rows}


def standard(kind: type) -> Kind | None:
    """The row of a type of the standard library; ``None`` for any other type."""
    return _table().get(kind)


def is_leaf(kind: type) -> bool:
    """Whether a type of the standard library has no parts: msgspec then reads it by itself, through ``read_leaf``."""
    return kind.__module__ in _LEAVES or kind is complex


def read_leaf(kind: Any, node: Any) -> Any:
    """A value of such a type, of what its row writes."""
    row = standard(kind)
    return row.read(node) if row is not None else _read_text(kind)(node)  # Path makes a PosixPath


# -- marking -----------------------------------------------------------------------------------------------------------


class Marks:
    """Marks values for one format, and reads what was marked."""

    exact: frozenset[type]  # types that the format holds by itself
    is_text: bool

    def wrap(self, kind: Kind, node: Any) -> Any:
        """A mark."""
        raise NotImplementedError

    def encode(self, value: Any, classes: Classes) -> bytes:
        """The bytes of a value.

        Raises:
            NotHeldError: A part of it has no mark.
        """
        raise NotImplementedError

    def reader(self, classes: Classes | None) -> Callable[[bytes | memoryview], Any]:
        """Reads bytes; without ``classes``, what was marked as a class is the plain data it is made of."""
        raise NotImplementedError

    def mark(self, value: Any, classes: Classes) -> Any:  # noqa: PLR0911 - one exit for each kind of value
        """The value as plain data with marks."""
        kind = type(value)
        if kind is int:
            return value if _is_short(value) else self.wrap(_INT, _long_int(value))
        if kind is float:
            return self.wrap(_FLOAT, repr(value)) if self.is_text and not math.isfinite(value) else value
        if kind in self.exact:
            return value
        if kind is list:
            return [self.mark(part, classes) for part in value]
        if kind is dict:
            if self._has_plain_keys(value):
                return {key: self.mark(part, classes) for key, part in value.items()}
            return self.wrap(_DICT, self.mark(_pairs(value), classes))
        return self.wrap(_BYTES, value.hex()) if kind is bytes else self._mark_object(value, kind, classes)

    def _has_plain_keys(self, value: dict[Any, Any]) -> bool:
        kinds = set(map(type, value))
        if self.is_text:
            return kinds <= {str} and _KEY not in value
        return kinds <= self.exact and (int not in kinds or all(_is_short(key) for key in value if type(key) is int))

    def _mark_object(self, value: Any, kind: type, classes: Classes) -> Any:
        own, name = registered(kind), name_of(kind)
        if own is not None:
            return self.wrap(_REGISTERED, [name, self.mark(own.encode(value), classes)])
        row = standard(kind)
        if row is not None:
            return self.wrap(row, self.mark(row.write(value), classes))
        of_type = classes.get(name)
        if of_type is None or of_type.kind is not kind:
            raise NotHeldError(value)
        return self.wrap(_CLASS, [name, self.mark(of_type.write(value), classes)])


class MsgpackMarks(Marks):
    """Marks are extension types."""

    exact, is_text = SCALARS, False

    def __init__(self) -> None:
        self._encode = msgspec.msgpack.Encoder().encode

    def wrap(self, kind: Kind, node: Any) -> Any:  # noqa: D102 - as said above
        return msgspec.msgpack.Ext(kind.code, self._encode(node))

    def encode(self, value: Any, classes: Classes) -> bytes:  # noqa: D102 - as said above
        return self._encode(self.mark(value, classes))

    def reader(self, classes: Classes | None) -> Callable[[bytes | memoryview], Any]:  # noqa: D102 - as said above
        read, begin = _reading(classes)

        def hook(code: int, data: memoryview) -> Any:
            return read(code, decode(data))

        decode = msgspec.msgpack.Decoder(Any, ext_hook=hook).decode
        return lambda payload: decode(begin(payload))


class JsonMarks(Marks):
    """Marks are dicts with the one key ``$``."""

    exact, is_text = JSON_SCALARS, True

    def __init__(self) -> None:
        self._encode, self._decode = msgspec.json.Encoder().encode, msgspec.json.Decoder().decode

    def wrap(self, kind: Kind, node: Any) -> Any:  # noqa: D102 - as said above
        return {_KEY: [kind.word, node]}

    def encode(self, value: Any, classes: Classes) -> bytes:  # noqa: D102 - as said above
        return self._encode(self.mark(value, classes))

    def reader(self, classes: Classes | None) -> Callable[[bytes | memoryview], Any]:  # noqa: D102 - as said above
        decode = self._decode
        read, begin = _reading(classes)

        def unmarked(node: Any) -> Any:
            if type(node) is list:
                return [*map(unmarked, node)]
            if type(node) is not dict:
                return node
            if _KEY not in node:
                return {key: unmarked(part) for key, part in node.items()}
            ((word, inner),) = node.values()
            return read(str(word), unmarked(inner))

        return lambda payload: unmarked(decode(begin(payload)))


def _is_short(number: int) -> bool:
    return -(2**63) <= number < 2**64


def _reading(classes: Classes | None) -> tuple[Callable[[int | str, Any], Any], Callable[[T], T]]:
    """What reads marks, and what begins a new payload; two threads may share it."""
    patterns = [0]

    def begin(payload: T) -> T:
        patterns[0] = 0
        return payload

    def read(code: int | str, node: Any) -> Any:
        row = rows.get(code)
        if row is not None:
            if row.read is _read_pattern:
                patterns[0] += 1
                if patterns[0] > _MOST_PATTERNS:
                    raise ValueError(patterns)
            return row.read(node)
        name, node = node
        if code in {_CLASS.code, _CLASS.word}:
            return node if classes is None else classes[name].read(node)
        if code not in {_REGISTERED.code, _REGISTERED.word}:
            raise KeyError(code)
        own = registered_as(name)
        if own is None:
            raise KeyError(name)
        return own.decode(node)

    rows = _readers()
    return read, begin
