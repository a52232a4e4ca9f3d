"""The rights to load that this process asks for or holds on the server, renewed while their loaders run.

A right is a *lease* where there is no entry, and a *claim* where there is an entry to replace. Either ends by itself
when its holder dies, so it is short, and this process renews it while a loader takes long.

Rules for failed loads:

1. A failed load leaves a mark in place of its lease or claim, with the number of failed loads in a row. The mark's push
   wakes the callers that wait for the load. A cancelled load leaves none: it says nothing of the source.
2. One failure may be chance, so one waiting caller of the fleet loads next. From the second failure in a row on the
   source is ill: each process that waited runs its own loader, on the mark instead of a lease. Loads one after another
   would let the last caller wait for all of them.
3. A load on a mark is stored by the same compare-and-set as any load: the first store replaces the mark and refuses
   later ones, and a removal refuses all. Its process renews the mark, and leaves it in place if the load fails.
4. A load on a mark runs for the one flight of its process that callers join, or for one that this flight waits for.
   It begins while no other flight of its process waits for the answer to a request for a right.
"""

from collections.abc import Awaitable, Callable
from functools import partial

from msgspec import Struct

from ..format.entry import GRACE, FailedMark
from .context import NO_LOOK, Budget, Load, PolicyContext
from .lookup import REPLACEABLE, ClaimReply, EntryState, Lookup
from .ports import NO_ANSWER, Alarm, LoaderEndedError

__all__ = ["Asked", "Right", "Rights"]


class Right(Struct, frozen=True):
    """The right to load a key.

    Attributes:
        stamp: The version stamp that the load's store replaces: the lease's placeholder, the entry under a claim, or
            the mark of failed loads where there is no entry.
        claim_token: The claim, or the mark in its place; ``None`` for a lease.
        failures: The failed loads in a row before this one.
        shared: Whether other processes load beside this one, on the same mark. This process does not end the mark.
        second: Whether this is the right to load beside a load that takes longer than ``load_wait``; see ``overtime``.
        timed_out: Whether the failed load was ended by its ``load_limit``: callers that waited for it do not load.
        remaining: Seconds until a mark ended by itself, when it was read.
    """

    stamp: bytes
    claim_token: bytes | None = None
    failures: int = 0
    shared: bool = False
    second: bool = False
    timed_out: bool = False
    remaining: float = float("inf")

    @classmethod
    def on_mark(cls, mark: FailedMark, entry: bytes | None = None) -> "Right":
        """Return the right of a load on a mark, in place of the lease or of the claim on an entry."""
        stamp, token = (mark.stamp, None) if entry is None else (entry, mark.stamp)
        return cls(stamp, token, mark.failures, shared=True, timed_out=mark.timed_out, remaining=mark.left_ms / 1000)


class Asked(Struct, frozen=True):
    """A right that was asked for.

    Attributes:
        right: The right as it was asked for, to be released if no caller awaits the answer.
        answer: Waits for the answer; returns the right, or the state of the key that keeps it from this process.
    """

    right: Right
    answer: Callable[[], Awaitable[Right | Lookup]]


class Rights:
    """The rights of all loads of one cache."""

    def __init__(self, ctx: PolicyContext) -> None:
        self._ctx = ctx
        self._held: dict[_Held, None] = {}  # in order, so that the same run ends in the same way

    def __len__(self) -> int:
        return len(self._held)

    # -- asking ------------------------------------------------------------------------------------------------------

    async def take(self, run: Load, asked: Asked) -> Right | Lookup:
        """Wait for the answer."""
        try:
            return await asked.answer()
        except BaseException:
            self.release(run, asked.right)  # cancelled, perhaps after it was granted: no other code would release it
            raise

    def ask_lease(self, run: Load, budget: Budget) -> Asked:
        """Ask for the lease."""
        ctx = self._ctx
        placeholder = ctx.entries.stamp(b"L")
        run.lease = ctx.times.lease(run.group)
        ms = round(run.lease * 1000)
        future = ctx.shared.acquire(run.key, placeholder, ms, run.declared, run.token, run, waited=run.waited)

        async def answer() -> Right | Lookup:
            seen = await ctx.ask(future, budget)
            if seen is not NO_ANSWER and seen.state is EntryState.GRANTED:
                return Right(placeholder, failures=seen.failed.failures)
            seen = await ctx.settled(run.key, seen, run.declared, run.token, budget)
            if seen.state is EntryState.FAILED and not run.waited:
                return Lookup(EntryState.ENDING, remaining=seen.remaining)
            return seen

        return self._asked(run, Right(placeholder), answer)

    def ask_claim(
        self, run: Load, budget: Budget, *, anew: bool = False, only: bytes | None = None, of_many: bool = False
    ) -> Asked:
        """Ask for the claim, and read the entry again in the same write.

        Args:
            run: The load.
            budget: The time that the call may still wait.
            anew: Whether to replace even a fresh entry.
            only: The version stamp of the one entry to replace; any other entry is left in place.
            of_many: Whether the claim is a part of a batch.
        """
        ctx = self._ctx
        claim_token = ctx.entries.stamp(b"C")
        run.lease = ctx.times.lease(run.group)
        taken = ctx.shared.claim(run.key, claim_token, round(run.lease * 1000), waited=run.waited)
        looked = ctx.shared.look(run.key, run.declared, run.token, of_many=of_many)

        async def answer() -> Right | Lookup:
            claimed = await ctx.ask(taken, budget)
            if not isinstance(claimed, ClaimReply):
                return NO_LOOK
            if claimed.late:  # the entry was read before the claim was granted
                seen = await ctx.read(run.key, run.declared, run.token, budget)
            else:
                seen = await ctx.ask(looked, budget)
                seen = await ctx.settled(run.key, seen, run.declared, run.token, budget)
            replaceable = seen.state in REPLACEABLE or (anew and seen.state is EntryState.FRESH)
            if claimed.granted:
                if replaceable and not seen.is_ending and (only is None or seen.stamp == only):
                    return Right(seen.stamp, claim_token, claimed.failed.failures)
                ctx.shared.unclaim(run.key, claim_token)
                return seen
            if not replaceable or (seen.state is EntryState.STALE and not anew):
                return seen
            return self._kept_from(run, claimed, seen)

        return self._asked(run, Right(b"", claim_token), answer)

    def _asked(self, run: Load, right: Right, answer: Callable[[], Awaitable[Right | Lookup]]) -> Asked:
        run.flight.asks = True

        async def answered() -> Right | Lookup:
            found = await answer()
            run.flight.asks = isinstance(found, Right) and not found.shared  # a batch waits for the other keys first
            return found

        return Asked(right, answered)

    def _kept_from(self, run: Load, claimed: ClaimReply, seen: Lookup) -> Right | Lookup:
        """Return the way of a load whose claim another process has, or a failed mark keeps."""
        if not claimed.failed.failures:
            return Lookup(EntryState.LOADING, claimed.holder, remaining=claimed.remaining)
        if run.waited and not seen.is_ending:
            return Right.on_mark(claimed.failed, seen.stamp)
        return Lookup(EntryState.ENDING, remaining=claimed.remaining)

    # -- ending ------------------------------------------------------------------------------------------------------

    def release(self, run: Load, right: Right | None) -> None:
        """End the lease or the claim, and say nothing of the load."""
        if right is None or right.shared:
            return
        if right.claim_token is not None:
            self._ctx.shared.unclaim(run.key, right.claim_token, second=right.second)
        else:
            self._ctx.shared.release(run.key, right.stamp)

    def fail(self, run: Load, right: Right, took: float, *, timed_out: bool = False) -> None:
        """End the lease or the claim after a load that failed, and leave the mark of the failure.

        Args:
            run: The load.
            right: Its right.
            took: The seconds that the load took.
            timed_out: Whether its ``load_limit`` ended the load: callers that waited get ``LoadTimeout``.
        """
        if right.shared or right.second:  # the first load, or the first failed load, has left what is there
            self.release(run, right)
            return
        claim = right.claim_token is not None
        held = right.stamp if right.claim_token is None else right.claim_token
        self._ctx.shared.fail(run.key, held, right.failures + 1, took, claim=claim, timed_out=timed_out)

    def end(self, run: Load, right: Right, error: BaseException, began: float) -> None:
        """End the lease or the claim of a load that brought no value, as its exception demands."""
        if isinstance(error, Exception) and not isinstance(error, LoaderEndedError):
            self.fail(run, right, self._ctx.ports.clock() - began, timed_out=run.over_limit)
        else:
            self.release(run, right)

    # -- keeping -----------------------------------------------------------------------------------------------------

    def renew_while_loading(self, run: Load, right: Right) -> Callable[[], None]:
        """Renew the right every third of its length while the loader runs; return a function that stops the renewal."""
        run.lease = run.lease or self._ctx.times.lease(run.group)  # a mark that was read was not asked for
        run.flight.asks, run.flight.is_extra = False, right.second
        run.flight.loads, run.flight.on_mark = not right.shared, right.shared
        run.flight.right = right.stamp if right.claim_token is None else right.claim_token
        held = _Held(self._ctx, run, right)
        self._held[held] = None
        return partial(self._stop, held)

    def _stop(self, held: "_Held") -> None:
        held.stop()
        self._held.pop(held, None)

    def release_all(self) -> None:
        """Release all leases and claims before closing: the fleet need not wait for loads that still run here."""
        for held in self._held:
            self.release(held.run, held.right)


class _Held:
    """One right, renewed every third of its length until ``stop``."""

    __slots__ = ("_alarm", "_ctx", "_ms", "right", "run")

    def __init__(self, ctx: PolicyContext, run: Load, right: Right) -> None:
        self._ctx, self._ms = ctx, round(run.lease * 1000)
        self.run, self.right = run, right
        if right.claim_token is not None:
            self._renew_base()
        # A mark lives for two loads that may have been short, and may end before a third of this one's lease is over.
        self._alarm = self._next_alarm(right.remaining / 2)

    def _next_alarm(self, at_most: float = float("inf")) -> Alarm:
        return self._ctx.ports.call_later(min(self.run.lease / 3, at_most), self._ring)

    def _ring(self) -> None:
        if self.right.claim_token is None:
            self._ctx.shared.renew(self.run.key, self.right.stamp, self._ms)
        else:
            second = self.right.second
            self._ctx.shared.renew(self.run.key, self.right.claim_token, self._ms, claim=True, second=second)
            self._renew_base()
        self._alarm = self._next_alarm()

    def _renew_base(self) -> None:
        # The entry must not end before its refresh does, or other processes would find none and load as well. It
        # stays expired: no life is added beyond the grace.
        self._ctx.shared.renew(self.run.key, self.right.stamp, min(self._ms, round(GRACE * 1000)))

    def stop(self) -> None:
        """End the renewal."""
        self._alarm.cancel()
