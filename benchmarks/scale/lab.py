"""The laboratory of one scene: servers, their own figures, fleets of caches, and processes beside this one.

A server's CPU, commands and connections are those that it counts itself (``INFO``), so this process does not count.
"""

import asyncio
import multiprocessing
import resource
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any, Self

from fleetcache import Cache
from tests.support.client import Client
from tests.support.servers import Server

__all__ = ["PREFIX", "Lab", "Spent", "Worker", "lift_limit", "online"]

PREFIX = "scale"
# More than any fleet here. A server lowers it to the system's limit of open files.
MAX_CLIENTS = 15_000
# Caches that connect at once: with more, the connects of one process would outlast their own deadline.
BATCH = 50
_spawn = multiprocessing.get_context("spawn")


@dataclass
class Spent:
    """A server's work between two moments, by its own count. Complete once the ``with`` block of ``spent`` has ended.

    Attributes:
        cpu: Seconds of CPU.
        commands: Calls by command, in lower case; commands inside scripts count too.
        connections: Connections that the server accepted.
        refused: Connections that it refused because it had as many as ``maxclients`` allows.
        received: Bytes from clients.
        sent: Bytes to clients.
    """

    cpu: float = 0.0
    commands: Counter[str] = field(default_factory=Counter)
    connections: int = 0
    refused: int = 0
    received: int = 0
    sent: int = 0

    @property
    def calls(self) -> int:
        """All calls, those inside scripts among them."""
        return self.commands.total()


class Worker:
    """A process of a scene, and the pipe to it."""

    def __init__(self, target: Callable[..., None], *arguments: Any) -> None:
        self._pipe, theirs = _spawn.Pipe()
        self._process = _spawn.Process(target=_work, args=(target, theirs, *arguments), daemon=True)
        self._process.start()
        theirs.close()

    def send(self, said: Any) -> None:
        """Send an object to the process."""
        self._pipe.send(said)

    def receive(self, seconds: float = 60.0) -> Any:
        """Return the next object from the process.

        Raises:
            TimeoutError: None came in time.
            EOFError: The process has ended.
        """
        if not self._pipe.poll(seconds):
            raise TimeoutError(f"a worker said nothing for {seconds:g} s")
        return self._pipe.recv()

    def end(self) -> None:
        """End the process."""
        self._pipe.close()
        self._process.terminate()
        self._process.join()


def _work(target: Callable[..., None], pipe: Connection, *arguments: Any) -> None:
    lift_limit()
    target(pipe, *arguments)


class Lab:
    """The tools of one scene. At the end of its ``with`` block all servers and processes end.

    Args:
        engine: ``valkey`` or ``redis``.
    """

    def __init__(self, engine: str) -> None:
        self.engine = engine
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def server(self, *config: str) -> Server:
        """Start a server; ``config`` are more arguments, such as ``"--maxmemory", "5mb"``."""
        return self._stack.enter_context(Server(self.engine, "tcp", "--maxclients", str(MAX_CLIENTS), *config))

    def worker(self, target: Callable[..., None], *arguments: Any) -> Worker:
        """Start a process that runs ``target(pipe, *arguments)``; the function is at the top of its module."""
        worker = Worker(target, *arguments)
        self._stack.callback(worker.end)
        return worker

    @contextmanager
    def spent(self, server: Server) -> Iterator[Spent]:
        """Fill a ``Spent`` with the server's work inside the block.

        A server that restarts in the block begins to count at its start.
        """
        spent = Spent()
        with server.client() as client:
            before = _info(client)
        yield spent
        with server.client() as client:
            after = _info(client)
        own = Counter({"hello": 1, "info": 1})
        if before["run_id"] != after["run_id"]:
            before, own = {}, Counter({"hello": 1})
        spent.cpu = sum(_more(before, after, f"used_cpu_{kind}") for kind in ("user", "sys"))
        spent.commands = _calls(after) - _calls(before) - own
        spent.connections = int(_more(before, after, "total_connections_received")) - 1
        spent.refused = int(_more(before, after, "rejected_connections"))
        spent.received = int(_more(before, after, "total_net_input_bytes"))
        spent.sent = int(_more(before, after, "total_net_output_bytes"))

    @asynccontextmanager
    async def fleet(self, server: Server, count: int, **settings: Any) -> AsyncIterator[list[Cache]]:
        """Yield caches that are online, in this process; ``settings`` are arguments of ``Cache``."""
        caches = [Cache(server.url, **{"prefix": PREFIX, **settings}) for _ in range(count)]
        try:
            for start in range(0, count, BATCH):
                await asyncio.gather(*(cache.open() for cache in caches[start : start + BATCH]))
            await online(caches)
            yield caches
        finally:
            await asyncio.gather(*(cache.close() for cache in caches))


async def online(caches: Sequence[Cache]) -> float:
    """Wait until all caches are online; return the seconds."""
    began = time.monotonic()
    while not all(cache.stats().link == "online" for cache in caches):  # noqa: ASYNC110 - a cache sets no event for it
        await asyncio.sleep(0.02)
    return time.monotonic() - began


def lift_limit() -> None:
    """Let this process open as many files as the system allows: a fleet of 10,000 needs more than the usual 1,024."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _info(client: Client) -> dict[str, str]:
    lines = client("INFO", "all", timeout=60).decode().splitlines()
    return dict(line.split(":", 1) for line in lines if ":" in line)


def _more(before: Mapping[str, str], after: Mapping[str, str], name: str) -> float:
    return float(after[name]) - float(before.get(name, 0))


def _calls(info: Mapping[str, str]) -> Counter[str]:
    """Return calls by command; ``cmdstat_get:calls=3,usec=…`` is one line."""
    lines = ((name.removeprefix("cmdstat_"), said) for name, said in info.items() if name.startswith("cmdstat_"))
    return Counter({name: int(said.split(",")[0].removeprefix("calls=")) for name, said in lines})
