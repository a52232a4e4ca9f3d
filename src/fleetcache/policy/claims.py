"""Manual claims: a fleet-wide advisory lock on a key, for callers that cannot pass a loader.

It is the claim that a refresh takes, so a manual claim and a refresh never work on one key at once. In this process
threads and tasks take turns first, and only the holder of the turn asks the server. So without a server to ask, a claim
is a lock of this process.

A claim lives as long as its holder keeps the ``Grant``. If the holder drops it without releasing it, the claim
ends: here when the next caller looks, on the server when the claim would be renewed.
"""

from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Any
from weakref import ref

from .context import PolicyContext
from .lookup import ClaimReply
from .ports import Alarm, Future

__all__ = ["Claims", "Grant"]

# Seconds between two checks by a waiting caller whether the holder is still there.
LOOK_EVERY = 1.0
# Seconds that the next caller here pauses after the claim was released in favour of other processes: a round trip
# or two, until they have learnt of it and asked. At most this part of the claim's ttl.
YIELD, YIELD_PART = 0.05, 0.1
# Each time the number of turns reaches a multiple of this, all turns are checked for holders that are gone.
MANY = 1024

News = Callable[[Any, float, float], Awaitable[bool]]


class Grant:
    """One claim, taken or waited for. Only the holder of this object can end the claim."""

    __slots__ = ("__weakref__", "key", "ttl")

    def __init__(self, key: str, ttl: float) -> None:
        self.key, self.ttl = key, ttl


class _Waiter:
    """A caller in the queue for the turn."""

    __slots__ = ("future", "grant")

    def __init__(self, grant: Grant, future: Future) -> None:
        self.grant, self.future = grant, future


class _ClaimQueue:
    """The claim of one key in this process: its holder, the queue of waiting callers, and its mark on the server."""

    __slots__ = ("_holder", "alarm", "claim_token", "in_doubt", "key", "queue", "since", "ttl", "yields")

    def __init__(self, holder: Grant) -> None:
        self.key = holder.key
        self.hand_to(holder)
        self.queue: deque[_Waiter] = deque()
        self.claim_token = b""  # of this process's claim on the server; empty if there is none
        self.in_doubt = False  # whether the server may have lost our claim
        self.alarm: Alarm | None = None
        self.since = 0.0  # when the server granted it
        self.yields = False  # whether other processes come first

    def hand_to(self, holder: Grant) -> None:
        """Give the turn to a holder."""
        self._holder, self.ttl = ref(holder), holder.ttl

    def doubt(self, claim_token: bytes) -> None:
        """Take in that the server did not renew this claim, and perhaps lost it: the next caller here must ask."""
        if self.claim_token == claim_token:
            self.in_doubt = True

    @property
    def holder(self) -> Grant | None:
        """The grant that has the turn; ``None`` if its owner has dropped it."""
        return self._holder()


class Claims:
    """All manual claims of one cache.

    Args:
        ctx: The context of the rules.
        news: Waits for a push, or until another process's claim ends; ``False`` when that has lasted long enough.
    """

    def __init__(self, ctx: PolicyContext, news: News) -> None:
        self._ctx, self._news = ctx, news
        self._turns: dict[str, _ClaimQueue] = {}

    # -- taking ------------------------------------------------------------------------------------------------------

    async def acquire(self, key: str, ttl: float, wait: float, *, ask: bool) -> Grant | None:
        """Take the claim; return ``None`` if another holder had it for all of ``wait`` seconds.

        Args:
            key: The key of the entry that is to be replaced.
            ttl: Seconds for which the claim outlives this process, should the process die.
            wait: Seconds to wait for the claim.
            ask: Whether to take the claim on the server, too.
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
                self.release(grant)
        return grant if granted else None

    async def _has_turn(self, grant: Grant, until: float) -> bool:
        """Wait until the grant has the turn in this process; return ``False`` if it has not by ``until``."""
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
            self.release(grant)  # the turn may have been handed over in the meantime
            raise
        finally:
            with suppress(ValueError):
                turn.queue.remove(waiter)
        return turn.holder is grant

    def _turn(self, key: str) -> _ClaimQueue | None:
        """Return the key's turn, if it has a holder; a turn whose holder was dropped is passed on first."""
        turn = self._turns.get(key)
        if turn is not None and turn.holder is None:
            self._pass_on(turn)
        return self._turns.get(key)

    async def _is_granted(self, turn: _ClaimQueue, grant: Grant, until: float) -> bool:
        """Wait until the server grants the claim; return ``False`` if it has not by ``until``.

        A server that cannot be asked counts as granting.
        """
        ctx, key = self._ctx, grant.key
        ms = round(grant.ttl * 1000)
        if turn.yields:
            turn.yields = False
            pause = ctx.ports.clock() + min(YIELD, grant.ttl * YIELD_PART)
            await ctx.ports.wait(ctx.ports.future(), min(until, pause))
        while not turn.claim_token:
            watch = ctx.coherence.watch(key, ctx.ports.future())
            claim_token = ctx.entries.stamp(b"C")
            try:
                claimed = await ctx.ask(ctx.shared.claim(key, claim_token, ms), ctx.budget())
                if not isinstance(claimed, ClaimReply):
                    return True  # the server cannot be asked: a grant that comes later is released at its reply
                if claimed.granted:
                    turn.claim_token, turn.since = claim_token, ctx.ports.clock()
                    self._keep_alive(turn, key, ms)
                elif not await self._news(watch.future, claimed.remaining, until):
                    return False
            except BaseException:
                ctx.shared.unclaim(key, claim_token)  # perhaps granted: no other code would release it
                raise
            finally:
                ctx.coherence.unwatch(watch)
        return True

    def _keep_alive(self, turn: _ClaimQueue, key: str, ms: int) -> None:
        """Renew the claim every third of its length."""
        turn.alarm = self._ctx.ports.call_later(ms / 3000, partial(self._renew, turn, key, ms))

    def _renew(self, turn: _ClaimQueue, key: str, ms: int) -> None:
        turn.alarm = None
        self._turn(key)
        if turn.claim_token:
            refused = partial(turn.doubt, turn.claim_token)
            self._ctx.shared.renew(key, turn.claim_token, ms, claim=True, refused=refused)
            self._keep_alive(turn, key, ms)

    # -- releasing ---------------------------------------------------------------------------------------------------

    def release(self, grant: Grant) -> bool:
        """End the claim; ``False`` if this grant does not hold it: it was released before, or in another process."""
        if not self.holds(grant):
            return False
        self._pass_on(self._turns[grant.key])
        return True

    def _pass_on(self, turn: _ClaimQueue) -> None:
        """Hand the turn to the next caller here, with the claim on the server.

        After the claim's ttl the claim is released instead, because other processes wait too; so is a claim in doubt.
        """
        following = turn.queue.popleft() if turn.queue else None
        if following is None or turn.in_doubt or self._ctx.ports.clock() - turn.since >= turn.ttl:
            turn.yields = bool(turn.claim_token)
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
        if turn.claim_token:
            self._ctx.shared.unclaim(turn.key, turn.claim_token)
            turn.claim_token, turn.in_doubt = b"", False

    def release_all(self) -> None:
        """Release all claims before closing, so that no caller waits for work that this process will not do."""
        for turn in self._turns.values():
            self._unclaim(turn)
            for waiter in turn.queue:
                if not waiter.future.done():
                    waiter.future.set_result(None)

    # -- looking -----------------------------------------------------------------------------------------------------

    def has(self, key: str) -> bool:
        """Return whether a caller in this process holds the claim."""
        turn = self._turns.get(key)
        return turn is not None and turn.holder is not None

    def holds(self, grant: Grant) -> bool:
        """Return whether this grant holds the claim."""
        turn = self._turns.get(grant.key)
        return turn is not None and turn.holder is grant

    async def is_taken(self, key: str) -> bool:
        """Return whether any process holds the claim, as far as the server can be reached."""
        ctx = self._ctx
        ctx.check_open()
        if self._turn(key) is not None:
            return True
        return await ctx.ask(ctx.shared.is_claimed(key), ctx.budget()) is True
