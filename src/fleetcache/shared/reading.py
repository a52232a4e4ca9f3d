"""Reads entries and versions of tags from the server.

Rules:

1. The value and its remaining life must be of the same entry. If the server executes a write of another client between
   ``GET`` and ``PTTL``, the pair is torn, and both are asked for once more. A push between the two replies shows it.
   Where no pushes come, the head of the value, read after both, shows it.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, ClassVar, Final

from hiredis import pack_command
from msgspec import Struct

from ..format.entry import HEAD_SIZE
from ..format.keys import ALL_TAG, Layout
from ..futures import Future, tell_unanswered
from ..near.coherence import Coherence, FillToken
from ..near.tag_versions import new_version
from ..policy.lookup import EntryState, Lookup
from ..policy.ports import Runtime
from ..wire.session import ANSWERED_LATER, Call, ReplyError
from .commands import CommandSender
from .entries import Entries
from .large_keys import LargeKeys
from .replies import judged
from .scripts import TAG_KEPT_MS

__all__ = ["Reads"]


# Asked after ``GET`` and ``PTTL`` where no push tells of a write between the two: the head of another value differs.
HEAD: Final = (0, HEAD_SIZE - 1)


class _Look(Struct, gc=False):
    """``GET`` and ``PTTL`` of one entry, a ``Call``: on the hit path, so packed by one format and without a closure.

    A value and the remaining life of its successor would make an expired value fresh. So a pair that another client's
    write has torn is asked for once more.

    ``gc=False``: each hit makes a ``_Look``, and no object it refers to refers back to it.
    """

    payload: bytes
    future: Future
    reads: "Reads"
    key: str
    declared: Any
    token: FillToken | None
    sent_at: float = 0.0
    between: tuple[list[bytes] | None, ...] = ()
    count: int = 2
    again: bool = False
    load: Any = None  # watches the key from the reply on, if another process loads it: see ``Reads.follow``

    lost: ClassVar = None

    def handle(self, replies: list[Any]) -> Any:
        """Judge the entry, in frame order."""
        if (self.between or self.count > 2) and self.reads.is_torn(self.key, self.between, *replies):  # noqa: PLR2004 - with the head
            if self.again:
                return Lookup(EntryState.ABSENT)  # the next script reads value and life in one step
            self.between, self.again = (), True
            self.reads.submit_next(self, self.sent_at)
            return ANSWERED_LATER
        seen = self.reads.see(self.key, replies[0], replies[1], self.sent_at, self.declared, self.token)
        if self.load is not None:
            self.reads.follow(self.load, self.key, seen, self.future)
        return seen

    def give_up(self) -> None:
        """Tell the future that no answer came."""
        tell_unanswered(self.future)


class Reads:
    """The reads of the server.

    Args:
        sender: Sends the calls.
        layout: Keys on the server.
        entries: Judges entries.
        coherence: Keeps the versions of tags.
        ports: Makes new futures.

    Attributes:
        large: The keys whose values were too large.
        run: Names the server's run in versions of the tag on every entry.
    """

    def __init__(
        self, sender: CommandSender, layout: Layout, entries: Entries, coherence: Coherence, ports: Runtime
    ) -> None:
        self._sender, self._layout, self._entries, self._coherence = sender, layout, entries, coherence
        self._ports = ports
        self.submit, self.submit_next = sender.submit, sender.submit_next
        self.large = LargeKeys()
        self.run = b""

    def is_torn(
        self, key: str, between: tuple[list[bytes] | None, ...], blob: Any, _pttl: Any, head: Any = None
    ) -> bool:
        """Return whether another client wrote the key after ``GET``, so that ``PTTL`` may be of a newer value.

        Args:
            key: The key.
            between: What the pushes between the replies invalidated; ``None`` stands for all keys.
            blob: The reply to ``GET``.
            head: The head of the value that was there after ``PTTL``, if it was asked for.
        """
        if isinstance(blob, bytes) and isinstance(head, bytes) and not blob.startswith(head):
            return True
        raw = self._layout.entry(key)
        return any(keys is None or raw in keys for keys in between)

    def follow(self, load: Any, key: str, seen: Lookup, future: Future) -> None:
        """Let a load watch a key that another process loads from this reply on.

        The reply is handled in frame order, so every earlier change is in it. The load need not read a second time to
        be sure that it missed none between the read and its watch.

        Args:
            load: Has its watch in the attribute ``watch``.
            key: The key.
            seen: The result of the reply.
            future: The future that gets it. If it is done, no caller waits for the reply any more.
        """
        watch = load.watch
        if seen.state is EntryState.LOADING and not future.done() and (watch is None or watch.future.done()):
            if watch is not None:
                self._coherence.unwatch(watch)
            load.watch = self._coherence.watch(key, self._ports.future())

    def look(
        self, key: str, declared: Any, token: FillToken | None, *, of_many: bool = False, load: Any = None
    ) -> Future | None:
        """Send ``GET`` and ``PTTL`` in one write; the future gets a ``Lookup``.

        With ``of_many`` the look is part of a batch, and the whole batch is one write. ``load`` is the load that waits
        if another process loads the key: see ``follow``.
        """
        sender = self._sender
        if not sender.may_send():
            return None
        raw, future = self._layout.entry(key), self._ports.future()
        size = len(raw)
        asked = b"*2\r\n$3\r\nGET\r\n$%d\r\n%b\r\n*2\r\n$4\r\nPTTL\r\n$%d\r\n%b\r\n" % (size, raw, size, raw)
        look = _Look(asked, future, self, key, declared, token, load=load)
        if not self._coherence.tracking:
            pack: Callable[[Any], bytes] = pack_command
            look.payload += pack(("GETRANGE", raw, *HEAD))
            look.count = 3
        if raw in self.large.keys:
            return self.unless_large(raw, future, partial(self.submit, look))
        if sender.wire is not None:
            sender.wire.submit(look, at_once=not of_many)
        return future

    def unless_large(self, raw: bytes, future: Future, then: Callable[[], object]) -> Future:
        """Ask for the size of a value that was once too large.

        The future gets a ``Lookup`` if the value is still too large; otherwise ``then`` sends the call that resolves
        the future.
        """

        def answered(replies: list[Any], call: Call) -> Any:
            seen = self.see_large(raw, *replies)
            if seen is not None:
                return seen
            then()
            self._sender.limit_wait(future, call.sent_at)
            return ANSWERED_LATER

        self._sender.call(self.large.asks(raw), answered, future)
        return future

    def see_large(self, raw: bytes, beyond: Any, start: Any, pttl: Any) -> Lookup | None:
        """Judge the replies to ``large.asks``; ``None`` means that the value is small enough to read by now."""
        for reply in (beyond, start, pttl):
            if isinstance(reply, ReplyError):
                return self._sender.refused("read", reply)
        return self._entries.too_large(start, pttl) if self.large.is_too_large(raw, beyond) else None

    def see(self, key: str, blob: Any, pttl: Any, sent_at: float, declared: Any, token: FillToken | None) -> Lookup:
        """Judge the replies to ``GET`` and ``PTTL``."""
        if type(blob) is not bytes or type(pttl) is not int:  # no value, or a reply of another shape
            for reply in (judged("GET", blob), judged("PTTL", pttl)):
                if isinstance(reply, ReplyError):
                    return self._sender.refused("read", reply)
        if self._sender.refusals:
            self._sender.record_success("read")
        return self._entries.see(key, blob, pttl, sent_at, declared, token)

    def settle(self, key: str, seen: Lookup, declared: Any, token: FillToken | None) -> Future | None:
        """Read the tag versions that decide whether an entry is current, then judge the same bytes again."""
        return self.capture(seen.unknown, lambda: self.judge(key, seen, declared, token), self._ports.future())

    def judge(self, key: str, seen: Lookup, declared: Any, token: FillToken | None) -> Lookup:
        """Judge the same bytes once more, now that the versions of their tags are known."""
        blob, pttl = seen.blob
        return self._entries.see(key, blob, pttl, seen.sent_at, declared, token)

    def capture(self, tags: Sequence[str], then: Callable[[], Any], future: Future) -> Future | None:
        """Read or mint versions, all in one write; ``then`` runs after the last reply and resolves the future."""
        if not self._sender.may_send():
            return None
        left = len(tags)

        def answered(tag: str, reply: Any, sent_at: float) -> Any:
            nonlocal left
            left -= 1
            self.minted(tag, reply, sent_at)
            return then() if left == 0 else ANSWERED_LATER

        for tag in tags:
            self._mint(tag, partial(answered, tag), future)
        return future

    def ask_version(self, tag: str) -> bool:
        """Ask for the version of a tag in doubt, without a caller that waits; return whether the question was sent.

        A ``GET`` would register every process for a tag that is missing, and the first ``mint`` would then push to all.
        """
        if not self._sender.may_send():
            return False

        def answered(reply: Any, sent_at: float) -> None:
            self.minted(tag, reply, sent_at)
            self._coherence.end_doubt(tag)  # if it was an error

        self._mint(tag, answered, None, partial(self._coherence.end_doubt, tag))
        return True

    def _mint(
        self,
        tag: str,
        answered: Callable[[Any, float], Any],
        future: Future | None,
        lost: Callable[[], None] | None = None,
    ) -> None:
        version = self._entries.stamp(b"")
        args = (new_version(version, self.run), 0) if tag == ALL_TAG else (version, TAG_KEPT_MS)
        self._sender.call_script("mint", self._layout.tag(tag), args, answered, future, lost)

    def minted(self, tag: str, reply: Any, sent_at: float) -> None:
        """Keep a tag version that was read or made, or record the refusal."""
        if isinstance(reply, ReplyError):
            self._sender.record_refusal("store", reply)
        else:
            self._coherence.keep_version(tag, reply[0], sent_at)
            if reply[1] == 1:
                self._sender.expect_own(self._layout.tag(tag))
