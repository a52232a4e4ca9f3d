"""The rules of reading: the near cache (L1), then the shared cache (L2), then the loader.

Each key has one flight (single flight), and a stale value answers while a refresh runs (stale-while-revalidate). A
caller that can use neither loads alone. The rules are written once, as ``async def`` that awaits only ports.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

from ..errors import CodecError
from .context import NO_LOOK, Load, PolicyContext
from .loading import Loading
from .lookup import DecodedValue, EntryState, Lookup
from .options import CallOptions, should_refresh_early
from .outcome import Outcome, Resolution
from .ports import NO_ANSWER
from .results import Found
from .single_flight import Flight, waiting_for

__all__ = ["LoadRequest", "Policy"]

# Seconds without a background refresh of a key after one failed (times 0.5 to 1.5): otherwise every hit on a stale
# entry would call an origin that is down.
PAUSE = 5.0
MAX_PAUSES = 10_000

# Looked up once: on the hit path, access to a member of an enum costs at least as much as a dict look-up.
_FRESH, _UNKNOWN_TAGS = EntryState.FRESH, EntryState.TAGS_UNKNOWN


class LoadRequest:
    """The arguments of one ``get_or_set``, resolved once."""

    __slots__ = ("args", "declared", "group", "key", "loader", "options")

    def __init__(
        self,
        key: str,
        loader: Callable[..., Any],
        options: CallOptions,
        declared: Any,
        group: str,
        args: tuple[Any, ...] = (),
    ) -> None:
        self.key, self.loader, self.options = key, loader, options
        self.declared, self.group, self.args = declared, group, args


class Policy:
    """Reading and loading."""

    def __init__(self, ctx: PolicyContext) -> None:
        self.ctx = ctx
        self.loading = Loading(ctx)
        self._waits = self.loading.waits
        self._paused: dict[str, float] = {}
        self._keeps = ctx.coherence.keeps

    # -- get -------------------------------------------------------------------------------------------------------

    async def get(self, key: str, declared: Any, options: CallOptions, *, allow_stale: bool) -> DecodedValue | None:
        """Return the value of an existing entry, or ``None``; never load."""
        ctx = self.ctx
        if ctx.closed:
            ctx.check_open()
        if key in ctx.near.items:
            found = self.near(key, declared, options, allow_stale=allow_stale)
            if found is not None:
                return found
        journal = ctx.coherence.journal
        if ctx.shared.usable and not (journal.pending and journal.has_pending_key(key)):
            token = ctx.coherence.open_fill(key) if self._keeps else None
            try:
                future = ctx.shared.look(key, declared, token)
                seen = NO_LOOK if future is None else await ctx.ports.wait(future, None)
                if seen is NO_ANSWER:
                    seen = NO_LOOK
                elif seen.state is _UNKNOWN_TAGS:
                    budget = ctx.budget()
                    budget.spend(ctx.ports.clock() - seen.sent_at)
                    seen = await ctx.settled(key, seen, declared, token, budget)
            finally:
                if token is not None:
                    ctx.coherence.close_fill(token)
            if seen.state is _FRESH:
                ctx.counters.shared_hits += 1
                return seen.answer
            if allow_stale and seen.state is EntryState.STALE:
                ctx.counters.stale_hits += 1
                return seen.answer
            if seen.state is EntryState.UNAVAILABLE:
                found = self.near(key, declared, options, allow_stale=allow_stale)
                if found is not None:
                    return found
        ctx.counters.misses += 1
        return None

    async def lookup(self, key: str, declared: Any, options: CallOptions) -> Found[Any] | None:
        """Return an existing entry, fresh or stale, with its times. It counts as neither a hit nor a miss."""
        ctx = self.ctx
        ctx.check_open()
        found = self.shown(key, declared, options)
        if found is None and ctx.shared.usable:
            token = ctx.coherence.open_fill(key)
            try:
                seen = await ctx.read(key, declared, token, ctx.budget())
            finally:
                ctx.coherence.close_fill(token)
            if seen.state is EntryState.UNAVAILABLE:
                return self.shown(key, declared, options)  # the fault may have changed how long near is trusted
            if seen.answer is not None and seen.state is not EntryState.ERROR:
                found = self._found_with(seen.answer, seen.fresh_until, seen.header.ttl)
        return found

    def shown(self, key: str, declared: Any, options: CallOptions) -> Found[Any] | None:
        """Return the near cache's entry, with its times."""
        near = self.ctx.near_answer(key, declared, options)
        return None if near is None else self._found_with(near[0], near[1].fresh_until, near[1].span)

    def _found_with(self, answer: DecodedValue, fresh_until: float, span: float) -> Found[Any]:
        left = fresh_until - self.ctx.ports.clock()
        return Found(answer.value, left, max(0.0, span - left), stale=left <= 0)

    def near(self, key: str, declared: Any, options: CallOptions, *, allow_stale: bool) -> DecodedValue | None:
        """Return the near cache's answer, counted as a hit; a stale answer only with ``allow_stale``."""
        found = self.ctx.near_answer(key, declared, options)
        if found is None:
            return None
        answer, held = found
        if self.ctx.ports.clock() < held.fresh_until:
            self.ctx.counters.near_hits += 1
        elif allow_stale:
            self.ctx.counters.stale_hits += 1
        else:
            return None
        return answer

    def _count_shared(self, seen: Lookup) -> None:
        if seen.state is EntryState.STALE:
            self.ctx.counters.stale_hits += 1
        else:
            self.ctx.counters.shared_hits += 1

    # -- get or load -------------------------------------------------------------------------------------------------

    async def get_or_set(self, asked: LoadRequest) -> Any:
        """Return the value from the near cache, the shared cache, a flight or the loader.

        Raises:
            LoadTimeout: This caller's ``load_timeout`` ran out.
            LoadCycle: The loader waits for itself.
            Exception: The exception that the loader raised.
        """
        ctx = self.ctx
        now = ctx.ports.clock()
        until = None if asked.options.load_timeout is None else now + asked.options.load_timeout
        while True:
            ctx.check_open()
            found = ctx.near_answer(asked.key, asked.declared, asked.options)
            if found is not None:
                answer, held = found
                self.near_hit(asked, held)
                return answer.value
            if asked.options.errors is not None and (error := ctx.error_here(asked.key, asked.options)) is not None:
                ctx.counters.near_hits += 1
                raise error
            flight = ctx.flights.get(asked.key) or ctx.flights.second(asked.key)
            if flight is None and not ctx.shared.usable:
                flight = ctx.flights.background(asked.key)  # the server cannot be read
            if flight is None:
                verb, answer_or_none = await self._lead(asked, until)
            elif flight.is_overdue(ctx.ports.clock(), ctx.load_wait):
                flight.waiters += 1
                verb, answer_or_none = await self._beside(asked, flight, until)
            else:
                verb, answer_or_none = await self.join(flight, asked.declared, until)
                if verb is Resolution.BESIDE:
                    verb, answer_or_none = await self._beside(asked, flight, until)
            if verb is Resolution.RETURN:
                return answer_or_none
            if verb is Resolution.LOAD_ALONE:
                return await self._alone(asked)

    def near_hit(self, asked: LoadRequest, held: Any) -> None:
        """Count a hit in the near cache, and start a refresh if the entry is stale or near its end."""
        ctx, options = self.ctx, asked.options
        now = ctx.ports.clock()
        if now >= held.fresh_until:
            ctx.counters.stale_hits += 1
            self._refresh_behind(asked, held.stamp)
            return
        ctx.counters.near_hits += 1
        if options.refreshes and should_refresh_early(held.fresh_until - now, held.cost, ctx.ports.random):
            self._refresh_behind(asked, held.stamp)

    async def _lead(self, asked: LoadRequest, until: float | None) -> tuple[Resolution, Any]:
        """Start a flight: read the key from the server; on a miss, load it in the flight."""
        ctx = self.ctx
        flight = ctx.flights.start(asked.key, asked.options.tags)
        future = ctx.ports.future()
        flight.join(future)
        run = self._run(asked, flight)
        wait = waiting_for(flight, ctx.ports.me)
        try:
            run.seen = await self.loading.look(run)
            if run.seen.state in {EntryState.FRESH, EntryState.STALE}:
                ctx.coherence.close_fill(run.token)
                return self._found(asked, flight, run.seen)
            if (error := ctx.error_there(run.seen, asked.options)) is not None:
                ctx.counters.shared_hits += 1
                ctx.coherence.close_fill(run.token)
                ctx.flights.end(flight, Outcome(Resolution.RAISE, error=error))
                return await self._waits.outcome(flight, future, until, wait)
            ctx.counters.misses += 1
            await ctx.ports.spawn(flight, partial(self.loading.fetch, run), partial(self._landed, run))
            return await self._waits.outcome(flight, future, until, wait)
        except BaseException:
            if flight.task is None:
                self._landed(run)
            raise
        finally:
            if wait is not None:
                wait.over()

    def _run(self, asked: LoadRequest, flight: Flight) -> Load:
        ctx = self.ctx
        token = ctx.coherence.open_fill(asked.key, asked.options.tags)
        budget = ctx.budget()
        return Load(
            asked.key,
            asked.loader,
            asked.options,
            asked.declared,
            asked.group,
            flight,
            budget,
            token,
            args=asked.args,
        )

    def _landed(self, run: Load, error: BaseException | None = None) -> None:
        """Remove a flight that has ended from the table, however it ended, and return its token.

        If a defect of fleetcache ended the flight, its starter gets that error: a retry could repeat for ever.
        """
        self.ctx.coherence.close_fill(run.token)
        self._waits.unwatch(run)
        outcome = (
            Outcome(Resolution.RETRY) if error is None else Outcome(Resolution.RAISE, Resolution.RETRY, error=error)
        )
        self.ctx.flights.end(run.flight, outcome)

    def _found(self, asked: LoadRequest, flight: Flight, seen: Lookup) -> tuple[Resolution, Any]:
        ctx = self.ctx
        ctx.flights.end(flight, Outcome(Resolution.RETURN, answer=seen.answer, stale=seen.state is EntryState.STALE))
        self._count_shared(seen)
        left = seen.fresh_until - ctx.ports.clock()
        early = asked.options.refreshes and should_refresh_early(left, seen.header.cost, ctx.ports.random)
        if seen.state is EntryState.STALE or early:
            self._refresh_behind(asked, seen.stamp)
        return Resolution.RETURN, seen.answer.value if seen.answer is not None else None

    async def _beside(self, asked: LoadRequest, flight: Flight, until: float | None) -> tuple[Resolution, Any]:
        """Join or start the load beside a flight that has taken ``load_wait``: one at a time in this process.

        This caller is one of the flight's waiting callers. A value of either load ends its wait.
        """
        ctx = self.ctx
        try:
            waiting_for(flight, ctx.ports.me, over=True)  # a loader that asks for its own key would wait for itself
            found = ctx.near_answer(asked.key, asked.declared, asked.options)
            if found is not None:  # another caller's load beside the flight has just ended
                self.near_hit(asked, found[1])
                return Resolution.RETURN, found[0].value
            second = ctx.flights.second(asked.key)
            if second is None or second.is_overdue(ctx.ports.clock(), ctx.load_wait):
                return await self._lead_second(asked, flight, until)
            verb, answer = await self.join(second, asked.declared, until)
            if verb is Resolution.BESIDE:
                second.leave()
                return Resolution.RETRY, None
            return verb, answer
        finally:
            flight.leave()

    async def _lead_second(self, asked: LoadRequest, first: Flight, until: float | None) -> tuple[Resolution, Any]:
        """Start a flight beside another one that takes long."""
        ctx = self.ctx
        flight = ctx.flights.start(asked.key, asked.options.tags, second=True)
        future = ctx.ports.future()
        flight.join(future)
        run = self._run(asked, flight)
        run.overtime, run.beside = True, first
        wait = waiting_for(flight, ctx.ports.me)
        try:
            await ctx.ports.spawn(flight, partial(self.loading.fetch, run), partial(self._landed, run))
            verb, answer = await self._waits.outcome(flight, future, until, wait)
            if not isinstance(answer, DecodedValue):
                return verb, answer
            ctx.counters.joins += 1  # the first load has ended before: this caller has joined it
            return verb, ctx.entries.copy(answer, asked.declared)
        except CodecError:
            return Resolution.RETRY, None
        finally:
            if wait is not None:
                wait.over()

    async def join(self, flight: Flight, declared: Any, until: float | None) -> tuple[Resolution, Any]:
        """Join a load that is under way in this process."""
        ctx = self.ctx
        wait = waiting_for(flight, ctx.ports.me)
        future = ctx.ports.future()
        flight.join(future)
        ctx.counters.joins += 1
        try:
            verb, answer = await self._waits.outcome(flight, future, until, wait, joined=True)
            return verb, None if answer is None else ctx.entries.copy(answer, declared)
        except CodecError:
            return Resolution.RETRY, None  # the value is not of the type this caller declared
        finally:
            if wait is not None:
                wait.over()

    async def _alone(self, asked: LoadRequest) -> Any:
        """Load for this caller, outside any flight, and store nothing."""
        ctx = self.ctx
        flight = Flight(asked.key, asked.options.tags)
        run = self._run(asked, flight)
        wait = waiting_for(flight, ctx.ports.me)
        try:
            result = await self.loading.load_unstored(run)
        finally:
            ctx.coherence.close_fill(run.token)
            if wait is not None:
                wait.over()
        return result

    # -- refresh -----------------------------------------------------------------------------------------------------

    async def refresh(self, asked: LoadRequest) -> Any:
        """Load now and replace the entry, by claim or lease, never past a removal."""
        ctx = self.ctx
        ctx.check_open()
        until = None if asked.options.load_timeout is None else ctx.ports.clock() + asked.options.load_timeout
        earlier = ctx.flights.get(asked.key)
        if earlier is not None:
            waiting_for(earlier, ctx.ports.me, over=True)  # a loader that refreshes its own key would wait for itself
        flight = ctx.flights.start(asked.key, asked.options.tags)
        future = ctx.ports.future()
        flight.join(future)
        run = self._run(asked, flight)
        wait = waiting_for(flight, ctx.ports.me)
        try:
            await ctx.ports.spawn(flight, partial(self.loading.fetch, run, anew=True), partial(self._landed, run))
            verb, value = await self._waits.outcome(flight, future, until, wait)
        finally:
            if wait is not None:
                wait.over()
        if verb is Resolution.RETURN:
            return value
        ctx.check_open()
        return await self._alone(asked)

    def _refresh_behind(self, asked: LoadRequest, stamp: bytes) -> None:
        """Start a background refresh, unless a load of the key runs or its last refresh failed a moment ago."""
        ctx = self.ctx
        flights = ctx.flights
        if not asked.options.refreshes or ctx.closed or flights.get(asked.key) or flights.background(asked.key):
            return
        now = ctx.ports.clock()
        if self._paused and self._paused.get(asked.key, now) > now:
            return
        if not self.loading.places.is_free(asked.options, asked.group):
            return
        flight = flights.start(asked.key, asked.options.tags, behind=True)
        flight.waiters = 1  # counts no caller: so a joined caller that leaves does not cancel the refresh
        run = self._run(asked, flight)
        self.loading.places.take_at_once(run)

        def landed(error: BaseException | None = None) -> None:
            outcome = flight.outcome
            if outcome is None or outcome.own is Resolution.RAISE or outcome.stale:
                self._pause(asked.key)
            self.loading.places.release(run)
            self._landed(run, error)

        if not ctx.ports.spawn_background(flight, partial(self.loading.refresh, run, stamp), landed):
            landed()
        else:
            ctx.counters.refreshes += 1

    def _pause(self, key: str) -> None:
        if len(self._paused) >= MAX_PAUSES:
            self._paused.clear()
        self._paused[key] = self.ctx.ports.clock() + PAUSE * (0.5 + self.ctx.ports.random())
