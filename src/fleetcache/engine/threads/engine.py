"""The engine on threads: the same parts, entered under a monitor, with a link thread where tasks would be.

It also ends these parts: at a close, in a forked child, and when the interpreter ends.
"""

import atexit
import os
from functools import partial
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from ...config.settings import Settings
from ...policy.outcome import Outcome, Resolution
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
        around: Make the context managers that refreshes run within. An override shares the list of its engine.
    """

    def __init__(self, settings: Settings, *, around: list[Around] | None = None, **more: Any) -> None:
        self.around: list[Around] = [] if around is None else around
        self._inside = Inside(self)
        super().__init__(settings, **more)

    def _build(self) -> None:
        # First, and again in a forked child: the lock's holder may be a thread of the parent, which does not exist
        # here.
        self.monitor = Monitor(self.tell)
        self.nested = self.monitor.within
        self.pid = os.getpid()
        super()._build()
        self.near.noted = self.monitor.notes  # type: ignore[assignment] # all of them come from ``Inside``
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

    def _is_here(self) -> bool:
        return self.pid == os.getpid()

    def check_process(self) -> None:
        """Start clean in the child of a fork that bypassed Python."""
        if self.pid != os.getpid():
            self.after_fork()

    @property
    def rules(self) -> "Engine | Inside":
        """Return this engine; for a call in the middle of a rule of this thread, ``Inside``, which touches no part."""
        return self._inside if self.monitor.is_within() else self

    async def ensure_ready(self) -> "Engine | Inside":
        """Start the connection at the first call, wait for it as ``Engine`` does, and return ``rules``."""
        if self.nested and self.monitor.is_within():
            return self._inside
        return self if self.ready else await super().ensure_ready()

    def _begin(self) -> None:
        if self.wire is not None or not self.settings.has_server:
            return
        self._entered = self.clock()
        wire, reconnector = self._new_wire(partial(ThreadConnection, monitor=self.monitor))
        self._threads.timer, self._threads.waiting = wire, wire.socket
        self.monitor.on_release, self.monitor.on_noted = wire.socket.flush, wire.noted
        _IN_USE.add(self)
        reconnector.start()

    def _torn(self) -> None:
        """Clear the near cache, end all flights and drop the connection, after a signal broke off a rule in the middle.

        Each of them may be half changed, and a waiting caller loads again.
        """
        self.coherence.forget_all()
        self.near.start_over()
        for flight in self.flights.active():
            self.flights.end(flight, Outcome(Resolution.RETRY))
        self.policy.loading.places.reset(wake=True)
        if self.wire is not None:
            self.wire.fail("interrupted", "a call was interrupted in the middle of a rule")

    def after_fork(self) -> None:
        """Start clean in a forked child."""
        self.ready = False
        _IN_USE.discard(self)
        super().after_fork()


@atexit.register
def _at_exit() -> None:
    """Release leases and deliver pending removals, within one operation timeout each.

    This is not a ``close()``: daemon threads run until the interpreter ends them, and none of them should see
    ``Closed`` or another error of the cache.
    """
    for engine in list(_IN_USE):
        engine.check_process()
        if engine.wire is not None and not engine.closed:
            engine.monitor.run(engine.drain())
