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

    def __init__(self, ctx: PolicyContext, values: Mapping[str, Any], declared: Any) -> None:
        self._encode, self._values, self._declared = ctx.entries.encode, values, declared
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

    def __init__(self, ctx: PolicyContext) -> None:
        self._ctx = ctx

    # -- set ---------------------------------------------------------------------------------------------------------

    async def set(self, key: str, value: Any, options: CallOptions, declared: Any, *, strict: bool) -> None:
        """Store one value, whatever is there."""
        await self.set_many({key: value}, options, declared, strict=strict)

    async def set_many(self, values: Mapping[str, Any], options: CallOptions, declared: Any, *, strict: bool) -> None:
        """Store many. Nothing is sent before all could be encoded."""
        ctx = self._ctx
        ctx.check_open()
        encoded = _Encoded(ctx, values, declared)
        ctx.counters.sets += len(values)
        budget = ctx.budget()
        captured = None if ctx.alone else await ctx.capture(options.tags, budget)
        sent: dict[str, _Put] = {}
        refused: dict[str, _Put] = {}
        stored = True

        def send(key: str) -> Sent:
            put = sent[key] = self._put(key, encoded.answer(key), options, captured)
            return partial(ctx.ask, put.future, budget), put.size

        def take(key: str, result: Any) -> None:
            nonlocal stored
            put = sent.pop(key)
            stored &= result is True
            if isinstance(result, str):
                refused[key] = put
            else:
                self._end(key, put, None if result is True else encoded.answer(key), options)

        try:
            await stream(ctx, values, send, take, budget)
            if refused:
                await self._remove_refused(refused, encoded, options, budget)
        finally:
            for key, put in (sent | refused).items():
                self._end(key, put, None, options)
        if strict and not stored and not ctx.alone:
            raise Unavailable("the server did not acknowledge the write")

    async def _remove_refused(
        self, refused: dict[str, "_Put"], encoded: _Encoded, options: CallOptions, budget: Budget
    ) -> None:
        """What the server refused (full, for one): what stood there before must not stay."""
        ctx = self._ctx

        def send(key: str) -> Sent:
            return partial(ctx.ask, ctx.shared.remove(("e", key), refused[key].number), budget), SMALL

        def take(key: str, _result: Any) -> None:
            self._end(key, refused.pop(key), encoded.answer(key), options)

        await stream(ctx, list(refused), send, take, budget)

    def send_set(self, answers: Mapping[str, DecodedValue], options: CallOptions) -> None:
        """Store many without waiting for anything. What could be sent only after a wait is kept here and owed."""
        ctx = self._ctx
        ctx.counters.sets += len(answers)
        captured = None if ctx.alone else ctx.coherence.captured(options.tags)
        for key, answer in answers.items():
            put = self._put(key, answer, options, captured)
            newest = ctx.coherence.wrote(key, put.number)
            if put.future is None:
                ctx.coherence.close_fill(put.token)
                if newest:
                    ctx.keep_here(key, answer, options, put.started)

    def _put(self, key: str, answer: DecodedValue, options: CallOptions, captured: Any) -> "_Put":
        ctx = self._ctx
        number = ctx.coherence.writing(key, options.tags)
        put = _Put(number, ctx.coherence.open_fill(key, options.tags), ctx.ports.clock())
        if captured is None:
            if not ctx.alone:
                ctx.coherence.defer(("e", key), number)
            return put
        if ctx.coherence.captured(options.tags) != captured:
            ctx.coherence.close_fill(
                put.token
            )  # a tag of it was removed since: stored, it is outdated, and near must not fill
        stamp, blob = ctx.entries.pack(key, answer, captured, options, 0.0)

        def hold(sent_at: float) -> Any:
            return ctx.entries.near_entry(
                answer, options.tags, ctx.near_life(options, sent_at), born=sent_at, stamp=stamp
            )

        put.future, put.size = (
            ctx.shared.put(key, blob, options.server_ttl_ms, put.token, hold, number),
            len(blob) + SMALL,
        )
        return put

    def _end(self, key: str, put: "_Put", answer: DecodedValue | None, options: CallOptions) -> None:
        """A write has ended. With an ``answer`` shared does not have it: who wrote sees it until shared can be asked.

        Unless this process has removed or replaced it meanwhile.
        """
        ctx = self._ctx
        ctx.coherence.close_fill(put.token)
        newest = ctx.coherence.wrote(key, put.number)
        if newest and answer is not None:
            ctx.keep_here(key, answer, options, put.started)

    # -- removals ----------------------------------------------------------------------------------------------------

    async def delete_many(self, keys: Iterable[str], *, strict: bool) -> int:
        """Remove; returns how many live values are known to be removed."""
        ctx = self._ctx
        ctx.check_open()
        wanted = list(dict.fromkeys(keys))
        if ctx.alone:
            return sum(self._delete_here(key) for key in wanted)
        return await self._remove([("e", key) for key in wanted], strict=strict)

    def _delete_here(self, key: str) -> bool:
        ctx = self._ctx
        held = ctx.near.items.get(key)
        ctx.coherence.begin_removal(("e", key))
        ctx.counters.removals += 1
        return held is not None and ctx.ports.clock() < held.fresh_until

    async def invalidate(self, tags: Iterable[str], *, strict: bool) -> None:
        """Remove everything that carries one of the tags."""
        ctx = self._ctx
        ctx.check_open()
        targets: list[Target] = [("t", tag) for tag in tags]
        if ctx.alone:
            self.send_removals(targets)
        else:
            await self._remove(targets, strict=strict)

    def send_removals(self, targets: Iterable[Target]) -> list[Future | None]:
        """All in one write, without waiting. What is not acknowledged is owed; without a server nothing is."""
        ctx = self._ctx
        futures: list[Future | None] = []
        for target in targets:
            number = ctx.coherence.begin_removal(target)
            ctx.counters.removals += 1
            if not ctx.alone:
                futures.append(ctx.shared.remove(target, number))
        return futures

    async def _remove(self, targets: list[Target], *, strict: bool) -> int:
        """As many at once as fit. What is not acknowledged is owed."""
        ctx = self._ctx
        budget = ctx.budget()
        sent = removed = 0
        told = True

        def send(target: Target) -> Sent:
            nonlocal sent
            sent += 1
            (future,) = self.send_removals((target,))
            return partial(ctx.ask, future, budget), SMALL

        def take(_target: Target, result: Any) -> None:
            nonlocal removed, told
            removed += result is True
            told &= isinstance(result, bool)

        try:
            await stream(ctx, targets, send, take, budget)
        finally:
            for target in targets[sent:]:  # cancelled: what was not sent is removed later
                ctx.coherence.defer(target, ctx.coherence.begin_removal(target))
        if strict and not told:
            raise Unavailable("the server did not acknowledge the removal; it will be repeated when it can be heard")
        return removed

    # -- add -----------------------------------------------------------------------------------------------------------

    async def add(self, key: str, value: Any, options: CallOptions, declared: Any, *, strict: bool) -> bool:
        """Store if there is no fresh entry. With the server away the first of this process wins, in its own memory."""
        ctx = self._ctx
        ctx.check_open()
        answer = ctx.entries.encode(value, declared)
        if ctx.alone or (ctx.trust.away and not strict):
            return self._add_here(key, answer, options)
        added = await self._add_there(key, answer, options)
        if strict and added is None:
            raise Unavailable(f"add of {key!r}: the server did not acknowledge")
        return added is True

    async def _add_there(self, key: str, answer: DecodedValue, options: CallOptions) -> bool | None:
        """What the server decided; ``None`` when it cannot be known."""
        ctx = self._ctx
        budget = ctx.budget()
        captured = await ctx.capture(options.tags, budget)
        if captured is None or ctx.coherence.journal.has_pending_key(key):
            return None
        for _ in range(TRIES):
            done = await self._add_once(key, answer, options, captured, budget)
            if done is not AGAIN:
                return done
        return None

    def _add_here(self, key: str, answer: DecodedValue, options: CallOptions) -> bool:
        """In memory, without letting anybody in. What the server may hold of it goes when it is back."""
        ctx = self._ctx
        if not ctx.alone and not (ctx.coherence.keeps and options.offline_ttl > 0):
            return False  # nothing may be kept here, so nothing is added, and what the server holds stays
        found = ctx.near_answer(key, Any, options)
        now = ctx.ports.clock()
        if found is not None and now < found[1].fresh_until:
            return False
        number = ctx.coherence.begin_removal(("e", key))
        if not ctx.alone:
            ctx.coherence.defer(("e", key), number)
        kept = ctx.keep_here(key, answer, options, now)
        return kept or ctx.alone  # a memory that is too small is no reason to say that somebody else was first

    async def _add_once(
        self, key: str, answer: DecodedValue, options: CallOptions, captured: Any, budget: Budget
    ) -> bool | Again | None:
        """``AGAIN`` = what was there has changed meanwhile: once more."""
        ctx = self._ctx
        stamp, blob = ctx.entries.pack(key, answer, captured, options, 0.0)
        token = ctx.coherence.open_fill(key, options.tags)

        def stored(sent_at: float) -> None:
            if ctx.coherence.captured(options.tags) == captured:
                held = ctx.entries.near_entry(
                    answer, options.tags, ctx.near_life(options, sent_at), born=sent_at, stamp=stamp
                )
                ctx.coherence.fill(token, held)

        try:
            future = ctx.shared.add(key, blob, options.server_ttl_ms, Any, token, stored)
            seen = await ctx.settled(key, await ctx.ask(future, budget), token, budget)
            if seen.state is EntryState.GRANTED:
                return True
            if seen.state in _REPLACEABLE:
                swapped = await ctx.ask(ctx.shared.swap(key, seen.stamp, blob, options.server_ttl_ms, stored), budget)
                return AGAIN if swapped is False else True if swapped is True else None
            if seen.state is EntryState.FOREIGN:
                ctx.shared.discard(key, seen.stamp)
            if seen.state is EntryState.FRESH:
                return False
            return AGAIN if seen.state in _GONE else None
        finally:
            ctx.coherence.close_fill(token)

    # -- touch ---------------------------------------------------------------------------------------------------------

    async def touch(self, key: str, ttl: float, options: CallOptions) -> bool:
        """Let a fresh entry live for ``ttl`` from now; ``False`` when there is none."""
        ctx = self._ctx
        ctx.check_open()
        if ctx.alone or ctx.holds_alone(key, options):
            return self._touch_here(key, ttl, options)
        seen, budget = await self.look(key)
        if seen.state is not EntryState.FRESH:
            return False
        server_ttl_ms = round((ttl + seen.header.stale + GRACE) * 1000)
        done = await ctx.ask(ctx.shared.touch(key, seen.stamp, server_ttl_ms), budget) is True
        ctx.coherence.forget_key(key)
        return done

    def _touch_here(self, key: str, ttl: float, options: CallOptions) -> bool:
        ctx = self._ctx
        held = ctx.near.items.get(key)
        now = ctx.ports.clock()
        if held is None or now >= held.fresh_until:
            return False
        life = ctx.unbacked_life(options)
        ttl = min(ttl, max(life, held.fresh_until - now))
        stale = min(held.stale_until - held.fresh_until, max(0.0, life - ttl))
        return ctx.near.put(key, ctx.entries.extended(held, held.value, (now + ttl, now + ttl + stale)))

    async def look(self, key: str) -> tuple[Lookup, Budget]:
        """What stands under a key, as plain data."""
        ctx = self._ctx
        budget = ctx.budget()
        token = ctx.coherence.open_fill(key)
        try:
            if ctx.coherence.journal.has_pending_key(key):
                return Lookup(EntryState.UNAVAILABLE), budget
            seen = await ctx.ask(ctx.shared.look(key, Any, token), budget)
            return await ctx.settled(key, seen, token, budget), budget
        finally:
            ctx.coherence.close_fill(token)
