"""The rules of writing: forget here first, tell the server, and owe it what it did not acknowledge."""

from collections.abc import Iterable, Mapping
from enum import Enum
from functools import partial
from typing import Any, Final

from ..errors import Unavailable
from ..format.entry import GRACE
from ..format.keys import Target
from .context import Budget, PolicyContext
from .lookup import DecodedValue, EntryState, Lookup
from .options import CallOptions
from .ports import Future
from .streaming import SMALL, Sent, stream

__all__ = ["Writing"]

# How often a compare-and-set is tried when others write the same key at the same time.
TRIES = 16
_REPLACEABLE = frozenset({EntryState.STALE, EntryState.EXPIRED, EntryState.INVALID})
_GONE = frozenset({EntryState.ABSENT, EntryState.FOREIGN})


class Again(Enum):
    """Nothing is decided yet."""

    AGAIN = "again"


AGAIN: Final = Again.AGAIN


class _Put:
    """One value on its way."""

    __slots__ = ("future", "number", "size", "started", "token")

    def __init__(self, number: int, token: Any, started: float) -> None:
        self.number, self.token, self.started = number, token, started
        self.future: Future | None = None
        self.size = 0


class _Encoded:
    """Values in bytes, all tried before the first is sent; beyond some megabytes made again when their turn comes."""

    KEPT = 16 * 1024 * 1024

    def __init__(self, parts: PolicyContext, values: Mapping[str, Any], declared: Any) -> None:
        self._encode, self._values, self._declared = parts.entries.encode, values, declared
        self._kept: dict[str, DecodedValue] = {}
        size = 0
        for key, value in values.items():
            answer = self._encode(value, declared)
            size += len(answer.payload or b"")
            if size <= self.KEPT:
                self._kept[key] = answer

    def answer(self, key: str) -> DecodedValue:
        """One of them."""
        return self._kept.get(key) or self._encode(self._values[key], self._declared)


class Writing:
    """set, add, delete, touch, tags and clear; ``counting`` has incr."""

    def __init__(self, parts: PolicyContext) -> None:
        self._parts = parts

    # -- set ---------------------------------------------------------------------------------------------------------

    async def set(self, key: str, value: Any, options: CallOptions, declared: Any, *, strict: bool) -> None:
        """Store one value, whatever is there."""
        await self.set_many({key: value}, options, declared, strict=strict)

    async def set_many(self, values: Mapping[str, Any], options: CallOptions, declared: Any, *, strict: bool) -> None:
        """Store many. Nothing is sent before all could be encoded."""
        parts = self._parts
        parts.check_open()
        encoded = _Encoded(parts, values, declared)
        parts.counters.sets += len(values)
        budget = parts.budget()
        captured = None if parts.alone else await parts.capture(options.tags, budget)
        sent: dict[str, _Put] = {}
        refused: dict[str, _Put] = {}
        stored = True

        def send(key: str) -> Sent:
            put = sent[key] = self._put(key, encoded.answer(key), options, captured)
            return partial(parts.ask, put.future, budget), put.size

        def take(key: str, result: Any) -> None:
            nonlocal stored
            put = sent.pop(key)
            stored &= result is True
            if isinstance(result, str):
                refused[key] = put
            else:
                self._end(key, put, None if result is True else encoded.answer(key), options)

        try:
            await stream(parts, values, send, take, budget)
            if refused:
                await self._remove_refused(refused, encoded, options, budget)
        finally:
            for key, put in (sent | refused).items():
                self._end(key, put, None, options)
        if strict and not stored and not parts.alone:
            raise Unavailable("the server did not acknowledge the write")

    async def _remove_refused(
        self, refused: dict[str, "_Put"], encoded: _Encoded, options: CallOptions, budget: Budget
    ) -> None:
        """What the server refused (full, for one): what stood there before must not stay."""
        parts = self._parts

        def send(key: str) -> Sent:
            return partial(parts.ask, parts.shared.remove(("e", key), refused[key].number), budget), SMALL

        def take(key: str, _result: Any) -> None:
            self._end(key, refused.pop(key), encoded.answer(key), options)

        await stream(parts, list(refused), send, take, budget)

    def send_set(self, answers: Mapping[str, DecodedValue], options: CallOptions) -> None:
        """Store many without waiting for anything. What could be sent only after a wait is kept here and owed."""
        parts = self._parts
        parts.counters.sets += len(answers)
        captured = None if parts.alone else parts.coherence.captured(options.tags)
        for key, answer in answers.items():
            put = self._put(key, answer, options, captured)
            newest = parts.coherence.wrote(key, put.number)
            if put.future is None:
                parts.coherence.close_fill(put.token)
                if newest:
                    parts.keep_here(key, answer, options, put.started)

    def _put(self, key: str, answer: DecodedValue, options: CallOptions, captured: Any) -> "_Put":
        parts = self._parts
        number = parts.coherence.writing(key, options.tags)
        put = _Put(number, parts.coherence.open_fill(key, options.tags), parts.ports.clock())
        if captured is None:
            if not parts.alone:
                parts.coherence.defer(("e", key), number)
            return put
        if parts.coherence.captured(options.tags) != captured:
            parts.coherence.close_fill(
                put.token
            )  # a tag of it was removed since: stored, it is outdated, and near must not fill
        stamp, blob = parts.entries.pack(key, answer, captured, options, 0.0)

        def hold(sent_at: float) -> Any:
            return parts.entries.hold(answer, options.tags, parts.near_life(options, sent_at), born=sent_at, stamp=stamp)

        put.future, put.size = (
            parts.shared.put(key, blob, options.server_ttl_ms, put.token, hold, number),
            len(blob) + SMALL,
        )
        return put

    def _end(self, key: str, put: "_Put", answer: DecodedValue | None, options: CallOptions) -> None:
        """A write has ended. With an ``answer`` shared does not have it: who wrote sees it until shared can be asked.

        Unless this process has removed or replaced it meanwhile.
        """
        parts = self._parts
        parts.coherence.close_fill(put.token)
        newest = parts.coherence.wrote(key, put.number)
        if newest and answer is not None:
            parts.keep_here(key, answer, options, put.started)

    # -- removals ----------------------------------------------------------------------------------------------------

    async def delete_many(self, keys: Iterable[str], *, strict: bool) -> int:
        """Remove; returns how many live values are known to be removed."""
        parts = self._parts
        parts.check_open()
        wanted = list(dict.fromkeys(keys))
        if parts.alone:
            return sum(self._delete_here(key) for key in wanted)
        return await self._remove([("e", key) for key in wanted], strict=strict)

    def _delete_here(self, key: str) -> bool:
        parts = self._parts
        held = parts.near.items.get(key)
        parts.coherence.begin_removal(("e", key))
        parts.counters.removals += 1
        return held is not None and parts.ports.clock() < held.fresh_until

    async def invalidate(self, tags: Iterable[str], *, strict: bool) -> None:
        """Remove everything that carries one of the tags."""
        parts = self._parts
        parts.check_open()
        targets: list[Target] = [("t", tag) for tag in tags]
        if parts.alone:
            self.send_removals(targets)
        else:
            await self._remove(targets, strict=strict)

    def send_removals(self, targets: Iterable[Target]) -> list[Future | None]:
        """All in one write, without waiting. What is not acknowledged is owed; without a server nothing is."""
        parts = self._parts
        futures: list[Future | None] = []
        for target in targets:
            number = parts.coherence.begin_removal(target)
            parts.counters.removals += 1
            if not parts.alone:
                futures.append(parts.shared.remove(target, number))
        return futures

    async def _remove(self, targets: list[Target], *, strict: bool) -> int:
        """As many at once as fit. What is not acknowledged is owed."""
        parts = self._parts
        budget = parts.budget()
        sent = removed = 0
        told = True

        def send(target: Target) -> Sent:
            nonlocal sent
            sent += 1
            (future,) = self.send_removals((target,))
            return partial(parts.ask, future, budget), SMALL

        def take(_target: Target, result: Any) -> None:
            nonlocal removed, told
            removed += result is True
            told &= isinstance(result, bool)

        try:
            await stream(parts, targets, send, take, budget)
        finally:
            for target in targets[sent:]:  # cancelled: what was not sent is removed later
                parts.coherence.defer(target, parts.coherence.begin_removal(target))
        if strict and not told:
            raise Unavailable("the server did not acknowledge the removal; it will be repeated when it can be heard")
        return removed

    # -- add -----------------------------------------------------------------------------------------------------------

    async def add(self, key: str, value: Any, options: CallOptions, declared: Any, *, strict: bool) -> bool:
        """Store if there is no fresh entry. With the server away the first of this process wins, in its own memory."""
        parts = self._parts
        parts.check_open()
        answer = parts.entries.encode(value, declared)
        if parts.alone or (parts.trust.away and not strict):
            return self._add_here(key, answer, options)
        added = await self._add_there(key, answer, options)
        if strict and added is None:
            raise Unavailable(f"add of {key!r}: the server did not acknowledge")
        return added is True

    async def _add_there(self, key: str, answer: DecodedValue, options: CallOptions) -> bool | None:
        """What the server decided; ``None`` when it cannot be known."""
        parts = self._parts
        budget = parts.budget()
        captured = await parts.capture(options.tags, budget)
        if captured is None or parts.coherence.journal.owes_key(key):
            return None
        for _ in range(TRIES):
            done = await self._add_once(key, answer, options, captured, budget)
            if done is not AGAIN:
                return done
        return None

    def _add_here(self, key: str, answer: DecodedValue, options: CallOptions) -> bool:
        """In memory, without letting anybody in. What the server may hold of it goes when it is back."""
        parts = self._parts
        if not parts.alone and not (parts.coherence.keeps and options.offline_ttl > 0):
            return False  # nothing may be kept here, so nothing is added, and what the server holds stays
        found = parts.near_answer(key, Any, options)
        now = parts.ports.clock()
        if found is not None and now < found[1].fresh_until:
            return False
        number = parts.coherence.begin_removal(("e", key))
        if not parts.alone:
            parts.coherence.defer(("e", key), number)
        kept = parts.keep_here(key, answer, options, now)
        return kept or parts.alone  # a memory that is too small is no reason to say that somebody else was first

    async def _add_once(
        self, key: str, answer: DecodedValue, options: CallOptions, captured: Any, budget: Budget
    ) -> bool | Again | None:
        """``AGAIN`` = what was there has changed meanwhile: once more."""
        parts = self._parts
        stamp, blob = parts.entries.pack(key, answer, captured, options, 0.0)
        token = parts.coherence.open_fill(key, options.tags)

        def stored(sent_at: float) -> None:
            if parts.coherence.captured(options.tags) == captured:
                held = parts.entries.hold(
                    answer, options.tags, parts.near_life(options, sent_at), born=sent_at, stamp=stamp
                )
                parts.coherence.fill(token, held)

        try:
            future = parts.shared.add(key, blob, options.server_ttl_ms, Any, token, stored)
            seen = await parts.settled(key, await parts.ask(future, budget), token, budget)
            if seen.state is EntryState.GRANTED:
                return True
            if seen.state in _REPLACEABLE:
                swapped = await parts.ask(
                    parts.shared.swap(key, seen.stamp, blob, options.server_ttl_ms, stored), budget
                )
                return AGAIN if swapped is False else True if swapped is True else None
            if seen.state is EntryState.FOREIGN:
                parts.shared.discard(key, seen.stamp)
            if seen.state is EntryState.FRESH:
                return False
            return AGAIN if seen.state in _GONE else None
        finally:
            parts.coherence.close_fill(token)

    # -- touch ---------------------------------------------------------------------------------------------------------

    async def touch(self, key: str, ttl: float, options: CallOptions) -> bool:
        """Let a fresh entry live for ``ttl`` from now; ``False`` when there is none."""
        parts = self._parts
        parts.check_open()
        if parts.alone or parts.holds_alone(key, options):
            return self._touch_here(key, ttl, options)
        seen, budget = await self.look(key)
        if seen.state is not EntryState.FRESH:
            return False
        server_ttl_ms = round((ttl + seen.header.stale + GRACE) * 1000)
        done = await parts.ask(parts.shared.touch(key, seen.stamp, server_ttl_ms), budget) is True
        parts.coherence.forget_key(key)
        return done

    def _touch_here(self, key: str, ttl: float, options: CallOptions) -> bool:
        parts = self._parts
        held = parts.near.items.get(key)
        now = parts.ports.clock()
        if held is None or now >= held.fresh_until:
            return False
        life = parts.unbacked_life(options)
        ttl = min(ttl, max(life, held.fresh_until - now))
        stale = min(held.stale_until - held.fresh_until, max(0.0, life - ttl))
        return parts.near.put(key, parts.entries.prolonged(held, held.value, (now + ttl, now + ttl + stale)))

    async def look(self, key: str) -> tuple[Lookup, Budget]:
        """What stands under a key, as plain data."""
        parts = self._parts
        budget = parts.budget()
        token = parts.coherence.open_fill(key)
        try:
            if parts.coherence.journal.owes_key(key):
                return Lookup(EntryState.UNAVAILABLE), budget
            seen = await parts.ask(parts.shared.look(key, Any, token), budget)
            return await parts.settled(key, seen, token, budget), budget
        finally:
            parts.coherence.close_fill(token)
