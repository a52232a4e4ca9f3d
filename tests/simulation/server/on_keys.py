"""The commands on keys."""

from typing import Protocol

from .command import SYNTAX, Command, NotSimulated, flags, integer
from .keyspace import Keyspace, Stored
from .resp import ErrorReply, Reply, Status

__all__ = ["TABLE"]


class _Context(Protocol):
    keys: Keyspace
    database: int


WRONGTYPE = "WRONGTYPE Operation against a key holding the wrong kind of value"


def _string(stored: Stored | None) -> bytes | None:
    value = None if stored is None else stored.value
    if isinstance(value, frozenset):
        raise ErrorReply(WRONGTYPE)
    return value


def _members(stored: Stored | None) -> frozenset[bytes]:
    value = frozenset[bytes]() if stored is None else stored.value
    if isinstance(value, bytes):
        raise ErrorReply(WRONGTYPE)
    return value


def _get(on: _Context, args: list[bytes]) -> Reply:
    return _string(on.keys.get((on.database, args[0])))


def _getrange(on: _Context, args: list[bytes]) -> Reply:
    start, end = integer(args[1]), integer(args[2])
    value = _string(on.keys.get((on.database, args[0]))) or b""
    if start < 0 and end < 0 and start > end:
        return b""
    first = max(start + len(value), 0) if start < 0 else start
    last = max(end + len(value), 0) if end < 0 else end
    return value[first : last + 1]


def _exists(on: _Context, args: list[bytes]) -> Reply:
    return sum(on.keys.get((on.database, key)) is not None for key in args)


def _pttl(on: _Context, args: list[bytes]) -> Reply:
    stored = on.keys.get((on.database, args[0]))
    if stored is None:
        return -2
    return -1 if stored.due is None else max(stored.due - on.keys.now(), 0)


def _set(on: _Context, args: list[bytes]) -> Reply:
    options, life = _set_options(args[2:])
    due = None if life is None else _due(on, life, "set")
    place = (on.database, args[0])
    before = on.keys.get(place)
    old = _string(before) if "GET" in options else None
    if ("NX" in options and before is not None) or ("XX" in options and before is None):
        return old
    if "KEEPTTL" in options and before is not None:
        due = before.due
    on.keys.put(place, Stored(args[1], due))
    return old if "GET" in options else Status("OK")


def _set_options(args: list[bytes]) -> tuple[set[str], int | None]:
    """Return the options given, and the key's life in ms."""
    options: set[str] = set()
    amount: bytes | None = None
    left = [arg.decode(errors="replace") for arg in args]
    while left:
        option = left.pop(0).upper()
        if option in {"EXAT", "PXAT", "IFEQ"}:
            raise NotSimulated(f"SET with {option}")
        rivals = next((group for group in ({"PX", "EX", "KEEPTTL"}, {"NX", "XX"}, {"GET"}) if option in group), None)
        if rivals is None or (rivals - {option} if option in {"NX", "XX", "GET"} else rivals) & options:
            raise ErrorReply(SYNTAX)
        if option in {"PX", "EX"}:
            if not left:
                raise ErrorReply(SYNTAX)
            amount = left.pop(0).encode()
        options.add(option)
    if amount is None:
        return options, None
    life = integer(amount)
    if life <= 0:
        raise _invalid_life("set")
    return options, life * 1000 if "EX" in options else life


def _due(on: _Context, life: int, command: str) -> int:
    due = on.keys.now() + life
    if due >= 2**63:
        raise _invalid_life(command)
    return due


def _invalid_life(command: str) -> ErrorReply:
    return ErrorReply(f"ERR invalid expire time in '{command}' command")


def _pexpire(on: _Context, args: list[bytes]) -> Reply:
    if len(args) > 2:
        raise NotSimulated("PEXPIRE with options")
    life, place = integer(args[1]), (on.database, args[0])
    due = _due(on, life, "pexpire")
    stored = on.keys.get(place)
    if stored is None:
        return 0
    if life > 0:
        on.keys.put(place, Stored(stored.value, due))
    else:
        on.keys.delete(place)
    return 1


def _del(on: _Context, args: list[bytes]) -> Reply:
    return sum(on.keys.delete((on.database, key)) for key in args)


def _sadd(on: _Context, args: list[bytes]) -> Reply:
    place = (on.database, args[0])
    stored = on.keys.get(place)
    held = _members(stored)
    if new := set(args[1:]) - held:
        on.keys.put(place, Stored(held | new, stored.due if stored else None))
    return len(new)


TABLE = {
    "GET": Command(_get, 2, flags("readonly fast"), "first"),
    "GETRANGE": Command(_getrange, 4, flags("readonly"), "first"),
    "EXISTS": Command(_exists, -2, flags("readonly fast"), "all"),
    "PTTL": Command(_pttl, 2, flags("readonly fast"), "first"),
    "SET": Command(_set, -3, flags("write denyoom"), "first"),
    "DEL": Command(_del, -2, flags("write"), "all"),
    "UNLINK": Command(_del, -2, flags("write fast"), "all"),
    "PEXPIRE": Command(_pexpire, -3, flags("write fast"), "first"),
    # The cache never sends it; it makes another client's set under one of the cache's keys.
    "SADD": Command(_sadd, -3, flags("write denyoom fast"), "first"),
}
