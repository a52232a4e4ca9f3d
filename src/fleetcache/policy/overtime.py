"""Loads that take longer than ``load_wait``: one more process may load beside the process that has the right.

The first load may hang, or the source may just be slow. So a second load is allowed, and no more: hundreds of processes
that load for themselves would overrun a source that is slow already.

Rules:

1. After ``load_wait`` one process of the fleet loads beside the first. The server chooses it, by a claim of its own.
2. The first load keeps its right. Both loads store by compare-and-set of the same version stamp: the first one to end
   is stored, the other is refused, and a removal refuses both.
3. The second load renews the stamp, too. If the first has died, other processes wait for the second.
4. All other processes wait for either load, for ``load_wait`` once more. After that both hang: each process then loads
   for itself, one load at a time, without waiting again. Such values are not stored.
"""

from .context import Load, PolicyContext
from .lookup import EntryState, Lookup
from .rights import Right

__all__ = ["Overtime"]

_REPLACEABLE = frozenset({EntryState.EXPIRED, EntryState.INVALID, EntryState.STALE})
# Keys whose two loads take long, as far as is known. Beyond this number all are forgotten, and callers wait once more.
MAX_KNOWN = 10_000


class Overtime:
    """The second loads of one cache."""

    def __init__(self, ctx: PolicyContext) -> None:
        self._ctx = ctx
        self._known: dict[str, tuple[bytes, float]] = {}  # the first load, and from when on both hang

    def __repr__(self) -> str:
        return f"<Overtime of {len(self._known)} keys>"

    def both_hang(self, key: str, stamp: bytes) -> bool:
        """Return whether this process has waited long enough for both loads, of which the first has this stamp."""
        known = self._known.get(key)
        return known is not None and known[0] == stamp and self._ctx.ports.clock() >= known[1]

    def waits_until(self, key: str, seen: Lookup, give_up: float) -> float:
        """Return until when a load that would wait until ``give_up`` waits for the load that has the right."""
        now = self._ctx.ports.clock()
        if seen.state is EntryState.ENDING:  # no load has the right
            return max(give_up, now + seen.remaining)
        return now if self.both_hang(key, seen.stamp) else give_up

    async def take(self, run: Load, holder: bytes, *, anew: bool) -> Right | Lookup | float | None:
        """Ask for the right to load beside another load of the key.

        Args:
            run: The load.
            holder: The placeholder or the claim of the other load, as last seen.
            anew: Whether to replace even a fresh entry.

        Returns:
            The right to load; ``None`` if both loads hang, to load without a right; the result of a newer read, if the
            other load has ended; or the time until which this process waits for either load.
        """
        ctx, key = self._ctx, run.key
        claim_token = ctx.entries.stamp(b"C")
        run.lease = ctx.times.lease(run.group)
        future = ctx.shared.claim_second(key, claim_token, round(run.lease * 1000))
        try:
            granted = await ctx.ask(future, run.budget) is True
            seen = await ctx.read(key, run.declared, run.token, run.budget)
        except BaseException:
            ctx.shared.unclaim(key, claim_token, second=True)  # cancelled, perhaps after it was granted
            raise
        if granted and self._is_held(seen, anew=anew):
            self._know(key, self._holder(seen, holder))
            return Right(seen.stamp, claim_token, second=True)
        if granted:
            ctx.shared.unclaim(key, claim_token, second=True)
        if seen.state is EntryState.UNAVAILABLE:
            return None
        if not self._is_held(seen, anew=anew):
            self._known.pop(key, None)
            return seen
        holder = self._holder(seen, holder)
        if self.both_hang(key, holder):
            return None
        known = self._known.get(key)
        return known[1] if known is not None and known[0] == holder else self._know(key, holder)

    @staticmethod
    def _is_held(seen: Lookup, *, anew: bool) -> bool:
        """Return whether another load may replace a placeholder or an entry, which this load may replace as well."""
        if seen.is_ending:
            return False
        return (
            seen.state is EntryState.LOADING or seen.state in _REPLACEABLE or (anew and seen.state is EntryState.FRESH)
        )

    @staticmethod
    def _holder(seen: Lookup, holder: bytes) -> bytes:
        return seen.stamp if seen.state is EntryState.LOADING else holder

    def _know(self, key: str, stamp: bytes) -> float:
        """Note that a second load may have begun now; return from when on both hang."""
        if len(self._known) >= MAX_KNOWN:
            self._known.clear()
        late = self._ctx.ports.clock() + self._ctx.load_wait
        self._known[key] = (stamp, late)
        return late
