"""The verbs on the server, as calls: each sends its commands and handles their replies, in frame order.

Each verb returns the future that its outcome resolves, or ``None`` when nothing may be sent now. Policy waits on these
futures; when one is resolved, the near cache has been filled or emptied and waiting callers have been woken.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

from ..clock import Clock
from ..format.entry import GUARD_MS, HEAD_SIZE, FailedMark, failed_mark, parse_failed
from ..format.keys import ALL_TAG, Layout, Target
from ..futures import Future
from ..near.coherence import Coherence, FillToken
from ..policy.lookup import ClaimReply, EntryState, Lookup, NewEntry
from ..policy.ports import Runtime
from ..telemetry.stats import Counters
from ..wire.session import Call, Command, ReplyError
from .commands import CommandSender
from .entries import Entries
from .reading import Reads
from .stray_rights import GOOD_FOR, Rights

__all__ = ["Shared"]

# Last byte read of an entry to be deleted: its header and a few tags tell whether the entry was alive.
MAX_HEADER = 511


class Shared(CommandSender):
    """The verbs of the server that the policy uses.

    Args:
        layout: Keys on the server.
        entries: Turns values into bytes and back.
        coherence: Told of every removal, and keeps the near cache.
        counters: Counts leases, claims, refused swaps, and errors by reason.
        clock: Seconds.
        ports: Makes new futures.

    Attributes:
        reads: The verbs that read; ``look``, ``settle``, ``judge`` and ``capture`` are here, too.
        rights: The rights to load that are in doubt.
    """

    def __init__(
        self, layout: Layout, entries: Entries, coherence: Coherence, counters: Counters, clock: Clock, ports: Runtime
    ) -> None:
        super().__init__(coherence, counters, clock, ports)
        self._layout, self._entries = layout, entries
        self.rights = Rights(clock)
        reads = self.reads = Reads(self, layout, entries, coherence, ports)
        self.look, self.settle, self.judge, self.capture = reads.look, reads.settle, reads.judge, reads.capture
        self.large = reads.large

    # -- leases and claims ---------------------------------------------------------------------------------------

    def acquire(
        self,
        key: str,
        placeholder: bytes,
        lease_ms: int,
        declared: Any,
        token: FillToken,
        load: Any = None,
        *,
        waited: bool = False,
    ) -> Future | None:
        """Take the lease; the future gets a ``Lookup``: ``GRANTED``, or the value under the key.

        A caller that has ``waited`` for a load never steps over the mark of an ill source: it loads on that mark. If
        another process has the lease, ``load`` watches the key from the reply on.
        """
        if not self.may_send():
            return None
        raw, future = self._layout.entry(key), self._ports.future()

        def answered(reply: Any, sent_at: float) -> Lookup:
            self.rights.answered(raw, placeholder)
            if isinstance(reply, ReplyError):
                return self.refused("store", reply)
            if isinstance(reply, list):
                seen = self.reads.see(key, reply[0], reply[1], sent_at, declared, token)
                if load is not None:
                    self.reads.follow(load, key, seen, future)
                return seen
            self.record_success("store")
            self.expect_own(raw)
            self._counters.leases += 1
            if future.done():  # no caller waits for the lease any more
                self.release(key, placeholder)
            return Lookup(EntryState.GRANTED, stamp=placeholder, failed=FailedMark(failures=-reply))

        lost = partial(self.rights.lost, raw, placeholder, lease_ms / 1000)
        args = (placeholder, lease_ms, -1 if waited else GUARD_MS)
        return self.call_script("acquire", raw, args, answered, future, lost)

    def claim(self, key: str, claim_token: bytes, lease_ms: int, *, waited: bool = False) -> Future | None:
        """Take the right to replace an entry; the future gets a ``ClaimReply``, or a ``Lookup`` that tells the fault.

        ``waited`` as for ``acquire``.
        """
        if not self.may_send():
            return None
        sibling, future = self._layout.claim(key), self._ports.future()
        late = False

        def repeated() -> bool:
            nonlocal late
            late = True
            return True

        def answered(reply: Any, _sent_at: float) -> ClaimReply | Lookup:
            self.rights.answered(sibling, claim_token)
            if isinstance(reply, ReplyError):
                return self.refused("store", reply)
            if isinstance(reply, list):
                blob, pttl = reply
                failed = parse_failed(blob, pttl)
                ms = failed.guarded_ms if failed.failures else max(pttl, 0)
                return ClaimReply(granted=False, remaining=ms / 1000, failed=failed, late=late, holder=blob[:HEAD_SIZE])
            self.record_success("store")
            self.expect_own(sibling)
            self._counters.claims += 1
            if future.done():
                self.unclaim(key, claim_token)
            return ClaimReply(granted=True, failed=FailedMark(failures=-reply), late=late)

        lost = partial(self.rights.lost, sibling, claim_token, lease_ms / 1000)
        args = (claim_token, lease_ms, -1 if waited else GUARD_MS)
        return self.call_script("acquire", sibling, args, answered, future, lost, repeated)

    def claim_second(self, key: str, claim_token: bytes, ms: int) -> Future | None:
        """Take the right to load beside a load that takes longer than ``load_wait``; the future gets its holder."""
        if not self.may_send():
            return None
        raw, future = self._layout.second(key), self._ports.future()

        def answered(replies: list[Any], _call: Call) -> Any:
            self.rights.answered(raw, claim_token)
            if isinstance(replies[0], ReplyError):
                self.refused("store", replies[0])
                return b""
            if replies[0] is not None and future.done():
                self.unclaim(key, claim_token, second=True)
            return replies[1] if replies[0] is None else claim_token

        lost = partial(self.rights.lost, raw, claim_token, ms / 1000)
        commands = (("SET", raw, claim_token, "NX", "PX", ms), ("GETRANGE", raw, 0, HEAD_SIZE - 1))
        return self.call(commands, answered, future, lost)

    def is_claimed(self, key: str, claim: bytes = b"C") -> Future | None:
        """Ask whether any process holds the claim, or this ``claim`` is held; the future gets True or False."""
        if not self.may_send():
            return None
        asked = (("GETRANGE", self._layout.claim(key), 0, len(claim) - 1),)  # a failed mark is no claim
        return self.call(asked, lambda replies, _: replies[0] == claim, self._ports.future())

    def swap(self, key: str, expected: bytes, entry: NewEntry) -> Future | None:
        """Replace the value that carries the expected head, by compare-and-set.

        The future gets ``True`` (stored), ``False`` (refused) or the reason of an error.
        """
        if not self.may_send():
            return None
        raw = self._layout.entry(key)

        def answered(reply: Any, sent_at: float) -> bool | str:
            if isinstance(reply, ReplyError):
                return self.record_refusal("store", reply)
            if reply != 1:  # nothing was written, so this does not prove that the server accepts writes
                self._counters.refused_swaps += 1
                return False
            self.record_success("store")
            self.expect_own(raw)
            self._entries.fill(entry, sent_at)
            return True

        args = (expected, entry.blob, entry.server_ttl_ms)
        return self.call_script("swap", raw, args, answered, self._ports.future())

    def renew(
        self,
        key: str,
        stamp: bytes,
        ms: int,
        *,
        claim: bool = False,
        second: bool = False,
        refused: Callable[[], None] | None = None,
    ) -> None:
        """Extend the life of a placeholder, or of a claim or the entry under it. No caller waits for the reply.

        ``refused`` is called if its life was not extended: it expired in an outage, the server lost it, or it lives
        longer anyway.
        """
        if not self.may_send():
            return
        layout = self._layout
        raw = layout.second(key) if second else layout.claim(key) if claim else layout.entry(key)

        def answered(reply: Any, _sent_at: float) -> None:
            if reply == 1:
                self.expect_own(raw)
            if reply == 0 and refused is not None:
                refused()

        self.call_script("renew", raw, (stamp, ms), answered, None)

    def release(self, key: str, placeholder: bytes) -> None:
        """Release a lease without storing a value."""
        self.release_raw(self._layout.entry(key), placeholder, own=True)

    def unclaim(self, key: str, claim_token: bytes, *, second: bool = False) -> None:
        """Release a claim, or the right to load beside another load."""
        self.release_raw(self._layout.second(key) if second else self._layout.claim(key), claim_token)

    def fail(self, key: str, right: bytes, failures: int, took: float, *, claim: bool, timed_out: bool) -> None:
        """Replace a placeholder, or a claim, by the mark of its failed load.

        Args:
            key: The key.
            right: The placeholder, or the claim.
            failures: The failed loads in a row, this load among them.
            took: The seconds that the load took.
            claim: Whether ``right`` is a claim.
            timed_out: Whether the load was ended by its ``load_limit``.
        """
        raw = self._layout.claim(key) if claim else self._layout.entry(key)
        lost = partial(self.rights.lost, raw, right, GOOD_FOR)
        if not self._connected():
            lost()
            return

        def answered(reply: Any, _sent_at: float) -> None:
            if isinstance(reply, ReplyError):  # such as a full server, which still removes
                self.release_raw(raw, right, own=not claim)
                return
            self.rights.answered(raw, right)
            if reply == 1 and not claim:  # the push for a claim must wake the callers here, as a foreign one does
                self.expect_own(raw)

        mark, life_ms = failed_mark(right, failures, took, timed_out=timed_out)
        self.call_script("swap", raw, (right, mark, life_ms), answered, None, lost)

    def release_raw(self, raw: bytes, stamp: bytes, *, own: bool = False) -> None:
        """Compare and delete, now or in the next handshake; ``own``: this client causes a push for a tracked key."""
        lost = partial(self.rights.lost, raw, stamp, GOOD_FOR)

        def answered(reply: Any, _sent_at: float) -> None:
            if isinstance(reply, ReplyError):  # such as a primary that was demoted: its successor may have the right
                lost()
                return
            self.rights.answered(raw, stamp)
            if own and reply == 1:
                self.expect_own(raw)

        if self._connected():
            self.call_script("release", raw, (stamp,), answered, None, lost)
        else:
            lost()

    # -- writes --------------------------------------------------------------------------------------------------

    def put(self, key: str, entry: NewEntry, number: int) -> Future | None:
        """Store unconditionally; the future gets ``True``, or a reason.

        If the server does not acknowledge the store, the removal of the key becomes pending.
        """
        target: Target = ("e", key)
        token = entry.token
        if not self.may_send():
            self._coherence.defer(target, number)
            return None
        raw = self._layout.entry(key)

        def answered(reply: Any, sent_at: float) -> bool | str:
            if isinstance(reply, ReplyError):
                self._coherence.defer(target, number)
                return self.record_refusal("store", reply)
            self.record_success("store")
            self.expect_own(raw)
            self._coherence.confirm_removal(target, number, keep=token)
            self._entries.fill(entry, sent_at)
            return True

        args, owe = (entry.blob, entry.server_ttl_ms), partial(self._coherence.defer, target, number)
        return self.call_script("put", raw, args, answered, self._ports.future(), owe, lambda: token.valid)

    def discard(self, key: str, stamp: bytes) -> None:
        """Remove a foreign value if it is still there. The request for the lease follows in the same write."""
        if self.may_send():
            self.call_script("release", self._layout.entry(key), (stamp,), lambda _reply, _at: None, None)

    def remove(self, target: Target, number: int) -> Future | None:
        """Send ``DEL``; the future gets whether a live entry or tag was removed, or a reason.

        No removal is lost: each one stays pending until the server acknowledges it.
        """
        if not self.may_send():
            self._coherence.defer(target, number)
            return None
        kind, name = target
        if kind == "e":
            raw = self._layout.entry(name)
            commands: tuple[Command, ...] = (("GETRANGE", raw, 0, MAX_HEADER), ("PTTL", raw), ("DEL", raw))
        else:
            commands = (("DEL", self._layout.tag(name)),)

        def answered(replies: list[Any], _call: Call) -> bool | str:
            done = replies[-1]
            if isinstance(done, ReplyError):
                self._coherence.defer(target, number)
                return self.record_refusal("remove", done)
            self.record_success("remove")
            alive = done == 1 and (kind == "t" or self._entries.was_alive(replies[0], replies[1]))
            self._coherence.confirm_removal(target, number)
            return alive

        owe = partial(self._coherence.defer, target, number)
        return self.call(commands, answered, self._ports.future(), owe)

    def add(self, key: str, entry: NewEntry, declared: Any, token: FillToken) -> Future | None:
        """Store if absent; the future gets a ``Lookup``: ``GRANTED`` when stored, else the value under the key."""
        if not self.may_send():
            return None
        raw = self._layout.entry(key)

        def answered(reply: Any, sent_at: float) -> Lookup:
            if isinstance(reply, ReplyError):
                return self.refused("store", reply)
            if isinstance(reply, list):
                return self.reads.see(key, reply[0], reply[1], sent_at, declared, token)
            self.record_success("store")
            self.expect_own(raw)
            self._entries.fill(entry, sent_at)
            return Lookup(EntryState.GRANTED)

        args, future = (entry.blob, entry.server_ttl_ms), self._ports.future()

        def send() -> None:
            self.call_script("add", raw, args, answered, future, still=lambda: token.valid)

        return self._sent(raw, future, send)

    def _sent(self, raw: bytes, future: Future, send: Callable[[], object]) -> Future:
        """Send a call whose reply may be the value under the key, unless that value is too large to read."""
        if raw in self.large.keys:
            return self.reads.unless_large(raw, future, send)
        send()
        return future

    def incr(self, key: str, entry: NewEntry, replacing: bytes, token: FillToken) -> Future | None:
        """Add to a counter.

        The future gets the new ``int``, a reason, or a ``Lookup`` of the value that the script did not add to.
        """
        if not self.may_send():
            return None

        def answered(reply: Any, sent_at: float) -> int | Lookup | str:
            if isinstance(reply, ReplyError):
                return self.record_refusal("store", reply)
            if reply[0] == 0:
                return self.reads.see(key, reply[1], reply[2], sent_at, Any, token)
            self.record_success("store")
            return int(reply[1])

        args = (entry.blob, entry.server_ttl_ms, self._entries.stamp(), replacing)
        raw, future = self._layout.entry(key), self._ports.future()

        def send() -> None:
            self.call_script("incr", raw, args, answered, future, still=lambda: token.valid)

        if replacing:  # the script compares the head only and does not answer with the value
            send()
            return future
        return self._sent(raw, future, send)

    def touch(self, key: str, stamp: bytes, server_ttl_ms: int) -> Future | None:
        """Give the entry with this head a new life; the future gets ``True`` if the entry still had this head."""
        if not self.may_send():
            return None

        def answered(reply: Any, _sent_at: float) -> bool:
            refused = isinstance(reply, ReplyError) and self.record_refusal("store", reply)
            return not refused and bool(reply == 1)

        raw, future = self._layout.entry(key), self._ports.future()
        return self.call_script("touch", raw, (stamp, server_ttl_ms), answered, future)

    def ping(self) -> Future | None:
        """Send a real command, to measure the round trip that health reports."""
        if not self.may_send():
            return None
        return self.call((("GET", self._layout.tag(ALL_TAG)),), lambda replies, _: replies[0], self._ports.future())
