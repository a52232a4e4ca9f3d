"""Coherence: keeps the copies in the near cache (L1) consistent with the server.

The only module that knows both a push and the near store.

Rules:

1. Everything here happens synchronously, when frames are parsed, a call is sent or the link changes; never later.
2. The near cache is filled only under a *token* for the key and its tags, taken before the first request was written.
   A push for any of them, a null push, a local removal and every change of the link's state void the token.
3. A push for a key drops its entry from the near cache, wakes waiting callers, and detaches its flight: no caller joins
   it any more. A local removal does the same, when it is sent and again when it is answered. A push for a tag detaches
   its flights and drops its copy; whether its entries are dropped depends on its version now, see ``tag_versions``.
4. The storing scripts read the key before they write it, so the server pushes to this connection exactly once, as the
   next frame after the reply. Only that frame counts as the cache's own: it wakes waiting callers and does nothing
   else. Any other push is foreign.
5. Values that the shared cache did not confirm are *unconfirmed*: they answer only while the link is not online, and
   are dropped when it is.
"""

import logging
from typing import Any, Protocol

from ..clock import Clock
from ..format.keys import ALL_TAG, Layout, Target
from ..futures import Future
from ..log import TELL, Teller
from ..telemetry.stats import Counters
from ..wire.link_state import LinkState
from ..wire.server_evictions import Turnover
from .journal import Journal
from .recent_removals import Recent
from .store import Near, NearEntry
from .tag_versions import Doubts, TagState, TagVersions

__all__ = ["Coherence", "Detaching", "FillToken", "Watch"]

# Looked up once: on the hit path, access to a member of an enum costs at least as much as a dict look-up.
_CURRENT = TagState.CURRENT


class Detaching(Protocol):
    """The flights, as far as coherence knows them."""

    def detach_key(self, key: str) -> None:
        """Let no further caller join the flight of this key."""
        ...

    def is_loaded(self, key: str) -> bool:
        """Return whether a loader runs for the key under a lease or claim on the server."""
        ...

    def detach_tag(self, tag: str) -> None:
        """Let no further caller join a flight that captured this tag."""
        ...

    def detach_all(self) -> None:
        """Let no further caller join any flight that runs now."""
        ...


class FillToken:
    """The right to fill the near cache with one key, until a push, a removal or a change of the link voids it."""

    __slots__ = ("key", "tags", "valid")

    def __init__(self, key: str, tags: tuple[str, ...]) -> None:
        self.key = key
        self.tags = tags
        self.valid = True


class Watch:
    """A future that waits for the next change of a key."""

    __slots__ = ("future", "key")

    def __init__(self, key: str, future: Future) -> None:
        self.key = key
        self.future = future


class Coherence:
    """The near cache, the copies of tag versions, tokens, watches and the journal, kept consistent."""

    # Without tracking the server reports no change. So a copy of an entry or of a tag version lives this many seconds,
    # or half of max_staleness if that is less.
    UNTRACKED_LIFE = 1.0
    # The near cache drops expired entries by itself only when it is full. So each time this many entries were put in,
    # twice as many are checked.
    SWEEP_EVERY = 64
    # Tag versions may take a quarter of the near cache's bytes, and at least enough for a few hundred tags, however
    # small the near cache is.
    TAGS_SHARE, MIN_TAGS = 4, 64_000

    def __init__(
        self,
        near: Near,
        layout: Layout,
        flights: Detaching,
        counters: Counters,
        clock: Clock,
        tell: Teller = TELL,
    ) -> None:
        self.near = near
        self._tell = tell
        self.journal = Journal(self._overflowed)
        self.recent = Recent(clock)
        self.copies = TagVersions(max(near.max_bytes // self.TAGS_SHARE, self.MIN_TAGS))
        self.doubts = Doubts()
        self.turnover = Turnover(clock)
        self.tracking = False
        self.last_all: bytes | None = None  # the newest version of the tag on every entry, over all epochs
        self.untracked_life = self.UNTRACKED_LIFE
        self._layout, self._flights, self._counters, self._clock = layout, flights, counters, clock
        # Whether the near cache keeps anything. If not, a read needs no token.
        self.keeps = near.max_bytes > 0
        self._fills = 0
        self._tokens: dict[str, list[FillToken]] = {}
        self._watches: dict[str, list[Watch]] = {}

    # -- tokens and watches ----------------------------------------------------------------------------------------

    def open_fill(self, key: str, tags: tuple[str, ...] = ()) -> FillToken:
        """Return a token. Take it before the first request is written, and end it with ``close_fill``."""
        token = FillToken(key, tags)
        held = self._tokens.get(key)
        if held is None:
            self._tokens[key] = [token]
        else:
            held.append(token)
        return token

    def close_fill(self, token: FillToken) -> None:
        """End a token.

        The token is void from then on: no push would reach it any more, so a late reply must not fill the near cache
        with it.
        """
        token.valid = False
        held = self._tokens.get(token.key)
        if held is not None and token in held:
            held.remove(token)
            if not held:
                del self._tokens[token.key]

    def watch(self, key: str, future: Future) -> Watch:
        """Resolve ``future`` at the next change of the key. Call this before the read is written."""
        watch = Watch(key, future)
        self._watches.setdefault(key, []).append(watch)
        return watch

    def unwatch(self, watch: Watch) -> None:
        """Stop watching."""
        held = self._watches.get(watch.key)
        if held is not None and watch in held:
            held.remove(watch)
            if not held:
                del self._watches[watch.key]

    @property
    def waiters(self) -> int:
        """The number of open watches."""
        return sum(map(len, list(self._watches.values())))  # copied in one step: any thread may read this

    def _wake(self, key: str) -> None:
        for watch in self._watches.pop(key, ()):
            if not watch.future.done():
                watch.future.set_result(None)

    def _void_key(self, key: str) -> None:
        for token in self._tokens.pop(key, ()):
            token.valid = False

    def _void_tag(self, tag: str) -> None:
        for held in list(self._tokens.values()):
            for token in [token for token in held if tag in token.tags]:
                token.valid = False
                self.close_fill(token)

    # -- forgetting ------------------------------------------------------------------------------------------------

    def forget_key(self, key: str, keep: FillToken | None = None) -> None:
        """Drop a key that changed. ``keep`` is the token of the write that changed it: its own fill is still right."""
        valid = keep is not None and keep.valid
        self.near.forget(key)
        self._void_key(key)
        if keep is not None:
            keep.valid = valid
        self._flights.detach_key(key)
        self._wake(key)

    def forget_tag(self, tag: str) -> None:
        """Drop the copy of a tag that changed, and with it every entry that carries the tag."""
        self._forget_version(tag)
        self.near.forget_tag(tag)
        self.doubts.end(tag)

    def _forget_version(self, tag: str) -> None:
        self.copies.drop(tag)
        self.near.make_room(self.copies.weight)
        self._void_tag(tag)
        self._flights.detach_tag(tag)

    def _doubt_tag(self, tag: str) -> None:
        """Handle a push for a tag: ask for its version, or drop its entries at once if there is nothing to ask."""
        if tag not in self.doubts:
            version = self.copies.version(tag, -float("inf"))
            pending = self.journal.has_pending_tag(tag)
            if version is None or pending or not len(self.near) or not self.doubts.open(tag, version):
                self.forget_tag(tag)
                return
        self._forget_version(tag)

    def end_doubt(self, tag: str) -> None:
        """Drop the entries of a tag that is still in doubt: no version of it came."""
        if tag in self.doubts:
            self.forget_tag(tag)

    def forget_all(self) -> None:
        """Drop every entry and every tag version: none can be trusted any more."""
        self.near.clear()
        self.copies.clear()
        self.doubts.end_all()
        self.near.make_room(0)
        self._void_all()
        self._flights.detach_all()
        self._wake_all()

    def _void_all(self) -> None:
        tokens, self._tokens = self._tokens, {}
        for held in tokens.values():
            for token in held:
                token.valid = False

    def _wake_all(self) -> None:
        for key in list(self._watches):
            self._wake(key)

    # -- events of the wire ----------------------------------------------------------------------------------------

    def on_invalidation(self, keys: list[bytes] | None) -> None:
        """Handle a push for these keys, in frame order; ``None`` stands for all keys."""
        if keys is None:
            self._counters.flush_invalidations += 1
            self.forget_all()
            return
        for raw in keys:
            named = self._layout.parse(raw)
            if named is not None:
                self._counters.invalidations += 1
                self._pushed(*named)

    def _pushed(self, kind: str, name: str) -> None:
        if kind == "e":
            if self._flights.is_loaded(name):
                self.turnover.suspect()
            self.forget_key(name)
        elif kind == "t":
            self._doubt_tag(name)
        elif kind == "c":
            self._wake(name)

    def on_own_push(self, raw: bytes) -> None:
        """Handle the one push that the cache's own script caused: only wake the callers here that wait for the key."""
        self._counters.self_invalidations += 1
        named = self._layout.parse(raw)
        if named is not None and named[0] == "e":
            self._wake(named[1])

    def on_state(self, new: LinkState, *, new_epoch: bool) -> None:
        """Handle a change of the link's state."""
        self._void_all()
        for tag in self.doubts:
            self.near.forget_tag(tag)
        self.doubts.end_all()
        if new is LinkState.ONLINE:
            self.near.forget_unconfirmed()
            self._flights.detach_all()
            if new_epoch:
                self.near.clear()
        self._wake_all()

    # -- removals --------------------------------------------------------------------------------------------------

    def begin_removal(self, target: Target) -> int:
        """Begin a removal that is being sent, or would be if the server could be reached; return its number."""
        self._forget_target(target, None)
        return self.journal.begin_removal(target)

    def writing(self, key: str, tags: tuple[str, ...]) -> int:
        """Begin an overwrite, which this process sees even if the server never gets it; return its number.

        The caller ends it with ``wrote``.
        """
        self.forget_key(key)
        return self.journal.writing(key, tags)

    def wrote(self, key: str, number: int) -> bool:
        """End a write; return whether no newer write here and no removal of its key or a tag has overtaken it."""
        return self.journal.wrote(key, number)

    def _overflowed(self) -> None:
        self._counters.journal_overflows += 1
        text = (
            "journal overflow: more than %d removals are pending; "
            "the whole cache is emptied instead when the server answers"
        )
        self._tell(logging.WARNING, "journal_overflow", text, Journal.MAX)

    def defer(self, target: Target, number: int) -> None:
        """Keep a removal pending that ended without an acknowledgement.

        Entries that were read meanwhile are dropped, unless a newer removal of the target is pending.
        """
        if self.journal.defer(target, number):
            self._forget_target(target, None)

    def confirm_removal(self, target: Target, number: int, keep: FillToken | None = None) -> None:
        """Clear a removal that the server acknowledged, and drop entries that were read meanwhile."""
        self.journal.acknowledged(target, number)
        self.recent.done(target)
        self._forget_target(target, keep)

    def _forget_target(self, target: Target, keep: FillToken | None) -> None:
        kind, name = target
        if kind == "e":
            self.forget_key(name, keep)
        else:
            self.forget_tag(name)

    # -- filling ---------------------------------------------------------------------------------------------------

    def fill(self, token: FillToken, held: NearEntry) -> bool:
        """Put an entry into the near cache if nothing voided the token; return whether it is held now."""
        self._fills += 1
        if self._fills % self.SWEEP_EVERY == 0:
            self.near.sweep(self._clock(), limit=2 * self.SWEEP_EVERY)
        if not token.valid or (not held.unconfirmed and self.journal.has_pending_key(token.key)):
            return False
        return self.near.put(token.key, held)

    def life(self, sent_at: float) -> float:
        """Return until when a copy from a read sent at ``sent_at`` may be kept, regardless of the entry's ttl."""
        return float("inf") if self.tracking else sent_at + self.untracked_life

    def keep_version(self, tag: str, version: bytes, sent_at: float) -> None:
        """Keep the version of a tag, from a read that registered this client for the tag's push."""
        if self.journal.has_pending_tag(tag):
            return
        if self.doubts.differs(tag, version):
            self.near.forget_tag(tag)
        self.doubts.end(tag)
        known = self.copies.version(tag, -float("inf"))
        if known is not None and known != version:
            self.forget_tag(tag)
        if tag == ALL_TAG:
            self.last_all = version
        for dropped in self.copies.keep(tag, version, self.life(sent_at)):
            self.near.forget_tag(dropped)
        self.near.make_room(self.copies.weight)

    def judge(self, section: bytes) -> tuple[TagState, tuple[str, ...]]:
        """Return whether an entry with these tags is current, and its tags, as ``TagVersions.judge`` does.

        An entry with a tag whose removal is pending is outdated.
        """
        names = self.copies.current_sections.get(section)
        if names is not None and not self.journal.pending:
            return _CURRENT, names
        currency, names = self.copies.judge(section, self._clock())
        self.near.make_room(self.copies.weight)
        if self.journal.pending and any(self.journal.has_pending_tag(name) for name in names):
            return TagState.OUTDATED, ()
        return currency, names

    def missing(self, tags: tuple[str, ...]) -> list[str]:
        """Return the tags whose version must be read from the server."""
        return self.copies.missing(tags, self._clock())

    def captured(self, tags: tuple[str, ...]) -> tuple[tuple[str, bytes], ...] | None:
        """Return the known versions of the tags; ``None`` if one is unknown or its removal is pending."""
        now = self._clock()
        found = []
        for tag in tags:
            version = self.copies.version(tag, now)
            if version is None or self.journal.has_pending_tag(tag):
                return None
            found.append((tag, version))
        return tuple(found)

    def heard_all_tag(self, version: Any, sent_at: float) -> None:
        """Record the version of the tag on every entry that the heartbeat read."""
        if not isinstance(version, bytes):
            if version is None:
                self.forget_tag(ALL_TAG)
        elif not self.tracking or self.copies.version(ALL_TAG, -float("inf")) != version:
            self.keep_version(ALL_TAG, version, sent_at)
