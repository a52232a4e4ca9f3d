"""Values without a form in msgpack or JSON, marked with their kind, so that they come back unchanged.

1. Plain data is written unchanged. Every other value becomes a *mark*: its kind, and its content as plain data, which
   may contain marks.
2. A mark names its kind by a number or word of the table below, a class by its module and qualified name. A name is
   looked up among the classes that the declared type names, and among the registered classes: nothing is imported.
3. In msgpack a mark is an extension type. In JSON it is ``{"$": [word, data]}``; a dict with the key ``$`` is marked.
4. Bytes of any other form raise an exception of any type. Reading them makes only values of these kinds.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

import msgspec
from msgspec import Struct

from .registered_types import name_of, registered, registered_as
from .standard_types import (
    BYTES,
    CLASS,
    DICT,
    FLOAT,
    INT,
    REGISTERED,
    Kind,
    NotHeldError,
    long_int,
    pairs_of,
    read_pattern,
    readers,
    standard,
)
from .values import JSON_SCALARS, SCALARS

__all__ = ["ClassOf", "Classes", "JsonMarks", "Marks", "MsgpackMarks"]

T = TypeVar("T")

# The most patterns in one value: each costs time to compile.
_MAX_PATTERNS: Final = 100
_KEY: Final = "$"


class ClassOf(Struct, frozen=True):
    """A class that a declared type names."""

    kind: type
    write: Callable[[Any], Any]
    read: Callable[[Any], Any]


Classes = Mapping[str, ClassOf]
"""Classes by ``module.qualname``."""


class Marks(ABC):
    """Marks values for one format, and reads marked values."""

    exact: frozenset[type]  # types that the format holds by itself
    is_text: bool

    @abstractmethod
    def wrap(self, kind: Kind, node: Any) -> Any:
        """Return the mark of a kind and its content."""

    @abstractmethod
    def encode(self, value: Any, classes: Classes) -> bytes:
        """Return the bytes of a value.

        Raises:
            NotHeldError: A part of the value has no mark.
        """

    @abstractmethod
    def reader(self, classes: Classes | None) -> Callable[[bytes | memoryview], Any]:
        """Return a function that reads bytes; without ``classes`` it reads objects of classes as their plain data."""

    def mark(self, value: Any, classes: Classes) -> Any:  # noqa: PLR0911 - one exit for each kind of value
        """Return the value as plain data with marks."""
        kind = type(value)
        if kind is int:
            return value if _is_short(value) else self.wrap(INT, long_int(value))
        if kind is float:
            return self.wrap(FLOAT, repr(value)) if self.is_text and not math.isfinite(value) else value
        if kind in self.exact:
            return value
        if kind is list:
            return [self.mark(part, classes) for part in value]
        if kind is dict:
            if self._has_plain_keys(value):
                return {key: self.mark(part, classes) for key, part in value.items()}
            return self.wrap(DICT, self.mark(pairs_of(value), classes))
        return self.wrap(BYTES, value.hex()) if kind is bytes else self._mark_object(value, kind, classes)

    def _has_plain_keys(self, value: dict[Any, Any]) -> bool:
        kinds = set(map(type, value))
        if self.is_text:
            return kinds <= {str} and _KEY not in value
        return kinds <= self.exact and (int not in kinds or all(_is_short(key) for key in value if type(key) is int))

    def _mark_object(self, value: Any, kind: type, classes: Classes) -> Any:
        own, name = registered(kind), name_of(kind)
        if own is not None:
            return self.wrap(REGISTERED, [name, self.mark(own.encode(value), classes)])
        row = standard(kind)
        if row is not None:
            return self.wrap(row, self.mark(row.write(value), classes))
        of_type = classes.get(name)
        if of_type is None or of_type.kind is not kind:
            raise NotHeldError(value)
        return self.wrap(CLASS, [name, self.mark(of_type.write(value), classes)])


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
    """Return the function that reads a mark, and the function that begins a new payload; threads may share them."""
    patterns = [0]

    def begin(payload: T) -> T:
        patterns[0] = 0
        return payload

    def read(code: int | str, node: Any) -> Any:
        row = rows.get(code)
        if row is not None:
            if row.read is read_pattern:
                patterns[0] += 1
                if patterns[0] > _MAX_PATTERNS:
                    raise ValueError(patterns)
            return row.read(node)
        name, node = node
        if code in {CLASS.code, CLASS.word}:
            return node if classes is None else classes[name].read(node)
        if code not in {REGISTERED.code, REGISTERED.word}:
            raise KeyError(code)
        own = registered_as(name)
        if own is None:
            raise KeyError(name)
        return own.decode(node)

    rows = readers()
    return read, begin
