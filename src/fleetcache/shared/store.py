"""The verbs on the server, as calls: what is sent, and what its replies mean, in frame order.

Each returns the gate that its outcome opens, or ``None`` when nothing may be sent now. Policy waits on gates; whatever
fills, empties or wakes has happened by then.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

from ..format.entry import HEAD_SIZE, parse_header
from ..format.keys import ALL_TAG, Target
from ..futures import Future
from ..near.coherence import FillToken
from ..near.store import NearEntry
from ..near.tag_versions import TagState
from ..policy.lookup import ClaimReply, EntryState, Lookup
from ..policy.options import Remaining
from ..wire.evictions import ASKED
from ..wire.session import Call, Command, ReplyError
from .reading import SharedReading
from .stray_rights import GOOD_FOR

__all__ = ["Shared"]

# Enough of an entry for its header and a few tags: whether what a delete removed was alive.
MAX_HEADER = 511


class Shared(SharedReading):
    """The server as policy sees it."""

    # -- leases and claims ---------------------------------------------------------------------------------------

    def acquire(self, key: str, placeholder: bytes, lease_ms: int, declared: Any, token: FillToken) -> Future | None:
        """Take the lease: a ``Lookup``, ``GRANTED`` or what is there."""
        if not self._open():
            return None
        raw, future = self._layout.entry(key), self._ports.future()

        def answered(reply: Any, sent_at: float) -> Lookup:
            self.rights.answered(raw, placeholder)
            if isinstance(reply, ReplyError):
                return Lookup(EntryState.UNAVAILABLE, reason=self.record_refusal("store", reply))
            if isinstance(reply, list):
                return self.see(key, reply[0], reply[1], sent_at, declared, token)
            self.record_success("store")
            self._expect_own(raw)
            self._counters.leases += 1
            if future.done():  # nobody waits for it any more
                self.release(key, placeholder)
            return Lookup(EntryState.GRANTED, stamp=placeholder)

        lost = partial(self.rights.lost, raw, placeholder, lease_ms / 1000)
        return self._run("acquire", raw, (placeholder, lease_ms), answered, future, lost)

    def claim(
        self, key: str, mark: bytes, lease_ms: int, declared: Any, token: FillToken | None, *, look: bool = True
    ) -> Future | None:
        """Take the right to replace an entry, with a new ``look`` at it: a ``ClaimReply``."""
        if not self._open():
            return None
        raw, sibling, future = self._layout.entry(key), self._layout.claim(key), self._ports.future()

        def answered(replies: list[Any]) -> ClaimReply:
            set_, left, *entry = replies
            self.rights.answered(sibling, mark)
            if isinstance(set_, ReplyError):
                return ClaimReply(
                    Lookup(EntryState.UNAVAILABLE, reason=self.record_refusal("store", set_)), 0.0, granted=False
                )
            granted = set_ is not None
            if granted:
                self._counters.claims += 1
                if future.done():
                    self.unclaim(key, mark)
            if not look:
                seen = Lookup(EntryState.ABSENT)
            elif large:
                seen = self._see_large(raw, *entry) or Lookup(EntryState.ABSENT)  # small by now: it is looked at anew
            else:
                seen = self.see(key, entry[0], entry[1], call.sent_at, declared, token)
            return ClaimReply(seen, max(left, 0) / 1000 if isinstance(left, int) else 0.0, granted=granted)

        large = raw in self.large.keys
        entry_of: tuple[Command, ...] = self.large.asks(raw) if large else (("GET", raw), ("PTTL", raw))
        commands: tuple[Command, ...] = (("SET", sibling, mark, "NX", "PX", lease_ms), ("PTTL", sibling), *entry_of)
        lost = partial(self.rights.lost, sibling, mark, lease_ms / 1000)
        call = self._call(commands if look else commands[:2], answered, future, lost)
        return future

    def is_claimed(self, key: str) -> Future | None:
        """Whether somebody has the claim."""
        if not self._open():
            return None
        raw = self._layout.claim(key)
        future = self._ports.future()
        self._call((("PTTL", raw),), lambda replies: isinstance(replies[0], int) and replies[0] > 0, future)
        return future

    def swap(
        self, key: str, expected: bytes, blob: bytes, server_ttl_ms: int, stored: Callable[[float], None]
    ) -> Future | None:
        """Replace what carries the expected head: ``True`` stored, ``False`` refused, a reason for an error.

        ``stored`` runs in frame order with the time the call was sent: the moment to fill near.
        """
        if not self._open():
            return None
        raw = self._layout.entry(key)

        def answered(reply: Any, sent_at: float) -> bool | str:
            if isinstance(reply, ReplyError):
                return self.record_refusal("store", reply)
            if reply != 1:  # nothing was written: no proof that it could be
                self._counters.refused_swaps += 1
                return False
            self.record_success("store")
            self._expect_own(raw)
            stored(sent_at)
            return True

        return self._run("swap", raw, (expected, blob, server_ttl_ms), answered, self._ports.future())

    def renew(self, key: str, stamp: bytes, ms: int, *, claim: bool = False) -> None:
        """Let a placeholder, a claim or the entry under it live on. Nobody waits for it."""
        if self._open():
            raw = self._layout.claim(key) if claim else self._layout.entry(key)
            self._run("renew", raw, (stamp, ms), lambda reply, _at: self._own_if_done(raw, reply), None)

    def release(self, key: str, placeholder: bytes) -> None:
        """Give a lease back without a value."""
        self.give_back(self._layout.entry(key), placeholder, own=True)

    def unclaim(self, key: str, mark: bytes) -> None:
        """Give a claim back."""
        self.give_back(self._layout.claim(key), mark)

    def give_back(self, raw: bytes, stamp: bytes, *, own: bool = False) -> None:
        """Compare and delete, now or in the next handshake; ``own``: the key is tracked, and its push our own."""
        lost = partial(self.rights.lost, raw, stamp, GOOD_FOR)

        def answered(reply: Any, _sent_at: float) -> None:
            self.rights.answered(raw, stamp)
            if own:
                self._own_if_done(raw, reply)

        if self._connected():
            self._run("release", raw, (stamp,), answered, None, lost)
        else:
            lost()

    def _own_if_done(self, raw: bytes, reply: Any) -> None:
        if reply == 1:
            self._expect_own(raw)

    # -- writes --------------------------------------------------------------------------------------------------

    def put(
        self,
        key: str,
        blob: bytes,
        server_ttl_ms: int,
        token: FillToken,
        hold: Callable[[float], NearEntry],
        number: int,
    ) -> Future | None:
        """Store unconditionally: ``True``, or a reason. What was not acknowledged is owed as a removal."""
        target: Target = ("e", key)
        if not self._open():
            self._coherence.defer(target, number)
            return None
        raw = self._layout.entry(key)

        def answered(reply: Any, sent_at: float) -> bool | str:
            if isinstance(reply, ReplyError):
                self._coherence.defer(target, number)
                return self.record_refusal("store", reply)
            self.record_success("store")
            self._expect_own(raw)
            self._coherence.confirm_removal(target, number, keep=token)
            self._coherence.fill(token, hold(sent_at))
            return True

        owe = self._owing(target, number)
        return self._run("put", raw, (blob, server_ttl_ms), answered, self._ports.future(), owe, lambda: token.valid)

    def _owing(self, target: Target, number: int) -> Callable[[], None]:
        return lambda: self._coherence.defer(target, number)

    def discard(self, key: str, stamp: bytes) -> None:
        """Remove what is not ours, if it is there still, before the lease is asked for in the same write."""
        if self._open():
            self._run("release", self._layout.entry(key), (stamp,), lambda _reply, _at: None, None)

    def remove(self, target: Target, number: int) -> Future | None:
        """``DEL``: whether something alive was removed, or a reason. Never lost: what is not acknowledged is owed."""
        if not self._open():
            self._coherence.defer(target, number)
            return None
        kind, name = target
        if kind == "e":
            raw = self._layout.entry(name)
            commands: tuple[Command, ...] = (("GETRANGE", raw, 0, MAX_HEADER), ("PTTL", raw), ("DEL", raw))
        else:
            commands = (("DEL", self._layout.tag(name)),)

        def answered(replies: list[Any]) -> bool | str:
            done = replies[-1]
            if isinstance(done, ReplyError):
                self._coherence.defer(target, number)
                return self.record_refusal("remove", done)
            self.record_success("remove")
            alive = done == 1 and (kind == "t" or self._was_alive(replies[0], replies[1]))
            self._coherence.confirm_removal(target, number)
            return alive

        return self._call(commands, answered, self._ports.future(), self._owing(target, number)).future

    def _was_alive(self, start: Any, pttl: Any) -> bool:
        if not isinstance(start, bytes) or not isinstance(pttl, int) or len(start) < HEAD_SIZE:
            return False
        header = parse_header(start, cut=True)
        if header is None:
            return False
        currency, _ = self._coherence.judge(header.section)
        return currency is not TagState.OUTDATED and Remaining.of(pttl, header.stale).is_fresh

    def add(
        self,
        key: str,
        blob: bytes,
        server_ttl_ms: int,
        declared: Any,
        token: FillToken,
        stored: Callable[[float], None],
    ) -> Future | None:
        """Store if absent: a ``Lookup``, ``GRANTED`` when stored, else what is there."""
        if not self._open():
            return None
        raw = self._layout.entry(key)

        def answered(reply: Any, sent_at: float) -> Lookup:
            if isinstance(reply, ReplyError):
                return Lookup(EntryState.UNAVAILABLE, reason=self.record_refusal("store", reply))
            if isinstance(reply, list):
                return self.see(key, reply[0], reply[1], sent_at, declared, token)
            self.record_success("store")
            self._expect_own(raw)
            stored(sent_at)
            return Lookup(EntryState.GRANTED)

        future = self._ports.future()

        def send() -> None:
            self._run("add", raw, (blob, server_ttl_ms), answered, future, still=lambda: token.valid)

        return self._sent(raw, future, send)

    def _sent(self, raw: bytes, future: Future, send: Callable[[], object]) -> Future:
        """Send what answers with the value in its way, if that can be read."""
        if raw in self.large.keys:
            return self._unless_large(raw, future, send)
        send()
        return future

    def incr(self, key: str, blob: bytes, server_ttl_ms: int, replacing: bytes, token: FillToken) -> Future | None:
        """Add to a counter: the new ``int``, a ``Lookup`` of what is there instead, or a reason."""
        if not self._open():
            return None

        def answered(reply: Any, sent_at: float) -> int | Lookup | str:
            if isinstance(reply, ReplyError):
                return self.record_refusal("store", reply)
            if reply[0] == 0:
                return self.see(key, reply[1], reply[2], sent_at, Any, token)
            self.record_success("store")
            return int(reply[1])

        args = (blob, server_ttl_ms, self._entries.stamp(), replacing)
        raw, future = self._layout.entry(key), self._ports.future()

        def send() -> None:
            self._run("incr", raw, args, answered, future, still=lambda: token.valid)

        if replacing:  # by its head: it is not read
            send()
            return future
        return self._sent(raw, future, send)

    def touch(self, key: str, stamp: bytes, server_ttl_ms: int) -> Future | None:
        """A new life for the entry with this head: ``True`` if it had it still."""
        if not self._open():
            return None

        def answered(reply: Any, _sent_at: float) -> bool:
            if isinstance(reply, ReplyError):
                self.record_refusal("store", reply)
                return False
            return bool(reply == 1)

        return self._run("touch", self._layout.entry(key), (stamp, server_ttl_ms), answered, self._ports.future())

    def tell_turnover(self, heard: Callable[[Any], None]) -> None:
        """Ask whether the server evicts. Nobody waits for it."""
        if self._open():
            self._submit(Call((ASKED,), lambda replies: heard(replies[0])))

    def ping(self) -> Future | None:
        """A real command, for the round trip that health reports."""
        if not self._open():
            return None
        return self._call(
            (("GET", self._layout.tag(ALL_TAG)),), lambda replies: replies[0], self._ports.future()
        ).future
