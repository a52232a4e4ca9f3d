"""The rules of counting: exact across all processes, never guessed, and no caller starves.

1. The server counts by a script where the script can write the sum itself: unsigned, with the caller's own tags, up to
   2^53, within which Lua counts exactly. The script hands back every other counter: this process reads it, computes the
   sum and swaps it in, up to int64.
2. Sums computed here are computed together: while one call of this process reads and swaps a counter, the other calls
   wait, and the next call does it for all of them at once, in the order in which they came.
3. Between processes the swap is a compare-and-set. A call that loses the swap reads again after a short random pause,
   so that one call always wins.
4. A step counts once, or its caller gets ``Unavailable``. If a caller gave up before its step was in a sum, the step is
   not counted; a step whose sum was sent and not answered may be.
"""

from collections import deque
from collections.abc import Callable
from contextlib import suppress
from enum import Enum
from functools import partial
from typing import Any, Final

from ..errors import CodecError, Unavailable
from .context import Budget, PolicyContext
from .lookup import DecodedValue, EntryState, Lookup
from .options import MINIMUM_TTL, CallOptions
from .ports import Future

__all__ = ["CounterRules"]

MIN, MAX = -(2**63), 2**63 - 1  # the range that clients of every language read as an integer
# Most seconds of the pause after a lost swap: doubled each time, up to the time that a busy server takes to answer.
PAUSE_FIRST, MAX_PAUSE = 0.001, 0.016

_THERE = frozenset(
    {
        EntryState.FRESH,
        EntryState.STALE,
        EntryState.EXPIRED,
        EntryState.INVALID,
        EntryState.ERROR,
        EntryState.LOADING,
        EntryState.FAILED,
    }
)  # states of an entry that a swap can replace


class Undecided(Enum):
    """The type of ``UNDECIDED``: the outcome of a step is not known."""

    UNDECIDED = "undecided"


UNDECIDED: Final = Undecided.UNDECIDED
Told = int | CodecError | Undecided | None


class Step:
    """The step that one call adds, and its outcome."""

    __slots__ = ("captured", "create", "delta", "future", "leads", "options", "told")

    def __init__(self, delta: int, options: CallOptions, captured: Any, future: Future, *, create: bool) -> None:
        self.delta, self.options, self.captured, self.create = delta, options, captured, create
        self.future = future
        self.leads = False  # whether it is this call's turn to read and swap for all
        self.told: Told = UNDECIDED


class CounterRules:
    """``incr``."""

    def __init__(self, ctx: PolicyContext) -> None:
        self._ctx = ctx
        self._waiting: dict[str, deque[Step]] = {}  # by counter, while a call of this process reads and swaps it

    async def incr(self, key: str, delta: int, options: CallOptions, *, create: bool = True) -> int | None:
        """Add to a counter. A new counter begins at 0; an existing counter keeps its remaining life.

        Returns:
            The sum; ``None`` if there is no counter and the call does not create one.

        Raises:
            Unavailable: The server did not answer; the sum is not guessed.
            CodecError: The entry is not an integer, or the sum is beyond int64.
        """
        ctx = self._ctx
        ctx.check_open()
        if not MIN <= delta <= MAX:
            raise CodecError(f"incr of {key!r}: the step is beyond int64 (2^63 - 1)")
        if ctx.alone or ctx.holds_alone(key, options):
            return self._count_here(key, delta, options, create=create)
        budget = ctx.budget()
        captured = await ctx.capture(options.tags, budget)
        if captured is None or ctx.coherence.journal.has_pending_key(key):
            raise Unavailable(f"incr of {key!r}: the server cannot be reached, and a counter is not guessed")
        if create and not ctx.entries.signs:
            total = await self._by_script(key, delta, options, captured, budget)
            if total is not None:
                ctx.coherence.forget_key(key)
                return total
        step = Step(delta, options, captured, ctx.ports.future(), create=create)
        return await self._together(key, step, budget)

    # -- alone -------------------------------------------------------------------------------------------------------

    def _count_here(self, key: str, delta: int, options: CallOptions, *, create: bool) -> int | None:
        """Count in memory, without a pause in which another task could run."""
        ctx = self._ctx
        held = ctx.value_here(key)
        now = ctx.ports.clock()
        if held is None or now >= held.fresh_until:
            if not create:
                return None
            ctx.coherence.begin_removal(("e", key))
            ctx.keep_here(key, ctx.entries.encode(delta, int), options, now)
            return delta
        found = ctx.entries.decode_near(held, Any)
        total = _sum(key, _integer(key, found), delta)
        if not ctx.alone:  # the server may hold another value than the one counted on here
            ctx.coherence.defer(("e", key), ctx.coherence.journal.next())
        ctx.near.put(key, ctx.entries.extended(held, total, (held.fresh_until, held.stale_until)))
        return total

    # -- by the script -----------------------------------------------------------------------------------------------

    async def _by_script(self, key: str, delta: int, options: CallOptions, captured: Any, budget: Budget) -> int | None:
        """Count by the script; return the sum, or ``None`` if the script cannot write it."""
        ctx = self._ctx
        entry = ctx.entries.pack(key, ctx.entries.encode(delta, int), captured, options)
        replacing = b""
        while budget.left > 0:
            token = ctx.coherence.open_fill(key)
            try:
                found = await ctx.ask(ctx.shared.incr(key, entry, replacing, token), budget)
                if isinstance(found, int):
                    return found
                seen = await ctx.settled(key, found, Any, token, budget)
            finally:
                ctx.coherence.close_fill(token)
            if seen.state is EntryState.FRESH:
                return None
            if seen.state is EntryState.UNAVAILABLE:
                break
            if seen.state is EntryState.FOREIGN:
                ctx.shared.discard(key, seen.stamp)
            replacing = seen.stamp
        raise _unknown(key)

    # -- together ----------------------------------------------------------------------------------------------------

    async def _together(self, key: str, step: Step, budget: Budget) -> int | None:
        """Count with one read and one swap for all calls of this process that wait for the counter."""
        queue = self._waiting.get(key)
        if queue is None:
            self._waiting[key] = deque()
            step.leads = True
        else:
            queue.append(step)
        try:
            if not step.leads:
                await self._ctx.ask(step.future, budget)
            if step.leads:
                await self._lead(key, step, budget)
        finally:
            if step.leads:
                self._hand_on(key)
            else:
                with suppress(KeyError, ValueError):
                    self._waiting[key].remove(step)
        if step.told is UNDECIDED:
            raise _unknown(key)
        if isinstance(step.told, CodecError):
            raise step.told
        return step.told

    def _hand_on(self, key: str) -> None:
        """Pass the lead to the next call that still waits."""
        queue = self._waiting[key]
        while queue:
            step = queue.popleft()
            if not step.future.done():
                step.leads = True
                step.future.set_result(None)
                return
        del self._waiting[key]

    async def _lead(self, key: str, first: Step, budget: Budget) -> None:
        """Read and swap until the sum of all steps is stored, or this call's time has run out."""
        ctx, ports, queue = self._ctx, self._ctx.ports, self._waiting[key]
        others: list[Step] = []
        pause = PAUSE_FIRST
        uncounted = True  # certainly not counted yet, so another call may still count the step
        try:
            while budget.left > 0:
                others = [step for step in (*others, *queue) if not step.future.done()]
                queue.clear()
                token = ctx.coherence.open_fill(key, first.options.tags)
                try:
                    seen = await ctx.read(key, Any, token, budget)
                    uncounted = False
                    if seen.state is EntryState.UNAVAILABLE:
                        return
                    told, write = self._write(key, seen, [first, *others], token)
                    written = write is None or await self._is_written(write(), budget)
                finally:
                    ctx.coherence.close_fill(token)
                if written:
                    for step, outcome in zip((first, *others), told, strict=True):
                        step.told = outcome
                    ctx.coherence.forget_key(key)
                if written is not False:
                    return
                uncounted = True
                await ports.wait(ports.future(), ports.clock() + pause * ports.random())
                pause = min(MAX_PAUSE, pause * 2)
        finally:
            if uncounted:
                queue.extendleft(reversed(others))
            else:
                for step in others:
                    if not step.future.done():
                        step.future.set_result(None)

    def _write(
        self, key: str, seen: Lookup, steps: list[Step], token: Any
    ) -> tuple[list[Told], Callable[[], Future | None] | None]:
        """Return the outcome of each step if the write succeeds, and a function that sends it; ``None``: no write."""
        ctx = self._ctx
        try:
            base = _integer(key, seen.answer) if seen.state is EntryState.FRESH else None
        except CodecError as error:
            return [CodecError(*error.args) for _ in steps], None
        told, total, creator = _sums(key, base, steps)
        if total is None or total == base:
            return told, None
        answer = ctx.entries.encode(total, int)
        if creator is None:
            left = max(MINIMUM_TTL, seen.fresh_until - ctx.ports.clock())
            options = CallOptions(ttl=left, stale=seen.header.stale, tags=(), offline_ttl=0.0)
            tags, cost = ctx.entries.tags_of(seen), seen.header.cost
        else:
            options, tags, cost = creator.options, creator.captured, 0.0
        entry = ctx.entries.pack(key, answer, tags, options, cost)  # not put into near: the next step follows soon
        if seen.state in _THERE:
            return told, partial(ctx.shared.swap, key, seen.stamp, entry)
        if seen.state is EntryState.FOREIGN:
            ctx.shared.discard(key, seen.stamp)
        return told, partial(ctx.shared.add, key, entry, Any, token)

    async def _is_written(self, future: Future | None, budget: Budget) -> bool | None:
        """Return whether the write succeeded; ``False``: another process wrote first. ``None``: not known."""
        result = await self._ctx.ask(future, budget)
        if isinstance(result, bool):
            return result
        if isinstance(result, Lookup) and result.state is not EntryState.UNAVAILABLE:
            return result.state is EntryState.GRANTED
        return None


def _sums(key: str, base: int | None, steps: list[Step]) -> tuple[list[Told], int | None, Step | None]:
    """Return the outcome of each step, the last sum, and the step that creates the counter."""
    told: list[Told] = []
    total, creator = base, None
    for step in steps:
        if total is None and not step.create:
            told.append(None)
            continue
        try:
            reached = _sum(key, total or 0, step.delta)
        except CodecError as error:
            told.append(error)
            continue
        creator = step if total is None else creator
        total = reached
        told.append(total)
    return told, total, creator


def _integer(key: str, answer: DecodedValue | None) -> int:
    value = None if answer is None else answer.value
    if type(value) is not int:
        raise CodecError(f"incr of {key!r}: it holds a {type(value).__name__}, not an integer")
    return value


def _sum(key: str, value: int, delta: int) -> int:
    total = value + delta
    if not MIN <= total <= MAX:
        raise CodecError(f"incr of {key!r}: the sum is beyond int64 (2^63 - 1)")
    return total


def _unknown(key: str) -> Unavailable:
    return Unavailable(f"incr of {key!r}: the server did not acknowledge")
