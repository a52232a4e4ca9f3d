"""Types registered by the user, with the functions that turn their values into plain data and back.

The table belongs to the process. A type is registered before its first value is written or read, so that its stored
form stays the same as long as the process lives. A name read from a server is looked up in this table, never imported.
"""

from collections.abc import Callable
from typing import Any, TypeVar
from weakref import WeakSet

from msgspec import Struct

from ..errors import ConfigError

__all__ = ["Registered", "name_of", "register_type", "registered", "registered_as", "registration", "rewritten"]

T = TypeVar("T")


class Registered(Struct, frozen=True):
    """One registered type, with the functions that write and read its values."""

    kind: type
    encode: Callable[[Any], Any]
    decode: Callable[[Any], Any]


_by_kind: dict[type, Registered] = {}
_by_name: dict[str, Registered] = {}
_met: WeakSet[type] = WeakSet()  # classes that were looked up and not found


def register_type(cls: type[T], encode: Callable[[T], Any], decode: Callable[[Any], T]) -> None:
    """Register the stored form of a class of your own, for all caches of this process.

    Values of exactly this class, not of subclasses, may then be stored with and without a declared type, even inside
    lists, dicts and dataclasses. Call this function where the class is defined, in every process that reads such
    values: in a process without the registration they are unusable and loaded again. Entries name the class by its
    module and qualified name.

    Args:
        cls: The class.
        encode: Converts a value to plain data, which must be storable without a declared type. Two values with equal
            data are equal to the cache.
        decode: Converts that data to a value. Any exception it raises makes the entry unusable.

    Raises:
        ConfigError: A value of this class has been stored, read or asked for already, or ``cls`` is not a class.

    Example:
        >>> from fleetcache import register_type
        >>> class Money:
        ...     def __init__(self, cents: int) -> None:
        ...         self.cents = cents
        >>> register_type(Money, lambda money: money.cents, Money)
    """
    if not isinstance(cls, type):
        raise ConfigError(f"register_type: {cls!r} is not a class")
    name = name_of(cls)
    if cls in _met:
        raise ConfigError(
            f"register_type({name}): values of this type have been stored or read in this process already; "
            "register a type where it is defined, before the first use of it"
        )
    earlier = _by_name.get(name)
    if earlier is not None:  # a reloaded module makes new classes
        _by_kind.pop(earlier.kind, None)
    _by_kind[cls] = _by_name[name] = Registered(cls, encode, decode)


def name_of(kind: type) -> str:
    """Return the name of a class in entries."""
    return f"{kind.__module__}.{kind.__qualname__}"


def registered(kind: type) -> Registered | None:
    """Return the registration of exactly this class. An unregistered class can no longer be registered afterwards."""
    found = _by_kind.get(kind)
    if found is None and kind not in _met:
        _met.add(kind)
    return found


def registration(kind: type) -> Registered | None:
    """Return the same as ``registered``, without closing the registration: for types already looked up."""
    return _by_kind.get(kind)


def registered_as(name: str) -> Registered | None:
    """Return the registration under a name."""
    return _by_name.get(name)


def rewritten(value: Any) -> Any:
    """Return the plain data of a value of a registered class, in a list of its own; ``None`` for any other value."""
    found = _by_kind.get(type(value))
    return None if found is None else [found.encode(value)]
