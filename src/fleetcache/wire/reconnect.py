"""Keep a connection alive, for every shell: connect, shake hands, serve, and reconnect with backoff when it is lost.

Written once, as ``async def`` that awaits only the shell's own methods: ``aio`` suspends there, ``threads`` blocks.
"""

import logging
from abc import abstractmethod
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

from ..clock import Clock
from ..config.url import Address, CredentialProvider
from ..errors import ConfigError
from ..futures import Future
from .closings import Closings
from .connection import Connection, WireHooks, WireLimits
from .handshake import Ask, HandshakeError, ServerInfo, handshake
from .hints import PLAIN_TO_TLS, hinted, idle_hint, tls_hint
from .link import Link, LinkState
from .reasons import TRANSIENT, connect_reason, connect_words, reply_reason
from .session import Call, Command, ReplyError

__all__ = ["Deadline", "Reconnector"]

# ``IDLE_TIMES`` connections in a row, each closed at least ``MIN_IDLE`` seconds after the last answer, are no accident:
# a server that ends or is restarted closes one. A connection that held longer than ``HELD_LONG`` seconds, for many
# heartbeats, was not closed for being idle.
IDLE_TIMES, MIN_IDLE, HELD_LONG = 3, 0.05, 60.0

Handle = Callable[[list[Any]], list[Any]]


class Deadline(Protocol):
    """A deadline that may be moved."""

    def extend(self, seconds: float) -> None:
        """Move the deadline to ``seconds`` from now."""
        ...


class Reconnector(Connection):
    """One connection that is kept alive.

    Args:
        address: The address of the server.
        provider: Gives user and password anew for each connection; ``None``: those of the address.
        link: The states of the connection.
        limits: Durations and the frame limit.
        hooks: The cache's side.
        clock: Seconds.
        random: Returns a number in [0, 1).
        name: The client name that ``CLIENT LIST`` shows on the server.
        probe: As for ``Connection``.
    """

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
        super().__init__(link, limits, hooks, clock, probe)
        self.address = address
        self._provider, self._random, self._name = provider, random, name
        self.greeting: ServerInfo | None = None
        self.tried = False
        self._attempt_waiters: list[Future] = []
        self.closings = Closings(clock)
        self._shaking = False  # TLS's own handshake is under way
        self._began = -float("inf")  # when the current connection was ready
        self._idled = 0  # connections in a row that the other end closed while no call was under way

    # -- for the shell -----------------------------------------------------------------------------------------------

    @abstractmethod
    def _future(self) -> Future:
        """Return a new future."""

    @abstractmethod
    async def _connect(self) -> None:
        """Open a connection."""

    @abstractmethod
    async def _until_over(self) -> None:
        """Serve the connection until ``_over`` says why it ended."""

    @abstractmethod
    async def _reply(self, future: Future) -> Any:
        """Serve the connection until it is over or the future has a result; return that result, or ``None``."""

    @abstractmethod
    async def _pause(self, seconds: float) -> None:
        """Wait for ``seconds``."""

    @abstractmethod
    def _within(self, seconds: float) -> AbstractAsyncContextManager[Deadline]:
        """Raise ``TimeoutError`` in a wait inside this context that lasts longer."""

    @abstractmethod
    async def _provided(self, provider: CredentialProvider) -> tuple[str, ...]:
        """Ask the provider for user and password."""

    @abstractmethod
    def _disarm(self) -> None:
        """Cancel the timer."""

    @abstractmethod
    def start(self) -> None:
        """Begin to connect, in the background, for as long as the wire lives."""

    @abstractmethod
    async def close(self) -> None:
        """End the connection for good."""

    @abstractmethod
    def abandon(self, *, reset: bool) -> list[Any]:
        """Let the connection go, in a forked child or on a loop that is gone.

        Args:
            reset: Whether this process alone has the connection: a reset keeps its unsent bytes from ever being sent.
                Without it the server hears nothing.

        Returns:
            Objects to keep alive, because their finalizers would write to the connection.
        """

    # -- the connection's life ---------------------------------------------------------------------------------------

    async def _run(self) -> None:
        """Connect, serve, connect again, for as long as the wire lives."""
        try:
            while self.link.state is not LinkState.CLOSED:
                reason = await self._connect_and_serve()
                self._drop(reason)
                self._hooks.on_failed()
                self._tell_tried()
                await self._pause(self.link.backoff(self._random))
        finally:
            # Also when the loop ends without a close(): no socket may stay open, and no caller may wait on.
            self._abort()
            self.session.end()
            self._disarm()
            self._tell_tried()

    def on_first_attempt(self, future: Future) -> None:
        """Resolve the future when the first attempt to connect has succeeded or failed."""
        if self.tried:
            future.set_result(None)
        else:
            self._attempt_waiters.append(future)

    def _tell_tried(self) -> None:
        self.tried = True
        curious, self._attempt_waiters = self._attempt_waiters, []
        for future in curious:
            if not future.done():
                future.set_result(None)

    async def _connect_and_serve(self) -> str:
        """Run one connection from its first byte to its last; return why it ended."""
        self._over = self.detail = None
        self.session = self._new_session()
        self._probe_pushed = self._shaking = False
        try:
            if self._hooks.prepare is not None:
                await self._hooks.prepare()
            async with self._within(self._limits.connect_timeout) as deadline:
                await self._connect()
                self._check_over()
                self.closings.connected()
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
                    careful=self.closings.careful,
                )
                self._check_over()
        except HandshakeError as error:
            self.last_error = self.without_secrets(str(error))
            return error.reason
        except ConfigError as error:  # a certificate file that cannot be read
            self.last_error = str(error)
            return "tls"
        except (OSError, UnicodeError) as error:  # UnicodeError: an impossible host name
            hint = tls_hint(error, shaking=self._shaking and self.greeting is None)
            words = connect_words(error)
            self.last_error = hinted(f"{type(error).__name__}: {str(error) or words}", hint)
            self.detail = hinted(words, hint)
            return self._why() or connect_reason(error)
        except Exception as error:  # noqa: BLE001 - a defect of the cache; it is in the log
            text = "the handshake failed by a defect of ours; it is tried again"
            self._hooks.tell(logging.ERROR, "defect", text, error=error)
            self.last_error = type(error).__name__
            return "error"
        if greeting.no_tracking_because is not None:
            greeting.no_tracking_because = self.without_secrets(greeting.no_tracking_because)
        self.greeting = greeting
        sent_at = self._clock()
        self._last_heartbeat = sent_at
        self._began = sent_at
        self.link.ready(sent_at, sent_at)
        self._arm_next(sent_at)
        self._tell_tried()
        await self._until_over()
        self._look_for_idling()
        return self._why() or "error"

    def _look_for_idling(self) -> None:
        """Add a hint to ``last_error`` when the other end closes one idle connection after the other."""
        now, beat = self._clock(), self._limits.max_staleness / 3
        idle = now - self.link.confirmed
        # A busy connection, or one that held for a while, is not closed for being idle.
        if self._over != "reset" or self.session.calls or idle < MIN_IDLE or now - self._began > HELD_LONG:
            self._idled = 0
            return
        self._idled += 1
        if self._idled >= IDLE_TIMES:
            self.last_error = hinted(self.last_error or "", idle_hint(self._idled, idle, beat))

    def _why(self) -> str | None:
        """Return why the connection is over; ``None`` while it is not."""
        return self._over

    def _check_over(self) -> None:
        if self._over is not None:
            raise HandshakeError(self._over, self.last_error or "no answer")

    async def _credentials(self) -> tuple[str, ...]:
        provider = self._provider
        if provider is None:
            password = self.address.password
            if password is None:
                return ()
            return (self.address.username, password) if self.address.username else (password,)
        try:
            return await self._provided(provider)
        except Exception as error:  # noqa: BLE001 - the text of a user's exception may hold a secret
            # The provider may have put the password into the text.
            raise HandshakeError("auth", f"the credential provider raised {type(error).__name__}") from None

    def _asking(self, deadline: Deadline) -> Ask:
        async def ask(*commands: Command, patient: bool = True, handle: Handle | None = None) -> list[Any]:
            closings = self.closings
            if (refusal := closings.refusal(commands[0])) is not None:
                return [refusal] * len(commands)
            while True:
                future = self._future()
                self.submit(Call(commands, future=future) if handle is None else Call(commands, handle, future))
                replies: Any = await self._reply(future)
                if not isinstance(replies, list):
                    said = self.last_error or "no answer"
                    if self._over == "reset":
                        closings.closed_at(commands[0])
                        if self.address.kind == "tcp" and self.greeting is None and not closings.spoke:
                            said = hinted(said, PLAIN_TO_TLS)
                    raise HandshakeError(self._over or "timeout", said)
                closings.answered()
                reason = next((reply_reason(r) for r in replies if isinstance(r, ReplyError)), "")
                if not (patient and reason in TRANSIENT):
                    return replies
                # The server is there and says "not yet": wait on this connection, as long as it repeats that.
                self.link.reason = reason
                self._tell_tried()
                await self._pause(Link.BACKOFF_FIRST)
                deadline.extend(self._limits.connect_timeout)

        return ask

    def _drop(self, reason: str) -> None:
        self._abort()
        self.link.lost(reason, self._clock())
        self.session.end()
        self._disarm()
