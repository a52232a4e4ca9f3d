"""Values <-> bytes, so that a hit is the same as the miss that stored it.

1. Whatever is wrong with a value or with bytes, the answer is ``CodecError``: nothing else comes out.
2. A value is stored only if it comes back equal in value and type, at every depth. Where the declared type is given
   plain data (a dict for a dataclass, text for a date), it makes one of its own of it, before anybody gets it.
3. msgspec writes and reads what it holds by itself. What would not come back from that is written with marks that
   say what it is (``extensions``); what would not come back from these either is refused.
4. The loader's own caller, too, gets the value decoded back, so everybody sees the same.
5. Pickle is read only where it was chosen by name.
"""

import re
import types
import typing
from collections.abc import Callable
from typing import Any, Final, Literal

import msgspec
import msgspec.inspect

from ..errors import CodecError
from .marks import JsonMarks, Marks, MsgpackMarks
from .msgspec_hooks import from_plain, to_plain
from .registered_types import registered
from .round_trip import Proof, proof_of
from .standard_types import NotHeldError
from .type_check import Fit, fit_of
from .values import (
    ALL_GIVEN,
    GIVEN,
    JSON_SCALARS,
    SCALARS,
    a,
    describe_change,
    find_change,
    immutable,
    is_plain,
)

__all__ = ["INT", "JSON", "MARKED_JSON", "MARKED_MSGPACK", "MSGPACK", "PICKLE", "Codecs", "immutable"]

# Codec ids: one byte of the entry header, part of the wire format.
INT: Final = 0  # decimal text, so that a script on the server can add to it
MSGPACK: Final = 1
JSON: Final = 2
PICKLE: Final = 3
MARKED_MSGPACK: Final = 4
MARKED_JSON: Final = 5
_LAST: Final = MARKED_JSON

# What msgpack holds, and a little more than what a script on the server can count.
_MIN_INT: Final = -(2**63)
_MAX_INT: Final = 2**64 - 1
_DECIMAL: Final = re.compile(rb"-?[0-9]{1,20}").fullmatch
# Readers kept per format. A service declares dozens of types; types made in a loop must not grow memory.
_MAX_READERS: Final = 512


class Codecs:
    """Encodes with the codec chosen, decodes what any of them wrote (pickle only if chosen).

    Args:
        name: ``msgpack``, ``json`` or ``pickle``, from ``CACHE_CODEC``.

    Example:
        >>> codec_id, payload, value = Codecs("msgpack").encode({"name": "Ada"}, Any)
        >>> Codecs("msgpack").decode(codec_id, payload, dict[str, str])
        {'name': 'Ada'}
    """

    __slots__ = ("_chosen", "_json", "_msgpack", "_read_plain", "name")

    def __init__(self, name: Literal["msgpack", "json", "pickle"]) -> None:
        self.name = name
        self._msgpack = _Format(
            (MSGPACK, MARKED_MSGPACK),
            msgspec.msgpack.Encoder(enc_hook=to_plain).encode,
            msgspec.msgpack.Decoder,
            SCALARS,
            MsgpackMarks(),
        )
        self._read_plain = self._msgpack.reader(Any).decode  # at hand: most of what is read
        self._json = _Format(
            (JSON, MARKED_JSON),
            msgspec.json.Encoder(enc_hook=to_plain).encode,
            msgspec.json.Decoder,
            JSON_SCALARS,
            JsonMarks(),
        )
        self._chosen = {"msgpack": self._msgpack, "json": self._json, "pickle": None}[name]

    def encode(self, value: Any, declared: Any) -> tuple[int, bytes, Any]:
        """The value as bytes.

        Args:
            value: what the loader or the caller gave.
            declared: its type, or ``Any`` for none.

        Returns:
            The codec's id, the payload, and the value as every later reader will get it.

        Raises:
            CodecError: it would not come back as it is, is not of the declared type, or has no such bytes.
        """
        kind = type(value)
        if kind is int and (declared is Any or declared is int) and _MIN_INT <= value <= _MAX_INT:
            return INT, b"%d" % value, value
        try:
            if self._chosen is None:
                return PICKLE, *_pickled(value, declared)
            return self._chosen.write(value, kind, declared)
        except (CodecError, MemoryError):
            raise
        except Exception as error:
            raise CodecError(_with_type(f"{a(kind)} cannot be stored", declared, error)) from error

    def decode(self, codec_id: int, payload: bytes | memoryview, declared: Any) -> Any:
        """The value that the bytes hold, as the declared type (``Any``: as the plain types they are).

        With ``PICKLE`` this executes what the bytes say. It does so only if pickle was chosen by name, and the caller
        must have verified the entry's signature *before*.

        Raises:
            CodecError: whatever the bytes are, nothing else but ``MemoryError`` is raised.
        """
        try:
            if codec_id == MSGPACK:
                return self._read_plain(payload) if declared is Any else self._msgpack.reader(declared).decode(payload)
            if codec_id == INT:
                return self._read_int(payload, declared)
            if codec_id == JSON:
                return self._json.reader(declared).decode(payload)
            if codec_id == MARKED_MSGPACK:
                return self._msgpack.reader(declared).decode_marked(payload)
            if codec_id == MARKED_JSON:
                return self._json.reader(declared).decode_marked(payload)
            if codec_id == PICKLE and self.name == "pickle":
                return _unpickled(payload, declared)
        except (CodecError, MemoryError):
            raise
        except Exception as error:
            raise CodecError(_with_type("stored bytes cannot be read", declared, error)) from error
        if codec_id == PICKLE:
            raise CodecError(f"stored bytes are a pickle, which is read only with CACHE_CODEC=pickle, not {self.name}")
        raise CodecError(f"stored bytes have the unknown codec id {codec_id}; known are {INT} to {_LAST}")

    def _read_int(self, payload: bytes | memoryview, declared: Any) -> Any:
        # int() takes spaces, underscores and other digits, which neither we nor the server write.
        if _DECIMAL(payload) is None or not _MIN_INT <= (number := int(payload)) <= _MAX_INT:
            raise CodecError("stored bytes are not a decimal number of at most 64 bits")
        if declared is Any or declared is int:
            return number
        # Stored without a type, read with one (float, an IntEnum, int | None ...): the type decides.
        return self._msgpack.reader(declared).decode(msgspec.msgpack.encode(number))

    def __repr__(self) -> str:
        return f"Codecs({self.name!r})"


class _Reader:
    """Reads one declared type from one format."""

    __slots__ = ("_fit", "_marked", "_marks", "_proof", "declared", "decode", "marks_only", "openness")

    def __init__(
        self,
        declared: Any,
        decode: Callable[[bytes | memoryview], Any] | None,
        openness: "_Openness",
        marks: Marks,
        proof: Proof | None = None,
    ) -> None:
        self._proof = proof
        self.marks_only = decode is None
        self.declared, self.openness, self._marks = declared, openness, marks
        self.decode = decode or self._unmarked
        self._fit: Fit | None = None
        self._marked: Callable[[bytes | memoryview], Any] | None = None

    def _unmarked(self, _payload: Any) -> Any:
        raise CodecError(f"{_type_name(self.declared)} is written with marks, and these bytes have none")

    @property
    def typed(self) -> bool:
        return self.declared is not Any

    @property
    def fit(self) -> Fit:
        """The type as we read it; made at the first value that needs it."""
        if self._fit is None:
            self._fit = fit_of(self.declared)
        return self._fit

    def is_kept(self, value: Any, exact: frozenset[type]) -> bool:
        """Whether a look at the value is enough: msgspec brings it back."""
        if self._proof is not None:
            return self._proof(value)
        return not self.typed and is_plain(value, exact)

    def find_change(self, value: Any, back: Any) -> tuple[Any, Any] | None:
        """The first part of a value that is not what the type has made of it, and what that is."""
        change = find_change(value, back, GIVEN)
        if change is None or self.openness.open or type(change[0]) not in ALL_GIVEN:
            return change
        # A list may be given for a tuple, but a tuple that is given for a Sequence is of that type already.
        return change if self.fit.check(value) else find_change(value, back, ALL_GIVEN)

    def decode_marked(self, payload: bytes | memoryview) -> Any:
        """The value of bytes with marks, if it is of the type."""
        if self._marked is None:
            self._marked = self._marks.reader(self.fit.classes if self.typed else None)
        value = self._marked(payload)
        if not self.typed or self.fit.check(value):
            return value
        # Stored under no type, or another: plain data becomes one of this type, as it does when it is stored.
        return msgspec.convert(self._marks.reader(None)(payload), self.declared, dec_hook=from_plain)

    def encode_marked(self, value: Any) -> bytes:
        """The bytes of a value with marks."""
        return self._marks.encode(value, self.fit.classes)


class _Format:
    """msgpack or JSON: one encoder, and a reader for each declared type."""

    __slots__ = ("_decoder", "_encode", "_exact", "_ids", "_marks", "_readers")

    def __init__(
        self,
        ids: tuple[int, int],
        encode: Callable[[Any], bytes],
        decoder: Callable[..., Any],
        exact: frozenset[type],
        marks: Marks,
    ) -> None:
        self._ids, self._encode, self._decoder, self._exact, self._marks = ids, encode, decoder, exact, marks
        self._readers: dict[Any, _Reader] = {}

    def write(self, value: Any, kind: type, declared: Any) -> tuple[int, bytes, Any]:
        """The codec's id, the payload, and the value as readers get it."""
        if kind in self._exact and (declared is Any or declared is kind) and kind is not int:
            return self._ids[0], self._encode(value), value
        reader = self.reader(declared)
        change: tuple[Any, Any] | None = None
        refused: Exception | None = None
        try:
            payload = self._encode(value)
            back = reader.decode(payload)
            change = None if reader.is_kept(value, self._exact) else find_change(value, back)
            if change is None:
                return self._ids[0], payload, back
            if reader.typed and reader.find_change(value, back) is None:
                # Given as plain data. What the type has made of it is stored: a default may be another each time.
                return self._write_made(back, reader)
        except MemoryError:
            raise
        except Exception as error:  # noqa: BLE001 - of msgspec, or of the value's own class; with marks it may do
            refused = error
        try:
            return self._ids[1], *self._write_marked(value, reader)
        except MemoryError:
            raise
        except NotHeldError as error:
            raise self._refusal(value, reader, error, change, refused) from refused
        except Exception as error:
            if change is not None:
                raise CodecError(describe_change(value, *change, declared)) from error
            if reader.marks_only:
                raise CodecError(f"{a(kind)} is not of the declared type {_type_name(declared)}") from error
            raise refused or error from None  # the first way's is the one that tells

    def _write_made(self, value: Any, reader: _Reader) -> tuple[int, bytes, Any]:
        payload = self._encode(value)
        back = reader.decode(payload)
        if find_change(value, back) is None:
            return self._ids[0], payload, back
        return self._ids[1], *self._write_marked(value, reader)

    def _write_marked(self, value: Any, reader: _Reader) -> tuple[bytes, Any]:
        payload = reader.encode_marked(value)
        back = reader.decode_marked(payload)
        change = find_change(value, back)
        if change is not None:
            raise CodecError(describe_change(value, *change, reader.declared))
        return payload, back

    def _refusal(
        self, value: Any, reader: _Reader, held: NotHeldError, change: tuple[Any, Any] | None, refused: Exception | None
    ) -> Exception:
        """What to say of a value that has no marks, either."""
        if held.why:
            return CodecError(f"{a(type(held.part))} cannot be stored: {held.why}")
        if reader.marks_only:
            return CodecError(f"{_type_name(reader.declared)} does not name the type {type(held.part).__name__}")
        if reader.typed:
            return CodecError(describe_change(value, *change, reader.declared)) if change else refused or held
        try:  # what msgspec would make of the one part
            back = self.reader(Any).decode(self._encode(held.part))
        except Exception as error:  # noqa: BLE001 - it says what to do
            return error
        return CodecError(describe_change(value, held.part, back, Any))

    def reader(self, declared: Any) -> _Reader:
        """The reader of a declared type."""
        try:
            found = self._readers.get(declared)
        except TypeError:  # unhashable, such as Annotated[int, {...}]
            return self._build_reader(declared)
        if found is None:
            found = self._build_reader(declared)
            if len(self._readers) >= _MAX_READERS:
                self._readers.clear()
            self._readers[declared] = found
        return found

    def _build_reader(self, declared: Any) -> _Reader:
        declared = _effective(declared)
        openness = _Openness()
        try:
            decode = self._decoder(declared, dec_hook=from_plain).decode
            node = msgspec.inspect.type_info(declared)
            openness.look(node)
            if openness.registered:
                return _Reader(declared, None, openness, self._marks)
            proof = None if declared is Any else proof_of(node, self._exact)
            return _Reader(declared, decode, openness, self._marks, proof)
        except (TypeError, ValueError, NameError, AttributeError) as error:
            reader = _Reader(declared, None, openness, self._marks)
            try:
                _ = reader.fit
            except Exception:  # noqa: BLE001 - whatever reading an annotation raises; msgspec says it better
                raise CodecError(f"values of type {_type_name(declared)} cannot be stored: {error}") from error
            return reader


def _effective(declared: Any) -> Any:
    """``Any`` for what says nothing about how a value is built: ``object``, type variables, protocols."""
    if declared is object or isinstance(declared, typing.TypeVar):
        return Any
    return Any if getattr(typing.get_origin(declared) or declared, "_is_protocol", False) else declared


class _Openness:
    """What a type leaves open, as msgspec sees it.

    Attributes:
        open: A part of it says nothing about the kind of its values.
        registered: A part of it is a class that msgspec would take apart, and that was registered.
    """

    __slots__ = ("_seen", "open", "registered")

    def __init__(self) -> None:
        self.open = self.registered = False
        self._seen: set[int] = set()  # types may contain themselves

    def look(self, node: object) -> None:
        """Look at a type, and at what it is made of."""
        if isinstance(node, tuple):
            for part in node:
                self.look(part)
        if not isinstance(node, (msgspec.inspect.Type, msgspec.inspect.Field)) or id(node) in self._seen:
            return
        self._seen.add(id(node))
        self.open |= isinstance(node, (msgspec.inspect.AnyType, msgspec.inspect.CustomType))
        kind = getattr(node, "cls", None)
        if isinstance(kind, type) and registered(kind) is not None:
            self.registered |= not isinstance(node, msgspec.inspect.CustomType)
        for name in node.__struct_fields__:
            self.look(getattr(node, name))


def _pickled(value: Any, declared: Any) -> tuple[bytes, Any]:
    from .pickling import dumps  # noqa: PLC0415 - for the few who choose it

    payload = dumps(value)
    # Any reader would refuse what is not of its type; and what does not unpickle must not be stored.
    return payload, value if type(value) in SCALARS and declared is Any else _unpickled(payload, declared)


def _unpickled(payload: bytes | memoryview, declared: Any) -> Any:
    from .pickling import loads  # noqa: PLC0415 - as above

    value = loads(payload)
    if not _is_a(value, declared):
        raise CodecError(f"expected {_type_name(declared)}, got {type(value).__name__}")
    return value


def _is_a(value: object, declared: Any) -> bool:
    """Whether the outermost type fits. Pickle keeps types by itself; this finds entries of another type."""
    declared = _effective(declared)
    origin, arguments = typing.get_origin(declared), typing.get_args(declared)
    if origin is typing.Union or origin is types.UnionType:
        return any(_is_a(value, choice) for choice in arguments)
    if origin is typing.Annotated:
        return _is_a(value, arguments[0])
    if origin is Literal:
        return value in arguments
    kind = type(None) if declared is None else origin or declared
    if kind is Any or not isinstance(kind, type) or typing.is_typeddict(kind):
        return True
    return isinstance(value, (int, float) if kind is float else kind)


def _with_type(what: str, declared: Any, error: Exception) -> str:
    wanted = "" if declared is Any else f" as {_type_name(declared)}"
    return f"{what}{wanted}: {error}"


def _type_name(declared: Any) -> str:
    return declared.__qualname__ if isinstance(declared, type) and not typing.get_args(declared) else repr(declared)
