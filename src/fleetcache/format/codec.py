"""Values <-> bytes, so that a hit returns the same value as the miss that stored it.

1. Any fault of a value or of bytes raises ``CodecError``, and no other exception.
2. A value is stored only if it comes back equal in value and type, at every depth. If plain data is given for the
   declared type (a dict for a dataclass, text for a date), it is converted to that type before any caller gets it.
3. msgspec writes and reads the values that survive its round trip. Other values are written with marks that name their
   kind (``marks``). A value that does not survive the round trip with marks either is refused.
4. The loader's own caller, too, gets the decoded value, so all callers see the same.
5. Pickle is read only where it was chosen by name.
"""

import re
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
from .type_check import Fit, describe_type, effective, fit_of
from .values import (
    ALL_GIVEN,
    GIVEN,
    JSON_SCALARS,
    SCALARS,
    describe_change,
    find_change,
    immutable,
    is_plain,
    with_article,
)

__all__ = ["INT", "JSON", "MARKED_JSON", "MARKED_MSGPACK", "MSGPACK", "PICKLE", "Codecs", "immutable"]

# Codec ids: one byte of the entry header, part of the wire format.
INT: Final = 0  # decimal text, to which a script on the server can add
MSGPACK: Final = 1
JSON: Final = 2
PICKLE: Final = 3
MARKED_MSGPACK: Final = 4
MARKED_JSON: Final = 5
_LAST: Final = MARKED_JSON

# The range of ints that msgpack holds, somewhat wider than the range in which a script on the server can count.
_MIN_INT: Final = -(2**63)
_MAX_INT: Final = 2**64 - 1
_DECIMAL: Final = re.compile(rb"-?[0-9]{1,20}").fullmatch
# Readers kept per format. A service declares dozens of types; types made in a loop must not use ever more memory.
_MAX_READERS: Final = 512


class Codecs:
    """Encodes with the chosen codec, decodes the bytes of every codec (pickle only if chosen).

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
        self._read_plain = self._msgpack.reader(Any).decode  # bound once: most reads use it
        self._json = _Format(
            (JSON, MARKED_JSON),
            msgspec.json.Encoder(enc_hook=to_plain).encode,
            msgspec.json.Decoder,
            JSON_SCALARS,
            JsonMarks(),
        )
        self._chosen = {"msgpack": self._msgpack, "json": self._json, "pickle": None}[name]

    def encode(self, value: Any, declared: Any) -> tuple[int, bytes, Any]:
        """Encode a value.

        Args:
            value: The value from the loader or the caller.
            declared: The value's type, or ``Any`` for none.

        Returns:
            The codec's id, the payload, and the value as every later reader will get it.

        Raises:
            CodecError: The value would change in a round trip, is not of the declared type, or has no such bytes.
        """
        kind = type(value)
        if kind is int and (declared is Any or declared is int) and _MIN_INT <= value <= _MAX_INT:
            return INT, b"%d" % value, value
        try:
            if self._chosen is None:
                from . import pickling  # noqa: PLC0415 - few caches choose pickle

                return PICKLE, *pickling.encode(value, declared)
            return self._chosen.write(value, kind, declared)
        except (CodecError, MemoryError):
            raise
        except Exception as error:
            raise CodecError(_with_type(f"{with_article(kind)} cannot be stored", declared, error)) from error

    def encode_plain(self, value: list[Any]) -> tuple[int, bytes]:
        """Encode a list of values that the cache stores without a type, never as a pickle; return codec and payload.

        Raises:
            CodecError: A value would change in a round trip, or has no such bytes.
        """
        try:
            return (self._chosen or self._msgpack).write(value, list, Any)[:2]
        except (CodecError, MemoryError):
            raise
        except Exception as error:
            raise CodecError(f"these values cannot be stored without a type: {error}") from error

    def decode(self, codec_id: int, payload: bytes | memoryview, declared: Any) -> Any:
        """Decode bytes to a value of the declared type (``Any``: a value of plain types).

        With ``PICKLE`` this executes code that the bytes name. It does so only if pickle was chosen by name, and the
        caller must have verified the entry's signature *before*.

        Raises:
            CodecError: The bytes hold no such value. Apart from ``MemoryError``, no bytes raise another exception.
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
                from . import pickling  # noqa: PLC0415 - as above

                return pickling.decode(payload, declared)
        except (CodecError, MemoryError):
            raise
        except Exception as error:
            raise CodecError(_with_type("stored bytes cannot be read", declared, error)) from error
        if codec_id == PICKLE:
            raise CodecError(f"stored bytes are a pickle, which is read only with CACHE_CODEC=pickle, not {self.name}")
        raise CodecError(f"stored bytes have the unknown codec id {codec_id}; known are {INT} to {_LAST}")

    def _read_int(self, payload: bytes | memoryview, declared: Any) -> Any:
        # int() accepts spaces, underscores and non-ASCII digits, which neither this codec nor the server writes.
        if _DECIMAL(payload) is None or not _MIN_INT <= (number := int(payload)) <= _MAX_INT:
            raise CodecError("stored bytes are not a decimal number of at most 64 bits")
        if declared is Any or declared is int:
            return number
        # Stored without a type, read with a type (float, an IntEnum, int | None ...): the type decides.
        return self._msgpack.reader(declared).decode(msgspec.msgpack.encode(number))

    def __repr__(self) -> str:
        return f"Codecs({self.name!r})"


class _Reader:
    """Reads values of one declared type from one format."""

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
        raise CodecError(f"{describe_type(self.declared)} is written with marks, and these bytes have none")

    @property
    def typed(self) -> bool:
        return self.declared is not Any

    @property
    def fit(self) -> Fit:
        """The type as ``type_check`` reads it; made at the first value that needs it."""
        if self._fit is None:
            self._fit = fit_of(self.declared)
        return self._fit

    def is_kept(self, value: Any, exact: frozenset[type]) -> bool:
        """Return True if the value's kinds alone prove that msgspec brings it back unchanged."""
        if self._proof is not None:
            return self._proof(value)
        return not self.typed and is_plain(value, exact)

    def find_change(self, value: Any, back: Any) -> tuple[Any, Any] | None:
        """Return the first part of a value that the declared type changed, and its new form; ``None`` without any."""
        change = find_change(value, back, GIVEN)
        if change is None or self.openness.open or type(change[0]) not in ALL_GIVEN:
            return change
        # A list may be given for a tuple, but a tuple given for a Sequence is of that type already.
        return change if self.fit.check(value) else find_change(value, back, ALL_GIVEN)

    def decode_marked(self, payload: bytes | memoryview) -> Any:
        """Decode bytes with marks to a value of the declared type."""
        if self._marked is None:
            self._marked = self._marks.reader(self.fit.classes if self.typed else None)
        value = self._marked(payload)
        if not self.typed or self.fit.check(value):
            return value
        # Stored under no type, or another: plain data is converted to this type, as at the time of storing.
        return msgspec.convert(self._marks.reader(None)(payload), self.declared, dec_hook=from_plain)

    def encode_marked(self, value: Any) -> bytes:
        """Encode a value with marks."""
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
        """Return the codec's id, the payload, and the value as readers get it."""
        if kind in self._exact and (declared is Any or declared is kind) and kind is not int:
            return self._ids[0], self._encode(value), value
        reader = self.reader(declared)
        change: tuple[Any, Any] | None = None
        made: Any = None
        refused: Exception | None = None
        try:
            payload = self._encode(value)
            back = reader.decode(payload)
            change = None if reader.is_kept(value, self._exact) else find_change(value, back)
            if change is None:
                return self._ids[0], payload, back
            if reader.typed:
                lost = reader.find_change(value, back)
                if lost is None:
                    # Given as plain data. The converted value is stored: a default may differ at each conversion.
                    return self._write_made(back, reader)
                change, made = lost, back
        except MemoryError:
            raise
        except Exception as error:  # noqa: BLE001 - of msgspec, or of the value's own class; marks may still hold the value
            refused = error
        try:
            return self._ids[1], *self._write_marked(value, reader)
        except MemoryError:
            raise
        except NotHeldError as error:
            raise self._refusal(value, reader, error, change, refused) from refused
        except Exception as error:
            if change is not None:
                raise CodecError(describe_change(value, *change, declared, made)) from error
            if reader.marks_only:
                raise CodecError(
                    f"{with_article(kind)} is not of the declared type {describe_type(declared)}"
                ) from error
            raise refused or error from None  # the error without marks explains more

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
        """Return the error for a value that marks do not hold, either."""
        if held.why:
            return CodecError(f"{with_article(type(held.part))} cannot be stored: {held.why}")
        if reader.marks_only:
            return CodecError(f"{describe_type(reader.declared)} does not name the type {type(held.part).__name__}")
        if reader.typed:
            return CodecError(describe_change(value, *change, reader.declared)) if change else refused or held
        try:  # find out how msgspec would bring back this one part
            back = self.reader(Any).decode(self._encode(held.part))
        except Exception as error:  # noqa: BLE001 - its text says what to do
            return error
        return CodecError(describe_change(value, held.part, back, Any))

    def reader(self, declared: Any) -> _Reader:
        """Return the reader of a declared type."""
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
        declared = effective(declared)
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
            except Exception:  # noqa: BLE001 - reading an annotation may raise anything; msgspec's error explains more
                raise CodecError(f"values of type {describe_type(declared)} cannot be stored: {error}") from error
            return reader


class _Openness:
    """The parts that a type leaves open, as msgspec sees it.

    Attributes:
        open: A part of the type says nothing about the kind of its values.
        registered: A part of the type is a registered class that msgspec would take apart.
    """

    __slots__ = ("_seen", "open", "registered")

    def __init__(self) -> None:
        self.open = self.registered = False
        self._seen: set[int] = set()  # types may contain themselves

    def look(self, node: object) -> None:
        """Examine a type and its parts."""
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


def _with_type(what: str, declared: Any, error: Exception) -> str:
    wanted = "" if declared is Any else f" as {describe_type(declared)}"
    return f"{what}{wanted}: {error}"
