"""The handshake: ordinary calls on a new session, until the link may be called online.

Written once for every shell: it awaits only ``ask`` and ``recover``. ``recover`` is the cache's own step in between
(scripts, the replay of pending removals, the first tag); the wire knows no cache.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from msgspec import Struct

from ..config.url import Address
from .reasons import TRANSIENT, reply_reason, spoken
from .server_role import ASK_STANDING, Standing, info_fields
from .session import ReplyError

__all__ = ["Ask", "HandshakeError", "ServerInfo", "handshake"]

Ask = Callable[..., Awaitable[list[Any]]]
"""``await ask(*commands, patient=True, handle=None)`` -> replies.

``patient``: a server that is loading is asked again; ``handle``: sees the replies in frame order and returns them.
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


async def handshake(
    ask: Ask,
    address: Address,
    credentials: tuple[str, ...],
    *,
    name: str,
    probe: bytes,
    probe_pushed: Callable[[], bool],
    previous: ServerInfo | None,
    recover: Callable[[Ask, ServerInfo], Awaitable[None]],
    careful: bool = False,
) -> ServerInfo:
    """Make a new connection usable.

    Args:
        ask: Sends commands on the new session and returns their replies.
        address: The address of the server; only the database number is read.
        credentials: ``()``, ``(password,)`` or ``(user, password)``.
        name: Shown by ``CLIENT LIST`` on the server.
        probe: A key that only the self-test of tracking uses.
        probe_pushed: Tells whether a push for the probe was parsed by now.
        previous: The greeting of the previous connection, to end it should the server still keep it.
        recover: The cache's own step, between tracking and the self-test.
        careful: Whether to send another command before ``HELLO``, so that a close at ``HELLO`` is evidence against it.

    Raises:
        HandshakeError: The server cannot be used, with the reason.
    """
    greeting = await _hello(ask, credentials, name, probe, careful=careful)
    if address.db:
        _must((await ask(("SELECT", address.db)))[0], f"SELECT {address.db}")
    if greeting.resp3:
        (tracking,) = await ask(("CLIENT", "TRACKING", "ON"))
        greeting.tracking = not isinstance(tracking, ReplyError)
        if not greeting.tracking:
            greeting.no_tracking_because = spoken(tracking)
    await _identify(ask, greeting)
    await _end_previous(ask, greeting, previous)
    await recover(ask, greeting)
    if greeting.tracking:
        await _self_test(ask, greeting, probe, probe_pushed)
    else:  # without this read, a user without the right to read would be online until the first heartbeat, every time
        _must_be_allowed((await ask(("GET", probe), patient=False))[0])
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


async def _identify(ask: Ask, greeting: ServerInfo) -> None:
    """Read the server's run and history, which reveal a restart or failover; both stay unknown if INFO is forbidden."""
    server, replication = await ask(("INFO", "server"), ASK_STANDING)
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


async def _end_previous(ask: Ask, greeting: ServerInfo, previous: ServerInfo | None) -> None:
    """Kill the previous connection: its commands in the server's receive buffer must not run after the replay.

    Only on the same run of the server: after a restart the client id may belong to another client.
    """
    if previous is None:
        return
    known = previous.run_id is not None and greeting.run_id is not None
    if known and previous.run_id != greeting.run_id:
        return  # the receive buffer was lost with that run
    greeting.is_alone = False
    if known and previous.client_id is not None and previous.client_id != greeting.client_id:
        (killed,) = await ask(("CLIENT", "KILL", "ID", previous.client_id))
        greeting.is_alone = isinstance(killed, int)


async def _self_test(ask: Ask, greeting: ServerInfo, probe: bytes, probe_pushed: Callable[[], bool]) -> None:
    """Read and write the probe, and expect its push: version strings and OKs do not prove tracking."""
    early = False

    def in_order(replies: list[Any]) -> list[Any]:
        nonlocal early
        early = probe_pushed()  # with a push before its reply, an outdated value could enter the near cache
        return replies

    commands = (("GET", probe), ("SET", probe, "1", "PX", 10_000))
    read, written = await ask(*commands, patient=False, handle=in_order)
    await ask(("DEL", probe), patient=False)
    _must_be_allowed(read)
    if isinstance(written, ReplyError) or isinstance(read, ReplyError):
        return  # the server is full or cannot save: that is not evidence against tracking
    if early or not probe_pushed():
        greeting.tracking = False
        told = "an invalidation before its reply" if early else "no invalidation"
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
