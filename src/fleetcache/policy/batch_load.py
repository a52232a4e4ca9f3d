"""One round of a batch that loads: take the rights that are free, load those keys with one call, wait for the rest.

The batch loads its granted keys and releases the rights before it waits for a right that another caller holds.
"""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from msgspec import Struct

from .batch_reads import BatchReads
from .context import Budget, Load
from .limits import elsewhere_over_limit, over_limit
from .lookup import REPLACEABLE, DecodedValue, EntryState, Lookup
from .options import CallOptions
from .outcome import Outcome, Resolution
from .ports import LoaderEndedError, is_failure
from .reading import Policy
from .rights import Asked, Right
from .single_flight import Flight, Wait, waiting_for
from .streaming import SMALL, Sent, Slices, as_is, stream
from .waits import MAX_LOOK_AGAIN

__all__ = ["BatchLoad"]

Loader = Callable[..., Any]
Looks = list[tuple[Load, Lookup]]

_WAITING = frozenset({EntryState.LOADING, EntryState.ENDING})
_SETTLED = _WAITING | {EntryState.FRESH, EntryState.STALE, EntryState.UNAVAILABLE}


class Found(Struct, frozen=True):
    """One key in a round: its state, and the right to load it; without a right, its value is not stored there."""

    run: Load
    seen: Lookup
    right: Right | None = None

    @property
    def is_silent(self) -> bool:
        """Whether the server has not answered."""
        return self.right is None and self.seen.state is EntryState.UNAVAILABLE


class BatchLoad:
    """One round: take the rights that are free, load those keys with one call, then wait for the rest."""

    def __init__(
        self,
        reads: BatchReads,
        policy: Policy,
        keys: list[str],
        loader: Loader,
        options: CallOptions,
        declared: Any,
        group: str,
        give_up: float,
        budget: Budget,
        waited: dict[str, tuple[bytes, float]],
    ) -> None:
        self._reads, self._policy, self._ctx, self._loading = reads, policy, policy.ctx, policy.loading
        self._keys, self._loader, self._options, self._declared = keys, loader, options, declared
        self._group, self._give_up, self._budget, self._overtime = group, give_up, budget, policy.loading.overtime
        self._waited = waited  # the keys that the batch has waited for, in all rounds; see ``Load.awaited``
        self._values: dict[str, Any] = {}
        self._again: list[str] = []
        self._slow: set[str] = set()  # keys whose loads take longer than ``load_wait``
        self._place: Load | None = None  # the load that has the batch's place
        self._ahead: dict[str, Flight] = {}  # loads of this process that end first, and may not be joined

    async def run(self) -> tuple[dict[str, Any], list[str]]:
        """Return the values found or loaded, and the keys to ask for again."""
        ctx = self._ctx
        flights, now = ctx.flights, (ctx.ports.me, ctx.ports.clock(), ctx.load_wait)
        joined = flights.all_joinable(self._keys, *now)
        if ctx.coherence.turnover.evicting:
            self._ahead = flights.all_ahead((key for key in self._keys if key not in joined), *now, self._give_up)
        runs = [self._start(key) for key in self._keys if key not in joined and key not in self._ahead]
        for run in runs:
            self._loading.waits.watch(run)
        waits = [waiting_for(run.flight, ctx.ports.me) for run in runs]
        try:
            waiting = await self._lead(runs)
            await self._wait_for_others(waiting, {run.key: run for run in runs}, joined)
            for key, flight in self._ahead.items():
                ahead = waiting_for(flight, ctx.ports.me)
                give_up = max(self._give_up, self._loading.waits.overdue_at(flight))
                if ahead is not None and ahead.may_become_one:
                    give_up = min(give_up, ctx.ports.clock() + MAX_LOOK_AGAIN)  # the next round checks the wait again
                await self._loading.waits.for_end(flight, ahead, give_up)
                self._again.append(key)
        finally:
            for wait in filter(None, waits):
                wait.over()
            for run in runs:
                self._loading.waits.unwatch(run)
                ctx.coherence.close_fill(run.token)
                ctx.flights.end(run.flight, Outcome(Resolution.RETRY))
        return self._values, self._again

    def _start(self, key: str) -> Load:
        beside = self._ctx.flights.get(key)
        flight = self._ctx.flights.start(key, self._options.tags, second=beside is not None)
        run = self._reads.run(key, self._options, self._declared, flight, self._group)
        run.waited, run.awaited, run.give_up = key in self._waited, self._waited.get(key, run.awaited), self._give_up
        run.beside, run.overtime = beside, beside is not None or self._ctx.ports.clock() >= self._give_up
        return run

    async def _lead(self, runs: list[Load]) -> dict[str, Lookup]:
        """Load the granted keys; return the keys that the batch must wait for, with their states."""
        waiting: dict[str, Lookup] = {}
        free: Looks = []
        slow: Looks = []

        def sort(run: Load, seen: Lookup) -> None:
            if self._is_slow(run, seen):
                slow.append((run, seen))
            elif seen.state is EntryState.STALE or not self._settle(run, seen, waiting):
                free.append((run, seen))

        async def look(runs: list[Load]) -> None:
            free.clear()
            for run in runs:
                self._loading.renew_token(run)
            await self._reads.look(runs, sort, self._budget)

        async def look_again() -> bool:
            """Hold the batch back if the server is late; return whether it looked again at the free keys."""
            silent = any(seen.state is EntryState.UNAVAILABLE for _, seen in free)
            if is_back := silent and await self._loading.waits.for_server(self._budget):
                await look([run for run, _ in free])
            return is_back

        await look(runs)
        await look_again()
        try:
            again = [run for run, _ in free + slow]
            if await self._take_place(again):
                slow.clear()
                await look(again)  # other loads of this process may have changed the keys: no push tells of those
                await look_again()
            found = await self._rights(free, slow, look_again, waiting)
            granted = [one for one in found if self._is_to_load(one, waiting)]
            if granted:
                await self._load(granted)
        finally:
            if self._place is not None:
                self._loading.places.release(self._place)
        return waiting

    def _settle(self, run: Load, seen: Lookup, waiting: dict[str, Lookup]) -> bool:
        """End the flight of a key that this batch does not load; return ``False`` if the batch loads the key."""
        if seen.answer is not None and seen.state in {EntryState.FRESH, EntryState.STALE}:
            self._values[run.key] = seen.answer.value
            self._ctx.flights.end(run.flight, Outcome(Resolution.RETURN, answer=seen.answer))
        elif seen.state in _WAITING or seen.is_ending:
            if run.key not in self._ahead:
                waiting[run.key] = seen
            self._ctx.flights.end(run.flight, Outcome(Resolution.RETRY))
        else:
            return False
        return True

    def _is_to_load(self, found: "Found", waiting: dict[str, Lookup]) -> bool:
        """Return whether the batch loads the key; otherwise end its flight."""
        run, right, ctx = found.run, found.right, self._ctx
        if right is None:
            return not self._settle(run, found.seen, waiting)
        if right.shared and ctx.flights.before_mark(run.flight, ctx.ports.clock(), ctx.load_wait) is not None:
            self._again.append(run.key)  # the next round joins the flight that loads on the mark
            ctx.flights.end(run.flight, Outcome(Resolution.RETRY))
            return False
        return True

    async def _take_place(self, runs: list[Load]) -> bool:
        """Take one place for the whole batch, whose loader is called once; return whether the batch had to wait."""
        self._place = runs[0] if runs else None
        waited = bool(runs) and await self._loading.places.take_for_batch(runs, self._give_up)
        if waited:
            self._budget = runs[0].budget
        return waited

    async def _rights(
        self, free: Looks, slow: Looks, look_again: Callable[[], Awaitable[bool]], waiting: dict[str, Lookup]
    ) -> list[Found]:
        """Ask for the rights to load; a key whose right was not answered is held back as one that was not read."""
        found: list[Found] = []
        try:
            await self._ask_rights(free, found)
            free[:] = [(one.run, one.seen) for one in found if one.is_silent]
            if await look_again():
                found[:] = [one for one in found if not one.is_silent]
                await self._ask_rights(free, found)
            kept = [one.right is None and self._is_slow(one.run, one.seen) for one in found]
            slow += [(one.run, one.seen) for one, is_kept in zip(found, kept, strict=True) if is_kept]
            found[:] = [one for one, is_kept in zip(found, kept, strict=True) if not is_kept]
            await self._ask_beside(slow, found, waiting)
        except BaseException:  # cancelled: no other code would release the rights that were granted by now
            for one in found:
                self._loading.rights.release(one.run, one.right)
            raise
        return found

    async def _ask_rights(self, looks: Looks, found: list[Found]) -> None:
        """Ask for leases for absent keys, and for claims for entries that may not be used."""
        ctx, budget = self._ctx, self._budget
        asked: dict[str, Asked] = {}

        def ask(look: tuple[Load, Lookup]) -> Sent:
            right = self._ask_right(*look)
            if isinstance(right, Asked):
                asked[look[0].key] = right
                return right.answer, SMALL
            return partial(as_is, right), SMALL

        def take(look: tuple[Load, Lookup], got: Right | Lookup) -> None:
            run, seen = look
            asked.pop(run.key, None)
            if isinstance(got, Right):
                found.append(Found(run, seen, got))
            else:  # gone or changed meanwhile: the next round asks again
                found.append(Found(run, got if got.state in _SETTLED else Lookup(EntryState.ENDING)))

        try:
            await stream(ctx, looks, ask, take, budget)
        except BaseException:
            for run, _ in looks:
                if run.key in asked:  # cancelled: it may still be granted
                    self._loading.rights.release(run, asked[run.key].right)
            raise

    def _is_slow(self, run: Load, seen: Lookup) -> bool:
        """Return whether another load of the key takes longer than this batch waits."""
        return seen.state is EntryState.LOADING and self._ctx.ports.clock() >= self._overtime.waits_until(run, seen)

    async def _ask_beside(self, slow: Looks, found: list[Found], waiting: dict[str, Lookup]) -> None:
        """Ask for rights to load beside loads that take longer than ``load_wait``."""
        for run, seen in slow:
            run.budget = self._budget
            step = await self._overtime.take(run, seen.stamp, anew=False)
            if isinstance(step, Flight):
                self._ahead[run.key], step = step, Lookup(EntryState.ENDING)
            if isinstance(step, float):
                self._slow.add(run.key)
                left = min(MAX_LOOK_AGAIN, step - self._ctx.ports.clock())
                waiting[run.key] = Lookup(EntryState.LOADING, remaining=left)
                self._ctx.flights.end(run.flight, Outcome(Resolution.RETRY))
            elif isinstance(step, Lookup):
                held = step.state is EntryState.UNAVAILABLE and await self._loading.waits.for_server(self._budget)
                found.append(Found(run, step if step.state in _SETTLED and not held else Lookup(EntryState.ENDING)))
            else:
                found.append(Found(run, Lookup(EntryState.UNAVAILABLE), step))

    def _ask_right(self, run: Load, seen: Lookup) -> Asked | Right | Lookup:
        """Ask for the lease or claim that fits; return the state of a key that needs none, or the right on a mark."""
        ctx, rights = self._ctx, self._loading.rights
        failed = seen.state is EntryState.FAILED
        if failed or seen.state in REPLACEABLE:
            beside = ctx.beside(run)
            if beside is not None and not beside.is_overdue(ctx.ports.clock(), ctx.load_wait):
                self._ahead[run.key] = beside
                return Lookup(EntryState.ENDING)
            if beside is not None:
                return Lookup(EntryState.LOADING, beside.right, remaining=MAX_LOOK_AGAIN)
            if not failed:
                return rights.ask_claim(run, self._budget, of_many=True)
            if run.waited and seen.failed.ends_waits:
                return Right.on_mark(seen.failed)
        elif seen.state is EntryState.FOREIGN:
            ctx.shared.discard(run.key, seen.stamp)
        elif seen.state is not EntryState.ABSENT:
            return seen
        return rights.ask_lease(run, self._budget)

    async def _load(self, granted: list[Found]) -> None:
        """Call the loader once for all granted keys; each key is stored, or released if the mapping lacks it."""
        ctx, rights = self._ctx, self._loading.rights
        for found in granted:
            if found.right is not None and found.right.timed_out:
                for other in granted:
                    rights.release(other.run, other.right)
                raise elsewhere_over_limit(found.run.key)
        stops = [rights.renew_while_loading(one.run, one.right) for one in granted if one.right is not None]
        lead, began = self._lead_run(granted), ctx.ports.clock()
        for found in granted:
            found.run.flight.since = began
        if self._options.load_limit is not None:
            lead.end_late = partial(self._end_late, granted, stops)
        try:
            captured = await ctx.capture(self._options.tags, self._budget) if stops else None  # else nothing is stored
            started = ctx.ports.clock()
            loaded = await self._loading.call(lead)
            cost, slices = ctx.ports.clock() - started, Slices(ctx.ports)
            known = [found.run for found in granted if found.run.key in loaded]
            unwrapped = {run.key: self._loading.unwrap(run, loaded[run.key]) for run in known}
        except BaseException as error:  # noqa: BLE001 - raised again, as the exception for its caller
            for found in granted if not lead.late else ():
                if found.right is not None:
                    found.run.over_limit = lead.over_limit
                    rights.end(found.run, found.right, error, began)
            if is_failure(error) and (old := self._reads.stale_values([(one.run, one.seen) for one in granted])):
                self._values.update(old)
                return
            raise self._report_error(granted, error) from None
        finally:
            for stop in stops:
                stop()
            lead.end_late = None
        if lead.late:
            self._values.update({key: answer.value for key, (answer, _) in unwrapped.items()})
            return
        await self._store(granted, unwrapped, captured, (started, cost), slices)

    def _end_late(self, granted: list[Found], stops: list[Callable[[], None]]) -> None:
        """End the flights at the limit of the load, while the loader runs on in this batch's thread."""
        for stop in stops:
            stop()
        for found in granted:
            if found.right is not None:
                self._loading.rights.fail(found.run, found.right, self._options.load_limit or 0.0, timed_out=True)
        self._report_error(granted, over_limit(granted[0].run))

    def _report_error(self, granted: list[Found], error: BaseException) -> BaseException:
        """Return the loader's exception; hand it to joined callers unless it is for this caller alone."""
        if isinstance(error, LoaderEndedError):
            return error.original
        if isinstance(error, Exception):
            for found in granted:
                self._ctx.flights.end(found.run.flight, Outcome(Resolution.RAISE, error=error))
        return error

    def _lead_run(self, granted: list[Found]) -> Load:
        """Return the run that carries the loader.

        The flights of the other keys are noted as waiting for it, so that the loader's wait for any of them is a cycle.
        """
        lead = granted[0].run
        if self._place is not None and self._place is not lead:
            lead.place, self._place.place, self._place = self._place.place, None, lead  # released when the loader ends
        lead.loader, lead.args = self._loader, ([found.run.key for found in granted],)
        for found in granted[1:]:
            found.run.flight.waits.append(Wait(lead.flight))
        return lead

    async def _store(
        self,
        granted: list[Found],
        unwrapped: dict[str, tuple[DecodedValue, CallOptions | None]],
        captured: Any,
        times: tuple[float, float],
        slices: Slices,
    ) -> None:
        ctx, sent = self._ctx, 0

        def store(found: Found) -> Sent:
            nonlocal sent
            sent += 1
            run, right = found.run, found.right
            if run.key not in unwrapped:
                self._loading.rights.release(run, right)
                return partial(as_is, None), SMALL
            run.budget = self._budget
            value = unwrapped[run.key]
            self._values[run.key] = value[0].value
            return self._loading.send(run, right, value, captured, times), len(value[0].payload or b"") + SMALL

        def end(found: Found, outcome: Outcome | None) -> None:
            if outcome is not None:
                ctx.flights.end(found.run.flight, outcome)

        try:
            await stream(ctx, granted, store, end, self._budget, slices)
        finally:
            for found in granted[sent:]:  # cancelled: no other code would release them
                self._loading.rights.release(found.run, found.right)

    async def _wait_for_others(
        self, waiting: dict[str, Lookup], runs: dict[str, Load], joined: dict[str, Flight]
    ) -> None:
        """Wait for other callers' loads while this batch holds no right; then the next round asks for all."""
        for key, flight in joined.items():
            verb, value = await self._policy.join(flight, self._declared, None)
            if verb is Resolution.RETURN:
                self._values[key] = value
                continue
            if verb is Resolution.BESIDE:
                flight.leave()
            self._again.append(key)
        for key, seen in waiting.items():
            holder = self._ctx.flights.holder(key)
            wait = None if holder is None else waiting_for(holder, self._ctx.ports.me)
            give_up = self._ctx.ports.clock() + MAX_LOOK_AGAIN  # what ends by itself is soon gone
            if seen.state is EntryState.LOADING and key not in self._slow:
                give_up = self._overtime.waits_until(runs[key], seen)
            await self._loading.waits.for_right(wait, runs[key].watch.future, seen.remaining, give_up)
            if seen.state is EntryState.LOADING:
                self._waited[key] = runs[key].awaited
            self._again.append(key)
