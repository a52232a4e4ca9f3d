"""The handshake: ordinary calls on a new session, until the link may be called online.

Written once for every shell: it awaits only ``ask`` and ``recover``. ``recover`` is the cache's own step (scripts, the
replay of pending removals, the first tag); the wire knows no cache.

A fleet of thousands comes back at once, so a handshake takes few writes: ``HELLO``; all questions, those of the cache
and the self-test of tracking among them; then the cache's step, if something is left to do.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from msgspec import Struct

from ..config.url import Address
from .reasons import TRANSIENT, reply_reason, spoken
from .server_role import ASK_STANDING, Standing, info_fields
from .session import Command, ReplyError

__all__ = ["Ask", "HandshakeError", "Heard", "Recover", "ServerInfo", "handshake"]


def _nothing(_reply: Any) -> None:
    """Handle a reply that only the caller of ``ask`` reads."""


class Heard(Struct, frozen=True):
    """A command whose reply is handled when it is parsed, before any later frame is looked at."""

    command: Command
    then: Callable[[Any], None] = _nothing

    @classmethod
    def of(cls, asked: "Command | Heard") -> "Heard":
        """Return the command, as one whose reply is handled."""
        return asked if isinstance(asked, cls) else cls(asked)  # type: ignore[arg-type]  # a tuple then


Ask = Callable[..., Awaitable[list[Any]]]
"""``await ask(*commands, patient=True)`` -> replies. The commands, each of them may be a ``Heard``, are one write.

``patient``: all of them are asked again while the server is loading.
"""

_A_REPLICA = "the server is a replica: point the URL at the primary"
# Refusals of HELLO that do not concern RESP3: the server would refuse RESP2 as well.
_NO_WORD_ON_RESP3 = TRANSIENT | {"auth", "maxclients"}


class HandshakeError(Exception):
    """The server answers but cannot be used; ``reason`` is a stable code."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


class ServerInfo(Struct):
    """The server's own statements on its version, its history and its features, from the handshake."""

    engine: str = "redis"
    version: str = ""
    client_id: int | None = None
    run_id: str | None = None
    standing: Standing = Standing()
    is_watched: bool = False  # whether the server reports its role or history, so that heartbeats can check it
    is_alone: bool = True  # whether no bytes of the previous connection can reach the server any more
    resp3: bool = True
    tracking: bool = False
    no_tracking_because: str | None = None


Recover = Callable[[Ask, ServerInfo, list[Any], Sequence[Heard]], Awaitable[None]]
"""``await recover(ask, greeting, answers, first)``: the cache's step.

``answers``: the replies to the cache's questions; ``first``: commands that must reach the server before its others.
"""


async def handshake(
    ask: Ask,
    address: Address,
    credentials: tuple[str, ...],
    *,
    name: str,
    probe: bytes,
    probe_pushes: Callable[[], int],
    previous: ServerInfo | None,
    questions: Callable[[], Sequence[Command]],
    recover: Recover,
    careful: bool = False,
) -> ServerInfo:
    """Make a new connection usable.

    Args:
        ask: Sends commands on the new session and returns their replies.
        address: The address of the server; only the database number is read.
        credentials: ``()``, ``(password,)`` or ``(user, password)``.
        name: Shown by ``CLIENT LIST`` on the server.
        probe: A key that only the self-test of tracking uses.
        probe_pushes: Tells how many pushes for the probe were parsed by now.
        previous: The greeting of the previous connection, to end it should the server still keep it.
        questions: The cache's questions, asked after tracking is on and before anything is changed.
        recover: The cache's own step.
        careful: Whether to send another command before ``HELLO``, so that a close at ``HELLO`` is evidence against it.

    Raises:
        HandshakeError: The server cannot be used, with the reason.
    """
    greeting = await _hello(ask, credentials, name, probe, careful=careful)
    if address.db:
        _must((await ask(("SELECT", address.db)))[0], f"SELECT {address.db}")
    track: tuple[Command, ...] = (("CLIENT", "TRACKING", "ON"),) if greeting.resp3 else ()
    of_the_cache = questions()
    test = _SelfTest(probe, probe_pushes)
    before = len(track) + 2
    replies = await ask(
        *track, ("INFO", "server"), ASK_STANDING, *of_the_cache, *test.commands(tracking=greeting.resp3)
    )
    if track:
        greeting.tracking = not isinstance(replies[0], ReplyError)
        if not greeting.tracking:
            greeting.no_tracking_because = spoken(replies[0])
    _identify(greeting, *replies[len(track) : before])
    test.judge(greeting)
    answers = replies[before : before + len(of_the_cache)]
    await recover(ask, greeting, answers, _end_previous(greeting, previous))
    # Without this check, a user without the right to read would be online until the first heartbeat, every time.
    _must_be_allowed(test.read)
    return greeting


async def _hello(
    ask: Ask, credentials: tuple[str, ...], name: str, probe: bytes, *, careful: bool = False
) -> ServerInfo:
    auth: tuple[str, ...] = ()
    if careful:
        if credentials:
            _must((await ask(("AUTH", *credentials)))[0], "AUTH")
        await ask(("GET", probe), patient=False)  # every proxy knows GET; the reply does not matter
    elif credentials:
        auth = ("AUTH", *(credentials if len(credentials) > 1 else ("default", *credentials)))
    (hello,) = await ask(("HELLO", 3, *auth, "SETNAME", name))
    if not isinstance(hello, ReplyError):
        return _greeting(hello)
    reason, text = reply_reason(hello), spoken(hello)
    if reason == "auth" and text.startswith("NOAUTH") and auth:  # a proxy that reads no password in HELLO
        return await _hello(ask, credentials, name, probe, careful=True)
    if reason in _NO_WORD_ON_RESP3 or text.startswith("DENIED"):
        raise HandshakeError(reason, text)
    # The server knows no HELLO, or no RESP3. The words differ, above all among proxies.
    if credentials and not careful:
        _must((await ask(("AUTH", *credentials)))[0], "AUTH")
    return ServerInfo(resp3=False, no_tracking_because=f"the server refused RESP3: {text}")


def _greeting(hello: Any) -> ServerInfo:
    said = {_text(key): value for key, value in _pairs(hello)}
    if _text(said.get("mode")) == "cluster":
        raise HandshakeError("cluster_mode", "the server runs in cluster mode, which is not supported yet")
    if _text(said.get("role", b"master")) not in {"master", "primary"}:
        raise HandshakeError("readonly", _A_REPLICA)
    number = said.get("id")
    return ServerInfo(
        engine=_text(said.get("server")) or "redis",
        version=_text(said.get("version")),
        client_id=number if isinstance(number, int) else None,
    )


def _identify(greeting: ServerInfo, server: Any, replication: Any) -> None:
    """Read the server's run and history, which reveal a restart or failover; both stay unknown if INFO is forbidden."""
    standing = Standing.of(replication)
    if standing.is_replica:
        raise HandshakeError("readonly", _A_REPLICA)
    greeting.standing, greeting.is_watched = standing, standing.is_known
    said = info_fields(server)
    greeting.run_id = said.get("run_id") or None
    if "valkey_version" in said:
        greeting.engine, greeting.version = "valkey", said["valkey_version"]
    elif not greeting.version:
        greeting.version = said.get("redis_version", "")


def _end_previous(greeting: ServerInfo, previous: ServerInfo | None) -> tuple[Heard, ...]:
    """Return the command that kills the previous connection.

    Its commands in the server's receive buffer must not run after the replay. Only on the same run of the server: after
    a restart the client id may belong to another client.
    """
    if previous is None:
        return ()
    known = previous.run_id is not None and greeting.run_id is not None
    if known and previous.run_id != greeting.run_id:
        return ()  # the receive buffer was lost with that run
    greeting.is_alone = False
    if not known or previous.client_id is None or previous.client_id == greeting.client_id:
        return ()

    def killed(reply: Any) -> None:
        greeting.is_alone = isinstance(reply, int)

    return (Heard(("CLIENT", "KILL", "ID", previous.client_id), killed),)


class _SelfTest:
    """Reads and writes the probe, and expects its push: version strings and OKs do not prove tracking.

    Attributes:
        read: The reply to the read of the probe.
    """

    def __init__(self, probe: bytes, pushes: Callable[[], int]) -> None:
        self._probe, self._pushes = probe, pushes
        self._counts: list[int] = []  # of the probe's pushes when each reply was parsed
        self.read: Any = None
        self._written: Any = None

    def commands(self, *, tracking: bool) -> list[Heard]:
        """Return the commands; without ``tracking`` only the read."""
        read = Heard(("GET", self._probe), self._heard_read)
        if not tracking:
            return [read]
        write = Heard(("SET", self._probe, "1", "PX", 10_000), self._heard_write)
        return [read, write, Heard(("DEL", self._probe), lambda _: self._counts.append(self._pushes()))]

    def _heard_read(self, reply: Any) -> None:
        self.read, self._counts = reply, [self._pushes()]

    def _heard_write(self, reply: Any) -> None:
        self._written = reply
        self._counts.append(self._pushes())

    def judge(self, greeting: ServerInfo) -> None:
        """Turn tracking off if the push did not come between the replies to ``SET`` and ``DEL``."""
        if not greeting.tracking or isinstance(self._written, ReplyError) or isinstance(self.read, ReplyError):
            return  # the server is full or cannot save: that is not evidence against tracking
        before, with_write, after = self._counts
        # With a push before its reply, an outdated value could enter the near cache.
        if with_write > before or after == with_write:
            greeting.tracking = False
            told = "an invalidation before its reply" if with_write > before else "no invalidation"
            greeting.no_tracking_because = f"the self-test saw {told}"


def _must(reply: Any, what: str) -> None:
    if isinstance(reply, ReplyError):
        raise HandshakeError(reply_reason(reply), f"{what}: {spoken(reply)}")


def _must_be_allowed(read: Any) -> None:
    if isinstance(read, ReplyError) and reply_reason(read) in {"auth", "noperm"}:
        raise HandshakeError(reply_reason(read), spoken(read))


def _pairs(reply: Any) -> list[tuple[Any, Any]]:
    if isinstance(reply, dict):
        return list(reply.items())
    if isinstance(reply, list):
        return list(zip(reply[::2], reply[1::2], strict=False))
    return []


def _text(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value or "")
