"""The rules of writing: forget here first, then send to the server.

A removal that the server did not acknowledge stays pending.
"""

from collections.abc import Iterable, Mapping
from enum import Enum
from functools import partial
from typing import Any, Final

from ..errors import Unavailable
from ..format.entry import GRACE
from ..format.keys import Target
from .context import Budget, PolicyContext
from .local_writing import Encoded
from .lookup import REPLACEABLE, DecodedValue, EntryState, Lookup
from .options import CallOptions
from .ports import Future
from .streaming import SMALL, Sent, stream

__all__ = ["Writing"]

# Attempts of a compare-and-set while other processes write the same key at the same time.
TRIES = 16
_GONE = frozenset({EntryState.ABSENT, EntryState.FOREIGN})


class Again(Enum):
    """The type of ``AGAIN``: the attempt decided nothing."""

    AGAIN = "again"


AGAIN: Final = Again.AGAIN


class _Put:
    """One write under way."""

    __slots__ = ("future", "number", "options", "size", "started", "token")

    def __init__(self, number: int, token: Any, started: float, options: CallOptions) -> None:
        self.number, self.token, self.started, self.options = number, token, started, options
        self.future: Future | None = None
        self.size = 0


class Writing:
    """set, add, delete, touch, tags and clear; ``counters`` has incr."""

    def __init__(self, ctx: PolicyContext) -> None:
        self._ctx = ctx

    # -- set ---------------------------------------------------------------------------------------------------------

    async def set(self, key: str, value: Any, options: CallOptions, declared: Any, *, strict: bool) -> None:
        """Store one value, whether or not the key holds an entry."""
        await self.set_many({key: value}, options, declared, strict=strict)

    async def set_many(self, values: Mapping[str, Any], options: CallOptions, declared: Any, *, strict: bool) -> None:
        """Store many values. None is sent before all are encoded."""
        ctx = self._ctx
        ctx.check_open()
        encoded = await Encoded.of(ctx, values, declared)
        ctx.counters.sets += len(values)
        budget = ctx.budget()
        captured = await ctx.capture(options.tags, budget)
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
                self._end(key, put, None if result is True else encoded.answer(key))

        try:
            await stream(ctx, values, send, take, budget)
            if refused:
                await self._remove_refused(refused, encoded, budget)
        finally:
            for key, put in (sent | refused).items():
                self._end(key, put, None)
        if strict and not stored:
            raise Unavailable("the server did not acknowledge the write")

    async def _remove_refused(self, refused: dict[str, "_Put"], encoded: Encoded, budget: Budget) -> None:
        """Remove the older entries of writes that the server refused (because it is full, for example)."""
        ctx = self._ctx

        def send(key: str) -> Sent:
            return partial(ctx.ask, ctx.shared.remove(("e", key), refused[key].number), budget), SMALL

        def take(key: str, _result: Any) -> None:
            self._end(key, refused.pop(key), encoded.answer(key))

        await stream(ctx, list(refused), send, take, budget)

    def send_set(self, answers: Mapping[str, DecodedValue], options: CallOptions) -> None:
        """Store many values without waiting.

        A value that could only be sent after a wait is kept here, and the removal of its key becomes pending.
        """
        ctx = self._ctx
        ctx.counters.sets += len(answers)
        captured = ctx.coherence.captured(options.tags)
        for key, answer in answers.items():
            put = self._put(key, answer, options, captured)
            newest = ctx.coherence.wrote(key, put.number)
            if put.future is None:
                ctx.coherence.close_fill(put.token)
                if newest:
                    ctx.keep_here(key, answer, put.options, put.started)

    def _put(self, key: str, answer: DecodedValue, options: CallOptions, captured: Any) -> "_Put":
        ctx = self._ctx
        options = ctx.of_one_entry(options)
        number = ctx.coherence.writing(key, options.tags)
        put = _Put(number, ctx.coherence.open_fill(key, options.tags), ctx.ports.clock(), options)
        if captured is None:
            ctx.coherence.defer(("e", key), number)
            return put
        entry = ctx.entries.pack(key, answer, captured, options, token=put.token)
        put.future, put.size = ctx.shared.put(key, entry, number), len(entry.blob) + SMALL
        return put

    def _end(self, key: str, put: "_Put", answer: DecodedValue | None) -> None:
        """End a write.

        With an ``answer``, the shared cache does not have the value: this process sees it until the shared cache can be
        asked, unless it has removed or replaced the value meanwhile.
        """
        ctx = self._ctx
        ctx.coherence.close_fill(put.token)
        newest = ctx.coherence.wrote(key, put.number)
        if newest and answer is not None:
            ctx.keep_here(key, answer, put.options, put.started)

    # -- removals ----------------------------------------------------------------------------------------------------

    async def delete_many(self, keys: Iterable[str], *, strict: bool) -> int:
        """Remove the keys; return how many live values are known to be removed."""
        ctx = self._ctx
        ctx.check_open()
        wanted = list(dict.fromkeys(keys))
        return await self._remove([("e", key) for key in wanted], strict=strict)

    async def invalidate(self, tags: Iterable[str], *, strict: bool) -> None:
        """Remove every entry that carries one of the tags."""
        ctx = self._ctx
        ctx.check_open()
        await self._remove([("t", tag) for tag in tags], strict=strict)

    def send_removals(self, targets: Iterable[Target]) -> list[Future | None]:
        """Send all removals in one write, without waiting.

        A removal that is not acknowledged becomes pending.
        """
        ctx = self._ctx
        futures: list[Future | None] = []
        for target in targets:
            number = ctx.coherence.begin_removal(target)
            ctx.counters.removals += 1
            futures.append(ctx.shared.remove(target, number))
        return futures

    async def _remove(self, targets: list[Target], *, strict: bool) -> int:
        """Remove the targets, as many at once as fit. A removal that is not acknowledged becomes pending."""
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
            for target in targets[sent:]:  # cancelled: removals that were not sent are done later
                ctx.coherence.defer(target, ctx.coherence.begin_removal(target))
        if strict and not told:
            raise Unavailable("the server did not acknowledge the removal; the cache repeats it until the server does")
        return removed

    # -- add -----------------------------------------------------------------------------------------------------------

    async def add(self, key: str, value: Any, options: CallOptions, declared: Any, *, strict: bool) -> bool:
        """Store the value if there is no fresh entry; return whether it was stored.

        With the server away, the first call of this process wins, in its own memory.
        """
        ctx = self._ctx
        ctx.check_open()
        answer = ctx.entries.encode(value, declared)
        if ctx.trust.away and not strict:
            return self._add_here(key, answer, options)
        added = await self._add_there(key, answer, options)
        if strict and added is None:
            raise Unavailable(f"add of {key!r}: the server did not acknowledge")
        return added is True

    async def _add_there(self, key: str, answer: DecodedValue, options: CallOptions) -> bool | None:
        """Add on the server; return whether it stored the value, ``None`` if that cannot be known."""
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
        """Add in memory, without a pause in which another task could run.

        An entry that the server may hold is removed when it is back.
        """
        ctx = self._ctx
        if not (ctx.coherence.keeps and options.offline_ttl > 0):
            return False  # nothing may be kept here, so nothing is added, and an entry on the server stays
        if ctx.is_fresh_here(key, options):
            return False
        ctx.coherence.defer(("e", key), ctx.coherence.begin_removal(("e", key)))
        return ctx.keep_here(key, answer, options, ctx.ports.clock())

    async def _add_once(
        self, key: str, answer: DecodedValue, options: CallOptions, captured: Any, budget: Budget
    ) -> bool | Again | None:
        """Try once to add; ``AGAIN``: the entry has changed meanwhile, so the caller tries again."""
        ctx = self._ctx
        token = ctx.coherence.open_fill(key, options.tags)
        entry = ctx.entries.pack(key, answer, captured, options, token=token)
        try:
            future = ctx.shared.add(key, entry, Any, token)
            seen = await ctx.settled(key, await ctx.ask(future, budget), Any, token, budget)
            if seen.state is EntryState.GRANTED:
                return True
            if seen.state in REPLACEABLE:
                swapped = await ctx.ask(ctx.shared.swap(key, seen.stamp, entry), budget)
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
        """Set the ttl of a fresh entry to ``ttl`` from now; return ``False`` if there is none."""
        ctx = self._ctx
        ctx.check_open()
        if ctx.holds_alone(key, options):
            return ctx.touch_here(key, ttl, options)
        seen, budget = await self.look(key)
        if seen.state is not EntryState.FRESH:
            return False
        server_ttl_ms = round((ttl + seen.header.stale + GRACE) * 1000)
        done = await ctx.ask(ctx.shared.touch(key, seen.stamp, server_ttl_ms), budget) is True
        ctx.coherence.forget_key(key)
        return done

    async def look(self, key: str) -> tuple[Lookup, Budget]:
        """Read a key as plain data; return the result and the budget that is left."""
        ctx = self._ctx
        budget = ctx.budget()
        token = ctx.coherence.open_fill(key)
        try:
            return await ctx.read(key, Any, token, budget), budget
        finally:
            ctx.coherence.close_fill(token)
