"""Bringing a real server into each of the error states, and out of it."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from itertools import combinations
from typing import Any

import hiredis

from tests.support.client import Client
from tests.support.servers import Server
from tests.support.waiting import wait_until

__all__ = ["STATES"]

Provoke = Callable[[Server], AbstractContextManager[None]]


def _settings(begin: Sequence[str | int], end: Sequence[str | int]) -> Provoke:
    @contextmanager
    def provoked(server: Server) -> Iterator[None]:
        with server.client() as owner:
            owner(*begin)
            yield
            owner(*end)

    return provoked


def _both(one: Provoke, other: Provoke) -> Provoke:
    @contextmanager
    def provoked(server: Server) -> Iterator[None]:
        with other(server), one(server):
            yield

    return provoked


@contextmanager
def _disk_failed(server: Server) -> Iterator[None]:
    (server.folder / "dump.rdb" / "taken").mkdir(parents=True)
    with server.client() as owner:
        owner("CONFIG", "SET", "save", "3600 1")
        owner("BGSAVE")
        wait_until(lambda: b"rdb_last_bgsave_status:err" in owner("INFO", "persistence"))
        yield
        owner("CONFIG", "SET", "save", "")


@contextmanager
def _busy(server: Server) -> Iterator[None]:
    with server.client() as owner, server.client() as culprit:
        owner("CONFIG", "SET", "lua-time-limit", 1)
        culprit.send(("EVAL", "while true do end", 0))
        wait_until(lambda: _error(owner, "PING").startswith("BUSY"))
        yield
        owner("SCRIPT", "KILL")
        wait_until(lambda: not _error(owner, "PING"))


@contextmanager
def _loading(server: Server) -> Iterator[None]:
    with server.client() as owner, server.client() as culprit:
        owner("DEBUG", "POPULATE", 3000)
        owner("CONFIG", "SET", "loading-process-events-interval-bytes", 1024)
        owner("CONFIG", "SET", "key-load-delay", 2000)  # microseconds a key: six seconds, unless cut short
        culprit.send(("DEBUG", "RELOAD"))
        wait_until(lambda: _error(owner, "PING").startswith("LOADING"))
        yield
        owner("CONFIG", "SET", "key-load-delay", 0)
        assert culprit.frame(timeout=10) == b"OK"


def _error(client: Client, *command: str) -> str:
    try:
        client(*command)
    except hiredis.ReplyError as error:
        return str(error)
    return ""


def _setting(name: str, value: str | int, normally: str | int) -> Provoke:
    return _settings(("CONFIG", "SET", name, value), ("CONFIG", "SET", name, normally))


_DENIED = ("get", "set", "exists", "getrange", "pexpire", "client|tracking", "client|kill", "info", "script|load")

_full = _setting("maxmemory", 1, 0)
_lonely = _setting("min-replicas-to-write", 1, 0)
_no_old_data = _setting("replica-serve-stale-data", "no", "yes")
_replica = _settings(("REPLICAOF", "127.0.0.1", 1), ("REPLICAOF", "NO", "ONE"))
_rights_taken = _settings(
    ("ACL", "SETUSER", "default", *(f"-{name}" for name in _DENIED)), ("ACL", "SETUSER", "default", "+@all")
)

_SINGLE: dict[str, tuple[Provoke, dict[str, Any]]] = {
    "full": (_full, {"oom": True}),
    "replica": (_replica, {"readonly": True}),
    "disk failed": (_disk_failed, {"misconf": True}),
    "without replicas": (_lonely, {"noreplicas": True}),
}

STATES: dict[str, tuple[Provoke, dict[str, Any]]] = {
    **_SINGLE,
    **{
        f"{one} and {other}": (_both(_SINGLE[one][0], _SINGLE[other][0]), _SINGLE[one][1] | _SINGLE[other][1])
        for one, other in combinations(_SINGLE, 2)
    },
    "replica without its primary": (_both(_replica, _no_old_data), {"readonly": True, "masterdown": True}),
    "busy": (_busy, {"busy": True}),
    "loading": (_loading, {"loading": True}),
    "rights taken": (_rights_taken, {"noperm": frozenset(name.upper().replace("|", " ") for name in _DENIED)}),
}
"""How it is done to a real server, and the fields of ``State`` it comes to."""
