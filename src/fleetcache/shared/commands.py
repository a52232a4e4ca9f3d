"""Sends calls: scripts with their fallback to ``EVAL``, own invalidation pushes, remembered refusals.

Rules:

1. A caller waits for a call that takes several steps for one operation timeout in all: a script that is sent again with
   its text, a torn read that is repeated, a read after the question for its size. The wire counts anew for each step.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Protocol

from hiredis import pack_command

from ..clock import Clock
from ..futures import Future, tell_unanswered
from ..near.coherence import Coherence
from ..policy.lookup import EntryState, Lookup
from ..policy.ports import Runtime
from ..telemetry.stats import Counters
from ..wire.reasons import NO_WRITES, TRANSIENT, ScriptError, reply_reason, spoken
from ..wire.session import (
    ANSWERED_LATER,
    AnyCall,
    Call,
    Command,
    OwnCall,
    ReplyError,
    Session,
)
from .replies import judged, judged_all
from .scripts import SCRIPTS

__all__ = ["CommandSender", "Wire"]


class Wire(Protocol):
    """The part of the connection that the shared tier uses."""

    session: Session

    @property
    def operation_timeout(self) -> float:
        """Seconds after which an unanswered call counts as late."""
        ...

    @property
    def connected(self) -> bool:
        """True if a connection is established on which calls may be sent, even while the server is slow to answer."""
        ...

    def submit(self, call: AnyCall, *, at_once: bool = False) -> None:
        """Send a call in one write with the other calls of this turn of the loop, or ``at_once``."""
        ...

    def expect_own(self, key: bytes) -> None:
        """Expect an invalidation push for this key, caused by the client's own write, as the next frame."""
        ...

    def fail(self, reason: str, detail: str) -> None:
        """Close the connection, for this reason."""
        ...

    def without_secrets(self, said: str) -> str:
        """Return the server's words with secrets removed, so that they can be shown."""
        ...


class _Scripted:
    """A call of one script. It is in no reference cycle, so its payload is freed at once, not at a full collection."""

    __slots__ = ("_again", "_calls", "_handle", "_still", "between", "future", "lost", "payload", "sent_at")

    count = 1

    def __init__(
        self,
        calls: "CommandSender",
        command: Command,
        handle: Callable[[Any, float], Any],
        future: Future | None,
        lost: Callable[[], None] | None,
        still: Callable[[], bool],
        again: Callable[[], Command] | None,
    ) -> None:
        self._calls, self._handle, self._still, self._again = calls, handle, still, again
        pack: Callable[[Any], bytes] = pack_command
        self.payload = pack(command)
        self.future, self.lost, self.sent_at = future, lost, 0.0
        self.between: tuple[list[bytes] | None, ...] = ()

    def handle(self, replies: list[Any]) -> Any:
        """Pass the reply on. If the server has forgotten the script, send the script's text instead, once."""
        reply, again, wire = replies[0], self._again, self._calls.wire
        forgotten = isinstance(reply, ReplyError) and reply_reason(reply) == "noscript"
        if forgotten and again is not None and wire is not None and self._still():
            lost, self.lost = self.lost, None
            call = _Scripted(self._calls, again(), self._handle, self.future, lost, self._still, None)
            self._calls.submit_next(call, self.sent_at)
            return ANSWERED_LATER
        return self._handle(reply, self.sent_at)

    def give_up(self) -> None:
        """Run ``lost`` once and tell the future that no answer came, as every call does."""
        lost, self.lost = self.lost, None
        if lost is not None:
            lost()
        tell_unanswered(self.future)


class CommandSender:
    """Sends calls while a wire is attached and the link is online.

    Args:
        coherence: Knows whether the server tracks, so that own writes cause pushes.
        counters: Counts errors by reason.
        clock: Seconds.
        ports: Rings the end of a wait.
    """

    def __init__(self, coherence: Coherence, counters: Counters, clock: Clock, ports: Runtime) -> None:
        self._coherence, self._counters, self._clock, self._ports = coherence, counters, clock, ports
        self.wire: Wire | None = None
        self.usable = False
        # By kind of operation: the reason, since when, and the server's words.
        self.refusals: dict[str, tuple[str, float, str]] = {}
        self.on_mended: Callable[[], None] = lambda: None  # called when a refusal has ended

    # -- sending -------------------------------------------------------------------------------------------------

    def may_send(self) -> bool:
        """Return True if a call may be sent now; count a call that has no room."""
        if not self.usable or self.wire is None:
            return False
        if self.wire.session.has_room:
            return True
        self._counters.overload += 1
        return False

    @property
    def crowded(self) -> bool:
        """True if only the number of calls already under way keeps another call from being sent."""
        return self.usable and self.wire is not None and not self.wire.session.has_room

    def when_room(self, future: Future) -> None:
        """Resolve the future when another call has room, or when the connection is gone."""
        if self.wire is not None and self.crowded:
            self.wire.session.wanting.append(future)
        else:
            future.set_result(None)

    def _connected(self) -> bool:
        """Return True if a call that no caller awaits may be sent: rights are released on a slow server, too."""
        return self.wire is not None and self.wire.connected and self.wire.session.has_room

    def submit(self, call: AnyCall) -> None:
        """Send a call, if there is a connection."""
        if self.wire is not None:
            self.wire.submit(call)

    def submit_next(self, call: AnyCall, since: float) -> None:
        """Send the next step of a call that was first sent at ``since``."""
        self.submit(call)
        self.limit_wait(call.future, since)

    def limit_wait(self, future: Future | None, since: float) -> None:
        """Tell the future that no answer came, one operation timeout after ``since``."""
        if future is not None and self.wire is not None:
            left = max(0.0, since + self.wire.operation_timeout - self._clock())
            self._ports.call_later(left, partial(tell_unanswered, future))

    def call_script(
        self,
        script: str,
        key: bytes,
        args: Sequence[bytes | int],
        handle: Callable[[Any, float], Any],
        future: Future | None,
        lost: Callable[[], None] | None = None,
        still: Callable[[], bool] = lambda: True,
    ) -> Future | None:
        """Send a script; ``handle`` gets its reply and the time the call was sent.

        If the server has forgotten the script, ``still`` decides whether the call may be sent a second time, with the
        script's text. A store that a removal has overtaken meanwhile must not land after that removal.
        """
        text = SCRIPTS[script]
        again = partial(text.call, key, *args, whole=True)

        def judge(reply: Any, sent_at: float) -> Any:
            return handle(_of_script(judged(script, reply)), sent_at)

        self.submit(_Scripted(self, text.call(key, *args), judge, future, lost, still, again))
        return future

    def ask_server(self, questions: tuple[Command, ...], heard: Callable[[list[Any]], None]) -> None:
        """Ask the server about itself. No caller waits for the replies."""
        if self.may_send():
            self.submit(Call(questions, heard))

    def call(
        self,
        commands: tuple[Command, ...],
        handle: Callable[[list[Any], Call], Any],
        future: Future | None,
        lost: Callable[[], None] | None = None,
    ) -> Future | None:
        """Send commands; ``handle`` gets their replies and the call."""
        call = OwnCall(commands, lambda replies, asked: handle(judged_all(commands, replies), asked), future, lost)
        self.submit(call)
        return future

    def expect_own(self, raw: bytes) -> None:
        """Expect the push for this key, caused by the client's own write, as the next frame."""
        if self._coherence.tracking and self.wire is not None:
            self.wire.expect_own(raw)

    def record_refusal(self, kind: str, error: ReplyError, *, fatal: bool = True) -> str:
        """Count an error reply, and show it in health until the same kind of operation succeeds again."""
        reason = reply_reason(error)
        self._counters.errors[reason] += 1
        said = spoken(error) if self.wire is None else self.wire.without_secrets(spoken(error))
        self.refusals.setdefault(kind, (reason, self._clock(), said))
        # A wrong node, or a user without the right to read: only a new connection can show when that has ended.
        wrong_node = reason in {"readonly", "auth", "cluster_mode"} or (kind == "read" and reason == "noperm")
        if wrong_node and fatal and self.wire is not None:
            self.wire.fail(reason, said)
        return reason

    def refused(self, kind: str, error: ReplyError) -> Lookup:
        """Record the refusal of a call that reads; return its result."""
        return Lookup(EntryState.UNAVAILABLE, reason=self.record_refusal(kind, error))

    def record_success(self, kind: str) -> None:
        """Record a success: end this kind's refusal, and each refusal whose cause would have refused this one too."""
        if self.refusals:
            mended = TRANSIENT if kind == "read" else TRANSIENT | NO_WRITES
            over = [each for each, (reason, *_) in self.refusals.items() if each == kind or reason in mended]
            for each in over:
                del self.refusals[each]
            if over:
                self.on_mended()


def _of_script(reply: Any) -> Any:
    """Return the reply to a script, an error as ``ScriptError``, whose text names the refused command."""
    return ScriptError(str(reply)) if isinstance(reply, ReplyError) else reply
