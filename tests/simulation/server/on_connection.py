"""The commands on the connection and on the server as a whole."""

from typing import TYPE_CHECKING

from .command import SYNTAX, Command, NotSimulated, flags, integer
from .resp import ErrorReply, Reply, Status, Text

if TYPE_CHECKING:  # both import each other
    from .client import SimClient

__all__ = ["TABLE", "VERSIONS"]

DATABASES = 16
VERSIONS = {"redis": "7.0.15", "valkey": "9.1.2"}
# The version of Redis that Valkey reports for compatibility.
COMPATIBLE = "7.2.4"

OK = Status("OK")
WRONGPASS = "WRONGPASS invalid username-password pair or user is disabled."
NOTHING_SET = (
    "ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration "
    "is correct?"
)
HELLO_NOAUTH = (
    "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH <user> <pass> "
    "option can be used to authenticate the client and select the RESP protocol version at the same time"
)


def _ping(_client: "SimClient", args: list[bytes]) -> Reply:
    if len(args) > 1:
        raise ErrorReply("ERR wrong number of arguments for 'ping' command")
    return args[0] if args else Status("PONG")


def _hello(client: "SimClient", args: list[bytes]) -> Reply:
    protocol = client.protocol
    if args:
        protocol = _protocol(args[0])
    login, name, left = None, None, args[1:]
    while left:
        option = left.pop(0)
        if option.upper() == b"AUTH" and len(left) >= 2:
            login, left = left[:2], left[2:]
        elif option.upper() == b"SETNAME" and left:
            name = _client_name(left.pop(0))
        else:
            raise ErrorReply(f"ERR Syntax error in HELLO option '{option.decode(errors='replace')}'")
    if login is not None:
        _log_in(client, *login)
    if not client.authenticated:
        raise ErrorReply(HELLO_NOAUTH)
    client.name = name if name is not None else client.name
    client.protocol = protocol
    return _greeting(client)


def _protocol(arg: bytes) -> int:
    try:
        protocol = integer(arg)
    except ErrorReply:
        raise ErrorReply("ERR Protocol version is not an integer or out of range") from None
    if protocol not in {2, 3}:
        raise ErrorReply("NOPROTO unsupported protocol version")
    return protocol


def _greeting(client: "SimClient") -> Reply:
    server = client.server
    lua: Reply = {b"name": b"lua", b"ver": 1, b"path": b"lua", b"args": []}
    return {
        b"server": server.engine.encode(),
        b"version": VERSIONS[server.engine].encode(),
        b"proto": client.protocol,
        b"id": client.id,
        b"mode": b"standalone",
        b"role": b"replica" if server.state.readonly else b"master",
        b"modules": [lua] if server.engine == "valkey" else [],
    }


def _auth(client: "SimClient", args: list[bytes]) -> Reply:
    if len(args) > 2:
        raise ErrorReply(SYNTAX)
    if len(args) == 1 and client.server.state.password is None:
        raise ErrorReply(NOTHING_SET)
    _log_in(client, *(args if len(args) == 2 else [b"default", *args]))
    return OK


def _log_in(client: "SimClient", user: bytes, password: bytes) -> None:
    wanted = client.server.state.password
    if user != b"default" or (wanted is not None and password != wanted.encode()):
        raise ErrorReply(WRONGPASS)
    client.authenticated = True


def _select(client: "SimClient", args: list[bytes]) -> Reply:
    number = integer(args[0])
    if not 0 <= number < DATABASES:
        raise ErrorReply("ERR DB index is out of range")
    client.database = number
    return OK


def _info(client: "SimClient", args: list[bytes]) -> Reply:
    server = client.server
    if [arg.lower() for arg in args] == [b"replication"]:
        role = "slave" if server.state.readonly else "master"
        return Text(
            f"# Replication\r\nrole:{role}\r\nmaster_replid:{server.replid}\r\nmaster_replid2:{server.replid2}\r\n"
        )
    if [arg.lower() for arg in args] == [b"stats"]:
        table = len(server.tracking)
        return Text(f"# Stats\r\nevicted_keys:{server.evicted}\r\ntracking_total_keys:{table}\r\n")
    if [arg.lower() for arg in args] != [b"server"]:
        raise NotSimulated(f"INFO {args}")
    said = [f"redis_version:{VERSIONS['redis'] if server.engine == 'redis' else COMPATIBLE}"]
    if server.engine == "valkey":
        said += ["server_name:valkey", f"valkey_version:{VERSIONS['valkey']}"]
    return Text("".join(f"{line}\r\n" for line in ["# Server", *said, f"run_id:{server.run_id}"]))


def _client_id(client: "SimClient", _args: list[bytes]) -> Reply:
    return client.id


def _client_setname(client: "SimClient", args: list[bytes]) -> Reply:
    client.name = _client_name(args[0])
    return OK


def _client_getname(client: "SimClient", _args: list[bytes]) -> Reply:
    return client.name or None


def _client_name(name: bytes) -> bytes:
    if any(not 33 <= byte <= 126 for byte in name):
        raise ErrorReply("ERR Client names cannot contain spaces, newlines or special characters.")
    return name


def _client_tracking(client: "SimClient", args: list[bytes]) -> Reply:
    switch, *options = [arg.upper() for arg in args]
    if any(option != b"NOLOOP" for option in options):
        raise NotSimulated(f"CLIENT TRACKING with {options}")
    if switch not in {b"ON", b"OFF"}:
        raise ErrorReply(SYNTAX)
    client.tracking = switch == b"ON"
    client.noloop = client.tracking and bool(options)
    return OK


def _client_kill(client: "SimClient", args: list[bytes]) -> Reply:
    if len(args) != 2 or args[0].upper() != b"ID" or not args[1].isdigit():
        raise NotSimulated(f"CLIENT KILL {args}")
    other = client.server.clients.get(int(args[1]))
    if other is None or other is client:  # SKIPME is the default
        return 0
    other.drop()
    return 1


def _config_get(client: "SimClient", args: list[bytes]) -> Reply:
    if [arg.lower() for arg in args] != [b"tracking-table-max-keys"]:
        raise NotSimulated(f"CONFIG GET {args}")
    return {b"tracking-table-max-keys": b"%d" % client.server.tracking.most}


def _flushdb(client: "SimClient", args: list[bytes]) -> Reply:
    return _flush(client, args, client.database)


def _flushall(client: "SimClient", args: list[bytes]) -> Reply:
    return _flush(client, args, None)


def _flush(client: "SimClient", args: list[bytes], database: int | None) -> Reply:
    if args and (len(args) > 1 or args[0].upper() not in {b"ASYNC", b"SYNC"}):
        raise ErrorReply(SYNTAX)
    client.server.flush(database)
    return OK


_ALWAYS = "loading noscript stale"
_ALLOW_BUSY = flags("allow_busy")

TABLE = {
    "PING": Command(_ping, -1, flags("fast")),
    "HELLO": Command(_hello, -1, flags(f"{_ALWAYS} allow_busy fast no_auth")),
    "AUTH": Command(_auth, -2, flags(f"{_ALWAYS} allow_busy fast no_auth")),
    "SELECT": Command(_select, 2, flags("loading stale fast"), only_valkey=_ALLOW_BUSY),
    "INFO": Command(_info, -1, flags("loading stale")),
    "CLIENT ID": Command(_client_id, 2, flags(_ALWAYS), only_valkey=_ALLOW_BUSY),
    "CLIENT SETNAME": Command(_client_setname, 3, flags(_ALWAYS), only_valkey=_ALLOW_BUSY),
    "CLIENT GETNAME": Command(_client_getname, 2, flags(_ALWAYS), only_valkey=_ALLOW_BUSY),
    "CLIENT TRACKING": Command(_client_tracking, -3, flags(_ALWAYS)),
    "CLIENT KILL": Command(_client_kill, -3, flags(f"{_ALWAYS} admin")),
    "CONFIG GET": Command(_config_get, -3, flags(f"{_ALWAYS} admin")),
    "FLUSHDB": Command(_flushdb, -1, flags("write")),
    "FLUSHALL": Command(_flushall, -1, flags("write")),
}
