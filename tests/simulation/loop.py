"""Event loops that share one virtual time, and the scheduler that decides which of them has the next turn.

Rules:

1. One loop is one process. Within a loop callbacks run first in, first out, as asyncio's own code relies on; between
   loops any order is legal, and the scheduler draws it.
2. A turn is as on a real loop: bytes that arrived on sockets are queued, then the due timers, then all callbacks run
   that were queued when the turn began.
3. Time stands still while any loop or event is due, and then jumps to the next one. A process may be *busy* or
   *stalled*: it has no turn until a given time, while bytes and timers pile up, also in the middle of a turn.
4. All randomness comes from generators seeded by the plan: the same plan is the same run, callback by callback.
"""

import asyncio
import heapq
import random
from asyncio import events
from collections import deque
from collections.abc import Callable
from contextvars import Context
from typing import Any

__all__ = ["SimLoop", "World"]

# Some turns take a moment, so that processes fall out of step and bytes arrive together.
BUSY_CHANCE, BUSY_MOST = 0.08, 0.004
NEVER = float("inf")


class SimLoop(asyncio.AbstractEventLoop):
    """The event loop of one simulated process.

    Args:
        world: The world, whose time the loop has.
        name: The name in the story.
        connect: Opens a simulated connection, for ``create_unix_connection``.
    """

    def __init__(self, world: "World", name: str, connect: Callable[..., Any]) -> None:
        self.world, self.name, self._connect = world, name, connect
        self._ready: deque[asyncio.Handle] = deque()
        self._timers: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._left = 0  # callbacks left in a turn that a stall interrupted
        self.busy_until = -1.0
        self.lag = 0.0  # seconds this loop's clock stood still while the host slept
        self.dead = False
        self.defects: list[str] = []

    # -- what asyncio asks -----------------------------------------------------------------------------------------

    def time(self) -> float:
        return self.world.now - self.lag

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return not self.dead

    def is_closed(self) -> bool:
        return self.dead

    def call_soon(  # type: ignore[override] # typed by the callers
        self, callback: Any, *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self, context)
        self._ready.append(handle)
        return handle

    def call_later(  # type: ignore[override] # as above
        self, delay: float, callback: Any, *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        return self.call_at(self.time() + delay, callback, *args, context=context)

    def call_at(  # type: ignore[override] # as above
        self, when: float, callback: Any, *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        timer = asyncio.TimerHandle(when, callback, args, self, context)
        heapq.heappush(self._timers, (when, self.world.number(), timer))
        return timer

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """Do nothing: a cancelled timer is dropped at its time."""

    def create_future(self) -> "asyncio.Future[Any]":
        return asyncio.Future(loop=self)

    def create_task(self, coro: Any, *, name: str | None = None, context: Context | None = None) -> "asyncio.Task[Any]":
        return asyncio.Task(coro, loop=self, name=name or "task", context=context)

    async def create_unix_connection(  # type: ignore[override] # one kind of socket is enough
        self, protocol_factory: Any, _path: Any = None
    ) -> Any:
        return await self._connect(self, protocol_factory)

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        self.defects.append(f"{context.get('message')}: {context.get('exception')!r}")

    # -- the world's questions -------------------------------------------------------------------------------------

    def next_time(self, now: float) -> float:
        """Return the time of the loop's next turn."""
        if self._ready or self._left:
            due = now
        else:
            timers = self._timers
            while timers and timers[0][2]._cancelled:  # asked very often
                heapq.heappop(timers)
            if not timers:
                return NEVER
            due = timers[0][0] + self.lag
        busy = self.busy_until
        return due if due > busy else busy  # noqa: FURB136 - a call would cost four times as much

    def alarms(self, name: str) -> list[str]:
        """Return the timers that will call a function of this name."""
        timers = [timer for _, _, timer in self._timers if not timer.cancelled()]
        return [repr(timer) for timer in timers if getattr(timer._callback, "__name__", "") == name]  # type: ignore[attr-defined] # asyncio's own

    def turn(self) -> None:
        """Run one turn, or the rest of one."""
        ready, timers = self._ready, self._timers
        if not self._left:
            now = self.time()
            while timers and timers[0][0] <= now:
                timer = heapq.heappop(timers)[2]
                if not timer.cancelled():
                    ready.append(timer)
            self._left = len(ready)
        events._set_running_loop(self)
        try:
            while self._left and not self.dead:
                self._left -= 1
                handle = ready.popleft()
                if not handle._cancelled:  # asked very often
                    handle._run()
                if self.busy_until > self.world.now:
                    return  # stalled in the middle of it
        finally:
            events._set_running_loop(None)

    def stall(self, seconds: float) -> None:
        """Have no turn for this many seconds."""
        self.busy_until = max(self.busy_until, self.world.now) + seconds

    def kill(self) -> None:
        """Kill the process: no callback of it runs again."""
        self.dead = True
        self.world.loops.remove(self)
        self.world.buried.append((list(self._ready), list(self._timers)))
        self._ready.clear()
        self._timers.clear()
        self._left = 0


class World:
    """Virtual time, the events outside all processes, and the choice of the next turn.

    Args:
        seed: Seed of the order of turns.
    """

    def __init__(self, seed: int) -> None:
        self.now = 1000.0
        self.loops: list[SimLoop] = []
        self.random = random.Random(seed)
        self.turns = 0
        self.buried: list[Any] = []  # remains of dead processes: a finaliser that ran now would act after the death
        self.after_turn: Callable[[SimLoop], None] = lambda _loop: None
        self._events: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []
        self._numbers = 0

    def number(self) -> int:
        """Return the last number plus one: events of the same time happen in the order of their requests."""
        self._numbers += 1
        return self._numbers

    def at(self, when: float, happen: Callable[..., None], *args: Any) -> None:
        """Let an event happen outside all processes: in the network, on the server, a fault."""
        heapq.heappush(self._events, (when, self.number(), happen, args))

    def later(self, delay: float, happen: Callable[..., None], *args: Any) -> None:
        """Let an event happen after a delay."""
        self.at(self.now + delay, happen, *args)

    def run(self, until: float, done: Callable[[], bool] = lambda: False) -> bool:
        """Go on until ``done()`` or the time is up; return ``done()``."""
        draw = self.random
        while not done():
            now, due, runnable = self.now, NEVER, []
            for loop in self.loops:
                next_time = loop.next_time(now)
                if next_time <= now:
                    runnable.append(loop)
                elif next_time < due:
                    due = next_time
            if runnable:
                loop = runnable[0] if len(runnable) == 1 else runnable[int(draw.random() * len(runnable))]
                self.turns += 1
                loop.turn()
                if draw.random() < BUSY_CHANCE and not loop.dead:
                    loop.busy_until = max(loop.busy_until, self.now + BUSY_MOST * draw.random())
                self.after_turn(loop)
                continue
            if self._events and self._events[0][0] <= due:
                when, _, happen, args = self._events[0]
                if when > until:
                    break
                heapq.heappop(self._events)
                self.now = max(self.now, when)
                happen(*args)
            elif due > until:
                break
            else:
                self.now = due
        else:
            return True
        self.now = max(self.now, until)
        return False
