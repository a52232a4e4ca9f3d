"""Loading: from an absent or unusable entry to a value, with at most one loader in the fleet.

There are two rights, each with one holder: the *lease* where there is no entry, the *claim* where there is an entry to
replace. A process that gets neither waits for the push that the winner's store causes, with its own timer, and asks
again.
"""

import logging
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

from msgspec.structs import replace

from .context import MIN_COST, Load, PolicyContext
from .limits import Limits, elsewhere_over_limit, over_limit
from .loader_results import Unwrapping
from .lookup import DecodedValue, EntryState, Lookup, NewEntry
from .options import CallOptions
from .outcome import Outcome, Resolution
from .overtime import Overtime
from .places import Places
from .ports import Future, LoaderEndedError, is_failure
from .rights import Right, Rights
from .single_flight import Flight, Wait
from .waits import Waits

__all__ = ["Loading"]


class Loading:
    """The load of one flight."""

    def __init__(self, ctx: PolicyContext) -> None:
        self._ctx = ctx
        self._results = Unwrapping(ctx)
        self.unwrap = self._results.unwrap
        self.rights = Rights(ctx)
        self.waits = Waits(ctx)
        self.places = Places(ctx)
        self.limits, self.overtime = Limits(ctx, self.places), Overtime(ctx, self.waits)
        self.call = self.limits.call

    # -- looking ---------------------------------------------------------------------------------------------------

    async def look(self, run: Load) -> Lookup:
        """Read the key from the server."""
        self.renew_token(run)
        return await self._ctx.read(run.key, run.declared, run.token, run.budget, run)

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
        run.give_up = self._ctx.ports.clock() + self._ctx.load_wait
        try:
            while True:
                outcome = await self._round(run, anew=anew)
                if outcome is not None:
                    return outcome
        finally:
            self.places.release(run)

    async def _round(self, run: Load, *, anew: bool) -> Outcome | None:
        """Look, and take one step; ``None``: look again, unless ``run.seen`` is the result of a newer read."""
        ctx = self._ctx
        if ctx.coherence.turnover.evicting:
            await self._outlast(run)
        self.waits.watch(run)
        try:
            seen, run.seen = run.seen or await self.look(run), None
            if seen.state is EntryState.UNAVAILABLE and await self.waits.for_server(run.budget):
                return None
            if ctx.needs_right(seen, run.options, anew=anew) and not await self.places.take_watching(run):
                return None
            step = await self._step(run, seen, anew=anew)
            if isinstance(step, Outcome):
                return step
            if step is not None and step.state not in {EntryState.LOADING, EntryState.ENDING}:
                run.seen = step  # and it keeps its place: to wait for it again would take another look, and so on
                return None
            self.places.release(run)
            if step is not None and not await self._waited(run, step):
                outcome, run.seen = await self._beside(run, step.stamp, anew=anew)
                self.places.release(run)
                return outcome
            return None
        finally:
            self.waits.unwatch(run)

    async def _waited(self, run: Load, step: Lookup) -> bool:
        """Wait for a change of the key while another load has its right; ``False`` when that lasts too long."""
        ctx = self._ctx
        until = self.overtime.waits_until(run, step)
        holder = ctx.flights.holder(run.key, run.flight)
        wait = None if holder is None else Wait(holder, run.flight).begin()
        in_time = await self.waits.for_right(wait, run.watch.future, step.remaining, until)
        run.budget = ctx.budget()  # the calls after the wait have their own operation timeout
        if not in_time:
            ctx.counters.wait_timeouts += not run.overtime
            run.waited = run.overtime = True
            return False
        run.waited |= step.state is EntryState.LOADING
        return True

    async def _beside(self, run: Load, holder: bytes, *, anew: bool) -> tuple[Outcome | None, Lookup | None]:
        """Load beside a load that takes longer than ``load_wait``, or wait for either load; see ``overtime``.

        Returns:
            The outcome, if any, and the result of a newer read, if any.
        """
        ctx = self._ctx
        self.waits.watch_anew(run)
        if not await self.places.take(run, run.watch.future, run.gives_up(ctx.load_wait)):
            return None, None
        self.renew_token(run)
        step = await self.overtime.take(run, holder, anew=anew)
        if isinstance(step, float):
            run.either = step
            return None, None
        if isinstance(step, Flight):
            return await self._load_in_turn(run, step, anew=anew), None
        return (None, step) if isinstance(step, Lookup) else (await self._load(run, step), None)

    async def _load_in_turn(self, run: Load, own: Flight | None, *, anew: bool) -> Outcome | None:
        """Load without a right, after another load of this process; ``None``: read again."""
        if own is None:
            return await self._load(run, None)
        await self._ended(run, own)
        return None if anew else Outcome(Resolution.RETRY)  # callers of this flight may have the value of that one

    async def _outlast(self, run: Load) -> None:
        """Wait until no detached load of the key runs in this process, but for no load longer than ``load_wait``.

        The push that detached such a load may have been the eviction of its lease. The server would grant that lease
        once more.
        """
        ctx = self._ctx
        while (ahead := ctx.flights.ahead(run.key, run.flight)) is not None:
            Wait(ahead, run.flight).check()
            now = ctx.ports.clock()
            if ahead.is_overdue(now, ctx.load_wait) and now >= run.waits_until(ahead.right):
                return
            run.seen = None  # the earlier read is out of date by now
            if not await self._ended(run, ahead):
                return

    async def _ended(self, run: Load, ahead: Flight) -> bool:
        """Wait until another load of the key in this process has ended; ``False`` when that lasts too long.

        As a caller that has joined a load, this one waits until the loader has run for ``load_wait``.
        """
        self.places.release(run)  # the other load may wait for one
        until = max(run.waits_until(ahead.right), self.waits.overdue_at(ahead))
        in_time = await self.waits.for_end(ahead, Wait(ahead, run.flight).begin(), until)
        run.budget = self._ctx.budget()  # as after every wait for another load
        self._ctx.counters.wait_timeouts += not in_time
        return in_time

    async def _step(self, run: Load, seen: Lookup, *, anew: bool) -> Outcome | Lookup | None:
        """Take one step from a read: return an outcome, or the result of a newer read; ``None``: read again."""
        if seen.is_ending:
            return Lookup(EntryState.ENDING, remaining=seen.remaining)
        match seen.state:
            case EntryState.FRESH | EntryState.STALE if not anew:
                return Outcome(Resolution.RETURN, answer=seen.answer, stale=seen.state is EntryState.STALE)
            case EntryState.LOADING:
                return seen
            case EntryState.FOREIGN | EntryState.ABSENT:
                if seen.state is EntryState.FOREIGN:
                    self._ctx.shared.discard(run.key, seen.stamp)
                return await self._lease(run)
            case EntryState.UNAVAILABLE | EntryState.TAGS_UNKNOWN | EntryState.GRANTED:
                return await self._load(run, None)
            case _:
                return await self._replace(run, seen, anew=anew)

    async def _replace(self, run: Load, seen: Lookup, *, anew: bool) -> Outcome | Lookup | None:
        """Replace an entry that may not be used, or a failed mark; raise a stored error that the call has declared."""
        error = None if anew else self._ctx.error_there(seen, run.options)
        if error is not None:
            raise error
        beside = self._ctx.beside(run)
        if beside is not None:
            return await self._after(run, beside, anew=anew)
        if seen.state is not EntryState.FAILED:
            return await self._claim(run, anew=anew)
        if run.waited and seen.failed.ends_waits:
            return await self._on_mark(run, Right.on_mark(seen.failed), anew=anew)
        return await self._lease(run)

    async def _lease(self, run: Load) -> Outcome | Lookup:
        self.renew_token(run)
        taken = await self.rights.take(run, self.rights.ask_lease(run, run.budget))
        return await self._load(run, taken) if isinstance(taken, Right) else taken

    async def _claim(self, run: Load, *, anew: bool, only: bytes | None = None) -> Outcome | Lookup | None:
        """Take the claim and load.

        ``only`` is the version stamp of the one entry to replace: any other entry is left in place.
        """
        self.renew_token(run)
        taken = await self.rights.take(run, self.rights.ask_claim(run, run.budget, anew=anew, only=only))
        if not isinstance(taken, Right):
            return taken
        return await (self._on_mark(run, taken, anew=anew) if taken.shared else self._load(run, taken))

    async def _on_mark(self, run: Load, right: Right, *, anew: bool) -> Outcome | Lookup | None:
        """Load beside the other processes that waited for a load of this key in vain; ``None``: read again."""
        if right.timed_out:
            raise elsewhere_over_limit(run.key)
        ctx = self._ctx
        joined = ctx.flights.before_mark(run.flight, ctx.ports.clock(), ctx.load_wait)
        if joined is None:
            return await self._load(run, right)
        if not anew:
            return Outcome(Resolution.RETRY)  # callers of this flight join that one
        return await self._after(run, joined, anew=anew)

    async def _after(self, run: Load, earlier: Flight, *, anew: bool) -> Outcome | Lookup | None:
        """Read again after another load of this process, or load beside it if it takes longer than ``load_wait``."""
        right = earlier.right
        if await self._ended(run, earlier) or not right or earlier.right != right:  # another may have the key by now
            return None
        outcome, seen = await self._beside(run, right, anew=anew)
        return outcome or seen

    async def refresh(self, run: Load, stamp: bytes) -> None:
        """Replace the entry with this version stamp in the background, if the claim is granted.

        If not, another process refreshes it.
        """
        ctx = self._ctx
        if run.options.errors is not None:
            run.options = replace(run.options, errors=None)  # the old value comes before an error
        outcome, ending = Outcome(Resolution.RETRY), None
        try:
            if not ctx.shared.usable:
                await self.waits.for_server(run.budget)
            if not ctx.shared.usable:
                outcome = await self._load(run, None)
            elif ctx.beside(run) is None:
                step = await self._claim(run, anew=True, only=stamp)
                if isinstance(step, Outcome):
                    outcome = step
        except LoaderEndedError as error:
            outcome = Outcome(Resolution.RAISE, Resolution.RETRY, error=error.original)  # joined callers ask again
            ending = error.original if isinstance(error.original, KeyboardInterrupt | SystemExit) else None
        except Exception as error:  # noqa: BLE001 - for joined callers; every other caller keeps the stale value
            outcome = Outcome(Resolution.RAISE, error=error)
            text = "refresh failed: %s (%s); the old value stays"
            ctx.tell(logging.WARNING, "refresh_failed", text, run.group, type(error).__name__)
        ctx.flights.end(run.flight, outcome)
        if ending is not None:
            raise ending  # no caller waits for this load, and the process is about to end

    # -- loading and storing -----------------------------------------------------------------------------------------

    async def _load(self, run: Load, right: Right | None) -> Outcome:
        """Run the loader; store by swapping the right's version stamp. Without a right, nothing is stored there."""
        ctx = self._ctx
        if right is None:
            return await self._load_unconfirmed(run)
        renewal = self.rights.renew_while_loading(run, right)
        began = ctx.ports.clock()
        if run.options.load_limit is not None:
            run.end_late = partial(self._end_late, run, right, renewal)
        try:
            captured = await ctx.capture(run.options.tags, run.budget)
            answer, options, times = await self._results.loaded(run, self.call)
        except BaseException as error:
            if not run.late:
                self.rights.end(run, right, error, began)
            raise
        finally:
            renewal()
            run.end_late = None
        if run.late:
            return run.ended_by(Outcome(Resolution.RETURN, answer=answer))
        return run.ended_by(await self.send(run, right, (answer, options), captured, times)())

    def send(
        self,
        run: Load,
        right: Right | None,
        value: tuple[DecodedValue, CallOptions | None],
        captured: Any,
        times: tuple[float, float],
    ) -> Callable[[], Coroutine[Any, Any, Outcome]]:
        """Write the loaded value, or release the right; return a function that waits for the outcome.

        Args:
            run: The load.
            right: The right; ``None``: the value is not stored on the server.
            value: The answer, and the options to keep it with.
            captured: The tags with the versions they had before the loader ran.
            times: When the loader started, and how long it took.
        """
        ctx = self._ctx
        answer, options = value
        if right is None or answer.payload is None or options is None or captured is None:
            self.rights.release(run, right)
            return partial(self._unstored, run, answer, options, times)
        entry = ctx.entries.pack(run.key, answer, captured, options, times[1], run.token)
        future = ctx.shared.swap(run.key, right.stamp, entry)
        if right.claim_token is not None:  # in the same write: a waiting caller wakes to the value
            ctx.shared.unclaim(run.key, right.claim_token, second=right.second)
        return partial(self._sent, run, right, entry, future, times)

    async def _sent(
        self, run: Load, right: Right, entry: NewEntry, future: Future | None, times: tuple[float, float]
    ) -> Outcome:
        """Wait for the reply to the store, and return the outcome."""
        answer = entry.answer
        try:
            result = await self._ctx.ask(future, run.budget)
        except BaseException:
            self.rights.release(run, right)  # has an effect only if the swap was refused as an error
            raise
        if result is True and entry.current and not run.flight.detached:
            return Outcome(Resolution.RETURN, answer=answer)
        if isinstance(result, bool):  # the entry was removed or replaced meanwhile, or one of its tags was removed
            return Outcome(Resolution.RETURN, Resolution.RETRY, answer=answer)
        if right.claim_token is None:  # a claim was released with the store
            self.rights.release(run, right)
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
        until = times[0] + self._ctx.unconfirmed_life(run.options, times[0])
        return Outcome(Resolution.RETURN, Resolution.RETRY if run.flight.detached else None, answer=answer, until=until)

    async def _load_unconfirmed(self, run: Load) -> Outcome:
        """Load without the server; the value stays in this process, for the life of an unconfirmed value."""
        ctx = self._ctx
        self.renew_token(run)
        if run.options.load_limit is not None:
            run.end_late = partial(self._end_late, run)
        try:
            answer, options, times = await self._results.loaded(run, self.call)
        except Exception as error:
            old = ctx.stale_if_error(run) if is_failure(error) else None
            if old is None:
                raise
            return Outcome(Resolution.RETURN, answer=old, stale=True)
        if run.error is not None and (old := ctx.stale_if_error(run)) is not None:
            return Outcome(Resolution.RETURN, answer=old, stale=True)
        outcome = Outcome(Resolution.RETURN, answer=answer)
        return run.ended_by(outcome if run.late else await self._unstored(run, answer, options, times))

    def _end_late(self, run: Load, right: Right | None = None, renewal: Callable[[], None] | None = None) -> None:
        """End a flight at its limit, while its loader runs on in the thread of the starter."""
        answer = None
        if renewal is None or right is None:
            answer = self._ctx.stale_if_error(run)
        else:
            renewal()
            self.rights.fail(run, right, run.options.load_limit or 0.0, timed_out=True)
        verb = Resolution.RAISE if answer is None else Resolution.RETURN
        self._ctx.flights.end(run.flight, Outcome(verb, answer=answer, error=over_limit(run), stale=answer is not None))

    async def load_unstored(self, run: Load) -> Any:
        """Load for one caller, outside any flight, and keep nothing."""
        answer, _ = self.unwrap(run, await self.limits.call_directly(run))
        return answer.value
