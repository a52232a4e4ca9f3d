"""A command: its number of arguments, its flags, the positions of its keys, and its function."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from .resp import ErrorReply, Reply

__all__ = ["SYNTAX", "Command", "NotSimulated", "flags", "integer"]

SYNTAX = "ERR syntax error"


class NotSimulated(Exception):
    """A feature of real servers that this one does not have: the simulation must learn it first."""


@dataclass(frozen=True)
class Command:
    """One command.

    Attributes:
        run: The function; it gets the client and the arguments after the name.
        arity: Number of arguments with the name; negative is at least.
        flags: The flags of ``COMMAND INFO``, and ``may_replicate``, which the server does not show.
        keys: The positions of keys among the arguments after the name.
        only_valkey: Further flags on Valkey.
    """

    run: Callable[[Any, list[bytes]], Reply]
    arity: int
    flags: frozenset[str]
    keys: Literal["none", "first", "all"] = "none"
    only_valkey: frozenset[str] = frozenset()

    def takes(self, count: int) -> bool:
        """Return True if this many arguments, with the name, are allowed."""
        return count == self.arity if self.arity > 0 else count >= -self.arity

    def keys_among(self, args: list[bytes]) -> list[bytes]:
        """Return the keys among the arguments after the name."""
        return [] if self.keys == "none" else args[:1] if self.keys == "first" else args


def flags(words: str) -> frozenset[str]:
    """Return the flags in a line."""
    return frozenset(words.split())


def integer(arg: bytes) -> int:
    """Read an integer as strictly as the server does."""
    if not re.fullmatch(rb"0|-?[1-9][0-9]{0,18}", arg) or not -(2**63) <= int(arg) < 2**63:
        raise ErrorReply("ERR value is not an integer or out of range")
    return int(arg)
