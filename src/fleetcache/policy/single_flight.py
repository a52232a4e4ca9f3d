"""Flights (single flight): one load of a key in this process, which further callers join.

The flight owns the load, not the first caller. A caller that gives up leaves; the last caller to leave cancels the
load. A *detached* flight continues for the callers that are in it, but no further caller joins it, because its key or a
tag changed since its loader began.
"""

from collections.abc import Callable, Iterable
from contextlib import suppress
from contextvars import ContextVar
from typing import Any, Self

from ..errors import LoadCycle
from .outcome import Outcome, Resolution
from .ports import Future
from .task_waits import is_awaited

__all__ = ["CURRENT", "Flight", "Flights", "Wait", "waiting_for"]

CURRENT: ContextVar["tuple[Flight, Any] | None"] = ContextVar("fleetcache_flight", default=None)
"""The flight whose loader runs in this context, and the task that runs it; the task is ``None`` in a thread."""


class Flight:
    """One load. ``waiters`` counts the callers that still wait for it."""

    __slots__ = (
        "asks",
        "detached",
        "futures",
        "is_extra",
        "key",
        "late",
        "loads",
        "on_mark",
        "outcome",
        "queued",
        "right",
        "since",
        "tags",
        "task",
        "urgent",
        "waiters",
        "waits",
    )

    def __init__(self, key: str, tags: tuple[str, ...]) -> None:
        self.key = key
        self.tags = tags
        self.detached = False
        self.loads = False  # whether it loads under a lease or claim on the server
        self.asks = False  # whether it has asked for a lease or claim, and is not refused yet
        self.on_mark = False  # whether it loads on a failed mark, which keeps no other load from the key
        self.is_extra = False  # whether it loads because other loads of the key take longer than ``load_wait``
        self.right = b""  # the placeholder, the claim or the mark that it loads under, as far as is known
        self.outcome: Outcome | None = None
        self.late: Outcome | None = None  # of a loader that ended after its limit, for its starter alone
        self.futures: list[Future] = []
        self.waiters = 0
        self.task: Any = None
        self.waits: list[Wait] = []  # of its loader, and of tasks that the loader has started
        self.queued: Future | None = None  # the future of its wait for a place; see ``places``
        self.since: float | None = None  # when its loader began
        self.urgent = False  # whether its loader runs, or a running loader waits for it: it waits for no place

    def __repr__(self) -> str:
        state = "over" if self.outcome else "detached" if self.detached else "in the air"
        return f"<Flight {self.key!r} {state}, {self.waiters} waiting>"

    def join(self, future: Future) -> None:
        """Resolve ``future`` with the outcome, now or when the flight ends."""
        self.waiters += 1
        if self.outcome is not None:
            self.outcome.callers += 1
            future.set_result(self.outcome)
        else:
            self.futures.append(future)

    def is_overdue(self, now: float, load_wait: float) -> bool:
        """Return whether its loader has run for so long that no further caller waits for this load alone."""
        return self.since is not None and now - self.since >= load_wait

    def leave(self, future: Future | None = None) -> None:
        """Stop waiting; the last caller to leave cancels the load."""
        self.waiters -= 1
        if future in self.futures:
            self.futures.remove(future)
        if self.waiters <= 0 and self.outcome is None and self.task is not None:
            with suppress(RuntimeError):  # the task's event loop was closed
                self.task.cancel()

    def press(self) -> None:
        """Let this flight, and every flight that it waits for, start without a place: a running loader needs them."""
        todo = [self]
        while todo:
            flight = todo.pop()
            if flight.urgent:
                continue
            flight.urgent = True
            if flight.queued is not None and not flight.queued.done():
                flight.queued.set_result(None)
            todo += [wait.flight for wait in flight.waits]

    def reaches(self, other: "Flight", *, idle: bool = False) -> bool:
        """Return whether this flight waits for the other, directly or through more flights.

        With ``idle``, only waits before a loader count: such a flight can wait its turn behind the other.
        """
        seen: set[Flight] = set()
        todo = [self]
        while todo:
            flight = todo.pop()
            if flight is other:
                return True
            if flight not in seen and not (idle and flight.since is not None):
                seen.add(flight)
                todo += [wait.flight for wait in flight.waits if wait.holds_up]
        return False


class Flights:
    """All flights of one process's cache, by key. A flight is in one table at most, or detached."""

    def __init__(self) -> None:
        self._table: dict[str, Flight] = {}
        self._behind: dict[str, Flight] = {}
        self._second: dict[str, Flight] = {}  # loads beside a load that takes longer than ``load_wait``
        self._detached: dict[str, list[Flight]] = {}  # those that have not ended, in the order of their detachment
        self._air: dict[Flight, None] = {}  # in order, so that the same run ends in the same way

    def __len__(self) -> int:
        return len(self._air)

    def get(self, key: str) -> Flight | None:
        """Return the flight of the key that may be joined."""
        return self._table.get(key)

    def background(self, key: str) -> Flight | None:
        """Return the background refresh of the key; callers join it only while the server cannot be read."""
        return self._behind.get(key)

    def second(self, key: str) -> Flight | None:
        """Return the load of the key beside one that takes longer than ``load_wait``."""
        return self._second.get(key)

    def start(self, key: str, tags: tuple[str, ...], *, behind: bool = False, second: bool = False) -> Flight:
        """Start a new flight; an earlier flight of the key in the same table is detached."""
        table = self._behind if behind else self._second if second else self._table
        earlier = table.get(key)
        if earlier is not None:
            self._detach(earlier)
        flight = table[key] = Flight(key, tags)
        self._air[flight] = None
        return flight

    def end(self, flight: Flight, outcome: Outcome) -> None:
        """Hand the outcome to every waiting caller; a flight that ended is never left in the table.

        The value of a detached flight, looked up or loaded, is for its starter only: a caller that joined may have
        come after the value was read.
        """
        if flight.outcome is not None:
            return
        if flight.detached and outcome.others is Resolution.RETURN:
            outcome.others = Resolution.RETRY
        flight.outcome = outcome
        flight.task = None  # a cancelled task keeps its traceback, whose frames refer to the flight
        self._air.pop(flight, None)
        self._take_out(flight)
        futures, flight.futures = flight.futures, []
        second = self._second.get(flight.key) if self._second else None
        if second is not None and outcome.others is Resolution.RETURN:
            for future in list(second.futures):  # its callers wait for either load
                second.leave(future)
                futures.append(future)
        outcome.callers = len(futures)
        if not futures:
            outcome.drop_error()
        for future in futures:
            if not future.done():
                future.set_result(outcome)

    def _take_out(self, flight: Flight) -> None:
        for table in (self._table, self._behind, self._second):
            if table.get(flight.key) is flight:
                del table[flight.key]
        detached = self._detached.get(flight.key)
        if detached is not None and flight in detached:
            detached.remove(flight)
            if not detached:
                del self._detached[flight.key]

    def detach_key(self, key: str) -> None:
        """Let no further caller join the flight of this key."""
        for table in (self._table, self._behind, self._second):
            flight = table.pop(key, None)
            if flight is not None:
                self._detach(flight)

    def ahead(self, key: str, flight: Flight | None = None) -> Flight | None:
        """Return the first detached flight of the key that still runs; ``None`` if that is ``flight`` itself.

        A flight that waits for ``flight`` already is behind it, however long ago it was detached.
        """
        for first in self._detached.get(key, ()):
            if first is flight:
                return None
            if flight is None or not first.reaches(flight, idle=True):
                return first
        return None

    def all_ahead(
        self, keys: Iterable[str], me: Any, now: float, load_wait: float, give_up: float
    ) -> dict[str, Flight]:
        """Return the first detached flight of each of these keys that has one, for which a batch waits.

        After ``give_up`` it waits for no flight that is overdue.
        """
        ahead = {}
        for key in keys:
            flight = self.ahead(key)
            if flight is not None and now >= give_up and flight.is_overdue(now, load_wait):
                waiting_for(flight, me, over=True)  # a loader that asks for its own key waits for itself
            elif flight is not None:
                ahead[key] = flight
        return ahead

    def all_joinable(self, keys: Iterable[str], me: Any, now: float, load_wait: float) -> dict[str, Flight]:
        """Return the flights that a batch joins: the load beside a flight that takes longer than ``load_wait``."""
        joinable = {}
        for key in keys:
            flight = self.get(key)
            if flight is not None and flight.is_overdue(now, load_wait):
                waiting_for(flight, me, over=True)  # a loader that asks for its own key waits for itself
                flight = self.second(key)
            if flight is not None and not flight.is_overdue(now, load_wait):
                joinable[key] = flight
        return joinable

    def holder(self, key: str, flight: Flight | None = None) -> Flight | None:
        """Return a detached flight of the key other than ``flight`` that loads under a lease or claim.

        While that flight runs, the server grants no right to another.
        """
        others = (other for other in self._detached.get(key, ()) if other is not flight)
        return next((other for other in others if other.loads), None)

    def beside(self, flight: Flight, now: float, load_wait: float) -> Flight | None:
        """Return another flight of the same key whose right keeps no load of other processes from the key.

        One that has no right at all counts until it has taken ``load_wait``.
        """
        known = self._table.get(flight.key), self._second.get(flight.key), *self._detached.get(flight.key, ())
        others = [other for other in known if other is not None and other is not flight]
        found = (other for other in others if other.on_mark or other.is_extra)
        return next((other for other in found if other.right or not other.is_overdue(now, load_wait)), None)

    def young(self, flight: Flight, now: float, load_wait: float) -> Flight | None:
        """Return another load of the key that began less than ``load_wait`` ago, and does not wait for this flight."""
        others = [one for one in self._air if one.key == flight.key and one is not flight and one.since is not None]
        found = [one for one in others if not one.is_overdue(now, load_wait) and not one.reaches(flight)]
        return max(found, key=lambda one: one.since or 0.0, default=None)

    def before_mark(self, flight: Flight, now: float, load_wait: float) -> Flight | None:
        """Return the flight that keeps this one from a load on a failed mark; ``None`` makes it the one to be joined.

        A flight that has asked for a lease or claim may be granted it at any moment, and then loads.
        """
        asks = (one for one in self._air if one.asks and one.key == flight.key and one is not flight)
        return next(asks, None) or self.lead(flight, now, load_wait)

    def lead(self, flight: Flight, now: float, load_wait: float) -> Flight | None:
        """Let callers join a flight again, whose loader is about to begin; return the flight that they join instead.

        What detached the flight has happened before its loader begins. A flight that waits for this one stays in place,
        and this one loads before it. Callers join it beside a flight that takes longer than ``load_wait``, unless that
        one loads on a mark: then this flight must first ask for the right of a second load.
        """
        table = self._table
        joined = table.get(flight.key)
        if joined is not None and not joined.on_mark and joined.is_overdue(now, load_wait):
            table = self._second
            joined = table.get(flight.key)
        if joined is not None:
            return None if joined.reaches(flight, idle=True) else joined
        self._take_out(flight)
        flight.detached = False
        table[flight.key] = flight
        return None

    def _detach(self, flight: Flight) -> None:
        flight.detached = True
        self._detached.setdefault(flight.key, []).append(flight)

    def is_loaded(self, key: str) -> bool:
        """Return whether a loader runs for the key under a lease or claim on the server."""
        tables = (self._table, self._behind, self._second)
        return any(flight.loads for table in tables if (flight := table.get(key)) is not None)

    def detach_tag(self, tag: str) -> None:
        """Let no further caller join a flight that captured this tag."""
        for table in (self._table, self._behind, self._second):
            for flight in [flight for flight in table.values() if tag in flight.tags]:
                self.detach_key(flight.key)

    def detach_all(self) -> None:
        """Let no further caller join any flight that runs now."""
        for key in [*self._table, *self._behind, *self._second]:
            self.detach_key(key)

    def active(self) -> list[Flight]:
        """Return all flights that have not ended, detached flights too."""
        return list(self._air)


class Wait:
    """One wait for a flight, by code that runs in the context of a loader.

    A task that the loader has started inherits its context. Its wait holds up the loader only while the loader waits
    for that task, so the waiting task is noted as well.

    Args:
        flight: The flight that is waited for.
        me: The flight of the loader; ``None`` outside of loaders.
        loader: The task that runs the loader; ``None``: a thread, whose waits for other threads are unknown.
        task: The task that waits.
    """

    __slots__ = ("_loader", "_task", "flight", "me")

    def __init__(self, flight: Flight, me: Flight | None = None, loader: Any = None, task: Any = None) -> None:
        self.flight, self.me, self._loader, self._task = flight, me, loader, task

    @property
    def holds_up(self) -> bool:
        """Whether the loader cannot continue before this wait has ended."""
        if self._loader is None or self._task is None or self._task is self._loader:
            return True
        return is_awaited(self._task, self._loader)

    @property
    def may_become_one(self) -> bool:
        """Whether this wait may yet become part of a cycle, because a task may begin to wait for another task."""
        return self.me is not None and self._loader is not None

    def check(self) -> None:
        """Raise ``LoadCycle`` if the other flight waits for this loader's flight, and this wait holds up the loader."""
        me, flight = self.me, self.flight
        if me is None or me.outcome is not None or not flight.reaches(me) or not self.holds_up:
            return
        raise LoadCycle(
            f"the loader of {me.key!r} waits for {flight.key!r}, which waits for it: neither could ever end"
            if flight.key != me.key
            else f"the loader of {me.key!r} asks for its own key"
        )

    def begin(self) -> Self:
        """Note the wait; raise ``LoadCycle`` if it would never end."""
        self.check()
        if self.me is not None:
            self.me.waits.append(self)
            if self.me.urgent:
                self.flight.press()
        return self

    def over(self) -> None:
        """Remove the wait: it has ended."""
        if self.me is not None:
            self.me.waits.remove(self)


def waiting_for(flight: Flight, me: Callable[[], Any], *, over: bool = False) -> Wait | None:
    """Note that the loader of this context waits for a flight; return the wait, ``None`` if there is no loader.

    Args:
        flight: The flight that is waited for.
        me: Returns the task that waits; ``None`` in a thread.
        over: Whether only to check whether such a wait could ever end.

    Raises:
        LoadCycle: The loader of this context would wait for itself.
    """
    current = CURRENT.get()
    if current is None or current[0].outcome is not None:
        return None
    wait = Wait(flight, *current, me()).begin()
    if over:
        wait.over()
    return wait
