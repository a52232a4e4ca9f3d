"""The engine on an event loop: the same parts, with background tasks. They move to the loop that uses the cache."""

import asyncio
import logging
from typing import TYPE_CHECKING, Any

from ...config.settings import Settings
from ..engine import Engine
from .connection import AioConnection
from .other_loops import WAY_OUT, ElsewhereError, on_its_loop
from .runtime import AioRuntime

if TYPE_CHECKING:
    from ...policy.ports import Runtime

__all__ = ["AioEngine"]


class AioEngine(Engine):
    """All parts of one cache for the tasks of an event loop; arguments as for ``Engine``."""

    # More than any pool of database connections has, and far less than the requests that an event loop holds.
    MAX_LOADS = 64

    def __init__(self, settings: Settings, **more: Any) -> None:
        self._told_elsewhere = False
        super().__init__(settings, **more)

    def _new_ports(self) -> "Runtime":
        ports = self._on_loop = AioRuntime(self.clock, self._random, self.tell)
        if self.loop is not None:
            ports.live_on(self.loop)
        return ports

    async def _prepare(self) -> None:
        if self.embedded_host is not None:
            await self.embedded_host.ready()

    def _is_here(self) -> bool:
        return asyncio.get_running_loop() is self.loop

    def check_here(self) -> None:
        """Raise ``ElsewhereError`` if the engine belongs to another running loop; log that once."""
        loop = self.loop
        if loop is None or self._is_here() or not loop.is_running():
            return
        if not self._told_elsewhere:
            self._told_elsewhere = True
            words = (
                f"second loop: {WAY_OUT}; until then calls here are sent there, and values loaded here are not stored"
            )
            self.tell(logging.WARNING, "second_loop", words)
        raise ElsewhereError(loop, self.clock, self.settings.operation_timeout)

    def _begin(self) -> None:
        """Move to the running loop, the first or a new one, and abandon the connection and flights of the old loop."""
        old, here = self.loop, asyncio.get_running_loop()
        if old is here:
            return
        self.check_here()
        self.ready = False
        self.loop = here
        self._on_loop.live_on(here)
        self._entered = self.clock()
        if not self.settings.has_server:
            self.flights.detach_all()  # no flight of the old loop ends any more
            self.policy.loading.places.reset(wake=False)
            self.burial.resume()
            return
        if old is not None:
            self._abandon(keep_journal=True)
        _, reconnector = self._new_wire(AioConnection)
        reconnector.start()

    @on_its_loop()
    async def close(self) -> None:
        """Stop refreshes, release leases and claims, try once to deliver pending removals, and end the connection."""
        if not self.closed:
            self.check_here()
        await super().close()
