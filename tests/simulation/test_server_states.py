"""The simulated server refuses the same commands as real ones, in each error state, with the same code word."""

from typing import cast

import pytest

from fleetcache.shared.scripts import SCRIPTS
from tests.conftest import StartServer
from tests.simulation.server import Engine
from tests.simulation.truth.frames import Command, IdOf
from tests.simulation.truth.provoking import STATES
from tests.simulation.truth.sequences import HEADS, PLACEHOLDERS, VERSIONS, entry
from tests.simulation.truth.sides import Real, Simulated
from tests.simulation.truth.steps import Connect, Send, Step, difference, play

LIFE = 60_000
ENTRY = entry(b"1")

CALLS: dict[str, tuple[bytes | int, ...]] = {
    "acquire": (PLACEHOLDERS[0], LIFE, 100),
    "swap": (HEADS[0], ENTRY, LIFE),
    "put": (ENTRY, LIFE),
    "release": (HEADS[0],),
    "renew": (HEADS[0], 2 * LIFE),
    "touch": (HEADS[0], LIFE),
    "mint": (VERSIONS[0], LIFE),
    "add": (ENTRY, LIFE),
    "incr": (ENTRY, LIFE, HEADS[0], b""),
}

KEYS = (b"there", b"set", b"del", *(name.encode() for name in SCRIPTS))
BEFORE: list[Step] = [
    *(Connect(client) for client in range(2)),
    *(Send(client, (("CLIENT", "TRACKING", "ON"),)) for client in range(2)),
    Send(1, tuple(("SCRIPT", "LOAD", script.text) for script in SCRIPTS.values())),
    Send(1, tuple(("SET", key, ENTRY, "PX", LIFE) for key in KEYS)),
    Send(1, (("SADD", b"foreign", "member"),)),
    Send(0, tuple(("GET", key) for key in (*KEYS, b"missing"))),
]

REFUSED: tuple[Command, ...] = (
    ("PING",),
    ("HELLO", 3, "SETNAME", "me"),
    ("AUTH", "default", "any"),
    ("SELECT", 0),
    ("INFO", "server"),
    ("INFO", "replication"),
    ("CLIENT", "SETNAME", "me"),
    ("CLIENT", "TRACKING", "ON"),
    ("CLIENT", "KILL", "ID", IdOf(0)),  # the client itself: 0
    ("SCRIPT", "LOAD", SCRIPTS["put"].text),
    ("SCRIPT", "EXISTS", SCRIPTS["put"].sha),
    ("GET", b"there"),
    ("GET", b"foreign"),
    ("GETRANGE", b"there", 0, 16),
    ("EXISTS", b"there"),
    ("PTTL", b"there"),
    ("SET", b"set", b"v", "NX", "PX", LIFE),
    ("SET", b"set", b"v"),
    ("DEL", b"del"),
    ("UNLINK", b"missing"),
    ("PEXPIRE", b"there", 2 * LIFE),
    ("SADD", b"foreign", "another"),
    *(SCRIPTS[name].call(key, *args) for name, args in CALLS.items() for key in (name.encode(), b"none", b"foreign")),
    SCRIPTS["put"].call(b"there", *CALLS["put"], whole=True),
    ("EVALSHA", "none", 0),
    ("FLUSHDB",),
)

AFTER: list[Step] = [Send(client, (("GET", b"there"), ("EXISTS", b"set", b"del", b"foreign"))) for client in range(2)]


@pytest.mark.parametrize("name", STATES)
def test_a_server_in_this_state_refuses_the_same(fresh_server: StartServer, name: str) -> None:
    server = fresh_server()
    provoke, fields = STATES[name]
    steps = [*BEFORE, Send(0, REFUSED), Send(1, ()), *AFTER]
    real, simulated = Real(server), Simulated(cast("Engine", server.engine))
    truth, claim = play(real, BEFORE), play(simulated, BEFORE)
    well = simulated.server.state
    simulated.server.state = type(well)(**fields)
    if name == "loading":
        simulated.server.tracking.flushed()  # its old keys are gone first
    during = steps[len(BEFORE) :][:2]
    with provoke(server):
        truth += play(real, during)
    claim += play(simulated, during)
    simulated.server.state = well
    truth += play(real, AFTER)
    claim += play(simulated, AFTER)
    real.close()
    story = difference(steps, truth, claim)
    assert story is None, story
    assert truth[len(BEFORE)] != play_well(server.engine)[len(BEFORE)], "nothing was refused"


def play_well(engine: str) -> list[object]:
    """Return the replies of a server without any trouble."""
    return list(play(Simulated(cast("Engine", engine)), [*BEFORE, Send(0, REFUSED)]))
