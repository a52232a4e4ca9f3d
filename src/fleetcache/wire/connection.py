"""One open connection, for every shell: its limits, its heartbeat, its overdue calls.

A shell moves bytes and waits, by asyncio or with a thread; it decides nothing. ``reconnect`` adds the time between two
connections.
"""

import logging
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from typing import Any

from msgspec import Struct

from ..clock import Clock
from ..log import TELL, Teller
from .handshake import Ask, ServerInfo
from .link import Link, LinkState, Verdict
from .reasons import reply_reason
from .session import AnyCall, Call, Command, ProtocolError, RefusedError, Session, TooLargeError

__all__ = ["Connection", "WireHooks", "WireLimits"]

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

    on_push: Callable[[list[Any]], None]
    on_own_push: Callable[[bytes], None]
    on_timeout: Callable[[], None]
    recover: Callable[[Ask, ServerInfo], Awaitable[None]]
    on_defect: Callable[[], None]
    heartbeat: Callable[[], Call]
    prepare: Callable[[], Awaitable[None]] | None = None  # before each attempt; has bounds of its own
    on_failed: Callable[[], None] = _nothing  # a connection or an attempt to connect has ended
    on_too_large: Callable[[Command | None], None] = lambda _command: None
    tell: Teller = TELL


class Connection(ABC):
    """One connection.

    Args:
        link: The states of the connection.
        limits: Durations and the frame limit.
        hooks: The cache's side.
        clock: Seconds.
        probe: A key that only the self-test of tracking uses; its push does not reach ``hooks``.
    """

    def __init__(self, link: Link, limits: WireLimits, hooks: WireHooks, clock: Clock, probe: bytes) -> None:
        self.link = link
        self._limits, self._hooks, self._clock, self._probe = limits, hooks, clock, probe
        self.session = self._new_session()
        self._wake_at = float("inf")
        self._postponed = 0
        self._over: str | None = None  # why the current connection is over
        self._probe_pushed = False
        self._last_heartbeat = -float("inf")
        self._secrets: tuple[str, ...] = ()
        self.last_error: str | None = None
        self.detail: str | None = None  # the same, shorter, for the log

    # -- for the shell -----------------------------------------------------------------------------------------------

    @abstractmethod
    def submit(self, call: AnyCall, *, at_once: bool = False) -> None:
        """Queue a call. The calls of one turn are written together, unless ``at_once``."""

    @abstractmethod
    def _arm(self, when: float) -> None:
        """Call ``_tick`` at this time, instead of at the time that was set before."""

    @abstractmethod
    def _has_bytes(self) -> bool:
        """Return True if bytes wait in the socket."""

    @abstractmethod
    def _abort(self) -> None:
        """Close with a reset: otherwise the kernel goes on sending, and a SET lands seconds after its replacement."""

    @abstractmethod
    def _tell_over(self) -> None:
        """Have the task or thread that serves the connection look at ``_over``."""

    # -- calls -------------------------------------------------------------------------------------------------------

    @property
    def connected(self) -> bool:
        """Return True if a connection is past its handshake, whether or not the server has answered of late."""
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
            text = "a frame could not be handled; the connection is given up"
            self._hooks.tell(logging.ERROR, "defect", text, error=error)
            self._hooks.on_defect()
            self.fail("error", repr(error))
            return
        if answered is not None and self._over is None:  # a connection that was given up meanwhile proves nothing
            self._postponed = 0
            self.link.replied(answered, self.session.oldest, self._clock())

    def _on_push(self, frame: list[Any]) -> None:
        if len(frame) == 2 and frame[0] == b"invalidate" and frame[1] == [self._probe]:  # noqa: PLR2004 - kind and keys
            self._probe_pushed = True
        else:
            self._hooks.on_push(frame)

    def fail(self, reason: str, detail: str) -> None:
        """Give the connection up."""
        if self._over is None:
            self.last_error = self.without_secrets(detail)
            self._over = reason
            self._tell_over()
        self._abort()

    def without_secrets(self, said: str) -> str:
        """Mask the password in a text: a server or proxy may repeat the arguments of a command it does not know."""
        for secret in self._secrets[-1:]:
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
        # The handshake has a deadline of its own, longer than one operation's.
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
        """Send a heartbeat at least every third of ``max_staleness``, also under load.

        While no call is answered, only one heartbeat is under way.
        """
        due = self._last_heartbeat + self._limits.max_staleness / 3
        if now >= due - 0.001 and self._may_beat:
            self._last_heartbeat = now
            self.submit(self._hooks.heartbeat())

    @property
    def _may_beat(self) -> bool:
        """Return True also if all calls were answered and no reply proved that this is the intended server.

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
