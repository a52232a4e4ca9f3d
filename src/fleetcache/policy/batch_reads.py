"""Reads many keys at once: as few writes each way as possible, never a round trip for each key."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any

from .context import NO_LOOK, Budget, Load, PolicyContext, judged
from .lookup import EntryState, Lookup
from .options import CallOptions
from .ports import NO_ANSWER
from .single_flight import Flight
from .streaming import MAX_BYTES, MAX_CALLS, SMALL, Sent, Slices, stream

__all__ = ["BatchReads"]

# Assumed bytes of an answer before the first answer is seen: they allow a first write of a few hundred keys.
FIRST_SIZE = 4096
# Near copies that are read before the batch looks at the clock: a look costs a tenth of a hit.
_SOME = 64


_Part = tuple[tuple[str, ...], list[tuple[Load, Lookup]]]
"""Unknown tags, and entries that carry them."""


class BatchReads:
    """``get_many``, and the reads of a batch that loads."""

    def __init__(self, ctx: PolicyContext) -> None:
        self._ctx = ctx

    async def get_many(
        self,
        keys: Iterable[str],
        declared: Any,
        options: CallOptions,
        budget: Budget | None = None,
        *,
        near: bool = True,
    ) -> dict[str, Any]:
        """Return the values of fresh entries; absent keys are left out.

        Without ``near``, the near cache answers only where the server does not.
        """
        ctx = self._ctx
        ctx.check_open()
        wanted = dict.fromkeys(keys)
        found: dict[str, Any] = {}
        if near or not ctx.shared.usable:
            await self._near_in_slices(list(wanted), declared, options, found)
        asked: dict[str, Load] = {}

        def runs() -> Iterator[Load]:
            for key in wanted:
                if key not in found:
                    run = asked[key] = self.run(key, options, declared)
                    yield run

        def take(run: Load, seen: Lookup) -> None:
            ctx.coherence.close_fill(asked.pop(run.key).token)
            if seen.state is EntryState.FRESH and seen.answer is not None:
                ctx.counters.shared_hits += 1
                found[run.key] = seen.answer.value
                return
            if seen.state is EntryState.UNAVAILABLE and not near:
                found.update(self._near([run.key], declared, options))
            if run.key not in found:
                ctx.counters.misses += 1

        try:
            await self.look(runs(), take, budget or ctx.budget())
        finally:
            for run in asked.values():
                ctx.coherence.close_fill(run.token)
        return {key: found[key] for key in wanted if key in found}

    async def _near_in_slices(
        self, keys: list[str], declared: Any, options: CallOptions, found: dict[str, Any]
    ) -> None:
        """Add the values of the keys that are fresh in the near cache."""
        if len(keys) <= _SOME:
            found.update(self._near(keys, declared, options))
            return
        slices = Slices(self._ctx.ports)
        for first in range(0, len(keys), _SOME):
            found.update(self._near(keys[first : first + _SOME], declared, options))
            if slices.over:
                await slices.pause()

    def _near(self, keys: Iterable[str], declared: Any, options: CallOptions) -> dict[str, Any]:
        """Return the values of the keys that are fresh in the near cache."""
        ctx = self._ctx
        found: dict[str, Any] = {}
        for key in keys:
            held = ctx.near_answer(key, declared, options)
            if held is not None and ctx.ports.clock() < held[1].fresh_until:
                ctx.counters.near_hits += 1
                found[key] = held[0].value
        return found

    def stale_values(self, looks: Sequence[tuple[Load, Lookup]]) -> dict[str, Any]:
        """Return old values for all keys after the loader failed (stale-if-error), or none.

        An old value is a stale entry of the server or, offline, an entry of the near cache within its own life.
        """
        found: dict[str, Any] = {}
        for run, seen in looks:
            answer = seen.answer if seen.state is EntryState.STALE else self._ctx.stale_if_error(run)
            if answer is None:
                return {}
            found[run.key] = answer.value
        return found

    def run(self, key: str, options: CallOptions, declared: Any, flight: Flight | None = None, group: str = "") -> Load:
        """Return the load of one key of a batch."""
        ctx = self._ctx
        token = ctx.coherence.open_fill(key, options.tags)
        return Load(key, _none, options, declared, group, flight or Flight(key, options.tags), ctx.budget(), token)

    async def look(self, runs: Iterable[Load], take: Callable[[Load, Lookup], None], budget: Budget) -> None:
        """Read all keys; then read each set of unknown tags, once for all entries that carry it."""
        ctx = self._ctx
        unknown: dict[tuple[str, ...], list[tuple[Load, Lookup]]] = {}
        size = FIRST_SIZE  # bytes of an answer, a moving average of those seen

        def send(run: Load) -> Sent:
            owed = not ctx.shared.usable or ctx.coherence.journal.has_pending_key(run.key)
            load = None if run.watch is None else run  # the load of a batch that only reads does not wait
            future = None if owed else ctx.shared.look(run.key, run.declared, run.token, of_many=True, load=load)
            return partial(ctx.ask, future, budget), size

        def looked(run: Load, seen: Any) -> None:
            nonlocal size
            if seen is NO_ANSWER:
                take(run, NO_LOOK)
            elif seen.state is EntryState.TAGS_UNKNOWN:
                unknown.setdefault(seen.unknown, []).append((run, seen))
                size += (len(seen.blob[0]) - size) // 8
            else:
                size += ((0 if seen.answer is None else len(seen.answer.payload or b"")) + SMALL - size) // 8
                take(run, seen)

        await stream(ctx, runs, send, looked, budget)
        await self._look_with_tags(unknown, take, budget)

    async def _look_with_tags(
        self,
        unknown: dict[tuple[str, ...], list[tuple[Load, Lookup]]],
        take: Callable[[Load, Lookup], None],
        budget: Budget,
    ) -> None:
        """Read sets of tags, and judge the entries that carry each."""
        ctx = self._ctx

        def ask(part: _Part) -> Sent:
            tags, entries = part

            def judge() -> list[Lookup]:  # may run after the caller has continued, so ``part`` keeps every entry
                return [ctx.shared.judge(run.key, seen, run.declared, run.token) for run, seen in entries]

            future = ctx.shared.capture(tags, judge, ctx.ports.future())
            # Answers that arrive together are judged in one turn of the loop: as many entries as calls of a batch.
            weight = max(SMALL * len(tags), MAX_BYTES * len(entries) // MAX_CALLS)
            return partial(ctx.ask, future, budget), weight

        def answered(part: _Part, answer: Any) -> None:
            for i, (run, _) in enumerate(part[1]):
                take(run, NO_LOOK if answer is NO_ANSWER else judged(answer[i]))

        parts = [
            (tags, entries[first : first + MAX_CALLS])
            for tags, entries in unknown.items()
            for first in range(0, len(entries), MAX_CALLS)
        ]
        await stream(ctx, parts, ask, answered, budget)


async def _none(*_args: Any) -> None:
    raise AssertionError("a batch loads with the loader it was given")
