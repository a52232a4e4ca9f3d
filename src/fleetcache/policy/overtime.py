"""Loads that take longer than ``load_wait``: one more process may load beside the process that has the right.

The first load may hang, or the source may just be slow. So a second load is allowed, and no more: hundreds of processes
that load for themselves would overrun a source that is slow already.

Rules:

1. After ``load_wait`` one process of the fleet loads beside the first. The server chooses it, by a claim of its own.
2. The first load keeps its right. Both loads store by compare-and-set of the same version stamp: the first one to end
   is stored, the other is refused, and a removal refuses both.
3. The second load renews the stamp, too. If the first has died, other processes wait for the second.
4. All other processes wait for either load, for ``load_wait`` once more. After that both hang: each process then loads
   for itself, one load at a time, without waiting again for those that hang. Such values are not stored.
5. The second load takes the place of no other: it begins only while the load that was waited for has its right.
6. If the first or the second load ends without a value, another one may begin, for which processes wait as for the one
   before. No caller waits for other loads, and for its place, longer than three times ``load_wait``.
7. A process asks for the right of a second load only when its own load on a failed mark has taken ``load_wait``, too.
8. A process that loads by these rules takes no right to replace what is there before that load has taken ``load_wait``.
"""

from typing import Any

from .context import Load, PolicyContext
from .lookup import REPLACEABLE, EntryState, Lookup
from .rights import Right
from .single_flight import Flight
from .waits import Waits

__all__ = ["Overtime"]

_ENTRIES = REPLACEABLE | {EntryState.FRESH}
# Keys whose two loads take long, as far as is known. Beyond this number all are forgotten, and callers wait once more.
MAX_KNOWN = 10_000


class Overtime:
    """The second loads of one cache."""

    def __init__(self, ctx: PolicyContext, waits: Waits) -> None:
        self._ctx, self._waits = ctx, waits
        self._known: dict[str, tuple[bytes, bytes, float]] = {}  # the two rights, and from when on both hang

    def __repr__(self) -> str:
        return f"<Overtime of {len(self._known)} keys>"

    def waits_until(self, run: Load, seen: Lookup) -> float:
        """Return until when a load waits for the load that has the right, as seen by its last read.

        Where both loads hung when this process last asked, it asks at once whether they still do.
        """
        now = self._ctx.ports.clock()
        if seen.state is EntryState.ENDING:  # no load has the right
            return max(run.waits_until(seen.stamp), now + seen.remaining)
        if run.awaited[0] != seen.stamp:  # another load has the right by now
            run.awaited = seen.stamp, min(self._last(run), now + self._ctx.load_wait)
        until = run.waits_until(seen.stamp)
        known = self._known.get(run.key)
        if known is not None and known[0] == seen.stamp and now >= known[2]:
            until = known[2]
        return max(until, self._own_until(run))

    def _own_until(self, run: Load) -> float:
        """Return until when a load waits for another one of its process, which the server lets others load beside."""
        own = self._ctx.beside(run)
        return 0.0 if own is None else min(self._waits.overdue_at(own), self._last(run))

    def _last(self, run: Load) -> float:
        """Return when a load waits for other loads no longer, whatever they do."""
        return run.gives_up(self._ctx.load_wait)

    async def take(self, run: Load, holder: bytes, *, anew: bool) -> Right | Lookup | Flight | float | None:
        """Ask for the right to load beside another load of the key.

        Args:
            run: The load.
            holder: The placeholder or the claim of the other load, as last seen.
            anew: Whether to replace even a fresh entry.

        Returns:
            The right to load; ``None`` if both loads hang, to load without a right; the load of this process that does
            so already; the result of a newer read, if the other load has ended or the server does not answer; or the
            time until which this process waits for either load.
        """
        ctx, key = self._ctx, run.key
        if ctx.ports.clock() < (until := self._own_until(run)):
            return until  # that one has begun while this one waited for its place
        claim_token = ctx.entries.stamp(b"C")
        run.lease = ctx.times.lease(run.group)
        future = ctx.shared.claim_second(key, claim_token, round(run.lease * 1000))
        try:
            second = await ctx.ask(future, run.budget)
            seen = await ctx.read(key, run.declared, run.token, run.budget)
            held = await self._is_held(run, seen, holder, anew=anew)
        except BaseException:
            ctx.shared.unclaim(key, claim_token, second=True)  # cancelled, perhaps after it was granted
            raise
        late = self._both_late(key, holder, second) if held else 0.0
        if second == claim_token:
            if held:
                return Right(seen.stamp, claim_token, second=True)
            ctx.shared.unclaim(key, claim_token, second=True)
        if seen.state is EntryState.UNAVAILABLE:
            return seen  # a load is held back while the server is only late
        if not held:
            self._lost(key, holder)
            return seen
        late = min(late, self._last(run))
        return late if ctx.ports.clock() < late else self.own(run)

    def own(self, run: Load) -> Flight | None:
        """Return the load of this process that ends before this one begins without a right: one runs at a time."""
        now = self._ctx.ports.clock()
        ahead = self._ctx.flights.young(run.flight, now, self._ctx.load_wait) if now < self._last(run) else None
        run.flight.is_extra = ahead is None
        return ahead

    async def _is_held(self, run: Load, seen: Lookup, holder: bytes, *, anew: bool) -> bool:
        """Return whether the other load still has its right, and this load may replace what is there as well."""
        if seen.state in {EntryState.LOADING, EntryState.FAILED}:
            return seen.stamp == holder
        if seen.state not in _ENTRIES or seen.is_ending or not self._ctx.needs_right(seen, run.options, anew=anew):
            return False
        return await self._ctx.ask(self._ctx.shared.is_claimed(run.key, holder), run.budget) is True

    def _lost(self, key: str, holder: bytes) -> None:
        """Note that the other load has its right no more; its loader may run on, in this process or another."""
        self._known.pop(key, None)
        for flight in self._ctx.flights.active():
            if flight.key == key and flight.right == holder:
                flight.loads = flight.on_mark = flight.is_extra = False
                flight.right = b""

    def _both_late(self, key: str, first: bytes, second: Any) -> float:
        """Return from when on both loads hang: ``load_wait`` after this process first heard of the second."""
        known = self._known.get(key)
        if known is None or known[:2] != (first, second):
            if len(self._known) >= MAX_KNOWN:
                self._known.clear()
            known = self._known[key] = (first, second, self._ctx.ports.clock() + self._ctx.load_wait)
        return known[2]
