"""Random faults in an order fixed by a seed: of the process, the network, the server itself. One at a time."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from random import Random

from tests.support.client import Client
from tests.support.proxy import Proxy
from tests.support.servers import Server

__all__ = ["Chaos"]


class Chaos:
    """Begins a fault of a server or of the network to it, ends it, and begins the next.

    Args:
        server: A server that no other test uses.
        proxy: The proxy of the server's clients.
        random: Chooses faults, times and durations.
    """

    def __init__(self, server: Server, proxy: Proxy, random: Random) -> None:
        self._server, self._proxy, self._random = server, proxy, random
        self._faults: tuple[Callable[[], Awaitable[None]], ...] = (
            self._kill,
            self._freeze,
            self._cut,
            self._stall,
            self._slow,
            self._refuse,
            self._throw_out,
            self._forget,
            self._sleep,
        )
        self.done: list[str] = []

    async def run(self, stop: asyncio.Event) -> None:
        """Run until told to stop; then all faults have ended."""
        while not stop.is_set():
            fault = self._random.choice(self._faults)
            self.done.append(fault.__name__.removeprefix("_"))
            await fault()
            await self._pass(0.05, 0.3)

    async def _pass(self, least: float, most: float) -> None:
        await asyncio.sleep(self._random.uniform(least, most))

    async def _kill(self) -> None:
        await asyncio.to_thread(self._server.kill)
        await self._pass(0.05, 0.4)
        await asyncio.to_thread(self._server.restart)

    async def _freeze(self) -> None:
        self._server.freeze()
        await self._pass(0.05, 1.2)
        self._server.thaw()

    async def _cut(self) -> None:
        """Cut in the middle of a frame, by FIN or by RST."""
        end = self._random.choice((self._proxy.cut, self._proxy.reset, self._cut_in_a_frame))
        await asyncio.to_thread(end)

    def _cut_in_a_frame(self) -> None:
        self._proxy.cut_after(self._random.randrange(1, 500), self._random.choice(("up", "down")))

    async def _stall(self) -> None:
        self._proxy.stall(self._random.choice(("up", "down", "both")))
        await self._pass(0.05, 1.8)
        if self._random.random() < 0.3:
            self._proxy.reset()
        self._proxy.heal()

    async def _slow(self) -> None:
        self._proxy.delay(self._random.uniform(0.01, 0.15))
        await self._pass(0.2, 0.6)
        self._proxy.heal()

    async def _refuse(self) -> None:
        self._proxy.refuse()
        self._proxy.reset()
        await self._pass(0.1, 0.6)
        self._proxy.heal()

    async def _throw_out(self) -> None:
        await self._tell("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")

    async def _forget(self) -> None:
        await self._tell("FLUSHALL")

    async def _sleep(self) -> None:
        await self._tell("DEBUG", "SLEEP", f"{self._random.uniform(0.05, 0.3):.3f}")

    async def _tell(self, *command: str) -> None:
        def tell() -> None:
            client: Client
            with suppress(OSError), self._server.client() as client:
                client(*command)

        await asyncio.to_thread(tell)
