"""The server's refusals: their words, and the order of its checks.

The order is that of the real servers: a server that is both full and loading answers by the first that applies.
"""

from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any, Literal

from .resp import ErrorReply

__all__ = ["MASTERDOWN", "Engine", "State", "forbidden", "refusal", "refusal_in_script"]

Engine = Literal["valkey", "redis"]

Flags = AbstractSet[str]


@dataclass
class State:
    """Error states, to be switched at any time.

    Attributes:
        oom: Full without evictable keys: ``-OOM`` for commands that could need memory.
        readonly: A replica: ``-READONLY`` for writes, and ``HELLO`` says so.
        masterdown: A replica that lost its primary and does not serve old data.
        loading: Reads its snapshot: ``-LOADING`` for nearly everything.
        misconf: Cannot save: ``-MISCONF`` for writes and ``PING``.
        noreplicas: Too few replicas to be allowed to write: ``-NOREPLICAS`` for writes.
        busy: A script does not end: ``-BUSY`` for nearly everything.
        paused: ``CLIENT PAUSE WRITE``: writes and scripts wait, and all commands behind them on the same connection.
        noperm: Commands, such as ``GET`` or ``CLIENT KILL``, that the user may not run: ``-NOPERM``.
        unknown: Commands that this server does not know.
        password: The password that each new client must send from now on.
        max_clients: Above it a new connection gets an error and its end.
        promotions: The number of its promotions from replica to primary.
    """

    oom: bool = False
    readonly: bool = False
    masterdown: bool = False
    loading: bool = False
    misconf: bool = False
    noreplicas: bool = False
    busy: bool = False
    paused: bool = False
    noperm: Flags = frozenset()
    unknown: Flags = frozenset()
    password: str | None = None
    max_clients: int = 10_000
    promotions: int = 0

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "readonly" and getattr(self, name, False) and not value:
            self.promotions += 1
        super().__setattr__(name, value)

    @property
    def refuses_nothing(self) -> bool:
        """Return True if no state refuses a command: the usual case, and each command asks."""
        reasons = self.oom or self.readonly or self.misconf or self.noreplicas or self.noperm
        return not (reasons or self.masterdown or self.loading or self.busy)


OOM = "OOM command not allowed when used memory > 'maxmemory'."
READONLY = "READONLY You can't write against a read only replica."
MISCONF = (
    "MISCONF {engine} is configured to save RDB snapshots, but it's currently unable to persist to disk. Commands that "
    "may modify the data set are disabled."
)
NOREPLICAS = "NOREPLICAS Not enough good replicas to write."
MASTERDOWN = "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'."
LOADING = "LOADING {engine} is loading the dataset in memory"
BUSY = "BUSY {engine} is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE."
NOAUTH = "NOAUTH Authentication required."


def forbidden(name: str, flags: Flags, state: State, engine: Engine, *, authenticated: bool) -> ErrorReply | None:
    """Return the refusal of a command for this client's rights, or None. Checked first, before room is made."""
    if authenticated and not state.noperm:
        return None
    return _first(
        (
            (not authenticated and "no_auth" not in flags, NOAUTH),
            (name in state.noperm, f"NOPERM {_no_permission(name, engine)}"),
        ),
        engine,
    )


def refusal(name: str, flags: Flags, state: State, engine: Engine, *, full: bool) -> ErrorReply | None:
    """Return the refusal of a command before it begins, or None."""
    if state.refuses_nothing:
        return None
    writes = "write" in flags
    return _first(
        (
            (full and "denyoom" in flags, OOM),
            (state.misconf and (writes or name == "PING"), MISCONF),
            (state.noreplicas and not state.readonly and writes, NOREPLICAS),
            (state.readonly and writes, READONLY),
            (state.masterdown and "stale" not in flags, MASTERDOWN),
            (state.loading and "loading" not in flags, LOADING),
            (state.busy and "allow_busy" not in flags, BUSY),
        ),
        engine,
    )


def refusal_in_script(
    name: str, flags: Flags, state: State, engine: Engine, *, dirty: bool, full: bool
) -> ErrorReply | None:
    """Return the refusal of a command in a script, or None. A script that has written is not stopped halfway."""
    if state.refuses_nothing and "noscript" not in flags:
        return None
    writes = "write" in flags and not dirty
    who = "The user executing the script can't run this command or subcommand"
    denied = f"ERR {who}" if engine == "redis" else f"ERR ACL failure in script: {_no_permission(name, engine)}"
    never = (
        ("noscript" in flags, "ERR This Redis command is not allowed from script"),
        (name in state.noperm, denied),
    )
    not_now = (
        (state.readonly and writes, READONLY),
        (state.misconf and writes, MISCONF),
        (state.noreplicas and not state.readonly and writes, NOREPLICAS),
        (full and "denyoom" in flags and not dirty, OOM),
    )
    return _first((*never, *(not_now if engine == "redis" else reversed(not_now))), engine)


def _no_permission(name: str, engine: Engine) -> str:
    who = "this user" if engine == "redis" else "User default"
    return f"{who} has no permissions to run the '{name.lower().replace(' ', '|')}' command"


def _first(checks: tuple[tuple[bool, str], ...], engine: Engine) -> ErrorReply | None:
    text = next((text for applies, text in checks if applies), None)
    return None if text is None else ErrorReply(text.replace("{engine}", engine.capitalize()))
