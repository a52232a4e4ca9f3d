"""The asyncio shell of the wire: sockets, timers and the task that reconnects. It decides nothing.

``session`` knows the protocol, ``link`` the states, ``handshake`` the first words; this file moves bytes between them
and the event loop, batches what one turn of the loop wrote, and aborts connections so that nothing of them lands late.
"""

import asyncio
import logging
import os
import select
import socket
import struct
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, cast

from msgspec import Struct

from ..clock import Clock
from ..errors import ConfigError
from .address import Address, CredentialProvider
from .dialing import dial
from .faults import TRANSIENT, connect_reason, reply_reason
from .handshake import Ask, Greeting, HandshakeError, handshake
from .link import Link, LinkState, Verdict
from .session import Call, Command, ProtocolError, ReplyError, Session

__all__ = ["AioWire", "WireHooks", "WireLimits"]

log = logging.getLogger("fleetcache")

Handle = Callable[[list[Any]], list[Any]]

# What may be unanswered at once. Beyond it the server does not keep up, and a new call would only wait.
MOST_CALLS = 20_000
MOST_BYTES = 64 * 1024 * 1024
# Bytes read at once. As much as asyncio's own reads; several replies to a turn's calls come in one.
READ_SIZE = 256 * 1024
# Own stall: how often in a row bytes that wait in the socket may postpone a judgement, and by how much.
POSTPONE, POSTPONE_MOST = 0.001, 100


class WireLimits(Struct, frozen=True):
    """Durations in seconds, the frame's in bytes."""

    operation_timeout: float
    connect_timeout: float
    max_staleness: float
    frame: int


class WireHooks(Struct, frozen=True):
    """What the wire tells the cache, all synchronously and in frame order but ``recover``."""

    on_push: Callable[[list[Any]], None]
    on_own_push: Callable[[bytes], None]
    on_timeout: Callable[[], None]
    recover: Callable[[Ask, Greeting], Awaitable[None]]
    on_defect: Callable[[], None]
    heartbeat: Callable[[], Call]
    prepare: Callable[[], Awaitable[None]] | None = None  # before each attempt; has bounds of its own


class _Connection(asyncio.BufferedProtocol):
    """One transport's protocol. What an earlier transport still has to say is nobody's business any more.

    Buffered: the loop reads into one buffer, where it would else make and cut 256 KiB for every reply.
    """

    def __init__(self, wire: "AioWire") -> None:
        self._wire = wire
        self._buffer = memoryview(bytearray(READ_SIZE))

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - asyncio's signature
        """Where the loop reads to."""
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Hand on what arrived, if this is still the connection."""
        if self._wire.connection is self:
            self._wire.received(self._buffer[:nbytes])

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell, if this is still the connection."""
        if self._wire.connection is self:
            self._wire.fail("reset", repr(exc) if exc else "the server closed the connection")


class AioWire:
    """One connection that is kept alive on one event loop."""

    def __init__(
        self,
        address: Address,
        provider: CredentialProvider | None,
        link: Link,
        limits: WireLimits,
        hooks: WireHooks,
        *,
        clock: Clock,
        random: Callable[[], float],
        name: str,
        probe: bytes,
    ) -> None:
        self.address, self.link = address, link
        self._provider, self._limits, self._hooks = provider, limits, hooks
        self._clock, self._random, self._name, self._probe = clock, random, name, probe
        self._loop = asyncio.get_running_loop()
        self._session = self._new_session()
        self._transport: asyncio.Transport | None = None
        self.connection: _Connection | None = None
        self._out: list[bytes] = []
        self._timer: asyncio.TimerHandle | None = None
        self._wake_at = float("inf")
        self._postponed = 0
        self._ended: asyncio.Future[str] | None = None
        self._probe_pushed = False
        self._last_heartbeat = -float("inf")
        self._task: asyncio.Task[None] | None = None
        self._secrets: tuple[str, ...] = ()
        self.greeting: Greeting | None = None
        self.last_error: str | None = None
        self.first_attempt: asyncio.Future[None] = self._loop.create_future()

    # -- calls ---------------------------------------------------------------------------------------------------

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop this wire lives on."""
        return self._loop

    @property
    def has_room(self) -> bool:
        """Whether another call may be queued."""
        session = self._session
        return len(session.calls) < MOST_CALLS and session.unanswered_bytes < MOST_BYTES

    @property
    def connected(self) -> bool:
        """Whether a connection stands on which calls may be sent, heard of late or not."""
        return self.link.connected and self.link.state is not LinkState.RECOVERING

    def submit(self, call: Call, *, at_once: bool = False) -> None:
        """Queue a call; what one turn of the loop queues is written together.

        ``at_once``: it is no part of a batch; if nothing else is under way, it need not wait for the end of the turn.
        """
        now = self._clock()
        session, out = self._session, self._out
        if at_once and not out and not session.calls and self._transport is not None:
            self._transport.write(call.payload)
        else:
            if not out:
                self._loop.call_soon(self._flush)
            out.append(call.payload)
        session.add(call, now)
        timeout = self._limits.operation_timeout
        if self._loop.time() + timeout < self._wake_at:
            self._arm(now + timeout)

    def expect_own(self, key: bytes) -> None:
        """The next frame is known to be our own push for ``key``."""
        self._session.expect_own = key

    def _flush(self) -> None:
        out, self._out = self._out, []
        if self._transport is not None and out:
            self._transport.write(out[0] if len(out) == 1 else b"".join(out))

    # -- frames --------------------------------------------------------------------------------------------------

    def received(self, data: memoryview) -> None:
        """Parse and act, synchronously and in order."""
        try:
            answered = self._session.feed(data)
        except ProtocolError as error:
            self.fail("protocol", str(error))
            return
        except Exception as error:
            # A defect of ours: what near holds can no longer be vouched for.
            log.exception("fleetcache: a frame could not be handled; the connection is given up")
            self._hooks.on_defect()
            self.fail("error", repr(error))
            return
        if answered is not None:
            self._postponed = 0
            self.link.replied(answered, self._session.oldest, self._clock())

    def _on_push(self, frame: list[Any]) -> None:
        if len(frame) == 2 and frame[0] == b"invalidate" and frame[1] == [self._probe]:  # noqa: PLR2004 - kind and keys
            self._probe_pushed = True
        else:
            self._hooks.on_push(frame)

    def fail(self, reason: str, detail: str) -> None:
        """Give the connection up."""
        if self._ended is not None and not self._ended.done():
            self.last_error = self._without_secrets(detail)
            self._ended.set_result(reason)
        self._abort()

    # -- time ----------------------------------------------------------------------------------------------------

    def _arm(self, when: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        # In the loop's own time: it stands still while the host sleeps, and with it the timer.
        self._wake_at = self._loop.time() + max(0.0, when - self._clock())
        self._timer = self._loop.call_at(self._wake_at, self._tick)

    def _tick(self) -> None:
        self._timer, self._wake_at = None, float("inf")
        now = self._clock()
        session, link = self._session, self.link
        before = now - self._limits.operation_timeout
        oldest = session.oldest
        # The handshake has a deadline of its own, longer than one operation's.
        if oldest is not None and oldest <= before and link.state is not LinkState.RECOVERING:
            # Bytes that are there count as alive: our own stall must not look like a dead server.
            if self._postponed < POSTPONE_MOST and self._has_bytes():
                self._postponed += 1
                self._arm(now + POSTPONE)
                return
            self._judge(before, oldest, now)
        if link.connected and link.state is not LinkState.RECOVERING:
            self._beat(now)
        self._arm_next(now)

    def _judge(self, before: float, oldest: float, now: float) -> None:
        verdict = self.link.check(oldest, now)
        for call in self._session.overdue(before):
            if call.gate is not None and not call.gate.done():
                self._hooks.on_timeout()
            call.give_up()
        if verdict is Verdict.ABORT:
            self.fail("timeout", f"no answer for {now - oldest:.1f} s")

    def _beat(self, now: float) -> None:
        """At least every third of ``max_staleness``, also under load; one at a time while nothing is answered."""
        due = self._last_heartbeat + self._limits.max_staleness / 3
        if now >= due - 0.001 and (self.link.usable or not self._session.calls):
            self._last_heartbeat = now
            self.submit(self._hooks.heartbeat())

    def _arm_next(self, now: float) -> None:
        if not self.link.connected:
            return
        candidates = [self._last_heartbeat + self._limits.max_staleness / 3] if self.link.usable else []
        check = self.link.next_check(self._session.oldest)
        if check is not None:
            candidates.append(check)
        before = now - self._limits.operation_timeout
        waiting = next((call.sent_at for call in self._session.calls if call.sent_at > before), None)
        if waiting is not None:
            candidates.append(waiting + self._limits.operation_timeout)
        if candidates:
            # Not sooner than 2 ms: many calls overdue one after the other are judged together.
            self._arm(max(min(candidates), now + 0.002))

    def _has_bytes(self) -> bool:
        raw = self._transport.get_extra_info("socket") if self._transport is not None else None
        if raw is None or raw.fileno() < 0:
            return False
        poll = select.poll()
        poll.register(raw.fileno(), select.POLLIN)
        return bool(poll.poll(0))

    # -- the connection's life ------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to connect, in the background, for as long as the wire lives."""
        self._task = self._loop.create_task(self._run(), name="fleetcache-link")

    async def _run(self) -> None:
        try:
            while self.link.state is not LinkState.CLOSED:
                reason = await self._live_once()
                self._drop(reason)
                self._tell_first_attempt()
                await asyncio.sleep(self.link.backoff(self._random))
        finally:
            # Also when the loop ends without a close(): nothing may be left open, and nobody waiting.
            self._abort()
            self._session.end()
            self._disarm()
            self._tell_first_attempt()

    def _tell_first_attempt(self) -> None:
        if not self.first_attempt.done():
            self.first_attempt.set_result(None)

    async def _live_once(self) -> str:
        """One connection from its first byte to its last; returns why it ended."""
        self._ended = self._loop.create_future()
        try:
            if self._hooks.prepare is not None:
                await self._hooks.prepare()
            async with asyncio.timeout(self._limits.connect_timeout) as deadline:
                await self._connect()
                self.link.opened(self._clock())
                credentials = self._secrets = await self._credentials()
                greeting = await handshake(
                    self._asking(deadline),
                    self.address,
                    credentials,
                    name=self._name,
                    probe=self._probe,
                    probe_pushed=lambda: self._probe_pushed,
                    previous=self.greeting,
                    recover=self._hooks.recover,
                )
        except HandshakeError as error:
            self.last_error = self._without_secrets(str(error))
            return error.reason
        except ConfigError as error:  # a certificate file that cannot be read
            self.last_error = str(error)
            return "tls"
        except (OSError, UnicodeError) as error:  # UnicodeError: a host name that is none
            self.last_error = f"{type(error).__name__}: {error}"
            return connect_reason(error) if not self._ended.done() else self._ended.result()
        except Exception as error:
            log.exception("fleetcache: the handshake failed by a defect of ours; it is tried again")
            self.last_error = type(error).__name__
            return "error"
        self.greeting = greeting
        sent_at = self._clock()
        self._last_heartbeat = sent_at
        self.link.ready(sent_at, sent_at)
        self._arm_next(sent_at)
        self._tell_first_attempt()
        return await self._ended

    def _without_secrets(self, said: str) -> str:
        """A server or a proxy that does not know a command may repeat its arguments, the password among them."""
        for secret in self._secrets[-1:]:
            said = said.replace(secret, "***") if secret else said
        return said

    async def _connect(self) -> None:
        address = self.address
        self._session = self._new_session()
        self._probe_pushed = False
        self._out = []
        connection = self.connection = _Connection(self)
        if address.path is not None:
            transport, _ = await self._loop.create_unix_connection(lambda: connection, address.path)
        else:
            context = address.ssl_context()
            transport, _ = await self._loop.create_connection(
                lambda: connection,
                sock=await dial(address.host, address.port),
                ssl=context,
                server_hostname=address.host if context is not None else None,
            )
        self._transport = transport

    async def _credentials(self) -> tuple[str, ...]:
        provider = self._provider
        if provider is None:
            password = self.address.password
            if password is None:
                return ()
            return (self.address.username, password) if self.address.username else (password,)
        asynchronous = getattr(provider, "get_credentials_async", None)
        try:
            return tuple(await asynchronous() if asynchronous is not None else provider.get_credentials())
        except Exception as error:  # noqa: BLE001 - the text of whatever a user's provider raises may hold a secret
            # Its text may hold what it was about to give.
            raise HandshakeError("auth", f"the credential provider raised {type(error).__name__}") from None

    def _asking(self, deadline: asyncio.Timeout) -> Ask:
        async def ask(*commands: Command, patient: bool = True, handle: Handle | None = None) -> list[Any]:
            while True:
                gate: asyncio.Future[Any] = self._loop.create_future()
                self.submit(Call(commands, gate=gate) if handle is None else Call(commands, handle, gate))
                replies = await self._reply_or_end(gate)
                reason = next((reply_reason(r) for r in replies if isinstance(r, ReplyError)), "")
                if not (patient and reason in TRANSIENT):
                    return replies
                # The server is there and says "not yet": wait on this connection, as long as it keeps saying so.
                self.link.reason = reason
                self._tell_first_attempt()
                await asyncio.sleep(Link.BACKOFF_FIRST)
                deadline.reschedule(self._loop.time() + self._limits.connect_timeout)

        return ask

    async def _reply_or_end(self, gate: "asyncio.Future[Any]") -> list[Any]:
        ended = cast("asyncio.Future[str]", self._ended)
        await asyncio.wait((gate, ended), return_when=asyncio.FIRST_COMPLETED)
        if isinstance(gate_result := gate.result() if gate.done() else None, list):
            return gate_result
        raise HandshakeError(ended.result() if ended.done() else "timeout", self.last_error or "no answer")

    def _new_session(self) -> Session:
        session = Session(self._on_push, self._limits.frame)
        session.on_own = self._hooks.on_own_push
        return session

    def _drop(self, reason: str) -> None:
        self._abort()
        self.link.lost(reason, self._clock())
        self._session.end()
        self._disarm()

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._wake_at = None, float("inf")

    def _abort(self) -> None:
        """Close with a reset: else the kernel goes on sending, and an old SET lands seconds after it was replaced."""
        transport, self._transport = self._transport, None
        self.connection = None
        self._out = []
        if transport is None:
            return
        raw = transport.get_extra_info("socket")
        if raw is not None:
            with suppress(OSError):
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()

    async def close(self) -> None:
        """End the connection and the task."""
        self.link.close(self._clock())
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        # One turn, so that the transport's own farewell runs while the loop still does.
        await asyncio.sleep(0)

    def abandon(self) -> list[Any]:
        """In a forked child, or when the loop is gone: give back the descriptor without a word to the server.

        Nothing of the old loop may be touched (its selector is shared with the parent), so the transport is never
        closed, only kept alive; what must be kept is returned.
        """
        transport, self._transport = self._transport, None
        self.connection = None
        self._disarm()
        for call in self._session.calls:
            if call.lost is not None:  # what was not acknowledged is owed; nobody who waits can be told any more
                call.lost()
        raw = transport.get_extra_info("socket") if transport is not None else None
        if raw is not None:
            with suppress(OSError):
                os.close(raw.fileno())
        if transport is None:
            return []
        transport.set_protocol(asyncio.Protocol())  # nothing of the cache is kept alive with it
        return [transport] if self._task is None or self._task.done() else [transport, self._task]
