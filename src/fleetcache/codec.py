"""Values <-> bytes, so that a hit is the same as the miss that stored it.

1. Whatever is wrong with a value or with bytes, the answer is ``CodecError``: nothing else comes out.
2. Without a declared type a value is stored only if it comes back equal in value and types, at every depth.
3. With a declared type the loader's own caller, too, gets the value decoded back, so everybody sees the same. Parts
   that the type leaves open (``Any``, bare ``dict``) and pydantic models must also come back equal.
4. Pickle is read only where it was chosen by name.
"""

import re
import types
import typing
from collections.abc import Callable
from typing import Any, Final, Literal, NamedTuple

import msgspec
import msgspec.inspect

from .errors import CodecError
from .values import JSON_SCALARS, SCALARS, a, describe_change, describe_unsupported, find_change, immutable, is_plain

__all__ = ["INT", "JSON", "MSGPACK", "PICKLE", "Codecs", "immutable"]

# Codec ids: one byte of the entry header, part of the wire format.
INT: Final = 0  # decimal text, so that a script on the server can add to it
MSGPACK: Final = 1
JSON: Final = 2
PICKLE: Final = 3

# What msgpack holds, and a little more than what a script on the server can count.
_MIN_INT: Final = -(2**63)
_MAX_INT: Final = 2**64 - 1
_DECIMAL: Final = re.compile(rb"-?[0-9]{1,20}").fullmatch
# Readers kept per format. A service declares dozens of types; types made in a loop must not grow memory.
_MAX_READERS: Final = 512
# Fixed, so that two Python versions of one fleet read each other; 5 exists since Python 3.8.
_PICKLE_PROTOCOL: Final = 5


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
            MSGPACK, msgspec.msgpack.Encoder(enc_hook=_to_plain).encode, msgspec.msgpack.Decoder, SCALARS
        )
        self._read_plain = self._msgpack.reader(Any).decode  # at hand: most of what is read
        self._json = _Format(JSON, msgspec.json.Encoder(enc_hook=_to_plain).encode, msgspec.json.Decoder, JSON_SCALARS)
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
        if kind is int and (declared is Any or declared is int):
            if _MIN_INT <= value <= _MAX_INT:
                return INT, b"%d" % value, value
            if self._chosen is not None:
                raise CodecError("an int of more than 64 bits cannot be stored: pass it as str")
        try:
            if self._chosen is None:
                return PICKLE, *_pickled(value, declared)
            return self._chosen.id, *self._chosen.write(value, kind, declared)
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
            if codec_id == PICKLE and self.name == "pickle":
                return _unpickled(payload, declared)
        except (CodecError, MemoryError):
            raise
        except Exception as error:
            raise CodecError(_with_type("stored bytes cannot be read", declared, error)) from error
        if codec_id == PICKLE:
            raise CodecError(f"stored bytes are a pickle, which is read only with CACHE_CODEC=pickle, not {self.name}")
        raise CodecError(f"stored bytes have the unknown codec id {codec_id}; known are {INT} to {PICKLE}")

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


class _Reader(NamedTuple):
    decode: Callable[[bytes | memoryview], Any]
    typed: bool  # False: no declared type
    open: bool  # parts of it say nothing about their type, or are models: compare after the round trip


class _Format:
    """msgpack or JSON: one encoder, and a reader for each declared type."""

    __slots__ = ("_decoder", "_readers", "encode", "exact", "id")

    def __init__(
        self, codec_id: int, encode: Callable[[Any], bytes], decoder: Callable[..., Any], exact: frozenset[type]
    ) -> None:
        self.id = codec_id
        self.encode = encode
        self.exact = exact
        self._decoder = decoder
        self._readers: dict[Any, _Reader] = {}

    def write(self, value: Any, kind: type, declared: Any) -> tuple[bytes, Any]:
        payload = self.encode(value)
        if kind in self.exact and (declared is Any or declared is kind):
            return payload, value
        reader = self.reader(declared)
        back = reader.decode(payload)
        if reader.open and not is_plain(value, self.exact):
            changed = find_change(value, back, typed=reader.typed)
        elif reader.typed and type(back) is not kind and isinstance(value, type(back)) and back != value:
            changed = value, back  # a subclass lost what it added
        else:
            changed = None
        if changed is not None:
            raise CodecError(describe_change(value, *changed))
        return payload, back

    def reader(self, declared: Any) -> _Reader:
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
        try:
            decode = self._decoder(declared, dec_hook=_from_plain).decode
            return _Reader(decode, typed=declared is not Any, open=_is_open(msgspec.inspect.type_info(declared), set()))
        except (TypeError, ValueError, NameError, AttributeError) as error:
            raise CodecError(f"values of type {_type_name(declared)} cannot be stored: {error}") from error


def _effective(declared: Any) -> Any:
    """``Any`` for what says nothing about how a value is built: ``object``, type variables, protocols."""
    if declared is object or isinstance(declared, typing.TypeVar):
        return Any
    return Any if getattr(typing.get_origin(declared) or declared, "_is_protocol", False) else declared


def _is_open(node: object, seen: set[int]) -> bool:
    if isinstance(node, (msgspec.inspect.AnyType, msgspec.inspect.CustomType)):
        return True
    if isinstance(node, tuple):
        return any(_is_open(part, seen) for part in node)
    if not isinstance(node, (msgspec.inspect.Type, msgspec.inspect.Field)) or id(node) in seen:
        return False
    seen.add(id(node))  # types may contain themselves
    return any(_is_open(getattr(node, name), seen) for name in node.__struct_fields__)


def _to_plain(value: Any) -> str:
    """What msgspec does not know. Pydantic's models are known by their method, so pydantic is never imported."""
    dump = getattr(value, "model_dump_json", None)
    if dump is None or isinstance(value, type):
        raise CodecError(describe_unsupported(value))
    try:
        return typing.cast("str", dump(round_trip=True, by_alias=False, warnings="error"))
    except Exception as error:  # noqa: BLE001 - anything of the model's own code; its text has values, so not chained
        raise CodecError(f"{a(type(value))} cannot be stored: {type(error).__name__}") from None


def _from_plain(declared: Any, plain: Any) -> Any:
    if declared is object:
        return plain
    validate = getattr(declared, "model_validate_json", None)
    if validate is None:
        raise CodecError(f"values of type {_type_name(declared)} cannot be stored")
    if not isinstance(plain, str):
        raise CodecError(f"expected {_type_name(declared)}, got {type(plain).__name__}")
    try:
        # By name, as dumped: aliases may differ between the two directions.
        return validate(plain, by_alias=False, by_name=True)
    except Exception as error:  # noqa: BLE001 - anything of the model's own code; its text has values, so not chained
        raise CodecError(f"expected {_type_name(declared)}: {type(error).__name__}") from None


def _pickled(value: Any, declared: Any) -> tuple[bytes, Any]:
    import pickle  # noqa: PLC0415 - for the few who choose it

    payload = pickle.dumps(value, _PICKLE_PROTOCOL)
    # Any reader would refuse what is not of its type; and what does not unpickle must not be stored.
    return payload, value if type(value) in SCALARS and declared is Any else _unpickled(payload, declared)


def _unpickled(payload: bytes | memoryview, declared: Any) -> Any:
    import pickle  # noqa: PLC0415 - as above

    value = pickle.loads(payload)  # noqa: S301 - chosen by name, and signed: see Codecs.decode
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
