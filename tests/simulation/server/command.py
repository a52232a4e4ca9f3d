"""What a command is: how many arguments it takes, which flags it has, which arguments are keys, and what it does."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from .resp import ErrorReply, Reply

__all__ = ["SYNTAX", "Command", "NotSimulated", "flags", "integer"]

SYNTAX = "ERR syntax error"


class NotSimulated(Exception):
    """Something real servers understand and this one was not told of: the simulation must learn it first."""


@dataclass(frozen=True)
class Command:
    """One command.

    Attributes:
        run: Gets the client and the arguments after the name.
        arity: Arguments with the name; negative is at least.
        flags: As ``COMMAND INFO`` says, and ``may_replicate``, which it keeps to itself.
        keys: Which arguments after the name are keys.
        only_valkey: Flags it has there beside the others.
    """

    run: Callable[[Any, list[bytes]], Reply]
    arity: int
    flags: frozenset[str]
    keys: Literal["none", "first", "all"] = "none"
    only_valkey: frozenset[str] = frozenset()

    def takes(self, count: int) -> bool:
        """Whether so many arguments, the name among them, are allowed."""
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
