"""One round of a batch that loads: take the rights that are free, load those keys with one call, wait for the rest.

The batch loads its granted keys and releases the rights before it waits for a right that another caller holds.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

from msgspec import Struct

from .batch_reads import BatchReads
from .context import Budget, Load
from .limits import over_limit
from .lookup import ClaimReply, DecodedValue, EntryState, Lookup
from .options import CallOptions
from .ports import LoaderEndedError, is_failure
from .reading import Policy
from .single_flight import Flight, Outcome, Resolution, Wait, waiting_for
from .streaming import SMALL, Sent, stream

__all__ = ["BatchLoad"]

Loader = Callable[..., Any]

_REPLACEABLE = frozenset({EntryState.EXPIRED, EntryState.INVALID, EntryState.STALE})
_SETTLED = frozenset({EntryState.FRESH, EntryState.STALE, EntryState.UNAVAILABLE})


class Right(Struct, frozen=True):
    """The right of one key in a round: the version stamp that a store may replace, the claim's mark, the last read."""

    run: Load
    seen: Lookup
    expected_stamp: bytes | None = None
    claim_token: bytes | None = None


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
    ) -> None:
        self._reads, self._policy, self._budget = reads, policy, budget
        self._ctx, self._loading = policy.ctx, policy.loading
        self._keys, self._loader, self._options = keys, loader, options
        self._declared, self._group, self._give_up = declared, group, give_up
        self._values: dict[str, Any] = {}
        self._again: list[str] = []
        self._place: Load | None = None  # the load that has the batch's place

    async def run(self) -> tuple[dict[str, Any], list[str]]:
        """Return the values found or loaded, and the keys to ask for again."""
        ctx = self._ctx
        joined = {key: flight for key in self._keys if (flight := ctx.flights.get(key)) is not None}
        ahead = self._ahead(joined)
        runs = [self._start(key) for key in self._keys if key not in joined and key not in ahead]
        watches = {run.key: ctx.coherence.watch(run.key, ctx.ports.future()) for run in runs}
        waits = [waiting_for(run.flight, ctx.ports.me) for run in runs]
        try:
            waiting = await self._lead(runs)
            await self._wait_for_others(waiting, watches, joined)
            for key, flight in ahead.items():
                await self._loading.waits.for_end(flight, waiting_for(flight, ctx.ports.me), self._give_up)
                self._again.append(key)
        finally:
            for wait in waits:
                if wait is not None:
                    wait.over()
            for run in runs:
                ctx.coherence.unwatch(watches[run.key])
                ctx.coherence.close_fill(run.token)
                ctx.flights.end(run.flight, Outcome(Resolution.RETRY))
        return self._values, self._again

    def _ahead(self, joined: dict[str, Flight]) -> dict[str, Flight]:
        """Return the loads that may not be joined and whose lease the server may have evicted: see ``Turnover``.

        The server would grant such a key to a second load.
        """
        flights, evicting = self._ctx.flights, self._ctx.coherence.turnover.evicting
        found = {key: flights.ahead(key) for key in self._keys if key not in joined} if evicting else {}
        return {key: flight for key, flight in found.items() if flight is not None}

    def _start(self, key: str) -> Load:
        flight = self._ctx.flights.start(key, self._options.tags)
        return self._reads.run(key, self._options, self._declared, flight, self._group)

    async def _lead(self, runs: list[Load]) -> dict[str, float]:
        """Load the granted keys; return the keys that other callers hold, and the seconds that are left."""
        waiting: dict[str, float] = {}
        free: list[tuple[Load, Lookup]] = []

        def sort(run: Load, seen: Lookup) -> None:
            if seen.state is EntryState.STALE or not self._settle(run, seen, waiting):
                free.append((run, seen))

        await self._reads.look(runs, sort, self._budget)
        if any(seen.state is EntryState.UNAVAILABLE for _, seen in free) and await self._loading.waits.for_server(
            self._budget
        ):
            again, free = [run for run, _ in free], []
            for run in again:
                self._loading.renew_token(run)
            await self._reads.look(again, sort, self._budget)
        try:
            await self._take_place(free)
            rights = await self._rights(free)
            granted = [
                right
                for right in rights
                if right.expected_stamp is not None or not self._settle(right.run, right.seen, waiting)
            ]
            if granted:
                await self._load(granted)
        finally:
            if self._place is not None:
                self._loading.places.release(self._place)
        return waiting

    def _settle(self, run: Load, seen: Lookup, waiting: dict[str, float]) -> bool:
        """End the flight of a key that this batch does not load; return ``False`` if the batch loads the key."""
        if seen.answer is not None and seen.state in {EntryState.FRESH, EntryState.STALE}:
            self._values[run.key] = seen.answer.value
            self._ctx.flights.end(run.flight, Outcome(Resolution.RETURN, answer=seen.answer))
        elif seen.state is EntryState.LOADING or seen.is_ending:
            waiting[run.key] = seen.remaining
            self._ctx.flights.end(run.flight, Outcome(Resolution.RETRY))
        else:
            return False
        return True

    async def _take_place(self, free: list[tuple[Load, Lookup]]) -> None:
        """Take one place for the whole batch, whose loader is called once."""
        if not free:
            return
        self._place, future = free[0][0], self._ctx.ports.future()
        await self._loading.places.take(self._place, future, self._give_up, [run.flight for run, _ in free])
        if future.done():  # the batch waited: its calls have an operation timeout of their own
            self._budget.renew()

    async def _rights(self, looks: list[tuple[Load, Lookup]]) -> list[Right]:
        """Ask for leases for absent keys, and for claims for entries that may not be used."""
        ctx, budget = self._ctx, self._budget
        asked: dict[str, Right] = {}
        rights: list[Right] = []

        def ask(look: tuple[Load, Lookup]) -> Sent:
            right, future = self._ask_right(*look)
            asked[right.run.key] = right
            return partial(ctx.ask, future, budget), SMALL

        def take(look: tuple[Load, Lookup], got: Any) -> None:
            right = asked.pop(look[0].key)
            rights.append(self._right(right, got) if right.expected_stamp or right.claim_token else right)

        try:
            await stream(ctx, looks, ask, take, budget)
        except BaseException:
            # Cancelled: no other code would release the rights that were granted by now, or will be.
            for right in (*rights, *asked.values()):
                self._release(right)
            raise
        return rights

    def _ask_right(self, run: Load, seen: Lookup) -> tuple[Right, Any]:
        """Ask for the lease or claim that fits; until the answer is in, the ``Right`` describes the request."""
        ctx = self._ctx
        run.lease = ctx.times.lease(self._group)
        ms = round(run.lease * 1000)
        if seen.state in {EntryState.ABSENT, EntryState.FOREIGN}:
            if seen.state is EntryState.FOREIGN:
                ctx.shared.discard(run.key, seen.stamp)
            placeholder = ctx.entries.stamp(b"L")
            future = ctx.shared.acquire(run.key, placeholder, ms, run.declared, run.token)
            return Right(run, seen, expected_stamp=placeholder), future
        if seen.state in _REPLACEABLE:
            claim_token = ctx.entries.stamp(b"C")
            future = ctx.shared.claim(run.key, claim_token, ms, run.declared, run.token)
            return Right(run, seen, claim_token=claim_token), future
        return Right(run, seen), None

    def _right(self, asked: Right, got: Any) -> Right:
        """Return the right that the answer to ``acquire`` or ``claim`` grants."""
        run = asked.run
        if isinstance(got, ClaimReply):
            seen = got.seen
            if got.granted and seen.state in _REPLACEABLE and not seen.is_ending:
                return Right(run, seen, seen.stamp, asked.claim_token)
            if got.granted:
                self._release(asked)
            if seen.state in _SETTLED:
                return Right(run, seen)
            return Right(run, Lookup(EntryState.LOADING, remaining=0.0 if got.granted else got.remaining))
        if isinstance(got, Lookup):
            if got.state is EntryState.GRANTED:
                return Right(run, got, expected_stamp=asked.expected_stamp)
            return Right(
                run, got if got.state in _SETTLED or got.state is EntryState.LOADING else Lookup(EntryState.LOADING)
            )
        return Right(run, Lookup(EntryState.UNAVAILABLE))

    def _release(self, right: Right) -> None:
        self._loading.rights.release(right.run, right.expected_stamp, right.claim_token)

    async def _load(self, granted: list[Right]) -> None:
        """Call the loader once for all granted keys; each key is stored, or released if the mapping lacks it."""
        ctx = self._ctx
        stops = [
            self._loading.rights.renew_while_loading(right.run, right.expected_stamp, right.claim_token)
            for right in granted
            if right.expected_stamp is not None
        ]
        lead = self._lead_run(granted)
        if self._options.load_limit is not None:
            lead.end_late = partial(self._end_late, granted, stops)
        try:
            captured = await ctx.capture(self._options.tags, self._budget)
            started = ctx.ports.clock()
            loaded = await self._loading.call(lead)
            cost = ctx.ports.clock() - started
            unwrapped = {
                right.run.key: self._loading.unwrap(right.run, loaded[right.run.key])
                for right in granted
                if right.run.key in loaded
            }
        except BaseException as error:  # noqa: BLE001 - raised again, as the exception for its caller
            for right in granted if not lead.late else ():
                self._release(right)
            if is_failure(error) and self._stale_values(granted):
                return
            raise self._report_error(granted, error) from None
        finally:
            for stop in stops:
                stop()
            lead.end_late = None
        if lead.late:
            self._values.update({key: answer.value for key, (answer, _) in unwrapped.items()})
            return
        await self._store(granted, unwrapped, captured, (started, cost))

    def _end_late(self, granted: list[Right], stops: list[Callable[[], None]]) -> None:
        """End the flights at the limit of the load, while the loader runs on in this batch's thread."""
        for stop in stops:
            stop()
        for right in granted:
            self._release(right)
        self._report_error(granted, over_limit(granted[0].run))

    def _stale_values(self, granted: list[Right]) -> bool:
        """Use old values after the loader failed; return whether every key has one (stale-if-error).

        An old value is a stale entry of the server or, offline, an entry of the near cache within its own life.
        """
        answers = {
            right.run.key: right.seen.answer
            if right.seen.state is EntryState.STALE
            else self._loading.stale_if_error(right.run)
            for right in granted
        }
        if not all(answers.values()):
            return False
        self._values.update({key: answer.value for key, answer in answers.items() if answer is not None})
        return True

    def _report_error(self, granted: list[Right], error: BaseException) -> BaseException:
        """Return the loader's exception; hand it to joined callers unless it is for this caller alone."""
        if isinstance(error, LoaderEndedError):
            return error.original
        if isinstance(error, Exception):
            for right in granted:
                self._ctx.flights.end(right.run.flight, Outcome(Resolution.RAISE, error=error))
        return error

    def _lead_run(self, granted: list[Right]) -> Load:
        """Return the run that carries the loader.

        The flights of the other keys are noted as waiting for it, so that the loader's wait for any of them is a cycle.
        """
        lead = granted[0].run
        if self._place is not None and self._place is not lead:
            lead.place, self._place.place, self._place = self._place.place, None, lead  # released when the loader ends
        lead.loader, lead.args = self._loader, ([right.run.key for right in granted],)
        for right in granted[1:]:
            right.run.flight.waits.append(Wait(lead.flight))
        return lead

    async def _store(
        self,
        granted: list[Right],
        unwrapped: dict[str, tuple[DecodedValue, CallOptions | None]],
        captured: Any,
        times: tuple[float, float],
    ) -> None:
        ctx = self._ctx
        sent = 0

        def store(right: Right) -> Sent:
            nonlocal sent
            sent += 1
            run = right.run
            if run.key not in unwrapped:
                self._release(right)
                return _no_outcome, SMALL
            run.budget = self._budget
            value = unwrapped[run.key]
            self._values[run.key] = value[0].value
            finish = self._loading.send(run, (right.expected_stamp, right.claim_token), value, captured, times)
            return finish, len(value[0].payload or b"") + SMALL

        def end(right: Right, outcome: Outcome | None) -> None:
            if outcome is not None:
                ctx.flights.end(right.run.flight, outcome)

        try:
            await stream(ctx, granted, store, end, self._budget)
        finally:
            for right in granted[sent:]:  # cancelled: no other code would release them
                self._release(right)

    async def _wait_for_others(
        self, waiting: dict[str, float], watches: dict[str, Any], joined: dict[str, Flight]
    ) -> None:
        """Wait for other callers' loads while this batch holds no right; then the next round asks for all."""
        for key, flight in joined.items():
            verb, value = await self._policy.join(flight, self._declared, None, self._give_up)
            if verb is Resolution.RETURN:
                self._values[key] = value
            else:
                self._again.append(key)
        for key, remaining in waiting.items():
            holder = self._ctx.flights.holder(key)
            wait = None if holder is None else waiting_for(holder, self._ctx.ports.me)
            await self._loading.waits.for_right(wait, watches[key].future, remaining, self._give_up)
            self._again.append(key)

    async def alone(self, keys: list[str]) -> dict[str, Any]:
        """Load for this caller, outside any flight, after the wait has lasted long enough; store nothing."""
        run = self._reads.run(keys[0], self._options, self._declared, None, self._group)
        run.loader, run.args = self._loader, (keys,)
        wait = waiting_for(run.flight, self._ctx.ports.me)
        try:
            loaded = await self._loading.call_directly(run)
        finally:
            self._ctx.coherence.close_fill(run.token)
            if wait is not None:
                wait.over()
        return {key: self._loading.unwrap(run, loaded[key])[0].value for key in keys if key in loaded}


async def _no_outcome() -> None:
    """Stand in for the outcome of a key that was not stored."""
