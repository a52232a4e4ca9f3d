"""The source of truth, and the answers that the promises allow. It knows no cache: only calls, callers and times.

Rules:

1. Every value that is ever cached has its own number; the model knows its key, the version of the source it shows and
   its origin.
2. A *removal* is a change of the source together with the ``delete``, ``set``, tag or ``clear`` that tells the cache. A
   value is *superseded* by a removal if it shows an older version.
3. A call that began after a removal was acknowledged gets no superseded value: from shared at once; from near within
   ``max_staleness``, or ``offline_ttl`` while the instance says that it is offline; on the removing instance, even
   without an acknowledgement, at once. A removal that is not acknowledged counts from when it is no longer pending.
4. ``set`` stores over any entry: two overlapping writers of one key may land in either order. So may a write that was
   not acknowledged, with all writes until it is.
5. If a restarted server has forgotten a removal, its value does not come back for an instance that knew of it.
6. Of two loads of one key that overlap, the first must have been disturbed: by a removal of the key, by one that an
   instance repeats because a server that took over may lack it, by a fault, or by a link that was not online. Loads in
   two processes may overlap after two failed loads in a row, if one of them is for a call that has waited for the
   second. Once another process loads after that, its right has taken the place of the mark that the call loads on.
7. Beside a load that takes longer than ``load_wait`` one more may run. If both do, each process may load for itself:
   one load, and the next when that one takes as long, too. A call that has waited for three times ``load_wait`` loads
   in any case, because loads may fail one after another. A claim taken by hand counts as a load, and so does a right
   whose holder died, or is cut off, until the server ends the right.
"""

from collections.abc import Callable
from typing import Any

__all__ = ["Load", "Model", "Removal", "Value", "Violation"]

# When a load is seen to begin, its lease was on the way for one operation before, and a tag's version for another.
LEASE_WAY = 0.6
# Processes count ``load_wait`` from a right, which is there some round trips before its loader begins.
RIGHT_WAY = 0.05
LEASE = 10.0  # the longest lease
NEVER = float("inf")


class Violation(AssertionError):
    """A promise was broken."""

    def __init__(self, rule: str, text: str) -> None:
        super().__init__(f"{rule}: {text}")
        self.rule, self.text = rule, text


class Value:
    """One value that was loaded or written."""

    __slots__ = (
        "began",
        "bound",
        "key",
        "loader",
        "made",
        "number",
        "op",
        "origin",
        "slack",
        "stale",
        "started",
        "touched",
        "ttl",
        "version",
        "writer",
    )

    def __init__(self, number: int, key: str, version: int, began: float, origin: str) -> None:
        self.number, self.key, self.version, self.began, self.origin = number, key, version, began, origin
        self.made = self.started = began
        self.ttl: float | None = NEVER  # its requested life; None = it must not be kept
        self.stale = 0.0
        self.bound = NEVER  # seconds from its start for which an unconfirmed value may be answered
        self.slack = 0.0
        self.touched: tuple[float, float] | None = None  # unconfirmed: when, and for how long
        self.loader: Any = None  # the instance that loaded it
        self.op: Any = None  # the call whose loader brought it
        self.writer: Removal | None = None  # the write that brought it, if no loader did

    def life(self, *, stale: bool) -> float:
        """Return its requested life in seconds."""
        return (self.ttl or 0.0) + (self.stale if stale else 0.0)


class Removal:
    """A change of the source, and the verb that told the cache.

    Attributes:
        by: The caller's instance, one life of it.
        versions: The source's new version by key.
        acked: The acknowledgement: its place in the order of events, and the time.
        over: The time after which it cannot land any more.
    """

    __slots__ = (
        "acked",
        "acked_at",
        "began_at",
        "by",
        "over",
        "returned",
        "returned_at",
        "targets",
        "verb",
        "versions",
    )

    def __init__(self, verb: str, by: Any, versions: dict[str, int], targets: list[tuple[str, str]], at: float) -> None:
        self.verb, self.by, self.versions, self.targets, self.began_at = verb, by, versions, targets, at
        self.acked = self.returned = NEVER
        self.acked_at = self.returned_at = self.over = NEVER

    def __repr__(self) -> str:
        return f"{self.verb} by {self.by.name} at {self.began_at:.3f}"


class Load:
    """A running loader."""

    __slots__ = ("alone", "asked", "began", "beside", "by", "ended", "free", "key", "left", "passed", "second", "until")

    def __init__(self, key: str, by: Any, began: float, asked: float) -> None:
        self.key, self.by, self.began, self.asked, self.ended = key, by, began, asked, NEVER
        self.free = False  # whether any number of loads may run beside it
        self.alone = False  # whether each process may run one load beside it
        self.second = False  # whether another load of the key has taken ``load_wait``
        self.beside = False  # whether it may run beside the loads of other processes
        self.passed = False  # whether another process has loaded since, under a right that took the place of its mark
        self.left = self.until = NEVER  # from when and until when the server may keep its right although it has ended


class Failures:
    """The failed loads of a key in a row: their number, when the last one ended, and until when that is known."""

    __slots__ = ("at", "count", "until")

    def __init__(self, count: int, at: float, until: float) -> None:
        self.count, self.at, self.until = count, at, until


class Model:
    """All knowledge of the truth.

    Args:
        clock: The world's time.
        keys: The tags by key.
        max_staleness: The bound of promise 3.
        offline_ttl: The bound of promise 3, offline.
        load_wait: The longest time that a caller waits for another load.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        keys: dict[str, list[str]],
        *,
        max_staleness: float,
        offline_ttl: float,
        load_wait: float,
    ) -> None:
        self.clock, self.keys = clock, keys
        self.max_staleness, self.offline_ttl = max_staleness, offline_ttl
        self.load_wait = load_wait
        self.versions = dict.fromkeys(keys, 1)
        self.values: dict[int, Value] = {}
        self.removals: dict[str, list[Removal]] = {key: [] for key in keys}
        self.unsettled: list[Removal] = []
        self.loads: dict[str, list[Load]] = {key: [] for key in keys}
        self.claims: dict[str, list[Load]] = {
            key: [] for key in keys
        }  # taken by hand: calls wait for them as for loads
        self.forgot: list[float] = []  # times at which the server came back with an older past
        self.failures: dict[str, Failures] = {}
        self.errors: dict[str, tuple[Failures, Load]] = {}  # the stored error of each key, and its load
        self.disturbed: dict[str, float] = {}  # by key; "" for all
        self.cut: dict[Any, list[Load]] = {}  # loads whose ends the server may not have heard, by process
        self._order = 0

    # -- what happens ----------------------------------------------------------------------------------------------

    def order(self) -> int:
        """Return the next place in the order of events."""
        self._order += 1
        return self._order

    def value(self, key: str, version: int, origin: str, began: float | None = None) -> Value:
        """Make a new value."""
        number = len(self.values) + 1
        made = self.values[number] = Value(number, key, version, self.clock() if began is None else began, origin)
        return made

    def change(self, verb: str, by: Any, keys: list[str], targets: list[tuple[str, str]]) -> Removal:
        """Change the source; the call that tells the cache is next."""
        versions = {}
        for key in keys:
            self.versions[key] += 1
            versions[key] = self.versions[key]
        return self.removal(verb, by, versions, targets)

    def removal(self, verb: str, by: Any, versions: dict[str, int], targets: list[tuple[str, str]]) -> Removal:
        """Note that a call tells the cache, of a change or of none."""
        removal = Removal(verb, by, versions, targets, self.clock())
        for key in versions:
            self.removals[key].append(removal)
        return removal

    def returned(self, removal: Removal, *, acked: bool) -> None:
        """Note that the call has returned."""
        removal.returned, removal.returned_at = self.order(), self.clock()
        if acked:
            self.acknowledged(removal)
        else:
            self.unsettled.append(removal)

    def cancelled(self, removal: Removal) -> None:
        """Note that the caller was cancelled: the removal may have landed, may land later, or never."""
        self.unsettled.append(removal)

    def settled(self, removal: Removal) -> None:
        """Note that the removal is no longer pending."""
        if removal.returned == NEVER:
            removal.over = self.clock()
        else:
            self.acknowledged(removal)

    def acknowledged(self, removal: Removal) -> None:
        """Note that the server has done it."""
        removal.acked, removal.acked_at = self.order(), self.clock()
        removal.over = removal.acked_at

    def load_began(
        self, key: str, by: Any, asked: float, calm: Callable[[Any, float], bool], *, declares: bool = False
    ) -> Load:
        """Note and judge a loader's begin.

        ``calm`` returns True if instance and server were well since a time. ``declares``: whether a stored error of
        the key would be an answer to the call.
        """
        now, long_ago = self.clock(), self.clock() - self.load_wait + 0.001
        loads = [load for load in self.loads[key] if now <= load.ended + LEASE_WAY or load.left < NEVER]
        running = [load for load in loads if load.ended == NEVER and not load.by.dead]
        claims = self.claims[key] = [claim for claim in self.claims[key] if claim.ended == NEVER and not claim.by.dead]
        slow = [load for load in running + claims if load.began <= long_ago + RIGHT_WAY]
        load = Load(key, by, now, asked)
        load.second = bool(slow) or asked <= long_ago
        load.beside = self._in_vain(key, asked - LEASE_WAY)  # the mark may have been on the way for one operation
        if declares and not load.second:
            self._judge_declared(load, calm)
        self.loads[key] = [*loads, load]
        orphans = [one for one in loads if one.began <= long_ago and self._is_kept(one, slow)]
        # If two loads hang, or it waited for loads that have ended, each process may load for itself.
        load.alone = len(slow) + len(orphans) > 1
        load.free = (load.second and not slow) or asked <= now - 3 * self.load_wait + 0.001
        if load.free:
            return load
        for other in running:
            other.passed |= other.beside and other.by is not by and not self._in_vain(key, asked)
            if other in slow or other.free or (other.passed and other.by is by):
                continue
            if load.alone or other.alone:
                if not (load.alone and other.alone and other.by is by):
                    continue
            elif other.second is not load.second:
                continue
            if other.by is not by and (load.beside or other.beside):
                continue
            since = min(one.began for one in (other, *slow)) - LEASE_WAY
            if self.disturbed.get(key, 0.0) >= since or self.disturbed.get("", 0.0) >= since:
                continue
            if any(removal.over >= since for removal in self.removals[key]):
                continue
            if calm(other.by, since) and calm(by, since):
                raise Violation(
                    "one load",
                    f"{by.name} loads {key} while {other.by.name} has been loading it for {now - other.began:.3f} s",
                )
        return load

    def _is_kept(self, load: Load, slow: list[Load]) -> bool:
        """Return True if the server may keep the right of a load that is over; a second load renews that of a first."""
        left, now = load.by.died_at if load.by.dead else load.left, self.clock()
        renewed = any(it.began <= left + LEASE for it in slow)
        return left < NEVER and now <= load.until and (renewed or now <= left + LEASE)

    def cut_off(self, by: Any) -> None:
        """Note that a process is not online: the server may not hear of the ends of its latest loads."""
        ended = self.clock() - LEASE_WAY
        for loads in self.loads.values():
            for load in loads:
                if load.by is by and ended <= load.ended < NEVER and load.left == NEVER:
                    load.left = load.ended
                    self.cut.setdefault(by, []).append(load)

    def is_back(self, by: Any) -> None:
        """Note that a process is online, and releases the rights of its loads that are over."""
        for load in self.cut.pop(by, ()):
            load.until = self.clock() + 2 * LEASE_WAY

    def load_failed(self, load: Load) -> None:
        """Note that the source has failed a load. Its mark lives for a second and two loads, and a lease if renewed."""
        now, before = self.clock(), self.failures.get(load.key)
        count = 1 if before is None or load.began > before.until else before.count + 1
        self.failures[load.key] = Failures(count, now, now + 1.0 + 2 * (now - load.began) + LEASE)

    def load_declared(self, load: Load, time: float, *, sure: bool) -> None:
        """Note that a load has raised an error, which is stored for a time. ``sure``: the server does not refuse it."""
        others = [one for one in self.loads[load.key] if one.ended == NEVER and not one.by.dead]
        if sure and others == [load]:
            self.errors[load.key] = Failures(1, self.clock(), self.clock() + time - LEASE_WAY), load

    def _judge_declared(self, load: Load, calm: Callable[[Any, float], bool]) -> None:
        """Judge a load of a key whose source has raised an error that is still stored."""
        stored, by = self.errors.get(load.key, (None, load))
        if stored is None or load.asked <= stored.at + LEASE_WAY or load.began >= stored.until or by.by.dead:
            return
        since = by.began - LEASE_WAY
        if max(self.disturbed.get(load.key, 0.0), self.disturbed.get("", 0.0)) >= since:
            return
        if any(removal.over >= since for removal in self.removals[load.key]):
            return
        if calm(by.by, since) and calm(load.by, since):
            raise Violation(
                "one load", f"{load.by.name} loads {load.key}, whose error is stored until {stored.until:.3f}"
            )

    def _in_vain(self, key: str, asked: float) -> bool:
        """Return True if a call that began then has waited for the second of two failed loads in a row, or a later."""
        failures = self.failures.get(key)
        return failures is not None and failures.count > 1 and asked <= failures.at and self.clock() <= failures.until

    # -- allowed answers -------------------------------------------------------------------------------------------

    def judge(
        self,
        number: Any,
        key: str,
        by: Any,
        began: tuple[int, float],
        *,
        near: bool,
        last_resort: bool,
        offline: bool = False,
        offline_ttl: float | None = None,
    ) -> None:
        """Judge the answer of a call of an instance.

        Args:
            number: The value of the answer.
            key: The key of the call.
            by: The instance's life.
            began: The begin of the call: place in the order of events, and time.
            near: True if near (or a joined load) answered.
            last_resort: True for the exception of promise 3: offline, and the loader had failed.
            offline: True if the instance reported offline when the call began; a batch reads near at that time.
            offline_ttl: The bound of near then; ``None`` = as for any call.
        """
        value = self.values.get(number) if isinstance(number, int) else None
        if value is None or value.key != key:
            raise Violation("values", f"{by.name} got {number!r} for {key}, which nobody stored there")
        order, at = began
        for removal in self.removals[key]:
            if removal.versions[key] <= value.version or self._may_follow(value, removal, by):
                continue
            if removal.by is by and removal.returned < order:
                when, since = "returned", removal.returned_at
            elif removal.acked >= order or self._forgotten(value, removal, by):
                continue
            else:
                when, since = "was acknowledged", removal.acked_at
                if removal.by is not by and (
                    last_resort or (near and at - since <= self._bound(by, offline, offline_ttl))
                ):
                    continue
            raise Violation(
                "superseded",
                f"{by.name} got version {value.version} of {key} ({value.origin}, made at {value.began:.3f}) from "
                f"{'near' if near else 'shared'} for a call that began at {at:.3f}; {removal} to version "
                f"{removal.versions[key]} {when} at {since:.3f}",
            )

    def _bound(self, by: Any, offline: bool, offline_ttl: float | None) -> float:
        if not offline and by.says_heard():
            return self.max_staleness + 1e-6
        return max(self.max_staleness, self.offline_ttl if offline_ttl is None else offline_ttl) + 1e-6

    def _may_follow(self, value: Value, removal: Removal, by: Any) -> bool:
        """Return True if the write that brought the value may have landed after the removal."""
        writer = value.writer
        if writer is None or writer is removal:
            return False
        own = writer.by is removal.by is by
        return (min(writer.over, writer.returned_at) if own else writer.over) >= removal.began_at

    def _forgotten(self, value: Value, removal: Removal, by: Any) -> bool:
        """Return True if the server has forgotten the removal, and the instance never knew of it."""
        return any(removal.acked_at <= lost and value.began <= lost and by.met_at > lost for lost in self.forgot)

    def disturb(self, key: str = "") -> None:
        """Note an event on a key, or on all, that allows a second load."""
        self.disturbed[key] = self.clock()
