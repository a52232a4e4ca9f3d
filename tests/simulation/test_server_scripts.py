"""Each script of the cache with each outcome: the reply, the pushes and the key afterwards, as on real servers."""

from dataclasses import dataclass
from typing import Any

from fleetcache.shared.scripts import SCRIPTS
from tests.conftest import StartServer
from tests.simulation.truth.comparing import compared, simulated
from tests.simulation.truth.sequences import HEADS, PLACEHOLDERS, TAGS, VERSIONS, entry
from tests.simulation.truth.steps import Connect, Send, Step

KEY = b"fc:e:k"
LIFE, LONGER, SHORTER = 60_000, 90_000, 30_000
SOME_MS = "some ms"
LEASE, OTHER_LEASE = PLACEHOLDERS
FAILED = b"F" + b"f" * 16
NEW, OLD = entry(b"new", head=HEADS[1]), entry(b"old")
ONE, HUGE = entry(b"1", head=HEADS[1]), entry(b"9007199254740991")
VAST = entry(b"9223372036854775807", head=HEADS[1])
INCR = (ONE, LONGER, HEADS[1])


@dataclass(frozen=True)
class Case:
    """``there``: the key's value before, for a minute; ``says``: the reply, with lives in words."""

    script: str
    there: bytes | None
    args: tuple[bytes | int, ...]
    says: Any


CASES = [
    Case("acquire", None, (LEASE, LIFE, 100), 0),
    Case("acquire", OLD, (LEASE, LIFE, 100), [OLD, SOME_MS]),
    Case("acquire", OTHER_LEASE, (LEASE, LIFE, 100), [OTHER_LEASE, SOME_MS]),
    Case("acquire", b"", (LEASE, LIFE, 100), [b"", SOME_MS]),
    Case("acquire", FAILED + b"1 3000", (LEASE, LIFE, -1), -1),
    Case("acquire", FAILED + b"2 3000", (LEASE, LIFE, -1), [FAILED + b"2 3000", SOME_MS]),
    Case("acquire", FAILED + b"2 3000", (LEASE, LIFE, 100), -2),  # its life was prolonged
    Case("acquire", FAILED + b"2 90000", (LEASE, LIFE, 60_000), [FAILED + b"2 90000", SOME_MS]),
    Case("acquire", FAILED + b"1 3000 t", (LEASE, LIFE, -1), [FAILED + b"1 3000 t", SOME_MS]),
    Case("add", FAILED + b"2 3000", (NEW, LIFE), 0),
    Case("swap", LEASE, (LEASE, NEW, LIFE), 1),
    Case("swap", OLD, (HEADS[0], NEW, LIFE), 1),
    Case("swap", OTHER_LEASE, (LEASE, NEW, LIFE), 0),
    Case("swap", None, (LEASE, NEW, LIFE), 0),
    Case("put", None, (NEW, LIFE), 1),
    Case("put", OLD, (NEW, LIFE), 1),
    Case("put", LEASE, (NEW, LIFE), 1),
    Case("release", LEASE, (LEASE,), 1),
    Case("release", OTHER_LEASE, (LEASE,), 0),
    Case("release", None, (LEASE,), 0),
    Case("renew", LEASE, (LEASE, LONGER), 1),
    Case("renew", LEASE, (LEASE, SHORTER), 0),
    Case("renew", OTHER_LEASE, (LEASE, LONGER), 0),
    Case("renew", None, (LEASE, LONGER), 0),
    Case("touch", OLD, (HEADS[0], SHORTER), 1),
    Case("touch", NEW, (HEADS[0], SHORTER), 0),
    Case("touch", None, (HEADS[0], SHORTER), 0),
    Case("mint", None, (VERSIONS[0], 0), [VERSIONS[0], 1]),
    Case("mint", None, (VERSIONS[0], LIFE), [VERSIONS[0], 1]),
    Case("mint", b"not a version", (VERSIONS[0], LIFE), [VERSIONS[0], 1]),
    Case("mint", VERSIONS[1], (VERSIONS[0], 0), [VERSIONS[1], 0]),
    Case("mint", VERSIONS[1], (VERSIONS[0], LONGER), [VERSIONS[1], 0]),
    Case("mint", VERSIONS[1], (VERSIONS[0], 3 * LIFE), [VERSIONS[1], 1]),
    Case("add", None, (NEW, LIFE), 0),
    Case("add", LEASE, (NEW, LIFE), 0),
    Case("add", OLD, (NEW, LIFE), [OLD, SOME_MS]),
    Case("incr", None, (*INCR, b""), [1, b"1"]),
    Case("incr", None, (VAST, LONGER, HEADS[1], b""), [1, b"9223372036854775807"]),
    Case("incr", LEASE, (*INCR, b""), [1, b"1"]),
    Case("incr", OLD, (*INCR, HEADS[0]), [1, b"1"]),
    Case("incr", entry(b"41"), (*INCR, b""), [1, b"42"]),
    Case("incr", entry(b"-3"), (*INCR, b""), [1, b"-2"]),
    Case("incr", entry(b"41"), (VAST, LONGER, HEADS[1], b""), [0, entry(b"41"), SOME_MS]),
    Case("incr", b"V", (*INCR, b""), [0, b"V", SOME_MS]),
    Case("incr", OLD, (*INCR, b""), [0, OLD, SOME_MS]),
    *(
        Case("incr", there, (*INCR, b""), [0, there, SOME_MS])
        for there in (
            entry(b"41", codec=1),
            entry(b"41", tags=TAGS[1]),
            entry(b"41", stale=55.0),
            entry(b"9007199254740992"),
        )
    ),
    Case("incr", HUGE, (*INCR, b""), [0, HUGE, SOME_MS]),
]


def steps_of(case: Case, *, registered: bool, whole: bool) -> list[Step]:
    """Client 0 runs it, 1 holds a copy, 2 reads the key afterwards and overwrites it: the steps show each push."""
    there = [Send(2, (("SET", KEY, case.there, "PX", LIFE),))] if case.there is not None else []
    return [
        *(Connect(client) for client in range(3)),
        *(Send(client, (("CLIENT", "TRACKING", "ON"),)) for client in range(2)),
        Send(2, tuple(("SCRIPT", "LOAD", script.text) for script in SCRIPTS.values())),
        *there,
        Send(1, (("GET", KEY),)),
        *([Send(0, (("GET", KEY),))] if registered else []),
        Send(0, (SCRIPTS[case.script].call(KEY, *case.args, whole=whole), ("GET", b"other"))),
        Send(1, ()),
        Send(2, (("GET", KEY), ("PTTL", KEY), ("SET", KEY, b"overwritten"))),
        Send(1, ()),
        Send(0, ()),
    ]


def in_words(reply: Any) -> Any:
    if isinstance(reply, list):
        return [in_words(item) for item in reply]
    return SOME_MS if isinstance(reply, int) and SHORTER / 2 < reply < 4 * LIFE else reply


def test_each_outcome_is_as_on_real_servers(fresh_server: StartServer) -> None:
    server = fresh_server()
    for case in CASES:
        for registered, whole in ((False, False), (True, False), (True, True)):
            steps = steps_of(case, registered=registered, whole=whole)
            story = compared(server, steps)
            assert story is None, story
            (frames,) = [
                seen[0]
                for step, seen in zip(steps, simulated(server.engine, steps), strict=True)
                if isinstance(step, Send) and step.client == 0 and ("GET", b"other") in step.commands
            ]
            assert in_words(frames) == case.says, case


def test_no_script_is_left_out() -> None:
    assert {case.script for case in CASES} == set(SCRIPTS)
