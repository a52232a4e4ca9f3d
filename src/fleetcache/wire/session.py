"""The protocol of one connection without any I/O: calls go in as bytes, frames come back in order.

Rules:

1. Replies belong to the oldest unanswered call. A slot is never taken out: a caller that gave up leaves its slot to be
   consumed by its reply.
2. A call's ``handle`` runs while frames are parsed, before any later frame is looked at. Every step that fills, empties
   or wakes happens there; the caller's own code runs later.
3. Error replies are values (``hiredis.ReplyError``). Only a broken protocol raises, ``ProtocolError``, and ends the
   connection.
4. ``expect_own`` announces that the next frame is this connection's own push for a key, the echo of its write; see
   ``coherence``.
5. An error that means "wrong server" (``MOVED``, ``READONLY``, ``CLUSTERDOWN`` and their like) is an answer to its
   caller, and no sign of life of the intended server: ``feed`` does not count it.
6. ``invalidated`` alone judges the shape of a push. An invalidation whose keys cannot be read may concern any key, so
   it counts as one of all keys; a push of another kind concerns none. No shape of a push ends the connection.
"""

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

import hiredis

from ..futures import Future, tell_unanswered
from .frame_guard import FrameGuard, ProtocolError
from .reasons import PROVES_NOTHING, reply_reason

__all__ = [
    "ANSWERED_LATER",
    "AnyCall",
    "Call",
    "Command",
    "OwnCall",
    "ProtocolError",
    "RefusedError",
    "ReplyError",
    "Session",
    "TooLargeError",
    "invalidated",
]

Command = tuple[bytes | str | int, ...]

ReplyError = hiredis.ReplyError
_Push: Final = hiredis.PushNotification


ANSWERED_LATER: Final = object()
"""Returned by a ``handle`` when another call will resolve the future."""

# The limit of unanswered calls, in bytes. ``CALL_WEIGHT`` is added for each call: it limits small calls to some 20,000.
MAX_WEIGHT: Final = 64 * 1024 * 1024
CALL_WEIGHT: Final = MAX_WEIGHT // 20_000

# Returned by the parser when the next frame is incomplete. The parser's default is ``False``, which is also a reply.
_MORE: Final = object()


class TooLargeError(ProtocolError):
    """A reply is larger than the frame limit; ``command`` is the command that it answers."""

    def __init__(self, limit: int, command: Command | None) -> None:
        super().__init__(f"a frame of more than {limit} bytes")
        self.command = command


class RefusedError(ProtocolError):
    """An error reply came without a call: a server that does not admit a client sends one, and closes."""


def _unasked(frame: Any) -> ProtocolError:
    return RefusedError(str(frame)) if isinstance(frame, ReplyError) else ProtocolError("a reply without a call")


def invalidated(frame: list[Any]) -> list[bytes] | None:
    """Return the keys that a push invalidates: ``None`` for all keys, an empty list for a push of another kind.

    Example:
        >>> invalidated([b"invalidate", [b"k"]]), invalidated([b"invalidate", 5]), invalidated([b"message", b"k"])
        ([b'k'], None, [])
    """
    if not frame or frame[0] != b"invalidate":
        return []
    keys = frame[1] if len(frame) == 2 else None  # noqa: PLR2004 - kind and keys
    if not isinstance(keys, list):
        return None
    for key in keys:  # most pushes name one key, for which a generator would take twice as long
        if type(key) is not bytes:
            return None
    return keys


def _as_is(replies: list[Any]) -> Any:
    return replies


class AnyCall(Protocol):
    """The attributes of a call that a session uses; ``Call`` describes each."""

    sent_at: float
    between: tuple[list[bytes] | None, ...]

    @property
    def payload(self) -> bytes: ...  # noqa: D102
    @property
    def count(self) -> int: ...  # noqa: D102
    def handle(self, replies: list[Any], /) -> Any: ...  # noqa: D102
    @property
    def future(self) -> Future | None: ...  # noqa: D102
    @property
    def lost(self) -> Callable[[], None] | None: ...  # noqa: D102
    def give_up(self) -> None: ...  # noqa: D102


class Call:
    """One write of one or more commands, and the handling of their replies.

    Args:
        commands: One or more commands; their replies are handed over together.
        handle: Runs in frame order with the list of replies; its return value resolves the future.
        future: Waited on by the caller; ``None`` for a call without a waiter.
        lost: Runs once if the call ends without a reply (timed out or connection gone). A late reply still runs
            ``handle``, afterwards.

    Attributes:
        sent_at: When the call was written.
        between: What the pushes invalidated that came between its replies: keys, or ``None`` for all keys. If one is
            a key of the call, another client wrote it between the commands, and the replies may describe two
            different values.
    """

    __slots__ = ("_handle", "between", "count", "future", "lost", "payload", "sent_at")

    def __init__(
        self,
        commands: Sequence[Command],
        handle: Callable[..., Any] = _as_is,
        future: Future | None = None,
        lost: Callable[[], None] | None = None,
    ) -> None:
        pack: Callable[[Any], bytes] = hiredis.pack_command
        self.payload: bytes = (
            pack(commands[0]) if len(commands) == 1 else b"".join([pack(command) for command in commands])
        )
        self.count = len(commands)
        self._handle = handle
        self.future = future
        self.lost = lost
        self.sent_at = 0.0
        self.between: tuple[list[bytes] | None, ...] = ()

    def handle(self, replies: list[Any]) -> Any:
        """Hand the replies over, in frame order."""
        return self._handle(replies)

    def give_up(self) -> None:
        """Tell the caller that no answer came. The slot stays."""
        if self.lost is not None:
            lost, self.lost = self.lost, None
            lost()
        tell_unanswered(self.future)


class OwnCall(Call):
    """A call that its ``handle`` gets as a second argument.

    A function that refers to its own call closes a reference cycle. The payload would then stay in memory until a full
    collection.
    """

    __slots__ = ()

    def handle(self, replies: list[Any]) -> Any:
        """Hand over the replies and this call, in frame order."""
        return self._handle(replies, self)


class _Errors:
    """Makes error replies, and remembers whether the server sent one that proves nothing.

    Separate from the session: the parser refers to this object, and a reference to the session would close a cycle.
    """

    __slots__ = ("denied",)

    def __init__(self) -> None:
        self.denied = False

    def __call__(self, said: str) -> ReplyError:
        error = ReplyError(said)
        if reply_reason(error) in PROVES_NOTHING:
            self.denied = True
        return error


class Session:
    """Bytes to frames, and the first-in-first-out queue of calls.

    Args:
        on_push: Called in frame order with the keys of each invalidation; ``None`` stands for all keys.
        frame_limit: Bytes that one unfinished frame may take before the peer counts as broken or hostile.
    """

    def __init__(self, on_push: Callable[[list[bytes] | None], None], frame_limit: int) -> None:
        self._errors = _Errors()
        self._reader = hiredis.Reader(protocolError=ProtocolError, replyError=self._errors, notEnoughData=_MORE)
        self._headers = FrameGuard(self._reader)
        self._on_push = on_push
        self._frame_limit = frame_limit
        self._unfinished = 0
        self.calls: deque[AnyCall] = deque()  # sent, and not answered yet
        self.queued: list[AnyCall] = []  # to be sent with the other calls of this turn
        self.weight = 0  # of sent and queued calls
        self.has_room = True  # for another call; without room the server is behind, and a new call would only wait
        self.wanting: deque[Future] = deque()  # futures of callers that wait for room
        self._replies: list[Any] = []  # to the oldest call, while there are more to come
        self.expect_self_invalidation: bytes | None = None
        self.on_own: Callable[[bytes], None] = lambda _key: None

    def add(self, call: AnyCall, now: float) -> None:
        """Add a call whose bytes are being written now."""
        call.sent_at = now
        self.calls.append(call)
        self.weight += len(call.payload) + CALL_WEIGHT
        self.has_room = self.weight < MAX_WEIGHT

    def queue(self, call: AnyCall) -> int:
        """Add a call that waits for the next write; return how many calls wait now."""
        queued = self.queued
        queued.append(call)
        self.weight += len(call.payload) + CALL_WEIGHT
        self.has_room = self.weight < MAX_WEIGHT
        return len(queued)

    def send_queued(self, now: float) -> bytes:
        """Return the bytes of the queued calls, which the caller writes now."""
        queued, self.queued = self.queued, []
        for call in queued:
            call.sent_at = now
        self.calls += queued
        return queued[0].payload if len(queued) == 1 else b"".join([call.payload for call in queued])

    @property
    def oldest(self) -> float | None:
        """Return when the oldest unanswered call was sent."""
        return self.calls[0].sent_at if self.calls else None

    def feed(self, data: bytes | memoryview) -> float | None:
        """Parse the bytes that arrived, and handle their frames.

        Returns:
            When the newest call was sent that these bytes answer, by the intended server; ``None`` if there is none.

        Raises:
            ProtocolError: The connection must be aborted.
        """
        if not data:
            return None
        if self._headers.is_safe(data):
            answered = self._take(data)
        else:
            answered = None
            for piece in self._headers.split(data):
                newer = self._take(piece)
                answered = answered if newer is None else newer
        self.has_room = self.weight < MAX_WEIGHT
        if self.wanting:
            self._let_in((MAX_WEIGHT - self.weight) // CALL_WEIGHT)
        if self._unfinished > self._frame_limit:
            raise TooLargeError(self._frame_limit, self._asked())
        return answered

    def _take(self, data: bytes | memoryview) -> float | None:
        calls, replies, errors = self.calls, self._replies, self._errors
        self._reader.feed(data)  # type: ignore[arg-type]  # it takes any buffer; its stub is outdated
        gets, push, answered = self._reader.gets, _Push, None
        unfinished = self._unfinished + len(data)
        while True:
            try:
                frame = gets()
            except TypeError as error:
                raise ProtocolError(f"a map with a key that cannot be one: {error}") from None
            if frame is _MORE:
                break
            unfinished = 0
            if frame.__class__ is push:
                self._push(frame)
                continue
            self.expect_self_invalidation = None
            if not calls:
                raise _unasked(frame)
            replies.append(frame)
            call = calls[0]
            if len(replies) == call.count:
                del calls[0]
                answers, replies = replies, []
                self._replies = replies
                if errors.denied:
                    errors.denied = False
                else:
                    answered = call.sent_at
                self.weight -= len(call.payload) + CALL_WEIGHT
                try:
                    result = call.handle(answers)
                except BaseException:
                    call.give_up()  # it has left the queue, so ``end`` would not tell its caller
                    raise
                if (future := call.future) is not None and result is not ANSWERED_LATER and not future.done():
                    future.set_result(result)
        self._unfinished = unfinished
        return answered

    def _asked(self) -> Command | None:
        """Return the command that the unfinished frame answers."""
        if not self.calls:
            return None
        reader = hiredis.Reader()
        reader.feed(self.calls[0].payload)
        for _ in self._replies:
            reader.gets()
        return tuple(reader.gets())

    def _let_in(self, places: int) -> None:
        """Wake as many waiting callers as there is room for; each checks again for room."""
        wanting = self.wanting
        while wanting and places > 0:
            future = wanting.popleft()
            if not future.done():
                future.set_result(None)
                places -= 1

    def _push(self, frame: list[Any]) -> None:
        own, self.expect_self_invalidation = self.expect_self_invalidation, None
        keys = invalidated(frame)
        if keys is not None and not keys:
            return
        if self._replies:
            self.calls[0].between += (keys,)
        if own is not None and keys == [own]:
            self.on_own(own)
        else:
            self._on_push(keys)

    def overdue(self, before: float) -> list[AnyCall]:
        """Return the calls sent at ``before`` or earlier: all at the front of the queue."""
        found = []
        for call in self.calls:
            if call.sent_at > before:
                break
            found.append(call)
        return found

    def end(self) -> None:
        """End every call without an answer, once, because the connection is gone."""
        calls, self.calls, self.queued = [*self.calls, *self.queued], deque(), []
        self.weight = 0
        for call in calls:
            call.give_up()
        self._let_in(len(self.wanting))
