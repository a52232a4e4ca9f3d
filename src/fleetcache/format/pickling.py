"""Pickle, with a fixed protocol, a repair for IPv6 zones, and a check of the declared type."""

import io
import pickle
import types
import typing
from ipaddress import IPv6Address
from typing import Any, Final, Literal

from ..errors import CodecError
from .type_check import describe_type, effective
from .values import SCALARS

__all__ = ["decode", "encode"]

# Fixed, so that two Python versions in one fleet read each other's entries; protocol 5 exists since Python 3.8.
_PROTOCOL: Final = 5


class _Pickler(pickle.Pickler):
    def reducer_override(self, obj: Any) -> Any:
        """Write an IPv6 address as text: Python 3.11.2 (Debian 12) would lose the zone of fe80::1%eth0."""
        return (IPv6Address, (str(obj),)) if type(obj) is IPv6Address else NotImplemented


def encode(value: Any, declared: Any) -> tuple[bytes, Any]:
    """Return the pickle of a value, and the value as every later reader will get it.

    Raises:
        CodecError: The value is not of the declared type.
    """
    file = io.BytesIO()
    _Pickler(file, _PROTOCOL).dump(value)
    payload = file.getvalue()
    # Every reader would refuse a value of another type, and a payload that does not unpickle must not be stored.
    return payload, value if type(value) in SCALARS and declared is Any else decode(payload, declared)


def decode(payload: bytes | memoryview, declared: Any) -> Any:
    """Return the value of a pickle. This executes code that the bytes name: verify their signature first.

    Raises:
        CodecError: The value is not of the declared type.
    """
    value = pickle.loads(payload)  # noqa: S301 - chosen by name, and signed: see Codecs.decode
    if not _is_a(value, declared):
        raise CodecError(f"expected {describe_type(declared)}, got {type(value).__name__}")
    return value


def _is_a(value: object, declared: Any) -> bool:
    """Return True if the outermost type fits. Pickle keeps types by itself; this finds entries of another type."""
    declared = effective(declared)
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
