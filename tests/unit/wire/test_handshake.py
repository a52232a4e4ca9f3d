"""The handshake against a scripted server: its commands, their order, and the meaning of each answer."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from fleetcache.config.url import Address
from fleetcache.wire.handshake import HandshakeError, Heard, ServerInfo, handshake
from fleetcache.wire.server_role import Standing
from fleetcache.wire.session import Command, ReplyError

HELLO = {b"server": b"redis", b"version": b"7.0.15", b"id": 7, b"mode": b"standalone", b"role": b"master"}
INFO = b"# Server\r\nredis_version:7.0.15\r\nrun_id:abc\r\n"
REPLICATION = b"# Replication\r\nrole:master\r\nmaster_replid:def\r\n"


class Turns(list[Any]):
    """Answers in turn."""


class Scripted:
    """A server that answers by the command's first words, and records the commands.

    Args:
        pushes: When the push for the probe comes: ``before`` or ``after`` its reply, ``late``, or ``never``.
        **answers: Replies instead of those of a healthy server, by command with ``_`` for blanks; ``Turns`` are
            given in turn.
    """

    def __init__(self, pushes: str = "after", **answers: Any) -> None:
        self.answers = {
            "HELLO": HELLO,
            "AUTH": b"OK",
            "SELECT": b"OK",
            "CLIENT_TRACKING": b"OK",
            "INFO": INFO,
            "INFO_replication": REPLICATION,
            "CLIENT_KILL": 1,
            "GET": None,
            "SET": b"OK",
            "DEL": 1,
        } | {name: self.spoken(answer) for name, answer in answers.items()}
        self.asked: list[Command] = []
        self.writes: list[int] = []  # commands of each write
        self.pushes, self.pushed = pushes, 0

    def spoken(self, answer: Any) -> Any:
        if isinstance(answer, Turns):
            return Turns(map(self.spoken, answer))
        return ReplyError(answer) if isinstance(answer, str) else answer

    async def ask(self, *commands: Command | Heard, **_options: Any) -> list[Any]:
        self.writes.append(len(commands))
        return [self.answer(Heard.of(command)) for command in commands]

    def answer(self, asked: Heard) -> Any:
        command = asked.command
        self.asked.append(command)
        reply = self.answers.get("_".join(map(str, command[:2])), self.answers.get(str(command[0])))
        reply = reply.pop(0) if isinstance(reply, Turns) else reply
        written = command[0] == "SET" and not isinstance(reply, ReplyError)
        self.pushed += written and self.pushes == "before"
        asked.then(reply)
        self.pushed += written and self.pushes == "after"
        self.pushed += command[0] == "DEL" and self.pushes == "late"
        return reply

    @property
    def words(self) -> list[str]:
        return [" ".join(str(word) for word in command[:2]) for command in self.asked]


def shake(
    script: Scripted,
    *,
    url: str = "redis://h",
    credentials: tuple[str, ...] = (),
    previous: ServerInfo | None = None,
    careful: bool = False,
) -> ServerInfo:
    async def recover(ask: Any, greeting: ServerInfo, answers: list[Any], first: Sequence[Heard]) -> None:
        assert answers == [None, None]
        await ask(*first, ("RECOVER", f"tracking={greeting.tracking}"))

    async def main() -> ServerInfo:
        return await handshake(
            script.ask,
            Address.parse(url),
            credentials,
            name="me",
            probe=b"p:me",
            probe_pushes=lambda: script.pushed,
            previous=previous,
            questions=lambda: (("QUESTION", 1), ("QUESTION", 2)),
            recover=recover,
            careful=careful,
        )

    return asyncio.run(main())


def test_a_healthy_server() -> None:
    script = Scripted()
    assert shake(script, url="redis://h/3", credentials=("ann", "secret")) == ServerInfo(
        engine="redis",
        version="7.0.15",
        client_id=7,
        run_id="abc",
        standing=Standing("master", "def"),
        is_watched=True,
        tracking=True,
    )
    assert script.asked == [
        ("HELLO", 3, "AUTH", "ann", "secret", "SETNAME", "me"),
        ("SELECT", 3),
        ("CLIENT", "TRACKING", "ON"),
        ("INFO", "server"),
        ("INFO", "replication"),
        ("QUESTION", 1),
        ("QUESTION", 2),
        ("GET", b"p:me"),
        ("SET", b"p:me", "1", "PX", 10_000),
        ("DEL", b"p:me"),
        ("RECOVER", "tracking=True"),
    ]


def test_a_handshake_is_three_writes_and_the_last_is_the_caches_own() -> None:
    """Thousands of them come at once when a server is back; each write is a round trip, and a read of the server."""
    script = Scripted()
    shake(script, previous=ServerInfo(client_id=3, run_id="abc"))
    assert script.writes == [1, 8, 2]


def test_tracking_is_on_before_anything_of_the_cache_is_read() -> None:
    script = Scripted()
    shake(script)
    assert script.words.index("CLIENT TRACKING") < script.words.index("QUESTION 1")


def test_a_password_alone_is_the_default_users() -> None:
    script = Scripted()
    shake(script, credentials=("secret",))
    assert script.asked[0][:5] == ("HELLO", 3, "AUTH", "default", "secret")


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("WRONGPASS invalid username-password pair or user is disabled.", "auth"),
        ("NOAUTH HELLO must be called with the client already authenticated", "auth"),
        ("LOADING Redis is loading the dataset in memory", "loading"),
        ("MASTERDOWN Link with MASTER is down", "masterdown"),
        ("BUSY Redis is busy running a script", "busy"),
        ("ERR max number of clients reached", "maxclients"),
        ("DENIED Redis is running in protected mode because protected mode is enabled", "error"),
        ("ERR invalid password", "auth"),
    ],
)
def test_a_refused_hello_says_why(answer: str, reason: str) -> None:
    with pytest.raises(HandshakeError) as caught:
        shake(Scripted(HELLO=answer))
    assert caught.value.reason == reason
    assert answer in str(caught.value)


@pytest.mark.parametrize(
    ("hello", "reason"),
    [({b"mode": b"cluster"}, "cluster_mode"), ({b"role": b"replica"}, "readonly"), ({b"role": b"slave"}, "readonly")],
)
def test_a_server_of_the_wrong_kind_is_refused(hello: dict[bytes, bytes], reason: str) -> None:
    with pytest.raises(HandshakeError) as caught:
        shake(Scripted(HELLO=HELLO | hello))
    assert caught.value.reason == reason


def test_a_replica_is_found_out_without_resp3_too() -> None:
    """Its HELLO would tell; a server that refuses HELLO tells it by another command."""
    with pytest.raises(HandshakeError, match="point the URL at the primary") as caught:
        shake(Scripted(HELLO="NOPROTO no", INFO_replication=REPLICATION.replace(b"master\r", b"slave\r")))
    assert caught.value.reason == "readonly"


@pytest.mark.parametrize("answer", ["NOPERM no", "ERR unknown command", None, 5, b"", b"# Replication\r\n", [], {}])
def test_a_server_that_does_not_say_its_role_is_used_and_not_asked_again(answer: Any) -> None:
    greeting = shake(Scripted(INFO_replication=answer))
    assert (greeting.standing, greeting.is_watched, greeting.tracking) == (Standing(), False, True)


@pytest.mark.parametrize(("info", "replid"), [(b"role:master\r\n", None), (b"master_replid:x\r\n", "x")])
def test_what_a_server_says_of_itself_is_looked_at_again(info: bytes, replid: str | None) -> None:
    greeting = shake(Scripted(INFO_replication=info))
    assert (greeting.standing.replid, greeting.is_watched) == (replid, True)


@pytest.mark.parametrize(("answer", "reason"), [("NOPERM no", "noperm"), ("ERR DB index is out of range", "error")])
def test_a_refused_database_says_why(answer: str, reason: str) -> None:
    with pytest.raises(HandshakeError, match="SELECT 3") as caught:
        shake(Scripted(SELECT=answer), url="redis://h/3")
    assert caught.value.reason == reason


NO_HELLO = [
    "NOPROTO unsupported protocol version",
    "NOPERM this user has no permissions to run the 'hello' command",
    "ERR unknown command 'HELLO'",
    "unsupported command 'HELLO'",
    "ERR unsupported command `hello`",
    "ERR unsupported protocol version",
    "ERR handle request, command 'HELLO' is not allowed",
    "invalid request",
    "ERR something else",
]


@pytest.mark.parametrize("answer", NO_HELLO)
def test_a_server_without_resp3_is_used_without_tracking(answer: str) -> None:
    script = Scripted(HELLO=answer)
    greeting = shake(script, credentials=("secret",))
    assert (greeting.resp3, greeting.tracking, greeting.client_id) == (False, False, None)
    assert greeting.no_tracking_because == f"the server refused RESP3: {answer}"
    assert ("AUTH", "secret") in script.asked
    assert "CLIENT TRACKING" not in script.words
    assert not any(word.startswith("SET ") for word in script.words), "there is nothing to test"


def test_words_of_the_server_do_not_repeat_what_we_said() -> None:
    """Redis before 7.0 shows the arguments of an unknown command, with the password among them."""
    said = "ERR unknown command `HELLO`, with args beginning with: `3`, `AUTH`, `default`, `secret`, "
    greeting = shake(Scripted(HELLO=said), credentials=("secret",))
    assert greeting.no_tracking_because == "the server refused RESP3: ERR unknown command `HELLO`"


@pytest.mark.parametrize("answer", NO_HELLO)
def test_a_proxy_that_asks_for_the_password_first_gets_it(answer: str) -> None:
    script = Scripted(HELLO_3=Turns(["NOAUTH Authentication required.", answer]))
    greeting = shake(script, credentials=("ann", "secret"))
    assert not greeting.resp3
    assert [word for word in script.words if word.startswith(("HELLO", "AUTH"))] == ["HELLO 3", "AUTH ann", "HELLO 3"]
    assert script.asked[1:4] == [("AUTH", "ann", "secret"), ("GET", b"p:me"), ("HELLO", 3, "SETNAME", "me")]


def test_a_proxy_that_asks_for_the_password_first_may_speak_resp3() -> None:
    script = Scripted(HELLO_3=Turns(["NOAUTH Authentication required.", HELLO]))
    assert shake(script, credentials=("secret",)).tracking
    assert ("AUTH", "secret") in script.asked


def test_without_a_password_to_give_being_asked_for_one_is_the_end() -> None:
    with pytest.raises(HandshakeError) as caught:
        shake(Scripted(HELLO_3=Turns(["NOAUTH Authentication required.", HELLO])))
    assert caught.value.reason == "auth"


@pytest.mark.parametrize("answer", ["NOAUTH again", "WRONGPASS no"])
def test_a_password_is_given_twice_at_most(answer: str) -> None:
    script = Scripted(HELLO_3=Turns(["NOAUTH Authentication required.", answer]))
    with pytest.raises(HandshakeError) as caught:
        shake(script, credentials=("secret",))
    assert caught.value.reason == "auth"
    assert script.words.count("HELLO 3") == 2


def test_careful_asks_what_every_server_answers_before_it_says_hello() -> None:
    script = Scripted(GET="NOAUTH no matter")
    with pytest.raises(HandshakeError):  # the refused GET counts at the end
        shake(script, credentials=("secret",), careful=True)
    assert script.asked[:3] == [("AUTH", "secret"), ("GET", b"p:me"), ("HELLO", 3, "SETNAME", "me")]


@pytest.mark.parametrize(
    "answer",
    [
        "ERR Client sent AUTH, but no password is set",
        "ERR AUTH <password> called without any password configured for the default user. Are you sure?",
    ],
)
def test_a_password_for_a_server_without_one_is_about_the_password(answer: str) -> None:
    with pytest.raises(HandshakeError) as caught:
        shake(Scripted(HELLO="ERR unknown command", AUTH=answer), credentials=("secret",))
    assert caught.value.reason == "auth"


def test_a_wrong_password_is_found_out_without_resp3_too() -> None:
    with pytest.raises(HandshakeError) as caught:
        shake(Scripted(HELLO="NOPROTO no", AUTH="ERR invalid password"), credentials=("secret",))
    assert caught.value.reason == "auth"
    assert "secret" not in str(caught.value)


def test_a_server_that_refuses_tracking_is_used_without() -> None:
    greeting = shake(Scripted(CLIENT_TRACKING="ERR unknown subcommand"))
    assert not greeting.tracking
    assert greeting.no_tracking_because == "ERR unknown subcommand"


@pytest.mark.parametrize("command", ["INFO", "CLIENT_KILL"])
def test_optional_commands_may_be_forbidden(command: str) -> None:
    previous = ServerInfo(client_id=3, run_id="abc")
    greeting = shake(Scripted(**{command: "NOPERM this user has no permissions"}), previous=previous)
    assert greeting.tracking
    assert greeting.run_id == (None if command == "INFO" else "abc")


def test_valkey_is_known_by_its_own_version() -> None:
    greeting = shake(Scripted(INFO=b"redis_version:7.2.4\r\nvalkey_version:9.0.1\r\nrun_id:x\r\n"))
    assert (greeting.engine, greeting.version, greeting.run_id) == ("valkey", "9.0.1", "x")


@pytest.mark.parametrize("hello", [[b"server", b"redis", b"id", 7], {}, b"OK", None, 3])
def test_a_strange_hello_is_no_crash(hello: Any) -> None:
    assert shake(Scripted(HELLO=hello)).engine == "redis"


# -- the previous connection -----------------------------------------------------------------------------------------


def killed(script: Scripted) -> list[Any]:
    return [command[3] for command in script.asked if command[:2] == ("CLIENT", "KILL")]


def test_our_last_connection_is_ended_before_the_cache_recovers() -> None:
    script = Scripted()
    shake(script, previous=ServerInfo(client_id=3, run_id="abc"))
    assert killed(script) == [3]
    assert script.words.index("CLIENT KILL") < script.words.index("RECOVER tracking=True")


@pytest.mark.parametrize(
    "previous",
    [
        None,
        ServerInfo(client_id=3, run_id="another run, where 3 may be anybody"),
        ServerInfo(client_id=3, run_id=None),
        ServerInfo(client_id=None, run_id="abc"),
        ServerInfo(client_id=7, run_id="abc"),  # the connection itself
    ],
)
def test_nobody_else_is_ever_killed(previous: ServerInfo | None) -> None:
    script = Scripted()
    shake(script, previous=previous)
    assert killed(script) == []


# -- the self-test ---------------------------------------------------------------------------------------------------


def test_without_the_push_of_the_self_test_nothing_is_tracked() -> None:
    greeting = shake(Scripted("never"))
    assert not greeting.tracking
    assert greeting.no_tracking_because == "the self-test saw no invalidation"


@pytest.mark.parametrize("answer", ["OOM command not allowed", "MISCONF Errors writing", "READONLY You can't"])
def test_a_write_that_is_refused_says_nothing_against_tracking(answer: str) -> None:
    assert shake(Scripted("never", SET=answer)).tracking


@pytest.mark.parametrize(("answer", "reason"), [("NOPERM no", "noperm"), ("NOAUTH Authentication required", "auth")])
def test_a_user_who_may_not_read_is_refused(answer: str, reason: str) -> None:
    with pytest.raises(HandshakeError) as caught:
        shake(Scripted(GET=answer))
    assert caught.value.reason == reason


def test_a_push_that_comes_after_later_replies_is_no_tracking_to_rely_on() -> None:
    """The cache takes the next frame after its own write for its own push, so a late push would pass for another's."""
    greeting = shake(Scripted("late"))
    assert greeting.no_tracking_because == "the self-test saw no invalidation"


def test_a_self_test_that_is_asked_again_counts_from_its_own_read() -> None:
    """A server that loads its data may have answered a part of the first write."""

    class Twice(Scripted):
        async def ask(self, *commands: Command | Heard, **options: Any) -> list[Any]:
            await super().ask(*commands, **options)
            return await super().ask(*commands, **options)

    assert shake(Twice()).tracking


def test_a_push_before_its_reply_is_no_tracking_to_rely_on() -> None:
    greeting = shake(Scripted("before"))
    assert not greeting.tracking
    assert greeting.no_tracking_because == "the self-test saw an invalidation before its reply"
