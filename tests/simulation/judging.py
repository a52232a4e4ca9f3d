"""Judges the calls of one process: their time, and whether the promises allow their answers."""

from abc import ABC, abstractmethod
from typing import Any

from fleetcache.policy.single_flight import CURRENT
from fleetcache.wire.link_state import LinkState
from tests.simulation.model import NEVER, Removal, Value, Violation
from tests.simulation.model import Load as Running
from tests.simulation.plan import Op
from tests.simulation.watched import Seen

__all__ = ["OPERATION_TIMEOUT", "Judging"]

OPERATION_TIMEOUT = 0.25
# Timers check every 2 ms, and bytes that wait in the socket may postpone a timeout.
SLACK = 0.12


class Judging(ABC):
    """The demands on one process; ``fleet.Instance`` is a life of it.

    Args:
        run: The run that it belongs to.
        name: The name of the process.
    """

    engine: Any
    cache: Any
    loop: Any
    views: dict[str, Any]

    def __init__(self, run: Any, name: str) -> None:
        self.run, self.name = run, name
        self.model, self.world = run.model, run.world
        self.dead, self.died_at = False, NEVER
        self.met_at = self.online_at = NEVER
        self.late_at = self.late_before = -NEVER  # the last times at which the server became late
        self.heard_at = self.not_calm_at = self.world.now
        self.entered_at, self.tried_at = self.world.now, NEVER  # on this loop: its begin, the end of the first attempt
        self.away_at = self.world.now  # the last time at which it was not online
        self.stalled: list[tuple[float, float]] = []
        self.calls = 0
        self.asking: dict[Any, list[str]] = {}  # by the task of a call, its keys
        self.running: list[Running] = []
        self.removing: list[Removal] = []
        self.claimed: dict[str, float] = {}  # by key, the time from which a user here has held the claim

    @abstractmethod
    def says_online(self) -> bool:
        """Return True if calls go to the server."""

    @abstractmethod
    def says_heard(self) -> bool:
        """Return True unless the instance reports that it is offline."""

    def _check_held(self, op: Op, asked: float) -> None:
        """Judge a load that starts: while the server is only late, a load without a right, or a mark, is held back.

        A second stall soon after the first finds loads that were held back before. A load of a key whose removal is
        pending does not read, and may have begun before the server became late.
        """
        link, current = self.engine.link, CURRENT.get()
        pending = self.engine.coherence.journal.pending
        if link.state is not LinkState.SUSPECT or current is None or pending:
            return
        if current[0].loads or current[0].on_mark:
            return
        late_at, before = (self.late_at, self.late_before) if self.late_at == link.since else (link.since, self.late_at)
        if current[0] not in self.engine.flights.active() or late_at - before < 4 * OPERATION_TIMEOUT:
            return
        if self.world.now >= asked + self.run.plan.load_wait - SLACK:
            return  # it has waited for others for long enough
        least = late_at + 0.9 * OPERATION_TIMEOUT
        if self.world.now < least - 0.001:
            raise Violation(
                "held back",
                f"{self.name}: {op.verb} {op.keys} loads {self.world.now - late_at:.3f} s after the server became late",
            )

    def _check_deadline(self, op: Op, began: float, *, online: bool) -> None:
        """Promise 4: one operation timeout in all, none while offline; and the time of loads, here and elsewhere.

        The first calls on a loop also wait for its first connection. A load may have waited ``load_wait`` for its place
        before it began: a load that the call waited for, too.
        """
        now = self.world.now
        took = now - began
        away = not online and self.online_at < began and self.met_at < began
        connecting = max(0.0, min(self.entered_at + OPERATION_TIMEOUT, self.tried_at) - began)
        allowed = SLACK + op.pause + connecting + (0.0 if away and not connecting else OPERATION_TIMEOUT)
        if took <= allowed:
            return
        allowed += sum(
            max(0.0, min(until, now) - max(since, began)) + SLACK for since, until in self.stalled if until > began
        )
        bounded = allowed + 2 * OPERATION_TIMEOUT + (op.load_timeout or 0.0)
        if op.verb in {"get_or_set", "refresh", "get_or_set_many", "claim"}:
            allowed += self._loading(op.keys, began, now) + 2 * OPERATION_TIMEOUT + op.load.take
            allowed += self.run.excused(began, now) + op.wait
            if self.run.plan.max_loads:
                allowed += self.run.plan.load_wait * max(1, self._begun_here(op.keys, began))
        if op.load_timeout is not None and op.verb in {
            "get_or_set",
            "refresh",
        }:  # the call no longer waits for another's load, but for its own load without a flight
            allowed = min(allowed, bounded + op.load.take)
        if took > allowed:
            raise Violation(
                "deadline", f"{self.name}: {op.verb} {op.keys} took {took:.3f} s, {allowed:.3f} s were allowed"
            )

    def _loading(self, keys: list[str], began: float, now: float) -> float:
        """Return how long any instance was loading one of the keys in this time, and the time to hear of it."""
        spans = sorted(
            (max(load.began, began), min(load.ended, now))
            for key in keys
            for load in self.run.history[key]
            if load.ended > began
        )
        total, end, rounds = 0.0, began, 0
        for since, until in spans:
            rounds += 1
            total += max(0.0, until - max(since, end))
            end = max(end, until)
        return total + rounds * 2 * OPERATION_TIMEOUT

    def _begun_here(self, keys: list[str], since: float) -> int:
        """Return how many loads of these keys have begun in this process since then; a batch is one."""
        loads = (load for key in keys for load in self.run.history[key])
        return len({load.began for load in loads if load.by is self and load.began > since})

    def _judge(self, number: Any, op: Op, key: str, began: tuple[int, float], seen: Seen, *, stale: bool) -> str:
        near = seen.near or (seen.joined and not self._is_own_load(number, began[1]))
        near = near or not self.engine.coherence.tracking  # then versions of tags are near copies, too
        bound = self._unconfirmed_bound(number, op)
        self.model.judge(
            number,
            key,
            self,
            began,
            near=near,
            last_resort=seen.last_resort,
            offline=seen.offline,
            offline_ttl=bound,
        )
        value = self.model.values[number]
        own = value.op is op
        stale = stale or seen.last_resort
        self.run.lifetimes.judge(value, self, began[1], stale=stale, own=own, joined=seen.joined)
        if near and seen.offline and not (own or seen.joined or seen.last_resort):
            self._check_offline(value, op, key, began[1])
        return f"version {value.version} (value {number}, {'near' if near else 'shared'})"

    def _judge_error(self, number: int, op: Op, key: str, began: tuple[int, float], seen: Seen) -> str:
        """Judge a stored error, which stands for a value of the source."""
        near = seen.near or seen.joined or not self.engine.coherence.tracking
        bound = self._unconfirmed_bound(number, op)
        self.model.judge(
            number, key, self, began, near=near, last_resort=False, offline=seen.offline, offline_ttl=bound
        )
        value = self.model.values[number]
        # An error ends by the server's clock, which may be set back, and counts from the store, which may stall.
        steps = any(fault.kind == "step" for fault in self.run.plan.faults)
        most = (op.errors or 0.0) + self.run.excused(value.made, began[1])
        if not steps and began[1] > value.made + most + 2 * OPERATION_TIMEOUT + SLACK:
            raise Violation("lifetime", f"{self.name} got an error of {key} made at {value.made:.3f}")
        return f"the error of version {value.version}"

    def _unconfirmed_bound(self, number: Any, op: Op | None = None) -> float:
        """Return the offline bound of this call; a value that shared has not confirmed has its loader's bound, too."""
        own = self._offline_ttl(op)
        value = self.model.values.get(number)
        if value is None or self.run.lifetimes.is_backed(number):
            return own
        bound: float = value.bound
        return max(own, bound)

    def _own_offline_ttl(self, op: Op | None) -> float | None:
        return op.offline_ttl if op is not None and op.verb in {"get_or_set", "get_or_set_many"} else None

    def _offline_ttl(self, op: Op | None) -> float:
        own = self._own_offline_ttl(op)
        usual: float = self.model.offline_ttl
        return usual if own is None else own

    def _check_offline(self, value: Value, op: Op, key: str, began: float) -> None:
        """Judge an offline answer from near: only values confirmed within the call's ``offline_ttl`` are allowed."""
        bound = self._offline_ttl(op)
        most = self.heard_at + (bound + 0.001 if bound else 0.0)
        writer = value.writer  # of an unacknowledged write this instance does not know whether it is stored
        unheard = writer is not None and writer.by is self and writer.acked == NEVER
        if began <= most or (bound and (unheard or not self.run.lifetimes.is_backed(value.number))):
            return
        raise Violation(
            "superseded",
            f"{self.name} got value {value.number} of {key} from near {began - self.heard_at:.3f} s after it heard "
            f"of the server, and the call's offline_ttl is {bound:g} s",
        )

    def _is_own_load(self, number: Any, since: float) -> bool:
        """Return True if this instance loaded and stored it since then: an earlier removal would have refused it."""
        value = self.model.values.get(number)
        if value is None or value.loader is not self or value.made < since:
            return False
        return bool(self.run.calm(self, value.began - 3 * OPERATION_TIMEOUT))

    def _bound(self, value: Value, op: Op) -> None:
        """Set how long a value of this call may be answered."""
        value.bound = max(self._offline_ttl(op), self.model.max_staleness)
        value.ttl, value.stale = op.ttl, op.stale
        if value.loader is not None and op.load.keep is not None:
            value.ttl, value.stale = op.load.keep
        if value.loader is not None and op.load.nostore:
            value.ttl, value.stale = None, 0.0
