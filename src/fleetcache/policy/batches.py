"""Batches of keys: as few writes each way as fit, never a round trip for each key.

Two overlapping batches never wait for each other in a ring: a batch loads its granted keys and gives the rights back
before it waits for a right that another caller holds.
"""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

from .batch_load import BatchLoad
from .context import NO_LOOK, Budget, Load, PolicyContext
from .loading import Loading
from .lookup import EntryState, Lookup
from .options import CallOptions
from .ports import NO_ANSWER
from .reading import Policy
from .single_flight import Flight
from .streaming import SMALL, Sent, stream

__all__ = ["Batches"]

Loader = Callable[..., Any]


# Keys of one call of a loader. With more, leases would be held long before the values are stored, and databases take no
# longer lists.
MAX_LOADED = 1000
# Assumed bytes of an answer before the first answer is seen: they allow a first write of a few hundred keys.
FIRST_SIZE = 4096


class Batches:
    """get_many and get_or_set_many."""

    def __init__(self, ctx: PolicyContext, policy: Policy) -> None:
        self.ctx, self.policy = ctx, policy
        self.loading: Loading = policy.loading

    # -- get_many ----------------------------------------------------------------------------------------------------

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
        ctx = self.ctx
        ctx.check_open()
        wanted = dict.fromkeys(keys)
        found = self._near(wanted, declared, options) if near or not ctx.shared.usable else {}
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

    def _near(self, keys: Iterable[str], declared: Any, options: CallOptions) -> dict[str, Any]:
        """Return the values of the keys that are fresh in the near cache."""
        ctx = self.ctx
        found: dict[str, Any] = {}
        for key in keys:
            held = ctx.near_answer(key, declared, options)
            if held is not None and ctx.ports.clock() < held[1].fresh_until:
                ctx.counters.near_hits += 1
                found[key] = held[0].value
        return found

    def run(self, key: str, options: CallOptions, declared: Any, flight: Flight | None = None, group: str = "") -> Load:
        """Return the load of one key of a batch."""
        ctx = self.ctx
        token = ctx.coherence.open_fill(key, options.tags)
        return Load(key, _none, options, declared, group, flight or Flight(key, options.tags), ctx.budget(), token)

    async def look(self, runs: Iterable[Load], take: Callable[[Load, Lookup], None], budget: Budget) -> None:
        """Read all keys; then read each set of unknown tags, once for all entries that carry it."""
        ctx = self.ctx
        unknown: dict[tuple[str, ...], list[tuple[Load, Lookup]]] = {}
        size = FIRST_SIZE  # bytes of an answer, a moving average of those seen

        def send(run: Load) -> Sent:
            owed = not ctx.shared.usable or ctx.coherence.journal.has_pending_key(run.key)
            future = None if owed else ctx.shared.look(run.key, run.declared, run.token, of_many=True)
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

        def ask(tags: tuple[str, ...]) -> Sent:
            def judge() -> list[Lookup]:  # may run after the caller has gone on, so ``unknown`` keeps every entry
                return [ctx.shared.judge(run.key, seen, run.declared, run.token) for run, seen in unknown[tags]]

            future = ctx.shared.capture(tags, judge, ctx.ports.future())
            return partial(ctx.ask, future, budget), SMALL * len(tags)

        def judged(tags: tuple[str, ...], answer: Any) -> None:
            for i, (run, _) in enumerate(unknown[tags]):
                take(run, NO_LOOK if answer is NO_ANSWER else answer[i])

        await stream(ctx, list(unknown), ask, judged, budget)

    # -- get_or_set_many ---------------------------------------------------------------------------------------------

    async def get_or_set_many(
        self, keys: Iterable[str], loader: Loader, options: CallOptions, declared: Any, group: str
    ) -> dict[str, Any]:
        """Return every value that the tiers or the loader know; the loader gets up to 1000 missing keys at a time."""
        wanted = list(dict.fromkeys(keys))
        budget = self.ctx.budget()
        found = await self.get_many(wanted, declared, options, budget)
        missing = [key for key in wanted if key not in found]
        give_up = self.ctx.ports.clock() + self.ctx.load_wait
        for first in range(0, len(missing), MAX_LOADED):
            some = missing[first : first + MAX_LOADED]
            found.update(await self._load_some(some, loader, options, declared, group, give_up, budget))
            budget = self.ctx.budget()
        return {key: found[key] for key in wanted if key in found}

    async def _load_some(
        self,
        missing: list[str],
        loader: Loader,
        options: CallOptions,
        declared: Any,
        group: str,
        give_up: float,
        budget: Budget,
    ) -> dict[str, Any]:
        """Load missing keys, in as many rounds as other callers need for the keys to which they hold the right."""
        found: dict[str, Any] = {}
        while missing:
            self.ctx.check_open()
            round_ = BatchLoad(self, missing, loader, options, declared, group, give_up, budget)
            values, missing = await round_.run()
            found.update(values)
            if missing and self.ctx.ports.clock() >= give_up:
                self.ctx.counters.wait_timeouts += len(missing)
                found.update(await round_.alone(missing))
                break
            if missing:
                budget = self.ctx.budget()  # the calls after the wait have an operation timeout of their own
                more = await self.get_many(missing, declared, options, budget)
                found.update(more)
                missing = [key for key in missing if key not in more]
        return found


async def _none(*_args: Any) -> None:
    raise AssertionError("a batch loads with the loader it was given")
