"""One connection, for every shell: its limits, its heartbeat, its overdue calls.

A shell moves bytes and waits, by asyncio or with a thread; it decides nothing. A ``Reconnector`` has a shell, tells it
when to connect, and waits through it.
"""

import logging
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

from msgspec import Struct

from ..clock import Clock
from ..config.url import Address, CredentialProvider
from ..futures import Future
from ..log import TELL, Teller
from .handshake import Recover, ServerInfo
from .link_state import Link, LinkState, Verdict
from .reasons import reply_reason
from .session import AnyCall, Call, Command, ProtocolError, RefusedError, Session, TooLargeError

__all__ = ["Connection", "Deadline", "WireHooks", "WireLimits"]

# If this process stalled, replies may already wait in the socket: check again up to 100 times, 1 ms apart, before
# declaring a timeout.
POSTPONE, MAX_POSTPONE = 0.001, 100


class WireLimits(Struct, frozen=True):
    """Durations in seconds, and the frame limit in bytes."""

    operation_timeout: float
    connect_timeout: float
    max_staleness: float
    frame: int


def _nothing() -> None:
    pass


class WireHooks(Struct, frozen=True):
    """Calls from the wire to the cache, all synchronous and in frame order, except for ``recover``."""

    on_push: Callable[[list[bytes] | None], None]
    on_own_push: Callable[[bytes], None]
    on_timeout: Callable[[], None]
    questions: Callable[[], Sequence[Command]]
    recover: Recover
    on_defect: Callable[[], None]
    heartbeat: Callable[[], Call]
    prepare: Callable[[], Awaitable[None]] | None = None  # called before each attempt; limits its own time
    on_failed: Callable[[], None] = _nothing  # a connection or an attempt to connect has ended
    on_too_large: Callable[[Command | None], None] = lambda _command: None
    tell: Teller = TELL


class Deadline(Protocol):
    """A deadline that may be moved."""

    def extend(self, seconds: float) -> None:
        """Move the deadline to ``seconds`` from now."""
        ...


class Connection(ABC):
    """One connection, and after it the next.

    Args:
        address: The address of the server.
        link: The states of the connection.
        limits: Durations and the frame limit.
        hooks: The cache's side.
        clock: Seconds.
        probe: A key that only the self-test of tracking uses; its push does not reach ``hooks``.

    Attributes:
        over: Why the current connection is over; ``None`` while it is not.
        greeting: The server's name, version and abilities, from the last handshake.
        last_error: The last fault in words, for the health report.
        detail: The same, shorter, for the log.
        probe_pushes: Pushes for the probe on the current connection.
        shaking: Whether TLS's own handshake is under way.
        secrets: User and password, or the password alone, as sent to the server.
    """

    def __init__(
        self, address: Address, link: Link, limits: WireLimits, hooks: WireHooks, *, clock: Clock, probe: bytes
    ) -> None:
        self.address, self.link, self.probe = address, link, probe
        self._limits, self._hooks, self._clock = limits, hooks, clock
        self.session = self._new_session()
        self._wake_at = float("inf")
        self._postponed = 0
        self.over: str | None = None
        self.probe_pushes = 0
        self.shaking = False
        self._last_heartbeat = -float("inf")
        self.secrets: tuple[str, ...] = ()
        self.greeting: ServerInfo | None = None
        self.last_error: str | None = None
        self.detail: str | None = None

    # -- a shell's bytes ---------------------------------------------------------------------------------------------

    @abstractmethod
    def submit(self, call: AnyCall, *, at_once: bool = False) -> None:
        """Queue a call. The calls of one turn are written together, unless ``at_once``."""

    @abstractmethod
    def _arm(self, when: float) -> None:
        """Call ``_tick`` at this time, instead of at the time that was set before."""

    @abstractmethod
    def _disarm(self) -> None:
        """Cancel the timer."""

    @abstractmethod
    def _has_bytes(self) -> bool:
        """Return True if bytes wait in the socket."""

    @abstractmethod
    def _abort(self) -> None:
        """Close with a reset: otherwise the kernel continues to send, and a SET lands seconds after its replacement."""

    @abstractmethod
    def _tell_over(self) -> None:
        """Have the task or thread that serves the connection look at ``over``."""

    # -- a shell's waits, for the ``Reconnector`` --------------------------------------------------------------------

    @abstractmethod
    def start(self, run: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run the coroutine that ``run`` returns, in the background.

        Raises:
            RuntimeError: The interpreter is ending, or the system has no more threads.
        """

    @abstractmethod
    async def connect(self) -> None:
        """Open a connection."""

    @abstractmethod
    async def until_over(self) -> None:
        """Serve the connection until ``over`` says why it ended."""

    @abstractmethod
    def future(self) -> Future:
        """Return a new future."""

    @abstractmethod
    async def reply(self, future: Future) -> Any:
        """Serve the connection until it is over or the future has a result; return that result, or ``None``."""

    @abstractmethod
    async def pause(self, seconds: float) -> None:
        """Wait for ``seconds``."""

    @abstractmethod
    def within(self, seconds: float) -> AbstractAsyncContextManager[Deadline]:
        """Raise ``TimeoutError`` in a wait inside this context that lasts longer."""

    @abstractmethod
    async def provided(self, provider: CredentialProvider) -> tuple[str, ...]:
        """Ask the provider for user and password."""

    @abstractmethod
    async def close(self) -> None:
        """End the connection for good, and the task or thread that serves it."""

    @abstractmethod
    def abandon(self, *, reset: bool) -> list[Any]:
        """Let the connection go, in a forked child or on a loop that is gone.

        Args:
            reset: Whether this process alone has the connection: a reset keeps its unsent bytes from ever being sent.
                Without it nothing is sent to the server.

        Returns:
            Objects to keep alive, because their finalizers would write to the connection.
        """

    # -- from one connection to the next -----------------------------------------------------------------------------

    def renew(self) -> None:
        """Forget the last connection, before the next attempt to connect."""
        self.over = self.detail = None
        self.session = self._new_session()
        self.probe_pushes = 0
        self.shaking = False

    def serve(self, greeting: ServerInfo) -> None:
        """Take the connection into use, after its handshake."""
        self.greeting = greeting
        now = self._last_heartbeat = self._clock()
        self.link.ready(now, now)
        self._arm_next(now)

    def end(self, reason: str | None = None) -> None:
        """Close the connection and end its calls without an answer.

        Args:
            reason: Why the connection or the attempt to connect failed; ``None`` if no other follows.
        """
        self._abort()
        if reason is not None:
            self.link.lost(reason, self._clock(), shaking=self.shaking)
        self.session.end()
        self._disarm()

    # -- calls -------------------------------------------------------------------------------------------------------

    @property
    def operation_timeout(self) -> float:
        """Return the seconds after which an unanswered call counts as late."""
        return self._limits.operation_timeout

    @property
    def connected(self) -> bool:
        """Return True if a connection is past its handshake, whether or not the server has answered recently."""
        return self.link.serves

    def expect_own(self, key: bytes) -> None:
        """Expect this connection's own push for ``key`` as the next frame."""
        self.session.expect_self_invalidation = key

    # -- frames ------------------------------------------------------------------------------------------------------

    def received(self, data: memoryview) -> None:
        """Parse the bytes and handle their frames, synchronously and in order."""
        try:
            answered = self.session.feed(data)
        except RefusedError as error:
            self.fail(reply_reason(error), str(error))
            return
        except TooLargeError as error:
            self._hooks.on_too_large(error.command)
            self.fail("protocol", str(error))
            return
        except ProtocolError as error:
            self.fail("protocol", str(error))
            return
        except Exception as error:  # noqa: BLE001 - it is in the log
            # A defect of the cache: the near cache may miss an invalidation, and can no longer be trusted.
            text = "defect: a frame could not be handled (%s); the connection is given up"
            self._hooks.tell(logging.ERROR, "defect", text, type(error).__name__, error=error)
            self._hooks.on_defect()
            self.fail("error", repr(error))
            return
        if answered is not None and self.over is None:  # a connection that was given up meanwhile proves nothing
            self._postponed = 0
            self.link.replied(answered, self.session.oldest, self._clock())

    def _on_push(self, keys: list[bytes] | None) -> None:
        if keys == [self.probe]:
            self.probe_pushes += 1
        else:
            self._hooks.on_push(keys)

    def fail(self, reason: str, detail: str) -> None:
        """Give the connection up."""
        if self.over is None:
            self.last_error = self.without_secrets(detail)
            self.over = reason
            self._tell_over()
        self._abort()

    def without_secrets(self, said: str) -> str:
        """Mask the password in a text: a server or proxy may repeat the arguments of a command it does not know."""
        for secret in self.secrets[-1:]:
            said = said.replace(secret, "***") if secret else said
        return said

    def _new_session(self) -> Session:
        session = Session(self._on_push, self._limits.frame)
        session.on_own = self._hooks.on_own_push
        return session

    # -- time --------------------------------------------------------------------------------------------------------

    def _tick(self) -> None:
        self._wake_at = float("inf")
        now = self._clock()
        session, link = self.session, self.link
        before = now - self._limits.operation_timeout
        oldest = session.oldest
        # The handshake has its own deadline, longer than one operation's.
        if oldest is not None and oldest <= before and link.state is not LinkState.RECOVERING:
            # Waiting bytes are a sign of life: a stall of this process must not look like a dead server.
            if self._postponed < MAX_POSTPONE and self._has_bytes():
                self._postponed += 1
                self._arm(now + POSTPONE)
                return
            self._judge(before, oldest, now)
        if link.serves:
            self._beat(now)
        self._arm_next(now)

    def _judge(self, before: float, oldest: float, now: float) -> None:
        verdict = self.link.check(oldest, now)
        for call in self.session.overdue(before):
            if call.future is not None and not call.future.done():
                self._hooks.on_timeout()
            call.give_up()
        if verdict is Verdict.ABORT:
            self.fail("timeout", f"no answer for {now - oldest:.1f} s")

    def _beat(self, now: float) -> None:
        """Send a heartbeat at least every third of ``max_staleness``, even under load.

        While no call is answered, only one heartbeat is under way.
        """
        due = self._last_heartbeat + self._limits.max_staleness / 3
        if now >= due - 0.001 and self._may_beat:
            self._last_heartbeat = now
            self.submit(self._hooks.heartbeat())

    @property
    def _may_beat(self) -> bool:
        """Return True even if all calls were answered, as long as no reply proved that this is the intended server.

        Without a heartbeat no further call would ask that server again.
        """
        return self.link.usable or (self.link.serves and not self.session.calls)

    def _arm_next(self, now: float) -> None:
        if not self.link.connected:
            return
        candidates = [self._last_heartbeat + self._limits.max_staleness / 3] if self._may_beat else []
        check = self.link.next_check(self.session.oldest)
        if check is not None:
            candidates.append(check)
        before = now - self._limits.operation_timeout
        waiting = next((call.sent_at for call in self.session.calls if call.sent_at > before), None)
        if waiting is not None:
            candidates.append(waiting + self._limits.operation_timeout)
        if candidates:
            # Not sooner than 2 ms: many calls overdue one after the other are judged together.
            self._arm(max(min(candidates), now + 0.002))

    def journal_unanswered(self) -> None:
        """Run ``lost`` of each unanswered call, so that an unacknowledged removal stays pending.

        The callers are not told: their event loop is gone.
        """
        for call in (*self.session.calls, *self.session.queued):
            if call.lost is not None:
                call.lost()
