"""What can be wrong with a server, each as a way to begin it; the end is a new server or ``Server.reset``."""

from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit, urlunsplit

from tests.support.client import Client
from tests.support.proxy import Proxy
from tests.support.servers import Server

__all__ = ["FAULTS", "Fault", "as_user"]

# What it returns must live as long as the fault.
Begin = Callable[[Server, Proxy], Client | None]


@dataclass(frozen=True)
class Fault:
    """One fault.

    Attributes:
        begin: Brings it about.
        from_start: Whether it is there before the cache connects.
        user: Who the cache connects as, ``user:password``; the default user if empty.
        slow: It is the network that is at fault: the way leads through the proxy.
        silent: Calls after the first cost nothing: the server cannot be reached.
        reason: What health says, if the fault lasts.
    """

    begin: Begin
    from_start: bool = False
    user: str = ""
    slow: bool = False
    silent: bool = False
    reason: str | None = None


def as_user(url: str, login: str) -> str:
    """The URL with ``user:password``."""
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
    """Snapshots cannot be written: a folder has the name of the file."""
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
