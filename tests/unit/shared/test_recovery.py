"""Recovery: the cache's own step of the handshake, and the heartbeat that proves the server's identity."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from hiredis import ReplyError

from fleetcache import Cache
from fleetcache.near.tag_versions import new_version, run_mark
from fleetcache.shared.recovery import CHUNK
from fleetcache.shared.scripts import SCRIPTS
from fleetcache.wire.handshake import Heard, ServerInfo
from fleetcache.wire.link_state import LinkState
from fleetcache.wire.session import Command
from tests.support.client import Client
from tests.support.drivers import Driver
from tests.support.run import run
from tests.support.waiting import eventually

Body = Callable[[Cache, Client], Awaitable[None]]


def played(remote: Driver, body: Body) -> None:
    async def main() -> None:
        assert remote.server is not None
        async with remote.cache() as cache:
            await cache.set("k", 1, ttl="1m")
            with remote.server.client() as raw:
                await body(cache, raw)

    run(main())


def beaten(cache: Cache, standing: Any) -> None:
    """Answer a heartbeat."""
    engine = cache._engine
    captured = engine.coherence.captured(("*",))
    assert captured is not None
    engine.recovery.heartbeat().handle([standing, captured[0][1]])


def test_after_the_handshake_the_server_knows_every_script_and_the_tag_of_every_entry(remote: Driver) -> None:
    async def body(cache: Cache, raw: Client) -> None:
        assert raw("SCRIPT", "EXISTS", *(script.sha for script in SCRIPTS.values())) == [1] * len(SCRIPTS)
        assert raw("EXISTS", cache._engine.layout.tag("*")) == 1

    played(remote, body)


def test_a_server_that_became_a_replica_is_given_up(remote: Driver) -> None:
    async def body(cache: Cache, _raw: Client) -> None:
        beaten(cache, b"role:slave\r\n")
        await eventually(lambda: cache._engine.link.reason == "readonly" or cache._engine.link.epoch > 1)

    played(remote, body)


def test_another_history_empties_near(remote: Driver) -> None:
    async def body(cache: Cache, _raw: Client) -> None:
        assert cache.peek("k") == 1
        beaten(cache, b"role:master\r\nmaster_replid:another\r\n")
        assert cache.peek("k") is None
        assert cache._engine.link.state is LinkState.ONLINE

    played(remote, body)


def test_a_server_that_tells_nothing_of_itself_is_believed_and_not_asked_again(remote: Driver) -> None:
    async def body(cache: Cache, _raw: Client) -> None:
        beaten(cache, ReplyError("NOPERM no"))
        assert cache.peek("k") == 1
        assert b"INFO" not in cache._engine.recovery.heartbeat().payload

    played(remote, body)


def test_the_heartbeat_repeats_what_is_owed(remote: Driver) -> None:
    async def body(cache: Cache, raw: Client) -> None:
        engine = cache._engine
        engine.coherence.defer(("e", "k"), engine.coherence.journal.next())
        engine.recovery.heartbeat()
        await eventually(lambda: len(engine.coherence.journal) == 0)
        assert raw("EXISTS", engine.layout.entry("k")) == 0
        assert cache.stats().replayed == 1

    played(remote, body)


# -- the cache's step of the handshake, against a scripted server -----------------------------------------------------

RUN = "ab" * 20
OTHER = b"of another run.."
ALL_THERE = (1,) * len(SCRIPTS)


class Step:
    """A cache that has no connection, its step of the handshake, and the commands that it sends.

    Args:
        **answers: Replies by the first word of a command, or by ``release`` and ``mint``; one after the other.
    """

    def __init__(self, **answers: list[Any]) -> None:
        self.engine = Cache("redis://127.0.0.1:1", prefix="step")._engine
        self.answers = {"mint": [[b"newly made, here", 1]], **answers}
        self.writes: list[list[str]] = []
        self.patient: list[bool] = []

    @property
    def star(self) -> bytes:
        """The version of the tag on every entry that the server has, from its present run."""
        return new_version(bytes(16), run_mark(RUN))

    @property
    def known(self) -> bytes | None:
        captured = self.engine.coherence.captured(("*",))
        return captured[0][1] if captured else None

    async def ask(self, *commands: Command | Heard, patient: bool = True) -> list[Any]:
        asked = [Heard.of(command) for command in commands]
        self.writes.append([self.word(each.command) for each in asked])
        self.patient.append(patient)
        replies = []
        for each, word in zip(asked, self.writes[-1], strict=True):
            replies.append((self.answers.get(word) or [1]).pop(0))
            each.then(replies[-1])
        return replies

    def word(self, command: Command) -> str:
        for name, script in SCRIPTS.items():
            if script.sha in command or script.text in command:
                return f"load {name}" if command[0] == "SCRIPT" else name
        return " ".join(str(part) for part in command[:2])

    def run(
        self,
        star: bytes | None,
        *,
        there: Any = ALL_THERE,
        first: tuple[Heard, ...] = (),
        meanwhile: Callable[[], None] = lambda: None,
    ) -> "Step":
        recovery = self.engine.recovery
        assert [question[0] for question in recovery.questions()] == ["SCRIPT", "INFO", "CONFIG", "GET"]
        meanwhile()
        greeting = ServerInfo(run_id=RUN, tracking=True)
        answers = [
            list(there) if isinstance(there, tuple) else there,
            b"evicted_keys:0\r\n",
            ReplyError("NOPERM"),
            star,
        ]
        run(recovery.recover(self.ask, greeting, answers, first))
        return self


def test_with_nothing_left_to_do_the_questions_are_all() -> None:
    step = Step()
    step.run(step.star)
    assert (step.writes, step.known) == ([], step.star)


def test_a_tag_that_is_not_there_is_made() -> None:
    step = Step().run(None)
    assert (step.writes, step.known) == ([["mint"]], b"newly made, here")


def test_a_tag_that_a_push_has_overtaken_is_read_again() -> None:
    step = Step()
    push = [step.engine.layout.tag("*")]
    step.run(step.star, meanwhile=lambda: step.engine.coherence.on_invalidation(push))
    assert (step.writes, step.known) == ([["mint"]], b"newly made, here")


def test_a_tag_from_another_run_is_removed_first() -> None:
    step = Step().run(OTHER)
    assert (step.writes, step.known) == ([["release", "mint"]], b"newly made, here")


def test_pending_removals_and_rights_are_sent_before_the_tag_is_read() -> None:
    step = Step()
    coherence, rights = step.engine.coherence, step.engine.shared.rights
    for target in (("e", "k"), ("t", "*")):
        coherence.defer(target, coherence.journal.next())
    rights.lost(b"step:e:k", b"L" + bytes(16), 2.0)
    step.run(step.star)
    removals = [f"DEL {step.engine.layout.entry('k')!r}", f"DEL {step.engine.layout.tag('*')!r}"]
    assert step.writes == [[*removals, "release", "mint"]]
    assert (len(coherence.journal), len(rights), step.engine.recovery.replayed) == (0, 0, 2)
    assert step.known == b"newly made, here", "the version that was read before belongs to removed entries"


def test_the_previous_connection_is_ended_before_all_else() -> None:
    step = Step()
    step.engine.coherence.defer(("e", "k"), step.engine.coherence.journal.next())
    step.run(step.star, first=(Heard(("CLIENT", "KILL", "ID", 3)),))
    assert step.writes[0][0] == "CLIENT KILL"


@pytest.mark.parametrize(
    ("there", "loaded"),
    [
        ((1, 0, *(1,) * 7), ["swap"]),
        (ReplyError("NOPERM no"), list(SCRIPTS)),
        ((1,), list(SCRIPTS)),
        (None, list(SCRIPTS)),
    ],
)
def test_only_scripts_that_the_server_lacks_are_sent(there: Any, loaded: list[str]) -> None:
    step = Step()
    step.run(step.star, there=there)
    assert step.writes == [[f"load {name}" for name in loaded]]


@pytest.mark.parametrize("said", ["NOSCRIPT No matching script", "BUSY Redis is busy", "LOADING"])
def test_a_tag_that_cannot_be_read_now_is_waited_for(said: str) -> None:
    step = Step(mint=[ReplyError(said), [b"newly made, here", 1]]).run(None)
    assert (step.writes, step.patient) == ([["mint"], ["mint"]], [False, True])
    assert step.known == b"newly made, here"
    assert step.engine.shared.refusals == {}


def test_twin_a_tag_that_is_refused_is_not() -> None:
    step = Step(mint=[ReplyError("OOM command not allowed")]).run(None)
    assert (step.writes, step.known) == ([["mint"]], None)
    assert "store" in step.engine.shared.refusals


def test_very_many_pending_removals_are_several_writes() -> None:
    step = Step()
    coherence = step.engine.coherence
    for number in range(CHUNK + 1):
        coherence.defer(("e", f"k{number}"), coherence.journal.next())
    step.run(step.star)
    assert [len(write) for write in step.writes] == [CHUNK, 2]
    assert len(coherence.journal) == 0


def test_a_handshake_sends_about_a_kilobyte(remote: Driver) -> None:
    """The scripts' texts alone are four: a fleet that comes back must not send them ten thousand times."""

    async def body(_cache: Cache, raw: Client) -> None:
        raw("CONFIG", "RESETSTAT")
        async with remote.cache() as another:
            await another.set("k", 2, ttl="1m")
            info = dict(line.split(":", 1) for line in raw("INFO", "all").decode().splitlines() if ":" in line)
        assert int(info["total_net_input_bytes"]) < 1500
        assert "cmdstat_script|load" not in info

    played(remote, body)


def test_the_tracking_table_is_asked_for_in_the_handshake_and_once_a_minute(remote: Driver) -> None:
    async def main() -> None:
        assert remote.server is not None
        async with remote.cache() as cache:
            await cache.get("k")
            engine = cache._engine
            table = engine.recovery.table
            assert (table.keys is not None, table.limit) == (True, 1_000_000)
            with remote.server.client() as raw:
                raw("CONFIG", "SET", "tracking-table-max-keys", 2)
                try:
                    engine.coherence.turnover.suspect()  # as after a minute
                    engine.shared.submit(engine.recovery.heartbeat())
                    await eventually(lambda: table.is_nearly_full)
                finally:
                    raw("CONFIG", "SET", "tracking-table-max-keys", 1_000_000)

    run(main())
