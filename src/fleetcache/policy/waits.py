"""The waits for loads: of a flight's starter for its own load, and of every other caller.

A wait for the load of another caller is bounded, because a push may never come and a load may take very long.

A load is held back while the server is only late. A stall just over one operation timeout would otherwise make every
process load every hot key, although the server has the values. The hold ends one operation timeout after the server
became late, at most, and at once when the server answers or is known to be away.
"""

from typing import Any

from ..errors import LoadTimeout
from .context import Budget, Load, PolicyContext
from .lookup import EntryState
from .outcome import Resolution
from .ports import NO_ANSWER
from .single_flight import Flight, Wait

__all__ = ["Waits"]

# Seconds between two checks by a wait inside a loader whether it has become part of a cycle. The first check is soon,
# because a cycle is a mistake that its developer waits to see. Later checks are rare, because loads may be long.
LOOK_AGAIN = 0.05
MAX_LOOK_AGAIN = 1.0

# Seconds to wait after a lease or claim should have ended: a minimum, in which its holder's last call arrives, and a
# jitter, so that waiting processes do not all ask at once.
JITTER = (0.005, 0.015)
# A held load waits until this part of an operation timeout has passed, plus a random part of the rest: a shorter hold
# would end before a stall that lasts nearly two operation timeouts, and a fleet must not load in one moment.
HELD = 0.9
# The look after a hold has at least this part of an operation timeout: the server answers again, and a busy process
# takes a while to hear it.
LOOK = 0.2
# No entry has this key, so a watch of it wakes only at a change of the link.
LINK = ""
# Seconds between two reads without tracking, where no push wakes a waiting caller, plus up to as much jitter.
POLL = 0.05


class Waits:
    """Waits for flights of this process, and for rights that other processes hold."""

    def __init__(self, ctx: PolicyContext) -> None:
        self._ctx = ctx

    # -- for a flight of this process ----------------------------------------------------------------------------------

    async def outcome(
        self, flight: Flight, future: Any, until: float | None, wait: Wait | None, *, joined: bool = False
    ) -> tuple[Resolution, Any]:
        """Return how a flight ended for this caller.

        The flight's starter waits for its own load as long as it takes. A caller that has joined waits until the loader
        has run for ``load_wait``: on ``BESIDE`` it is still one of the flight's waiting callers, and must ``leave``.
        """
        ctx = self._ctx
        entered = ctx.ports.clock()
        outcome, verb = await self._hear(flight, future, until, wait, joined=joined)
        if outcome is None:
            return verb, None
        own = not joined and outcome is flight.outcome
        if not joined and flight.late is not None:
            own, outcome = True, flight.late
        verb = outcome.own if own else outcome.others
        if not own and entered > outcome.until:
            verb = Resolution.RETRY  # the value, or the stored error, is too old for a caller that came this late
        if verb is Resolution.RETURN:
            return verb, outcome.answer.value if own else outcome.answer
        if verb is Resolution.RAISE and outcome.error is not None:
            outcome.raise_error()
        outcome.leave()
        # Without the error a batch saw the flight before it ended, and joins it now: it asks again.
        return Resolution.RETRY if verb is Resolution.RAISE else verb, None

    async def _hear(
        self, flight: Flight, future: Any, until: float | None, wait: Wait | None, *, joined: bool
    ) -> tuple[Any, Resolution]:
        """Wait for a flight's outcome, and check now and then whether the wait should end without one.

        That is so when the load is overdue, and when the wait has become part of a cycle of loaders.
        """
        ctx, pause, stays = self._ctx, LOOK_AGAIN, False
        outcome: Any = NO_ANSWER
        ports, may_become_cycle = ctx.ports, wait is not None and wait.may_become_one
        try:
            while True:
                looks = [] if until is None else [until]
                if joined or may_become_cycle:
                    now = ports.clock()
                    looks += [self.overdue_at(flight)] if joined else []
                    looks += [now + pause] if may_become_cycle else []
                first = min(looks, default=None)
                outcome = await ports.wait(future, first)
                if outcome is not NO_ANSWER:
                    return outcome, Resolution.RETURN
                if first == until:
                    raise LoadTimeout(f"the load of {flight.key!r} took longer than this caller's load_timeout")
                if joined and flight.is_overdue(ports.clock(), ctx.load_wait):
                    ctx.counters.wait_timeouts += 1
                    stays = True
                    return None, Resolution.BESIDE
                if wait is not None:
                    wait.check()
                earlier, future = future, ports.future()
                flight.join(future)
                flight.leave(earlier)
                pause = min(2 * pause, MAX_LOOK_AGAIN)
        finally:
            if outcome is NO_ANSWER and not stays:
                flight.leave(future)

    def overdue_at(self, flight: Flight) -> float:
        """Return when the flight's loader has run for ``load_wait``, at the earliest if it has not begun."""
        return (self._ctx.ports.clock() if flight.since is None else flight.since) + self._ctx.load_wait

    async def for_end(self, flight: Flight, wait: Wait | None, give_up: float) -> bool:
        """Wait until a load that may not be joined has ended, however it ends; ``False`` at ``give_up``."""
        ports = self._ctx.ports
        future = ports.future()
        flight.join(future)
        try:
            over = await ports.wait(future, give_up) is not NO_ANSWER
        except BaseException:
            flight.leave(future)
            raise
        finally:
            if wait is not None:
                wait.over()
        if not over:
            flight.leave(future)
        return over

    # -- for a server that is late -----------------------------------------------------------------------------------

    async def for_server(self, budget: Budget) -> bool:
        """Hold a load back while the server is late, once for each budget; return whether the load must look again.

        The server may have been late and be back before the caller runs: then the load looks again at once. The calls
        of that look have the time that is left of the hold, or ``LOOK`` of an operation timeout.
        """
        ctx = self._ctx
        timeout, ports = ctx.operation_timeout, ctx.ports
        if budget.held:
            return False
        if ctx.trust.late[1] < budget.missed and budget.left <= 0 and ctx.shared.usable:
            # The call's last request was sent after its first, and only when that is overdue the link counts as late.
            await self._for_link(ports.clock() + timeout * LOOK)
        since, over = ctx.trust.late
        if over < budget.missed or not (over == float("inf") or ctx.shared.usable):
            return False  # it was not late while the call waited, or is away by now
        end = since + timeout
        until = since + timeout * (HELD + (1.0 - HELD) * ports.random())
        budget.hold(0.0)
        while ctx.trust.late[1] == float("inf") and ports.clock() < until:  # a flush wakes the watch, too
            await self._for_link(until)
        budget.hold(max(timeout * LOOK, end - ports.clock()))
        return ctx.shared.usable

    async def _for_link(self, until: float) -> None:
        """Wait for a change of the link."""
        watch = self._ctx.coherence.watch(LINK, self._ctx.ports.future())
        try:
            await self._ctx.ports.wait(watch.future, until)
        finally:
            self._ctx.coherence.unwatch(watch)

    # -- for a right that another load holds ---------------------------------------------------------------------------

    def watch(self, run: Load) -> None:
        """Watch the key of a load before its first request, so that no change is missed in between.

        The reply that another process loads the key begins the watch, too. Without a watch that reply is out of date.
        """
        if run.watch is None:
            run.watch = self._ctx.coherence.watch(run.key, self._ctx.ports.future())
            if run.seen is not None and run.seen.state is EntryState.LOADING:
                run.seen = None

    def watch_anew(self, run: Load) -> None:
        """Replace the watch of a load, which has ended."""
        self.unwatch(run)
        self.watch(run)

    def unwatch(self, run: Load) -> None:
        """End the watch of a load, if it has one."""
        watch, run.watch = run.watch, None
        if watch is not None:
            self._ctx.coherence.unwatch(watch)

    async def for_right(self, wait: Wait | None, future: Any, remaining: float, give_up: float) -> bool:
        """Wait for a change of the key while another load holds its right; ``False`` once ``give_up`` has passed.

        Args:
            wait: The wait for the load that holds the right, if that load runs in this process: it ends here.
            future: Resolved by the change.
            remaining: Seconds until the right ends by itself.
            give_up: When the caller has waited long enough.
        """
        if wait is not None and wait.may_become_one:
            remaining = min(
                remaining, MAX_LOOK_AGAIN
            )  # the caller looks again, and begins a new wait, which is checked
        try:
            return await self.for_change(future, remaining, give_up)
        finally:
            if wait is not None:
                wait.over()

    async def for_change(self, future: Any, remaining: float, give_up: float) -> bool:
        """Wait for a push or this process's own timer; ``False`` once ``give_up`` has passed."""
        ctx = self._ctx
        now = ctx.ports.clock()
        if now >= give_up:
            return False
        ctx.counters.waits += 1
        least, more = JITTER
        pause = max(0.0, remaining) + least + more * ctx.ports.random()
        if not ctx.coherence.tracking:
            pause = min(pause, POLL * (1 + ctx.ports.random()))
        await ctx.ports.wait(future, min(now + pause, give_up))
        return True
