"""Loading: from an absent or unusable entry to a value, with at most one loader in the fleet.

There are two rights, each with one holder: the *lease* where there is no entry, the *claim* where there is an entry to
replace. A process that gets neither waits for the push that the winner's store causes, with its own timer, and asks
again.
"""

import logging
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

from .context import MIN_COST, NO_LOOK, Load, PolicyContext
from .limits import Limits, over_limit
from .loader_results import Unwrapping
from .lookup import ClaimReply, DecodedValue, EntryState, Lookup, NewEntry
from .options import CallOptions
from .places import Places
from .ports import NO_ANSWER, Future, LoaderEndedError, is_failure
from .rights import Rights
from .single_flight import CURRENT, Outcome, Resolution, Wait
from .waits import Waits

__all__ = ["Loading"]


class Loading:
    """The load of one flight."""

    def __init__(self, ctx: PolicyContext) -> None:
        self._ctx = ctx
        self.unwrap = Unwrapping(ctx).unwrap
        self.rights = Rights(ctx)
        self.waits = Waits(ctx)
        self.places = Places(ctx)
        self.limits = Limits(ctx)

    # -- looking ---------------------------------------------------------------------------------------------------

    async def look(self, run: Load) -> Lookup:
        """Read the key from the server."""
        self.renew_token(run)
        return await self._ctx.read(run.key, run.declared, run.token, run.budget)

    def renew_token(self, run: Load) -> None:
        """Replace a void token, which cannot fill the near cache; a new token, taken before a new request, can."""
        if not run.token.valid:
            run.token = self._ctx.coherence.open_fill(run.key, run.options.tags)

    # -- the way to a value ------------------------------------------------------------------------------------------

    async def fetch(self, run: Load, *, anew: bool = False) -> None:
        """Load until the flight has an outcome.

        Args:
            run: The load.
            anew: Whether to replace an existing entry, even a fresh one (``refresh``).
        """
        ctx = self._ctx
        try:
            outcome = await self._obtain(run, anew=anew)
        except LoaderEndedError as error:
            outcome = Outcome(Resolution.RAISE, Resolution.RETRY, error=error.original)
        except Exception as error:  # noqa: BLE001 - the loader's own exception, for every caller of this flight
            outcome = Outcome(Resolution.RAISE, error=error)
        if run.late:
            run.flight.late = outcome
        ctx.flights.end(run.flight, outcome)

    async def _obtain(self, run: Load, *, anew: bool) -> Outcome:
        ctx = self._ctx
        give_up = ctx.ports.clock() + ctx.load_wait
        watched = False
        while True:
            if ctx.coherence.turnover.evicting and not await self._outlasted(run, give_up):
                return await self._load(run, None, None)
            # The watch is set before the first request, so that no change is missed in between.
            watch = ctx.coherence.watch(run.key, ctx.ports.future())
            try:
                if run.seen is None or (run.seen.state is EntryState.LOADING and not watched):
                    run.seen = await self.look(run)
                watched = True
                if run.seen.state is EntryState.UNAVAILABLE and await self.waits.for_server(run.budget):
                    run.seen = None
                    continue
                if self._needs_right(run.seen, anew=anew):
                    if not await self.places.take(run, watch.future, give_up):
                        run.seen = None
                        continue
                    if watch.future.done():  # the load waited for its place
                        ctx.coherence.unwatch(watch)
                        watch = ctx.coherence.watch(run.key, ctx.ports.future())
                        run.budget = ctx.budget()
                step = await self._step(run, run.seen, anew=anew)
                self.places.release(run)
                if isinstance(step, Outcome):
                    return step
                if step.state is not EntryState.LOADING:
                    run.seen = step
                    continue
                run.seen = None
                holder = ctx.flights.holder(run.key, run.flight)
                wait = None if holder is None else Wait(holder, run.flight).begin()
                if not await self.waits.for_right(wait, watch.future, step.remaining, give_up):
                    ctx.counters.wait_timeouts += 1
                    return await self._load(run, None, None)
                run.budget = ctx.budget()  # the calls after the wait have their own operation timeout
            finally:
                self.places.release(run)
                ctx.coherence.unwatch(watch)

    async def _outlasted(self, run: Load, give_up: float) -> bool:
        """Wait until no detached load of the key runs in this process; ``False`` when that lasts too long.

        The push that detached such a load may have been the eviction of its lease. The server would grant that lease
        once more.
        """
        flights = self._ctx.flights
        while (ahead := flights.ahead(run.key, run.flight)) is not None:
            run.seen = None  # the earlier read is out of date by now
            if not await self.waits.for_end(ahead, Wait(ahead, run.flight).begin(), give_up):
                self._ctx.counters.wait_timeouts += 1
                return False
        return True

    def _needs_right(self, seen: Lookup, *, anew: bool) -> bool:
        """Return whether the next step after a read is to take a right and to load."""
        if seen.state in {EntryState.FRESH, EntryState.STALE}:
            return anew
        return seen.state is not EntryState.LOADING and not seen.is_ending

    async def _step(self, run: Load, seen: Lookup, *, anew: bool) -> Outcome | Lookup:
        """Take one step from a read: return an outcome, or the result of a newer read instead."""
        if seen.is_ending:
            seen = Lookup(EntryState.LOADING, remaining=seen.remaining)
        match seen.state:
            case EntryState.FRESH | EntryState.STALE if not anew:
                return Outcome(Resolution.RETURN, answer=seen.answer, stale=seen.state is EntryState.STALE)
            case EntryState.LOADING:
                return seen
            case EntryState.FOREIGN:
                self._ctx.shared.discard(run.key, seen.stamp)
                return await self._lease(run)
            case EntryState.ABSENT:
                return await self._lease(run)
            case EntryState.UNAVAILABLE | EntryState.TAGS_UNKNOWN | EntryState.GRANTED:
                return await self._load(run, None, None)
            case _:
                return await self._claim(run, anew=anew)

    async def _lease(self, run: Load) -> Outcome | Lookup:
        ctx = self._ctx
        self.renew_token(run)
        placeholder = ctx.entries.stamp(b"L")
        run.lease = ctx.times.lease(run.group)
        future = ctx.shared.acquire(run.key, placeholder, round(run.lease * 1000), run.declared, run.token)
        try:
            seen = await ctx.ask(future, run.budget)
        except BaseException:
            # Cancelled, perhaps after the server granted the lease: no other code would release it.
            ctx.shared.release(run.key, placeholder)
            raise
        if seen is not NO_ANSWER and seen.state is EntryState.GRANTED:
            return await self._load(run, placeholder, None)
        return await ctx.settled(run.key, seen, run.declared, run.token, run.budget)

    async def _claim(self, run: Load, *, anew: bool, only: bytes | None = None) -> Outcome | Lookup:
        """Take the claim and load.

        ``only`` is the version stamp of the one entry to replace: any other entry is left in place.
        """
        ctx = self._ctx
        self.renew_token(run)
        claim_token = ctx.entries.stamp(b"C")
        run.lease = ctx.times.lease(run.group)
        future = ctx.shared.claim(run.key, claim_token, round(run.lease * 1000), run.declared, run.token)
        try:
            claimed = await ctx.ask(future, run.budget)
            if not isinstance(claimed, ClaimReply):
                return NO_LOOK
            seen = await ctx.settled(run.key, claimed.seen, run.declared, run.token, run.budget)
        except BaseException:
            ctx.shared.unclaim(run.key, claim_token)  # cancelled: no other code would release a claim that was granted
            raise
        if not claimed.granted:
            if seen.state in {EntryState.EXPIRED, EntryState.INVALID} or (
                anew and seen.state in {EntryState.FRESH, EntryState.STALE}
            ):
                return Lookup(EntryState.LOADING, remaining=claimed.remaining)
            return seen
        replaceable = seen.state in {EntryState.EXPIRED, EntryState.INVALID, EntryState.STALE} or (
            anew and seen.state is EntryState.FRESH
        )
        if not replaceable or seen.is_ending or (only is not None and seen.stamp != only):
            ctx.shared.unclaim(run.key, claim_token)
            return seen
        return await self._load(run, seen.stamp, claim_token)

    async def refresh(self, run: Load, stamp: bytes) -> None:
        """Replace the entry with this version stamp in the background, if the claim is granted.

        If not, another process refreshes it.
        """
        ctx = self._ctx
        outcome, ending = Outcome(Resolution.RETRY), None
        try:
            if not ctx.shared.usable and not (await self.waits.for_server(run.budget) and ctx.shared.usable):
                outcome = await self._load(run, None, None)
            else:
                step = await self._claim(run, anew=True, only=stamp)
                if isinstance(step, Outcome):
                    outcome = step
        except LoaderEndedError as error:
            outcome = Outcome(
                Resolution.RAISE, Resolution.RETRY, error=error.original
            )  # joined callers ask after a pause
            ending = error.original if isinstance(error.original, KeyboardInterrupt | SystemExit) else None
        except Exception as error:  # noqa: BLE001 - for joined callers; every other caller keeps the stale value
            outcome = Outcome(Resolution.RAISE, error=error)
            text = "refresh failed: %s (%s); the old value stays"
            ctx.tell(logging.WARNING, "refresh_failed", text, run.group, type(error).__name__)
        ctx.flights.end(run.flight, outcome)
        if ending is not None:
            raise ending  # no caller waits for this load, and the process is about to end

    # -- loading and storing -----------------------------------------------------------------------------------------

    async def _load(self, run: Load, expected_stamp: bytes | None, claim_token: bytes | None) -> Outcome:
        """Run the loader; store by swapping ``expected_stamp``: the lease's placeholder, or the claim's entry.

        Without a stamp to replace, the value is not stored on the server.
        """
        ctx = self._ctx
        if expected_stamp is None:
            return await self._load_unconfirmed(run)
        renewal = self.rights.renew_while_loading(run, expected_stamp, claim_token)
        if run.options.load_limit is not None:
            run.end_late = partial(self._end_late, run, (expected_stamp, claim_token), renewal)
        try:
            captured = await ctx.capture(run.options.tags, run.budget)
            started = ctx.ports.clock()
            result = await self.call(run)
            cost = ctx.ports.clock() - started
            answer, options = self.unwrap(run, result)
        except BaseException:
            if not run.late:
                self.rights.release(run, expected_stamp, claim_token)
            raise
        finally:
            renewal()
            run.end_late = None
        if run.late:
            return Outcome(Resolution.RETURN, answer=answer)
        return await self.send(run, (expected_stamp, claim_token), (answer, options), captured, (started, cost))()

    def send(
        self,
        run: Load,
        right: tuple[bytes | None, bytes | None],
        value: tuple[DecodedValue, CallOptions | None],
        captured: Any,
        times: tuple[float, float],
    ) -> Callable[[], Coroutine[Any, Any, Outcome]]:
        """Write the loaded value, or release the right; return a function that waits for the outcome.

        Args:
            run: The load.
            right: The version stamp that may be replaced, and the mark of the claim if the right is a claim.
            value: The answer, and the options to keep it with.
            captured: The tags with the versions they had before the loader ran.
            times: When the loader started, and how long it took.
        """
        ctx = self._ctx
        (expected_stamp, claim_token), (answer, options) = right, value
        if expected_stamp is None or answer.payload is None or options is None or captured is None:
            self.rights.release(run, expected_stamp, claim_token)
            return partial(self._unstored, run, answer, options, times)
        entry = ctx.entries.pack(run.key, answer, captured, options, times[1], run.token)
        future = ctx.shared.swap(run.key, expected_stamp, entry)
        if claim_token is not None:
            ctx.shared.unclaim(run.key, claim_token)  # in the same write: a waiting caller wakes to the value
        return partial(self._sent, run, right, entry, future, times)

    async def _sent(
        self,
        run: Load,
        right: tuple[bytes | None, bytes | None],
        entry: NewEntry,
        future: Future | None,
        times: tuple[float, float],
    ) -> Outcome:
        """Wait for the reply to the store, and return the outcome."""
        answer = entry.answer
        try:
            result = await self._ctx.ask(future, run.budget)
        except BaseException:
            self.rights.release(run, *right)  # has an effect only if the swap was refused as an error
            raise
        if result is True and entry.current and not run.flight.detached:
            return Outcome(Resolution.RETURN, answer=answer)
        if isinstance(result, bool):  # the entry was removed or replaced meanwhile, or one of its tags was removed
            return Outcome(Resolution.RETURN, Resolution.RETRY, answer=answer)
        if right[1] is None:  # a claim was released with the store
            self.rights.release(run, *right)
        return await self._unstored(run, answer, entry.options, times)

    async def _unstored(
        self, run: Load, answer: DecodedValue, options: CallOptions | None, times: tuple[float, float]
    ) -> Outcome:
        """Return the outcome for a value that the server does not have.

        Callers that joined in time may have the value, unless its key or a tag changed since.
        """
        if options is not None:
            started, cost = times
            self._ctx.keep_unconfirmed(run.token, answer, options, started, max(cost, MIN_COST))
        if answer.payload is None:
            return Outcome(Resolution.RETURN, Resolution.LOAD_ALONE, answer=answer)
        # The load may have taken long, or its process may have stalled. No joined caller may get a value older than the
        # near cache may answer with.
        until = times[0] + self._ctx.unconfirmed_life(run.options)
        return Outcome(Resolution.RETURN, Resolution.RETRY if run.flight.detached else None, answer=answer, until=until)

    async def _load_unconfirmed(self, run: Load) -> Outcome:
        """Load without the server; the value stays in this process, for the life of an unconfirmed value."""
        ctx = self._ctx
        self.renew_token(run)
        started = ctx.ports.clock()
        if run.options.load_limit is not None:
            run.end_late = partial(self._end_late, run)
        try:
            result = await self.call(run)
        except Exception as error:
            answer = self.stale_if_error(run) if is_failure(error) else None
            if answer is None:
                raise
            return Outcome(Resolution.RETURN, answer=answer, stale=True)
        cost = ctx.ports.clock() - started
        answer, options = self.unwrap(run, result)
        if run.late:
            return Outcome(Resolution.RETURN, answer=answer)
        return await self._unstored(run, answer, options, (started, cost))

    def _end_late(
        self,
        run: Load,
        right: tuple[bytes | None, bytes | None] = (None, None),
        renewal: Callable[[], None] | None = None,
    ) -> None:
        """End a flight at its limit, while its loader runs on in the thread of the starter."""
        answer = None
        if renewal is None:
            answer = self.stale_if_error(run)
        else:
            renewal()
            self.rights.release(run, *right)
        verb = Resolution.RAISE if answer is None else Resolution.RETURN
        self._ctx.flights.end(run.flight, Outcome(verb, answer=answer, error=over_limit(run), stale=answer is not None))

    async def load_unstored(self, run: Load) -> Any:
        """Load for one caller, outside any flight, and keep nothing."""
        answer, _ = self.unwrap(run, await self.call_directly(run))
        return answer.value

    async def call_directly(self, run: Load) -> Any:
        """Run the loader for its own caller alone."""
        ports = self._ctx.ports
        await self.places.take(run, ports.future(), ports.clock() + self._ctx.load_wait)
        try:
            return await self.call(run)
        except LoaderEndedError as error:
            raise error.original from None

    def stale_if_error(self, run: Load) -> DecodedValue | None:
        """Return an entry of the near cache that still answers although its offline bound has passed (stale-if-error).

        This is the one exception to promise 3: the server is away and the loader failed, too, so an entry within its
        own ttl and stale time answers.
        """
        ctx = self._ctx
        held = ctx.near.living(run.key)
        if ctx.alone or ctx.shared.usable or held is None or run.options.offline_ttl <= 0:
            return None
        answer = ctx.entries.decode_near(held, run.declared) if ctx.ports.clock() < held.stale_until else None
        if answer is not None:
            ctx.counters.offline_stale_hits += 1
        return answer

    async def call(self, run: Load) -> Any:
        """Run the loader, counted and timed."""
        ctx = self._ctx
        ctx.counters.loads += 1
        started = ctx.ports.clock()
        run.flight.press()  # the loads that it starts, or waits for, need no places
        outer = CURRENT.set((run.flight, ctx.ports.me()))
        try:
            if run.options.load_limit is not None:
                return await self.limits.run(run, run.options.load_limit)
            return await ctx.ports.run_loader(run.loader, *run.args)
        except BaseException:
            ctx.counters.load_failures += 1
            raise
        finally:
            CURRENT.reset(outer)
            self.places.release(run)
            took = ctx.ports.clock() - started
            ctx.counters.load_seconds += took
            ctx.times.learn(run.group, took)
