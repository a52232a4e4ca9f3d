"""Claims by hand: the fleet-wide right to replace what a key holds, for who loads in a way of his own.

It is the claim that a refresh takes, so the two never work on one key at once. In this process threads and tasks take
turns first, and only who has the turn asks the server; so it is a lock of this process when there is no server to ask.

A claim lives as long as somebody holds it: what its taker has dropped without a word is given back, here when the next
one looks, on the server when it would be renewed.
"""

from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any
from weakref import ref

from .context import PolicyContext
from .lookup import ClaimReply, EntryState
from .ports import Alarm, Future

__all__ = ["Claims", "Grant"]

# Seconds between two looks of who waits whether the holder is still there.
LOOK_EVERY = 1.0
# Seconds that who would have the claim next here waits when it was given back for the sake of other processes: a round
# trip, or two, until they have heard of it and asked. And no more than this part of its ttl.
YIELD, YIELD_PART = 0.05, 0.1
# So many turns are looked through together for holders that are gone.
MANY = 1024

News = Callable[[Any, float, float], Awaitable[bool]]


class Grant:
    """One claim, taken or waited for. Its identity is the right to end it."""

    __slots__ = ("__weakref__", "key", "ttl")

    def __init__(self, key: str, ttl: float) -> None:
        self.key, self.ttl = key, ttl


class _Waiter:
    """Who is to have the turn."""

    __slots__ = ("future", "grant")

    def __init__(self, grant: Grant, future: Future) -> None:
        self.grant, self.future = grant, future


class _ClaimQueue:
    """The claim of one key in this process: who has it, who is next, and what the server knows of it."""

    __slots__ = ("_holder", "alarm", "key", "mark", "queue", "since", "ttl", "yields")

    def __init__(self, holder: Grant) -> None:
        self.key = holder.key
        self.hand_to(holder)
        self.queue: deque[_Waiter] = deque()
        self.mark = b""  # of our claim on the server; none = it does not know of us
        self.alarm: Alarm | None = None
        self.since = 0.0  # when the server granted it
        self.yields = False  # whether other processes come first

    def hand_to(self, holder: Grant) -> None:
        """It has the turn now."""
        self._holder, self.ttl = ref(holder), holder.ttl

    @property
    def holder(self) -> Grant | None:
        """Who has it, unless that was dropped."""
        return self._holder()


class Claims:
    """All claims by hand of one cache.

    Args:
        parts: The parts.
        news: Waits for a push, or for somebody's claim to end; ``False`` when that has lasted long enough.
    """

    def __init__(self, ctx: PolicyContext, news: News) -> None:
        self._ctx, self._news = ctx, news
        self._turns: dict[str, _ClaimQueue] = {}

    # -- taking ------------------------------------------------------------------------------------------------------

    async def take(self, key: str, ttl: float, wait: float, *, ask: bool) -> Grant | None:
        """The claim, or ``None`` when another had it for all of ``wait`` seconds.

        Args:
            key: What is to be replaced.
            ttl: Seconds it outlives this process, should that die.
            wait: How long to wait for it.
            ask: Whether the server is to know of it.
        """
        ctx = self._ctx
        ctx.check_open()
        until = ctx.ports.clock() + wait
        grant = Grant(key, ttl)
        if not await self._has_turn(grant, until):
            return None
        granted = False
        try:
            granted = not ask or await self._is_granted(self._turns[key], grant, until)
        finally:
            if not granted:
                self.give(grant)
        return grant if granted else None

    async def _has_turn(self, grant: Grant, until: float) -> bool:
        """Whether it is the one in this process, at ``until`` the latest."""
        ports = self._ctx.ports
        turn = self._turn(grant.key)
        if turn is None:
            if len(self._turns) % MANY == MANY - 1:
                for key in list(self._turns):
                    self._turn(key)
            self._turns[grant.key] = _ClaimQueue(grant)
            return True
        if until <= ports.clock():
            return False
        waiter = _Waiter(grant, ports.future())
        turn.queue.append(waiter)
        try:
            while turn.holder is not grant and (now := ports.clock()) < until and not self._ctx.closed:
                waiter.future = ports.future()
                await ports.wait(waiter.future, min(until, now + LOOK_EVERY))
                self._turn(grant.key)
        except BaseException:
            self.give(grant)  # handed over at the very moment
            raise
        finally:
            with suppress(ValueError):
                turn.queue.remove(waiter)
        return turn.holder is grant

    def _turn(self, key: str) -> _ClaimQueue | None:
        """The turn that somebody has; one whose holder was dropped is passed on."""
        turn = self._turns.get(key)
        if turn is not None and turn.holder is None:
            self._pass_on(turn)
        return self._turns.get(key)

    async def _is_granted(self, turn: _ClaimQueue, grant: Grant, until: float) -> bool:
        """Whether the server grants it, at ``until`` the latest; it does, when it cannot be asked."""
        ctx, key = self._ctx, grant.key
        ms = round(grant.ttl * 1000)
        if turn.yields:
            turn.yields = False
            pause = ctx.ports.clock() + min(YIELD, grant.ttl * YIELD_PART)
            await ctx.ports.wait(ctx.ports.future(), min(until, pause))
        while not turn.mark:
            watch = ctx.coherence.watch(key, ctx.ports.future())
            mark = ctx.entries.stamp(b"C")
            try:
                claimed = await ctx.ask(ctx.shared.claim(key, mark, ms, Any, None, look=False), ctx.budget())
                if not isinstance(claimed, ClaimReply) or claimed.seen.state is EntryState.UNAVAILABLE:
                    return True  # not to be asked: a grant that comes later is given back by whoever hears it
                if claimed.granted:
                    turn.mark, turn.since = mark, ctx.ports.clock()
                    self._keep_alive(turn, key, ms)
                elif not await self._news(watch.future, claimed.remaining, until):
                    return False
            except BaseException:
                ctx.shared.unclaim(key, mark)  # granted perhaps: nobody else would give it back
                raise
            finally:
                ctx.coherence.unwatch(watch)
        return True

    def _keep_alive(self, turn: _ClaimQueue, key: str, ms: int) -> None:
        """Renew it every third of its length."""

        def ring() -> None:
            turn.alarm = None
            self._turn(key)
            if turn.mark:
                self._ctx.shared.renew(key, turn.mark, ms, claim=True)
                turn.alarm = self._ctx.ports.call_later(ms / 3000, ring)

        turn.alarm = self._ctx.ports.call_later(ms / 3000, ring)

    # -- giving back -------------------------------------------------------------------------------------------------

    def give(self, grant: Grant) -> bool:
        """End it; ``False`` if it is not this one that holds: it was given back before, or in another process."""
        if not self.holds(grant):
            return False
        self._pass_on(self._turns[grant.key])
        return True

    def _pass_on(self, turn: _ClaimQueue) -> None:
        """To the next one here, who has it without asking; but not for ever, others wait too."""
        following = turn.queue.popleft() if turn.queue else None
        if following is None or self._ctx.ports.clock() - turn.since >= turn.ttl:
            turn.yields = bool(turn.mark)
            self._unclaim(turn)
        if following is None:
            del self._turns[turn.key]
            return
        turn.hand_to(following.grant)
        if not following.future.done():
            following.future.set_result(None)

    def _unclaim(self, turn: _ClaimQueue) -> None:
        if turn.alarm is not None:
            turn.alarm.cancel()
            turn.alarm = None
        if turn.mark:
            self._ctx.shared.unclaim(turn.key, turn.mark)
            turn.mark = b""

    def give_all_back(self) -> None:
        """At the end: nobody need wait for what this process will not do any more."""
        for turn in self._turns.values():
            self._unclaim(turn)
            for waiter in turn.queue:
                if not waiter.future.done():
                    waiter.future.set_result(None)

    # -- looking -----------------------------------------------------------------------------------------------------

    def has(self, key: str) -> bool:
        """Whether somebody in this process has it."""
        turn = self._turns.get(key)
        return turn is not None and turn.holder is not None

    def holds(self, grant: Grant) -> bool:
        """Whether it is this one."""
        turn = self._turns.get(grant.key)
        return turn is not None and turn.holder is grant

    async def is_taken(self, key: str) -> bool:
        """Whether anybody has it, as far as can be heard."""
        ctx = self._ctx
        ctx.check_open()
        if self._turn(key) is not None:
            return True
        return await ctx.ask(ctx.shared.is_claimed(key), ctx.budget()) is True
