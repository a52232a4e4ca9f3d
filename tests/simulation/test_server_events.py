"""Events of a server: eviction, a full tracking table, a pause, a restart, a password. All as on real servers."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import hiredis
import pytest

from fleetcache.shared.scripts import SCRIPTS
from tests.conftest import StartServer
from tests.simulation.server.server import COMMANDS
from tests.simulation.truth.comparing import real, simulated
from tests.simulation.truth.frames import Command, Push, frame_of
from tests.simulation.truth.sides import Real, Side, Simulated
from tests.simulation.truth.steps import Act, Connect, Send, Step, difference

PUT = SCRIPTS["put"].call(b"k", b"V" * 40, 60_000, whole=True)
TRACKING: Command = ("CLIENT", "TRACKING", "ON")
NOLOOP: Command = ("CLIENT", "TRACKING", "ON", "NOLOOP")


def _said(*command: str | int) -> Callable[[Real], None]:
    return lambda side: side.owner(*command) and None


def _set(**fields: Any) -> Callable[[Simulated], None]:
    def change(side: Simulated) -> None:
        side.server.state = replace(side.server.state, **fields)

    return change


# -- eviction and the table of registrations -------------------------------------------------------------------------


def _evict_in_real(side: Real) -> list[Any]:
    """Evict in one write, so that the client's own next command evicts; the owner is not involved."""
    side.owner("CONFIG", "SET", "maxmemory-policy", "allkeys-random")
    ok, *frames = side.exchange(0, [("CONFIG", "SET", "maxmemory", 1), ("GET", "other")])
    assert ok == b"OK"
    return frames


def _evict_in_simulated(side: Simulated) -> list[Any]:
    side.server.maxmemory = 1
    return side.exchange(0, [("GET", "other")])


def _evicting(tracking: Command) -> list[Step]:
    return [
        Connect(0),
        Connect(1),
        Send(0, (tracking, ("SET", "k", "v"), ("GET", "k"))),
        Send(1, (TRACKING, ("GET", "k"))),
        Act("the next command evicts", _evict_in_real, _evict_in_simulated),
        Send(1, ()),
    ]


def _overflow(side: Side) -> list[Any]:
    frames = side.exchange(0, [("GET", "a"), ("GET", "b"), ("PING",), ("GET", "c")])
    return [Push(b"any") if isinstance(frame, Push) else frame for frame in frames]


def _overflowing(tracking: Command) -> list[Step]:
    limit = Act(
        "one key in the table",
        _said("CONFIG", "SET", "tracking-table-max-keys", 1),
        lambda side: setattr(side.server.tracking, "most", 1),
    )
    return [Connect(0), Send(0, (tracking,)), limit, Act("reads two", _overflow, _overflow)]


# -- pause -----------------------------------------------------------------------------------------------------------


def _packed(*commands: Command) -> bytes:
    return b"".join(hiredis.pack_command(command) for command in commands)  # type: ignore[arg-type]  # stub: 1-tuple


def _waits(side: Any, begin: Any, end: Any) -> list[Any]:
    begin()
    side.write(0, _packed(("GET", b"k"), PUT, ("GET", b"k")))
    first, silent = side.read(0), side.is_silent(0)
    end()
    return [frame_of(first), silent, *(frame_of(side.read(0)) for _ in range(3))]


def _paused_real(side: Real) -> list[Any]:
    return _waits(side, lambda: side.owner("CLIENT", "PAUSE", 60_000, "WRITE"), lambda: side.owner("CLIENT", "UNPAUSE"))


def _paused_simulated(side: Simulated) -> list[Any]:
    def end() -> None:
        side.server.state.paused = False
        side.server.go_on()
        side.deliver()

    return _waits(side, lambda: setattr(side.server.state, "paused", True), end)


# -- restart ---------------------------------------------------------------------------------------------------------


def _run_id(side: Real) -> str:
    said = dict(line.split(":", 1) for line in side.owner("INFO", "server").decode().splitlines() if ":" in line)
    return str(said["run_id"])


def _restart_real(side: Real) -> bool:
    before = _run_id(side)
    side.restart()
    return _run_id(side) != before


def _restart_simulated(side: Simulated) -> bool:
    before = side.server.run_id
    side.server.restart(side.server.snapshot())
    return side.server.run_id != before


def _replid(side: Real | Simulated) -> str:
    if isinstance(side, Simulated):
        return side.server.replid
    said = dict(line.split(":", 1) for line in side.owner("INFO", "replication").decode().splitlines() if ":" in line)
    return str(said["master_replid"])


def _new_history(act: Callable[[Any], object]) -> Callable[[Any], bool]:
    """Return an act that returns True if it gave the data another history."""

    def acted(side: Any) -> bool:
        before = _replid(side)
        act(side)
        return _replid(side) != before

    return acted


SCENARIOS: dict[str, list[Step]] = {
    "its data has another history after a restart and after a promotion": [
        Connect(0),
        Send(0, (("INFO", "replication"),)),
        Act(
            "becomes a replica",
            _new_history(_said("REPLICAOF", "127.0.0.1", 1)),
            _new_history(_set(readonly=True)),
        ),
        Send(0, (("INFO", "replication"),)),
        Act("becomes a primary", _new_history(_said("REPLICAOF", "NO", "ONE")), _new_history(_set(readonly=False))),
        Send(0, (("INFO", "replication"),)),
        Act("restarts", _new_history(_restart_real), _new_history(_restart_simulated)),
    ],
    "eviction tells before the reply of the command that caused it": _evicting(TRACKING),
    "with NOLOOP an eviction in our own command is not told, and the key forgotten": _evicting(NOLOOP),
    "a full table tells of any key before the next reply": _overflowing(TRACKING),
    "with NOLOOP a full table forgets without a word": _overflowing(NOLOOP),
    "a pause holds writes and scripts, and what stands behind them": [
        Connect(0),
        Send(0, (TRACKING, ("GET", b"k"))),
        Act("paused for a while", _paused_real, _paused_simulated),
    ],
    "in a pause a due key is gone, and told of only afterwards": [
        Connect(0),
        Connect(1),
        Send(0, (TRACKING, SCRIPTS["put"].call(b"k", b"V" * 40, 1, whole=True)), passing=True),
        Act("pause", _said("CLIENT", "PAUSE", 60_000, "WRITE"), _set(paused=True)),
        Send(1, (("GET", "k"), ("PTTL", "k"))),
        Send(0, ()),
        Act("end of the pause", _said("CLIENT", "UNPAUSE"), _set(paused=False)),
        Send(1, (("GET", "k"),)),
        Send(0, ()),
    ],
    "a script registers what it declares (Redis 7.0) or what it reads (the others)": [
        Connect(0),
        Connect(1),
        Send(0, (TRACKING, ("EVAL", "return redis.call('GET', KEYS[1])", 2, "read", "declared"))),
        Send(0, (("EVAL", "return redis.call('GET', 'undeclared')", 0),)),
        Send(0, (("EVAL", "return redis.call('SET', KEYS[1], 'v')", 1, "written"),)),
        Send(1, tuple(("SET", key, "v") for key in ("read", "declared", "undeclared", "written"))),
        Send(0, ()),
    ],
    "a restart forgets connections, registrations and scripts, and what was due": [
        Connect(0),
        Send(0, (TRACKING, ("SCRIPT", "LOAD", SCRIPTS["put"].text), ("SET", "k", "v"), ("GET", "k"))),
        Send(0, (("SET", "due", "v", "PX", 1),), passing=True),
        Act("restarts with its data", _restart_real, _restart_simulated),
        Send(0, ()),
        Connect(0),
        Send(0, (TRACKING, ("EXISTS", "due"), ("EVALSHA", SCRIPTS["put"].sha, 1, "x", "v", 1000))),
        Connect(1),
        Send(1, (("GET", "k"), ("SET", "k", "w"))),
        Send(0, (("GET", "k"),)),
        Send(1, (("SET", "k", "x"),)),
        Send(0, ()),
    ],
    "a due key is gone on a replica, and told of by whoever removes it": [
        Connect(0),
        Connect(1),
        Send(0, (TRACKING, SCRIPTS["put"].call(b"k", b"V" * 40, 1, whole=True)), passing=True),
        Act("becomes a replica", _said("REPLICAOF", "127.0.0.1", 1), _set(readonly=True)),
        Send(1, (("GET", "k"), ("PTTL", "k"), ("EXISTS", "k"))),
        Send(0, ()),
        Act("becomes a primary", _said("REPLICAOF", "NO", "ONE"), _set(readonly=False)),
        Send(0, ()),
        Send(1, (("GET", "k"),)),
        Send(0, ()),
    ],
    "who comes after the password was set must know it": [
        Connect(0),
        Act("a password", _said("CONFIG", "SET", "requirepass", "secret"), _set(password="secret")),  # noqa: S106 - of a test
        Connect(1),
        Send(1, (("GET", "k"), ("CLIENT", "TRACKING", "ON"), ("AUTH", "wrong"), ("HELLO", 2))),
        Send(1, (("HELLO", 3, "AUTH", "default", "wrong"), ("HELLO", 3, "AUTH", "default", "secret"), ("GET", "k"))),
        Send(0, (("GET", "k"),)),
    ],
    "one client too many gets an error and its end": [
        Connect(0),
        Act("no more clients", _said("CONFIG", "SET", "maxclients", 2), _set(max_clients=1)),
        Connect(1),
        Send(0, (("GET", "k"),)),
    ],
}


@pytest.mark.parametrize("name", SCENARIOS)
def test_it_goes_as_with_real_servers(fresh_server: StartServer, name: str) -> None:
    server = fresh_server(save="3600 1")
    steps = SCENARIOS[name]
    claim = simulated(server.engine, steps)
    story = difference(steps, real(server, steps, claim), claim)
    assert story is None, story


FLAGS = {"readonly", "write", "denyoom", "loading", "stale", "allow_busy", "no_auth", "noscript", "admin", "fast"}


def test_every_command_has_the_flags_and_the_arity_that_servers_say(fresh_server: StartServer) -> None:
    server = fresh_server()
    with server.client() as client:
        for name, command in COMMANDS[server.engine].items():  # type: ignore[index]  # one of the two
            ((_, arity, flags, first, last, _step, *_),) = client("COMMAND", "INFO", name.replace(" ", "|"))
            assert command.arity == arity, name
            assert (
                command.flags & FLAGS == {flag.decode() if isinstance(flag, bytes) else flag for flag in flags} & FLAGS
            )
            assert (command.keys != "none", command.keys == "all") == (first == 1, last == -1), name
