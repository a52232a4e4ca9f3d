"""One open connection: its reactions to bytes and to time, without any I/O."""

from typing import Any

import pytest

from fleetcache.config.url import Address
from fleetcache.wire.connection import Connection, WireHooks, WireLimits
from fleetcache.wire.handshake import ServerInfo
from fleetcache.wire.link_state import Link, LinkState
from fleetcache.wire.session import AnyCall, Call
from tests.support.clock import ManualClock

TIMEOUT, STALENESS = 1.0, 30.0


class Shell(Connection):
    """Keeps the calls that it should send, and sends nothing."""

    def __init__(self, clock: ManualClock) -> None:
        self.told: list[Any] = []
        self.armed: list[float] = []
        self.bytes_wait = False
        self.aborted = 0
        link = Link(
            clock(), operation_timeout=TIMEOUT, max_staleness=STALENESS, offline_ttl=60.0, on_state=lambda *_: None
        )
        hooks = WireHooks(
            self.told.append,
            self.told.append,
            lambda: self.told.append("timeout"),
            questions=tuple,
            recover=None,  # type: ignore[arg-type]  # of the handshake, which is not played here
            on_defect=lambda: self.told.append("defect"),
            heartbeat=lambda: Call((("PING",),)),
        )
        limits = WireLimits(TIMEOUT, 5.0, STALENESS, 1000)
        super().__init__(Address(), link, limits, hooks, clock=clock, probe=b"probe")
        link.opened(clock())
        link.ready(clock(), clock())

    def submit(self, call: AnyCall, *, at_once: bool = False) -> None:  # noqa: ARG002 - as a shell has it
        self.session.add(call, self._clock())

    def _arm(self, when: float) -> None:
        self.armed.append(when)

    def _has_bytes(self) -> bool:
        return self.bytes_wait

    def _abort(self) -> None:
        self.aborted += 1

    def _disarm(self) -> None:
        self.armed.clear()

    def _tell_over(self) -> None:
        self.told.append("over")

    connect = until_over = reply = pause = within = provided = start = close = abandon = future = None  # type: ignore[assignment]  # of a shell that lives


class Waiting:
    """A caller's future."""

    result: Any = None

    def done(self) -> bool:
        return self.result is not None

    def set_result(self, result: Any, /) -> None:
        self.result = result


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def shell(clock: ManualClock) -> Shell:
    return Shell(clock)


def asked(shell: Shell) -> Waiting:
    waiting = Waiting()
    shell.submit(Call((("GET", "k"),), lambda replies: replies[0], waiting))
    return waiting


def test_a_reply_goes_to_its_caller_and_confirms_the_link(shell: Shell, clock: ManualClock) -> None:
    waiting = asked(shell)
    sent_at = clock()
    clock.advance(0.5)
    shell.received(memoryview(b"$1\r\nA\r\n"))
    assert waiting.result == b"A"
    assert shell.link.confirmed == sent_at


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"?\r\n", "protocol"),
        (b"$5000\r\n" + b"x" * 2000, "protocol"),
        (b"-ERR max number of clients reached\r\n", "maxclients"),
    ],
)
def test_a_connection_that_cannot_be_believed_is_given_up(shell: Shell, data: bytes, reason: str) -> None:
    if reason == "protocol":
        asked(shell)
    shell.received(memoryview(data))
    assert (shell.over, shell.aborted > 0, shell.told.count("over")) == (reason, True, 1)


def test_the_first_reason_stays(shell: Shell) -> None:
    shell.fail("protocol", "first")
    shell.fail("timeout", "second")
    assert (shell.over, shell.last_error, shell.told) == ("protocol", "first", ["over"])


def test_a_password_that_is_repeated_is_not_shown(shell: Shell) -> None:
    shell.secrets = ("user", "pw")
    shell.fail("auth", "unknown command 'AUTH' 'user' 'pw'")
    assert shell.last_error == "unknown command 'AUTH' 'user' '***'"


def test_a_late_reply_makes_the_link_suspect_and_its_caller_has_an_answer(shell: Shell, clock: ManualClock) -> None:
    waiting = asked(shell)
    clock.advance(TIMEOUT)
    shell._tick()
    assert waiting.done()
    assert shell.told == ["timeout"]
    assert shell.link.state is LinkState.SUSPECT


def test_bytes_that_wait_in_the_socket_postpone_the_judgement(shell: Shell, clock: ManualClock) -> None:
    waiting = asked(shell)
    shell.bytes_wait = True
    clock.advance(TIMEOUT)
    shell._tick()
    assert (waiting.done(), shell.link.state) == (False, LinkState.ONLINE)
    assert shell.armed[-1] <= clock() + 0.01
    for _ in range(200):
        shell._tick()
    assert waiting.done(), "a socket that is never read must not postpone for ever"


def test_it_beats_every_third_of_the_staleness(shell: Shell, clock: ManualClock) -> None:
    shell._last_heartbeat = clock()
    clock.advance(STALENESS / 3 - 0.1)
    shell._tick()
    assert not shell.session.calls
    assert shell.armed[-1] == pytest.approx(clock() + 0.1)
    clock.advance(0.1)
    shell._tick()
    assert len(shell.session.calls) == 1


def test_a_lost_connection_owes_what_was_not_acknowledged(shell: Shell) -> None:
    lost: list[str] = []
    shell.submit(Call((("DEL", "k"),), lambda replies: replies[0], None, lambda: lost.append("k")))
    shell.journal_unanswered()
    assert lost == ["k"]


def test_the_next_connection_begins_without_a_trace_of_the_last(shell: Shell, clock: ManualClock) -> None:
    waiting, session = asked(shell), shell.session
    shell.fail("reset", "the server closed the connection")
    shell.end("reset")
    assert waiting.done()
    assert (shell.link.state, shell.armed) == (LinkState.OFFLINE, [])
    shell.renew()
    assert shell.over is None
    assert shell.session is not session
    clock.advance(1.0)
    shell.link.opened(clock())
    greeting = ServerInfo()
    shell.serve(greeting)
    assert (shell.greeting, shell.link.state, shell.link.epoch) == (greeting, LinkState.ONLINE, 2)
    assert shell.armed, "the next heartbeat is due"


def test_a_connection_that_is_followed_by_no_other_leaves_the_link_as_it_is(shell: Shell) -> None:
    waiting = asked(shell)
    shell.end()
    assert waiting.done()
    assert shell.link.state is LinkState.ONLINE
