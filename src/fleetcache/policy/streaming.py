"""Batches: many calls of one caller, as many at once as fit, and further calls as replies come.

Rules:

1. A batch has at most ``MAX_CALLS`` calls and ``MAX_BYTES`` under way, and all batches of a process together have no
   more: each takes its share. So a caller that asks for one key meanwhile waits behind at most that many calls and
   bytes.
2. A batch that fits costs one operation timeout in all, as one call does.
3. If a batch does not fit, its next call is sent when the oldest is answered, and the timeout counts from the last
   reply.
4. If the connection has no room for another call, a batch or a write waits for room, one operation timeout at most.
   A full connection does not mean that the server is away.
5. A batch works ``SLICE`` seconds at most before it lets other tasks or threads run: reading near copies, encoding,
   decoding and writing without a server take turns with single calls. So do the parts of a batch that loads 1,000 keys
   at a time: without a server, no part waits for anything.
"""

from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, TypeVar

from .context import Budget, PolicyContext
from .ports import Runtime

__all__ = ["MAX_BYTES", "MAX_CALLS", "SLICE", "SMALL", "Sent", "Slices", "as_is", "stream"]

T = TypeVar("T")

# This many calls keep a server busy over any network of a data center. Their answers arrive in one turn of an event
# loop, in which no other task runs: a thousand took more than an operation timeout on a busy machine.
MAX_CALLS = 256
MAX_BYTES = 1024 * 1024
# A fiftieth of the usual operation timeout, and hundreds of times as long as a pause.
SLICE = 0.005
SMALL = 200  # about the bytes of a call that carries no value

Sent = tuple[Callable[[], Awaitable[Any]], int]
"""A function that waits for the outcome of a sent call, and about how many bytes the call and its answer take."""


class Slices:
    """The slices of a batch's work; a pause begins a new one."""

    __slots__ = ("_ports", "_until")

    def __init__(self, ports: Runtime) -> None:
        self._ports, self._until = ports, ports.clock() + SLICE

    @property
    def over(self) -> bool:
        """Return True if the batch has worked long enough and should pause."""
        return self._ports.clock() >= self._until

    async def rest(self) -> None:
        """Pause if the batch has worked long enough."""
        if self.over:
            await self.pause()

    async def pause(self) -> None:
        """Let other tasks or threads run."""
        await self._ports.pause()
        self._until = self._ports.clock() + SLICE


async def stream(
    ctx: PolicyContext,
    items: Iterable[T],
    send: Callable[[T], Sent],
    take: Callable[[T, Any], None],
    budget: Budget,
    slices: Slices | None = None,
) -> None:
    """Send a call for each item and pass on its outcome, in order.

    Args:
        ctx: The context of the rules.
        items: The items, taken one by one, each just before its call is sent.
        send: Sends the call for an item.
        take: Gets each item with its outcome.
        budget: The time that the caller may still wait; reset after each reply to a batch that did not fit.
        slices: The slice that the caller has begun; otherwise one begins with the first item.
    """
    under_way: deque[tuple[T, Callable[[], Awaitable[Any]], int]] = deque()
    size = sent = 0
    fits = True

    async def hand_on() -> int:
        item, outcome, weight = under_way.popleft()
        take(item, await outcome())
        if not fits and ctx.shared.usable:
            budget.renew()
        return weight

    try:
        for item in items:
            if slices is None:
                slices = Slices(ctx.ports)
            elif slices.over:
                await slices.pause()
            share = max(1, ctx.batches)
            while under_way and (
                len(under_way) * share >= MAX_CALLS or size * share >= MAX_BYTES or ctx.shared.crowded
            ):
                fits = False
                size -= await hand_on()
            if ctx.shared.crowded:
                await _room(ctx, budget)
            sent += 1
            ctx.batches += sent == 2  # noqa: PLR2004 - a single call is not a batch
            outcome, weight = send(item)
            under_way.append((item, outcome, weight))
            size += weight
        while under_way:
            await hand_on()
    finally:
        ctx.batches -= sent > 1


async def as_is(outcome: Any) -> Any:
    """Return an outcome that no call brings."""
    return outcome


async def _room(ctx: PolicyContext, budget: Budget) -> None:
    """Wait until the connection has room for another call."""
    while ctx.shared.crowded and budget.left > 0:
        future = ctx.ports.future()
        ctx.shared.when_room(future)
        began = ctx.ports.clock()
        try:
            await ctx.ports.wait(future, began + budget.left)
        finally:
            budget.spend(ctx.ports.clock() - began)
