"""One run: puts world, server, network and fleet together, plays a plan, and checks every demand.

A run ends with ``None`` or with its first ``Violation``; its story tells the events until then.
"""

import asyncio
import gc
import logging
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from fleetcache.engine.engine import _INHERITED
from fleetcache.format.keys import Target
from tests.simulation.byhand import HandClaims, Touches
from tests.simulation.eavesdrop import Eavesdropper
from tests.simulation.faults import strike
from tests.simulation.fleet import Instance
from tests.simulation.host import Host
from tests.simulation.judging import OPERATION_TIMEOUT
from tests.simulation.lifetimes import Lifetimes
from tests.simulation.loop import SimLoop, World
from tests.simulation.model import Load, Model, Removal, Violation
from tests.simulation.network import Network
from tests.simulation.plan import Fault, Op, Plan, settings_of

__all__ = ["Run", "play"]

# After the last fault: the silence until an abort, the longest pause between two attempts, a handshake.
RECOVERY = 30.0
# The longest lease.
LEASE = 10.5
# Seconds from a link's return until lost rights are released, and waiters have heard of it.
BACK = 1.0


class Run:
    """A plan on its way."""

    def __init__(self, plan: Plan, *, every_word: bool = False) -> None:
        self.plan = plan
        self.settings = settings_of(plan)
        self.world = World(plan.seed)
        self.start = self.world.now
        self.host = Host(
            self.world,
            plan.seed + 1,
            engine=plan.engine,
            maxmemory=plan.maxmemory,
            noperm=plan.noperm,
            expiry_every=plan.expiry_every,
        )
        self.network = Network(self.world, plan.seed + 2, self.host, latency=plan.latency, cut_chance=plan.cut_chance)
        self.network.on_last_bytes = self.holder_lost  # the kernel may deliver them long after the death
        if every_word:
            self.network.ear = lambda name: Eavesdropper(lambda line: self.tell(name, line))
        self.model = Model(
            lambda: self.world.now,
            plan.keys,
            max_staleness=plan.max_staleness,
            offline_ttl=plan.offline_ttl,
            load_wait=plan.load_wait,
        )
        self.claims, self.touches = HandClaims(self), Touches(self)
        self.lifetimes = Lifetimes(self.model, lambda: self.host.clock_step)
        self.host.watch(self._stored)
        self.history: dict[str, list[Load]] = {key: [] for key in plan.keys}
        self.story: list[tuple[float, str, str]] = []
        self.snapshot: Any = None
        self.holder_lost_at = -1.0
        self.away: list[tuple[float, float]] = []  # times at which an instance was not online or stalled
        self._not_calm_at = -1.0
        self._active = 0
        self._left = len(plan.faults) + len(plan.ops)
        self.violation: Violation | None = None
        self.over = False
        self.instances: dict[str, Instance] = {}
        self._by_loop: dict[SimLoop, Instance] = {}
        self._left_loops: list[SimLoop] = []
        self._lives = 0
        for name in plan.instances:
            self.birth(name)
        self.world.after_turn = self._after_turn
        for op in plan.ops:
            self.world.at(self.start + op.at, self._call, op)
        for fault in plan.faults:
            self.world.at(self.start + fault.at, self._strike, fault)

    # -- what happens ----------------------------------------------------------------------------------------------

    def tell(self, who: str, text: str) -> None:
        """Add a line to the story."""
        self.story.append((self.world.now, who, text))

    def birth(self, name: str) -> None:
        """Begin a new life at this place, if there is none."""
        if name in self.instances and not self.instances[name].dead:
            return
        self._lives += 1
        instance = Instance(self, name, self._lives)
        self.instances[name] = instance
        self._by_loop[instance.loop] = instance
        self.tell(name, "starts")

    def living(self, name: str) -> list[Instance]:
        """Return the instance of this name, if it lives; with ``""`` all."""
        return [one for one in self.instances.values() if not one.dead and name in {"", one.name}]

    def _call(self, op: Op) -> None:
        self._left -= 1
        for instance in self.living(op.who):
            instance.call(op)

    def _strike(self, fault: Fault) -> None:
        self._left -= 1
        self.tell("", f"{fault.kind} {fault.who} {fault.how}" + (f" for {fault.lasts:.3f} s" if fault.lasts else ""))
        self._active += 1
        self._disturb()
        end = strike(self, fault)

        def over() -> None:
            if end is not None:
                self.tell("", f"{fault.kind} {fault.who} {fault.how} is over")
                end()
            self._active -= 1
            self._disturb()

        if end is None:
            over()
        else:
            self.world.later(fault.lasts, over)

    def _disturb(self) -> None:
        self._not_calm_at = self.world.now
        self.model.disturb()

    def removals_repeated(self, targets: Iterable[Target]) -> None:
        """Note that an instance repeats removals, which a server that took over may lack: they remove leases."""
        for kind, name in targets:
            self.model.disturb(name if kind == "e" else "")

    def look_at_handshakes(self) -> None:
        """Note the removals that handshakes repeat: the server may have had them by now, and not answered yet."""
        for instance in self.living(""):
            instance.look_at_handshake()

    def holder_lost(self) -> None:
        """Note that a lease may never be released: its holder died, or the server refuses the release."""
        self.holder_lost_at = self.world.now

    def was_holder_lost(self, at: float) -> bool:
        """Return True if a lease whose holder was lost may have been there at that time."""
        return self.holder_lost_at > at - self.longest_lease

    def moved(self, instance: Instance, old: SimLoop) -> None:
        """Note that an instance lives on a new event loop."""
        del self._by_loop[old]
        self._left_loops.append(old)
        self._by_loop[instance.loop] = instance
        self.claims.forget(instance)
        self._disturb()

    def _stored(self, key: bytes, stored: Any) -> None:
        try:
            self.lifetimes.stored(key, stored.value, stored.due)
        except Violation as violation:
            self.failed(violation)

    def excused(self, since: float, until: float) -> float:
        """Return the part of this time in which a right's state was unknown: a link was away, or an instance stalled.

        A right requested on a cut connection is released on the next connection. Only a right whose holder is dead
        lasts for its whole time.
        """
        spans = [*self.away, *(span for one in self.living("") for span in one.spans_away())]
        total, end = 0.0, since
        for begin, over in sorted(spans):
            over += BACK
            if over > end and begin < until:
                total += min(over, until) - max(begin, end)
                end = min(over, until)
        return total + (self.longest_lease if self.was_holder_lost(since) else 0.0)

    def calm(self, instance: Instance, since: float) -> bool:
        """Return True if an instance and the server were well since then."""
        if self._active or self.plan.maxmemory is not None:  # a full server evicts leases, too
            return False
        return self._not_calm_at < since and instance.not_calm_at < since and instance.says_online()

    def disturbed_since(self, since: float) -> bool:
        """Return True if a fault began, lasted or ended since then."""
        return bool(self._active) or self._not_calm_at >= since

    def failed(self, error: BaseException | None) -> None:
        """Note that a call ended with a violation; raise a defect of the simulation."""
        if self.violation is None:
            if not isinstance(error, Violation):
                raise error or AssertionError("no error")
            self.violation = error

    # -- after every turn ------------------------------------------------------------------------------------------

    def _after_turn(self, loop: SimLoop) -> None:
        instance = self._by_loop.get(loop)
        if instance is None or instance.dead:
            return
        instance.look()
        if self.model.unsettled:
            self._settle()
        instance.peek()

    def _settle(self) -> None:
        """Settle the removals that were not acknowledged and are no longer pending."""
        model = self.model
        for removal in list(model.unsettled):
            instance = removal.by
            if instance.dead:
                if not self.network.alive(instance.loop):
                    removal.over = self.world.now
                    model.unsettled.remove(removal)
            elif self._is_settled(instance, removal):
                model.unsettled.remove(removal)
                model.settled(removal)

    def _is_settled(self, instance: Instance, removal: Removal) -> bool:
        engine = instance.engine
        journal, wire = engine.coherence.journal, engine.wire
        if wire is None or not instance.says_online():
            return False
        owed = any(
            journal.has_pending_key(name) if kind == "e" else journal.has_pending_tag(name)
            for kind, name in removal.targets
        )
        oldest = wire.session.oldest
        return not owed and (oldest is None or oldest > removal.returned_at)

    # -- the whole -------------------------------------------------------------------------------------------------

    def play(self) -> None:
        """Play from the first call until nothing is left to do."""
        try:
            self._play()
        except Violation as violation:
            self.violation = violation
        self.over = True

    def bury(self) -> None:
        """End the remains of dead processes, or of a broken promise."""
        for loop in (*self._by_loop, *self._left_loops):
            for task in asyncio.all_tasks(loop):
                with suppress(Exception):
                    task.get_coro().close()

    def _play(self) -> None:
        world = self.world
        self._go_on(self.start + 1000.0, lambda: not self._left and not self._active and not self._calls())
        self.tell("", "all faults are over")
        self._recover()
        self._go_on(world.now + self.plan.max_staleness + 0.1)
        self._recover()  # a dead connection may show itself late, at its next call
        self._wait_for_rights()
        self._read_all()
        self._look_for_leftovers()
        self._close()

    def _recover(self) -> None:
        if not self._go_on(self.world.now + RECOVERY, self._is_well):
            raise Violation("recovery", f"after {RECOVERY} s: {self._ill()}")

    def _go_on(self, until: float, done: Any = lambda: False) -> bool:
        well = self.world.run(until, lambda: self.violation is not None or done())
        if self.violation is not None:
            raise self.violation
        return well

    def _calls(self) -> int:
        return sum(instance.calls for instance in self.living(""))

    def _is_well(self) -> bool:
        self._settle()
        return not self._ill()

    def _ill(self) -> str:
        for one in self.living(""):
            if not one.says_online():
                return f"{one.name} is {one.engine.link!r}"
            if len(one.engine.coherence.journal):
                return f"{one.name} still owes {one.engine.coherence.journal.in_order()}"
            if one.engine.flights.active():
                return f"{one.name} still has {one.engine.flights.active()}"
        return ""

    @property
    def longest_lease(self) -> float:
        """Return the longest lease: the server counts it by its own clock, which may be set back in between."""
        back = sum(max(0.0, -float(fault.how)) for fault in self.plan.faults if fault.kind == "step")
        return LEASE + back

    def _wait_for_rights(self) -> None:
        """Wait for leases and claims of lost holders to expire; no other may be left."""
        rights = self.host.rights()
        if rights and self.was_holder_lost(self.world.now):
            self._go_on(self.world.now + self.longest_lease)
            rights = self.host.rights()
        if rights:
            raise Violation("leftovers", f"nobody loads, and the server has {rights}")

    def _read_all(self) -> None:
        """Check that all instances agree with the source, and with each other, after all is quiet."""
        for instance in self.living(""):
            for key in self.plan.keys:
                instance.ask_at_the_end(key)
        awake = max([self.world.now, *(instance.loop.busy_until for instance in self.living(""))])
        if not self._go_on(awake + LEASE + 5, lambda: not self._calls()):
            raise Violation("deadline", "the last reads were not answered")
        self._go_on(self.world.now + 0.5)
        # A tag may end on the server at any moment, and its push opens a doubt. Each doubt must end.
        self._go_on(self.world.now + OPERATION_TIMEOUT, lambda: not any(map(_doubts, self.living(""))))

    def _look_for_leftovers(self) -> None:
        for one in self.living(""):
            coherence, engine = one.engine.coherence, one.engine
            left = {
                "flights": engine.flights.active(),
                "detached flights": engine.flights._detached,
                "waiters": coherence.waiters,
                "doubts": _doubts(one),
                "tokens": coherence._tokens,
                "journal": coherence.journal.in_order(),
                "tasks": list(engine._on_loop._tasks),
                "rights": len(engine.policy.loading.rights),
                "alarms": one.loop.alarms("ring"),
                "claims by hand": engine.claims._turns,
            }
            for what, items in left.items():
                if items:
                    raise Violation("leftovers", f"{one.name} still has {what}: {items}")
        self._wait_for_rights()

    def _close(self) -> None:
        living = self.living("")
        for instance in living:
            instance.close()
        if not self._go_on(self.world.now + 3.0, lambda: not self._calls()):
            raise Violation("leftovers", "close() did not end")
        self._go_on(self.world.now + 0.5)
        for instance in living:
            if instance.engine.wire is not None and instance.engine.wire.session.calls:
                raise Violation("leftovers", f"{instance.name} closed with calls in its session")
        left = [connection.owner.name for connection in self.network.connections if connection.open_here()]
        if left:
            raise Violation("leftovers", f"connections of {left} are open after close()")


def _doubts(instance: Instance) -> list[str]:
    return list(instance.engine.coherence.doubts)


class _Errors(logging.Handler):
    """Collects the cache's error logs: it logs an error only for a defect, or for values that cannot be encoded."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.found.append(record.getMessage())


def play(plan: Plan, *, every_word: bool = False) -> Run:
    """Play a plan and return the run, with its violation; ``every_word`` adds the bytes on the wire to the story."""
    collecting, log, errors = gc.isenabled(), logging.getLogger("fleetcache"), _Errors()
    kept = len(_INHERITED)
    was = (log.level, log.propagate)
    log.addHandler(errors)
    log.setLevel(logging.ERROR)
    log.propagate = False
    gc.disable()  # a dead process's coroutines would be finalised in the middle of another process's turn
    try:
        run = Run(plan, every_word=every_word)
        run.play()
        run.bury()
    finally:
        del _INHERITED[kept:]  # this run's remains on other loops; the sockets of other tests stay
        if collecting:
            gc.enable()
        log.removeHandler(errors)
        log.propagate = was[1]
        log.setLevel(was[0])
    if errors.found and run.violation is None:
        run.violation = Violation("defect", f"logged: {errors.found[0]}")
    return run
