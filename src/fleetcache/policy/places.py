"""Places: the number of loaders that run at once in a process, so that a cold start does not overrun the origin.

Without them single flight bounds the loads of each key, and nothing bounds their sum. A function whose origin is ill
may have places of its own (``cached(max_loads=...)``), so that its hung loads do not take the places of all others.

Rules:

1. A load takes a place before it asks for its lease or claim. So a load in the queue makes no other process wait.
2. A load that a running loader waits for needs no place: it starts at once, even from the queue. Otherwise loaders that
   hold all places could wait for loads that wait for a place.
3. A load waits for a place ``CACHE_LOAD_WAIT`` at most, in all its waits together, and then runs without one. Such
   loads are counted, and logged once a minute at most. (A loader may wait in a way that the cache cannot see: a thread
   pool copies no context.)
4. A background refresh never waits for a place: without a free place there is no refresh.
5. The places are those of the process. They bound its loads while the server is away, too.
6. A function with places of its own takes no others, and no other load takes those.
7. A load that had to wait for its place looks at the key again: other loads of its process may have changed it.
"""

import logging
from collections import deque
from collections.abc import Iterable
from typing import Any

from .context import Load, PolicyContext
from .options import CallOptions
from .ports import NO_ANSWER, Future
from .single_flight import Flight

__all__ = ["Place", "Places"]

# Seconds between two log lines about loads that ran without a place.
QUIET = 60.0


class Place:
    """A load's entry in the queue, and then its place."""

    __slots__ = ("future", "granted", "queue")

    def __init__(self, queue: "_Queue", future: Future | None = None) -> None:
        self.queue, self.future, self.granted = queue, future, future is None


class _Queue:
    """Some places, and the loads that wait for one of them, in order."""

    __slots__ = ("held", "limit", "waiting")

    def __init__(self, limit: int) -> None:
        self.limit = limit  # 0: no limit
        self.held: set[Place] = set()
        self.waiting: deque[Place] = deque()

    @property
    def is_free(self) -> bool:
        """Whether a load may start at once."""
        return not self.limit or len(self.held) < self.limit

    def enter(self, place: Place) -> Place:
        """Grant a place."""
        place.granted = True
        self.held.add(place)
        return place

    def leave(self, place: Place) -> None:
        """Give a place back, or leave the queue."""
        if not place.granted:
            if place in self.waiting:
                self.waiting.remove(place)
            return
        self.held.discard(place)
        while self.waiting and self.is_free:
            following = self.enter(self.waiting.popleft())
            if following.future is not None and not following.future.done():
                following.future.set_result(None)


class Places:
    """The places of one cache: those of the process, and those of functions that have their own."""

    def __init__(self, ctx: PolicyContext) -> None:
        self._ctx = ctx
        self._common = _Queue(ctx.max_loads)
        self._own: dict[tuple[str, int], _Queue] = {}
        self._told = -QUIET

    def __repr__(self) -> str:
        return f"<Places {len(self._common.held)} of {self._common.limit or 'any number'}, {self.queued} waiting>"

    @property
    def queued(self) -> int:
        """The number of loads that wait for a place."""
        return sum(len(queue.waiting) for queue in (self._common, *list(self._own.values())))

    def _queue(self, options: CallOptions, group: str) -> _Queue:
        if options.max_loads is None:
            return self._common
        return self._own.setdefault((group, options.max_loads), _Queue(options.max_loads))

    def is_free(self, options: CallOptions, group: str) -> bool:
        """Return whether a load with these options may start at once."""
        return self._queue(options, group).is_free

    async def take(
        self, run: Load, future: Future, give_up: float = float("inf"), flights: Iterable[Flight] = ()
    ) -> bool:
        """Take a place for a load, or wait for it.

        Args:
            run: The load.
            future: The future that the load waits on. A change of the key may resolve it, too.
            give_up: When the load runs without a place, if it has not waited for ``load_wait`` before.
            flights: The flights of the load, if it is a batch.

        Returns:
            False if the future was resolved before there was a place: the load must look again.
        """
        queue = self._queue(run.options, run.group)
        if not queue.limit or run.flight.urgent or run.place is not None:
            return True
        if queue.is_free and not queue.waiting:
            run.place = queue.enter(Place(queue))
            return True
        if run.queued >= self._ctx.load_wait:
            return True
        began = self._ctx.ports.clock()
        until = min(give_up, began + self._ctx.load_wait - run.queued)
        place = Place(queue, future)
        queue.waiting.append(place)
        self._ctx.counters.place_waits += 1
        flights = (run.flight, *flights)
        for flight in flights:
            flight.queued = future
        outcome: Any = None
        try:
            outcome = await self._ctx.ports.wait(future, until)
        except BaseException:
            queue.leave(place)
            raise
        finally:
            for flight in flights:
                flight.queued = None
        now = self._ctx.ports.clock()
        run.queued += now - began
        run.budget = self._ctx.budget()  # the calls after the wait have their own operation timeout
        if place.granted:
            run.place = place
            return True
        queue.leave(place)
        if outcome is NO_ANSWER or now >= until:
            run.queued = float("inf")
            self._ctx.counters.place_timeouts += 1
            self._tell(queue)
            return True
        return any(flight.urgent for flight in flights)

    async def take_watching(self, run: Load) -> bool:
        """Take a place for a load that watches its key; return ``False`` if it had to wait, and must look again.

        Whatever has resolved its wait, other loads of this process may have changed the key, of which no push tells.
        """
        give_up, budget = run.gives_up(self._ctx.load_wait) if run.overtime else run.give_up, run.budget
        await self.take(run, run.watch.future, give_up)
        return run.budget is budget

    async def take_for_batch(self, runs: list[Load], give_up: float) -> bool:
        """Take one place for the loads of a batch, which the first of them holds; return whether it had to wait."""
        first, budget = runs[0], runs[0].budget
        if any(run.overtime for run in runs):
            give_up = float("inf")
        await self.take(first, self._ctx.ports.future(), give_up, [run.flight for run in runs])
        return first.budget is not budget

    def _tell(self, queue: _Queue) -> None:
        now = self._ctx.ports.clock()
        if now - self._told >= QUIET:
            self._told = now
            text = (
                "no place: a load waited %.0f s for one of %d places (CACHE_MAX_LOADS); it runs without one, "
                "and %d more wait"
            )
            self._ctx.tell(logging.WARNING, "no_place", text, self._ctx.load_wait, queue.limit, self.queued)

    def take_at_once(self, run: Load) -> None:
        """Take a free place for a background refresh: see ``is_free``."""
        queue = self._queue(run.options, run.group)
        if queue.limit:
            run.place = queue.enter(Place(queue))

    def release(self, run: Load) -> None:
        """Give the place of a load back, if it has one."""
        place, run.place = run.place, None
        if place is not None:
            place.queue.leave(place)

    def reset(self, *, wake: bool) -> None:
        """Forget the places that are held, and the queue.

        Args:
            wake: Whether to wake the loads in the queue, which then look again; else no such load exists any more.
        """
        waiting = [place for queue in (self._common, *self._own.values()) for place in queue.waiting]
        self._common, self._own = _Queue(self._common.limit), {}
        for place in waiting if wake else ():
            if place.future is not None and not place.future.done():
                place.future.set_result(None)
