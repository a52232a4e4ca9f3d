"""Faults of a server, each as a function that begins it; a new server or ``Server.reset`` ends it."""

from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit, urlunsplit

from tests.support.client import Client
from tests.support.proxy import Proxy
from tests.support.servers import Server

__all__ = ["FAULTS", "Fault", "as_user"]

# A client that is returned holds the fault up: the caller keeps it for as long as the fault shall last.
Begin = Callable[[Server, Proxy], Client | None]


@dataclass(frozen=True)
class Fault:
    """One fault.

    Attributes:
        begin: Begins the fault.
        from_start: True if the fault begins before the cache connects.
        user: The cache's user on the server, as ``user:password``; the default user if empty.
        slow: True if the network is at fault; the cache then connects through the proxy.
        silent: True if the server cannot be reached; calls after the first then cost nothing.
        reason: The reason that health gives, if the fault lasts.
    """

    begin: Begin
    from_start: bool = False
    user: str = ""
    slow: bool = False
    silent: bool = False
    reason: str | None = None


def as_user(url: str, login: str) -> str:
    """Return the URL with ``user:password``."""
    if not login:
        return url
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=f"{login}@{parts.netloc.rpartition('@')[2]}"))


def _tell(*command: str | int) -> Begin:
    def begin(server: Server, _proxy: Proxy) -> None:
        with server.client() as client:
            client(*command)

    return begin


def _no_more_clients(server: Server, _proxy: Proxy) -> Client:
    client = server.client()
    client("CONFIG", "SET", "maxclients", 1)
    return client


def _disk_failed(server: Server, _proxy: Proxy) -> None:
    """Make snapshots fail: a folder has the name of the file."""
    (server.folder / "dump.rdb" / "taken").mkdir(parents=True)
    with server.client() as client:
        client("CONFIG", "SET", "save", "3600 1")
        client("BGSAVE")
        while b"rdb_last_bgsave_status:ok" in client("INFO", "persistence"):
            pass


_NO_RIGHTS = ("ACL", "SETUSER", "guest", "on", ">pass", "~*", "&*", "-@all", "+hello", "+ping")

FAULTS: dict[str, Fault] = {
    "killed": Fault(lambda server, _: server.kill(), silent=True, reason="refused"),
    "frozen": Fault(lambda server, _: server.freeze(), silent=True, reason="timeout"),
    "slow by 100 ms": Fault(lambda _, proxy: proxy.delay(0.1, "down"), slow=True),
    "slow by 1 s": Fault(lambda _, proxy: proxy.delay(1.0, "down"), slow=True),
    "full": Fault(_tell("CONFIG", "SET", "maxmemory", 1), reason="oom"),
    "replica": Fault(_tell("REPLICAOF", "127.0.0.1", 1), reason="readonly"),
    "without replicas": Fault(_tell("CONFIG", "SET", "min-replicas-to-write", 1), reason="noreplicas"),
    "disk failed": Fault(_disk_failed, reason="misconf"),
    "rights taken": Fault(_tell("ACL", "SETUSER", "default", "-@all", "+hello", "+ping"), reason="noperm"),
    "no rights": Fault(_tell(*_NO_RIGHTS), from_start=True, user="guest:pass", reason="noperm"),
    "wrong password": Fault(_tell(*_NO_RIGHTS), from_start=True, user="guest:wrong", reason="auth"),
    "too many clients": Fault(_no_more_clients, from_start=True, reason="maxclients"),
}
