"""Scripts, run by a real Lua 5.1 as in the servers: the cache's own text runs, without a second version of it."""

import functools
import hashlib
import re
import struct
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from lupa import lua51

from .command import Command, NotSimulated, flags, integer
from .resp import ErrorReply, Reply, Status
from .state import MASTERDOWN, refusal_in_script

if TYPE_CHECKING:  # both import each other
    from .client import SimClient

__all__ = ["TABLE"]

OK = Status("OK")
LEAST_INTEGER = -(2**63)

_lua = lua51.LuaRuntime(encoding=None, register_eval=False, register_builtins=False)


@functools.cache
def _compiled(text: bytes) -> Callable[..., Any]:
    try:
        function: Callable[..., Any] = _lua.execute(b"return function(KEYS, ARGV, redis, struct) " + text + b"\nend")
    except lua51.LuaSyntaxError as error:
        raise ErrorReply(f"ERR Error compiling script (new function): {_first_line(error)}") from None
    return function


class _Run:
    """One run of one script for one client.

    The client's first read registers: with Redis 7.0 every declared key, with other servers the key that was read.
    """

    def __init__(self, client: "SimClient", keys: list[bytes]) -> None:
        self.client, self.server, self.keys = client, client.server, keys
        self._dirty = False
        self._full = self.server.full

    def call(self, *args: Any) -> Any:
        """``redis.call``."""
        name, command, words = self.server.look_up([_argument(arg) for arg in args])
        if command is None or not command.takes(len(args)):
            raise ErrorReply("ERR Wrong number of args calling Redis command from script")
        server = self.server
        refused = refusal_in_script(
            name, command.flags, server.state, server.engine, dirty=self._dirty, full=self._full
        )
        if refused is not None:
            raise refused
        self._dirty = self._dirty or "write" in command.flags
        try:
            reply = command.run(self.client, words)
        finally:
            read = self.keys if server.engine == "redis" else command.keys_among(words)
            server.has_run(self.client, command, read)
        return _to_lua(reply)


def _argument(arg: Any) -> bytes:
    if isinstance(arg, bytes):
        return arg
    if isinstance(arg, bool) or not isinstance(arg, int | float):
        raise ErrorReply("ERR Lua redis lib command arguments must be strings or integers")
    return b"%.17g" % arg


def _to_lua(reply: Reply) -> Any:
    match reply:
        case None:
            return False
        case bytes() | int():
            return reply
        case Status():
            return _lua.table_from({b"ok": reply.text.encode()})
    raise NotSimulated(f"a script that gets {reply!r}")


def _from_lua(value: Any) -> Reply:
    if value is None or value is False:
        return None
    if isinstance(value, bytes | int):
        return int(value) if not isinstance(value, bytes) else value
    if isinstance(value, float):
        return int(value) if abs(value) < 2**63 else LEAST_INTEGER  # as the processor casts a number that does not fit
    if value[b"err"] is not None:
        return ErrorReply(value[b"err"].decode())
    if value[b"ok"] is not None:
        return Status(value[b"ok"].decode())
    items: list[Reply] = []
    while (item := value[len(items) + 1]) is not None:
        items.append(_from_lua(item))
    return items


def _unpack(format_: bytes, text: bytes) -> int:
    """``struct.unpack`` for the formats in use: the number, without the place where it ends."""
    form = {b">H": ">H", b">I4": ">I"}.get(format_)
    if form is None:
        raise NotSimulated(f"struct.unpack({format_!r})")
    size = struct.calcsize(form)
    if len(text) < size:
        raise ErrorReply("ERR user_script: data string too short")
    number: int = struct.unpack(form, text[:size])[0]
    return number


_STRUCT = _lua.table_from({b"unpack": _unpack})


def _run(client: "SimClient", text: bytes, args: list[bytes]) -> Reply:
    count = integer(args[0])
    if count > len(args) - 1:
        raise ErrorReply("ERR Number of keys can't be greater than number of args")
    if count < 0:
        raise ErrorReply("ERR Number of keys can't be negative")
    # The flag allows only scripts that declare as much, and the cache's scripts do not.
    if client.server.state.masterdown:
        raise ErrorReply(MASTERDOWN)
    keys, values = args[1 : 1 + count], args[1 + count :]
    call = _lua.table_from({b"call": _Run(client, keys).call})
    try:
        return _from_lua(_compiled(text)(_lua.table_from(keys), _lua.table_from(values), call, _STRUCT))
    except lua51.LuaError as error:
        raise ErrorReply(f"ERR {_first_line(error)} script: {_sha(text)}") from None
    except ErrorReply as error:
        raise ErrorReply(f"{error} script: {_sha(text)}") from None


def _first_line(error: Exception) -> str:
    return re.sub(r'^.*?\[string "<python>"\]', "user_script", str(error).split("\n", 1)[0])


def _sha(text: bytes) -> str:
    return hashlib.sha1(text, usedforsecurity=False).hexdigest()


def _eval(client: "SimClient", args: list[bytes]) -> Reply:
    _keep(client, args[0])
    return _run(client, args[0], args[1:])


def _evalsha(client: "SimClient", args: list[bytes]) -> Reply:
    text = client.server.scripts.get(args[0].decode(errors="replace").lower())
    if text is None:
        raise ErrorReply("NOSCRIPT No matching script. Please use EVAL.")
    return _run(client, text, args[1:])


def _keep(client: "SimClient", text: bytes) -> str:
    _compiled(text)
    sha = _sha(text)
    client.server.scripts[sha] = text
    return sha


def _script_load(client: "SimClient", args: list[bytes]) -> Reply:
    return _keep(client, args[0]).encode()


def _script_exists(client: "SimClient", args: list[bytes]) -> Reply:
    return [int(arg.decode(errors="replace").lower() in client.server.scripts) for arg in args]


def _script_flush(client: "SimClient", _args: list[bytes]) -> Reply:
    client.server.scripts.clear()
    return OK


_RUNS = flags("noscript stale skip_monitor no_mandatory_keys movablekeys may_replicate")

TABLE = {
    "EVAL": Command(_eval, -3, _RUNS),
    "EVALSHA": Command(_evalsha, -3, _RUNS),
    "SCRIPT LOAD": Command(_script_load, 3, flags("noscript stale")),
    "SCRIPT EXISTS": Command(_script_exists, -3, flags("noscript"), only_valkey=flags("stale")),
    "SCRIPT FLUSH": Command(_script_flush, -2, flags("noscript"), only_valkey=flags("stale")),
}
