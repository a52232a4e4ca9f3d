"""The shapes of replies: this module alone defines which replies a command or a script of the cache may get.

Rules:

1. A reply of another shape is an error of the server, as an error reply is: counted, shown in health, and the command
   or script counts as not executed.
2. A reply of another shape does not close the connection: the next reply may be well-formed.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final

from ..wire.session import Command, ReplyError

__all__ = ["MisshapenError", "judged", "judged_all"]


class MisshapenError(ReplyError):
    """A reply that the command cannot have."""


def _is_count(reply: Any) -> bool:
    return type(reply) is int and reply >= 0


def _is_done(reply: Any) -> bool:
    return type(reply) is int and reply in {0, 1}


def _is_there(reply: Any) -> bool:
    """Return True for the value that kept a script from writing, with its remaining life."""
    return type(reply) is list and len(reply) == 2 and type(reply[0]) is bytes and type(reply[1]) is int  # noqa: PLR2004 - value, life


def _is_counted(reply: Any) -> bool:
    if type(reply) is not list or not reply or type(reply[0]) is not int:
        return False
    if reply[0] == 1:
        return len(reply) == 2 and type(reply[1]) is bytes and reply[1].removeprefix(b"-").isdigit()  # noqa: PLR2004 - 1, the sum
    return reply[0] == 0 and _is_there(reply[1:])


_SHAPES: Final[dict[str, Callable[[Any], bool]]] = {
    "GET": lambda reply: reply is None or type(reply) is bytes,
    "GETRANGE": lambda reply: type(reply) is bytes,
    "PTTL": lambda reply: type(reply) is int,
    "SET": lambda reply: reply is None or reply == b"OK",
    "DEL": _is_count,
    # Scripts by name.
    "acquire": lambda reply: (type(reply) is int and reply <= 0) or _is_there(reply),
    "add": lambda reply: (type(reply) is int and reply == 0) or _is_there(reply),
    "incr": _is_counted,
    "mint": lambda reply: _is_there(reply) and reply[1] in {0, 1},
    "put": lambda reply: type(reply) is int and reply == 1,
    "swap": _is_done,
    "release": _is_done,
    "renew": _is_done,
    "touch": _is_done,
}


def judged(what: str, reply: Any) -> Any:
    """Return the reply to a command or a script, or an error if the reply has none of the allowed shapes.

    Example:
        >>> judged("PTTL", 12), judged("PTTL", b"12")
        (12, MisshapenError('PROTOCOL PTTL was answered by bytes'))
    """
    if isinstance(reply, ReplyError) or _SHAPES[what](reply):
        return reply
    size = f" of {len(reply)}" if isinstance(reply, list) else ""
    return MisshapenError(f"PROTOCOL {what} was answered by {type(reply).__name__}{size}")


def judged_all(commands: Sequence[Command], replies: list[Any]) -> list[Any]:
    """Judge the reply to each of several commands, by the command's name."""
    return [judged(str(command[0]), reply) for command, reply in zip(commands, replies, strict=True)]
