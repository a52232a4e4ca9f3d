"""The engine on threads: the same parts, entered under a monitor, with a link thread where tasks would be.

It also ends them: at a close, in a forked child, and when the interpreter goes.
"""

import atexit
import os
from functools import partial
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from ...config.settings import Settings
from ...errors import Closed
from ...policy.single_flight import Outcome, Resolution
from ..engine import Engine
from .connection import ThreadConnection
from .monitor import Monitor
from .pool import Around, RefreshPool
from .reentrant import Inside
from .runtime import ThreadRuntime

if TYPE_CHECKING:
    from ...policy.ports import Runtime

__all__ = ["SyncEngine"]

_IN_USE: "WeakSet[SyncEngine]" = WeakSet()


class SyncEngine(Engine):
    """All parts of one cache for threads; arguments as for ``Engine``.

    Args:
        around: What refreshes run within, if that is somebody else's list.
    """

    def __init__(self, settings: Settings, *, around: list[Around] | None = None, **more: Any) -> None:
        self.around: list[Around] = [] if around is None else around
        self._inside = Inside(self)
        super().__init__(settings, **more)

    def _build(self) -> None:
        # First, and in a forked child anew: another thread may have held the lock, and it is not here to give it back.
        self.monitor = Monitor(self.tell)
        self.nested = self.monitor.within
        self.pid = os.getpid()
        super()._build()
        self.near.noted = self.monitor.notes  # type: ignore[assignment] # all are ours
        self.monitor.on_interrupted = self._torn
        self.tell.defer = self.monitor.say

    def _new_ports(self) -> "Runtime":
        self._threads = ThreadRuntime(
            self.clock,
            self._random,
            self.monitor,
            RefreshPool(self.around, tell=self.tell),
            self.settings.operation_timeout,
            self.tell,
        )
        return self._threads

    async def _prepare(self) -> None:
        if self.embedded_host is not None:
            with self.monitor.released():
                self.embedded_host.ready_here()

    def _on_own_loop(self) -> bool:
        return self.pid == os.getpid()

    def check_process(self) -> None:
        """In a child of a fork that Python was not told of: start clean."""
        if self.pid != os.getpid():
            self.after_fork()

    @property
    def rules(self) -> "Engine | Inside":
        """These parts; or, for a call that came in the middle of a rule of this thread, those that touch none."""
        return self._inside if self.monitor.is_within() else self

    async def ensure_ready(self) -> "Engine | Inside":
        """Be connected as far as one operation timeout allows at the very first call; ``rules``."""
        if self.nested and self.monitor.is_within():
            return self._inside
        if self.ready:
            return self
        if self.closed:
            raise Closed("this cache was closed: open a new one")
        if self.wire is None and self.settings.has_server:
            self._entered = self.clock()
            self._begin()
        if self.wire is not None and not self.wire.tried:
            await self.first_attempt(self._entered + self.settings.operation_timeout - self.clock())
        self.ready = True
        return self

    def _begin(self) -> None:
        wire = self._new_wire(partial(ThreadConnection, monitor=self.monitor))
        self._threads.timer = wire
        self.monitor.on_release, self.monitor.on_noted = wire.flush, wire.noted
        _IN_USE.add(self)
        wire.start()

    def _torn(self) -> None:
        """A signal broke off a rule in the middle: what may be half done is not believed, and nobody waits for it."""
        self.coherence.forget_all()
        for flight in self.flights.active():
            self.flights.end(flight, Outcome(Resolution.RETRY))
        if self.wire is not None:
            self.wire.fail("interrupted", "a call was interrupted in the middle of a rule")

    def after_fork(self) -> None:
        """In the child: start clean."""
        self.ready = False
        _IN_USE.discard(self)
        super().after_fork()


@atexit.register
def _at_exit() -> None:
    """Give leases back and deliver what is owed, within one operation timeout each.

    Not a close(): daemon threads go on until the interpreter ends them, and none of them should see an error of ours.
    """
    for engine in list(_IN_USE):
        engine.check_process()
        if engine.wire is not None and not engine.closed:
            engine.monitor.run(engine.drain())
