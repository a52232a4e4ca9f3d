"""A TCP proxy that does to connections what networks and dying servers do: delay, silence, ends, resets, refusals.

It runs in a thread of its own, so a test steers it with plain calls, done at once, from sync and async code alike.
"""

import asyncio
import threading
import weakref
from collections.abc import Callable
from typing import Literal, Self, TypeVar

from ..config.durations import Duration, seconds
from ..config.url import Address
from .faults import Fault
from .free_port import HOST, free_port
from .pipes import CutError, Pipe, Way, reset
from .server import Server

__all__ = ["Direction", "Proxy"]

T = TypeVar("T")
Direction = Literal["up", "down", "both"]  # up: client to server


class Proxy:
    """Stands before a server from construction until ``stop()``, or until the ``with`` block ends.

    The switches ``away``, ``frozen``, ``slow`` and ``blackhole`` work from the call on, until the end of their ``with``
    block or until ``heal()``. The others are done once, or last until ``heal()``.

    Args:
        target: What connections are relayed to: a ``Server``, or the URL of one that runs elsewhere. With TLS the bytes
            pass untouched, so the certificate must be one for 127.0.0.1, or the URL say ``ssl_check_hostname=false``.

    Raises:
        ConfigError: The URL is none of a server.

    Attributes:
        port: Where it listens on 127.0.0.1, the same all its life.
        connections: How many it has accepted so far.

    Example:
        >>> with Server() as server, Proxy(server) as proxy:
        ...     with proxy.away():
        ...         print("connections to", proxy.url[:18], "are refused")
        ...     fault = proxy.slow("20ms")  # also without a block
        ...     proxy.heal()
        connections to redis://127.0.0.1: are refused
    """

    def __init__(self, target: Server | str) -> None:
        self._target = target
        self._address = Address.parse(self._target_url, name="target")
        self.port = 0
        self.connections = 0
        self._tasks: dict[asyncio.Task[None], list[asyncio.StreamWriter]] = {}
        # All that may have a socket: one whose peer stopped reading is closed, and waits for that to be flushed.
        self._transports: weakref.WeakSet[asyncio.WriteTransport] = weakref.WeakSet()
        self._listener: asyncio.Server | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="fleetcache-proxy", daemon=True)
        self._thread.start()
        self._up, self._down = self._do(lambda: (Way(), Way()))
        self.accept()

    @property
    def server(self) -> Server:
        """The server it stands before, to be killed or restarted.

        Raises:
            TypeError: It is not a ``Server`` but a URL.
        """
        if isinstance(self._target, str):
            raise TypeError(f"this proxy stands before {self._address.safe}, which is not ours to handle")
        return self._target

    @property
    def _target_url(self) -> str:
        return self._target if isinstance(self._target, str) else self._target.url

    @property
    def url(self) -> str:
        """The URL of the server, by way of this proxy."""
        given, _, query = self._target_url.strip().partition("?")
        login, at, _ = given.partition("://")[2].rpartition("@")  # the one "@" that such a URL may have
        query = "&".join(part for part in query.split("&") if part and not part.startswith("db="))
        scheme = "rediss" if self._address.kind == "tls" else "redis"
        return f"{scheme}://{login}{at}{HOST}:{self.port}/{self._address.db}{'?' if query else ''}{query}"

    # -- switches ----------------------------------------------------------------------------------------------------

    def away(self) -> Fault:
        """The server is gone: connections are reset, new ones refused. When it is back its data is still there."""
        self.refuse()
        self.reset()
        return Fault("away", self.accept)

    def frozen(self) -> Fault:
        """The server takes everything and answers nothing, as if stopped. Afterwards it answers what it took."""
        self.stall()
        return Fault("frozen", self.release)

    def slow(self, by: Duration) -> Fault:
        """Every answer comes that much later, in order.

        Args:
            by: Seconds, ``timedelta`` or text such as ``"100ms"``.

        Raises:
            ConfigError: It is no duration.
        """
        self.delay(seconds(by, name="slow"), "down")
        return Fault("slow", lambda: self.delay(0, "down"))

    def blackhole(self) -> Fault:
        """The network swallows everything and tells nobody. Afterwards the connections of before are dead."""
        self.stall()
        return Fault("blackhole", self._lose)

    def heal(self) -> None:
        """Be a good network again: accept, deliver what is held, at once."""
        self.delay(0)
        self._each("both", lambda way: setattr(way, "cut_after", None))
        self.release()
        self.accept()

    # -- single acts -------------------------------------------------------------------------------------------------

    @property
    def open(self) -> int:
        """How many connections there are now, half-closed ones included."""
        return self._do(lambda: len(self._tasks))

    def delivered(self, direction: Direction = "both") -> int:
        """How many bytes went through so far."""
        return self._do(lambda: sum(way.delivered for way in self._ways(direction)))

    def held(self, direction: Direction = "both") -> int:
        """How many bytes wait here now."""
        return self._do(lambda: sum(way.held for way in self._ways(direction)))

    def delay(self, by: float, direction: Direction = "both") -> None:
        """Deliver everything so many seconds later, in order."""
        self._each(direction, lambda way: setattr(way, "delay", by))

    def stall(self, direction: Direction = "both") -> None:
        """Take bytes and hold them.

        When their sender closes its socket, they arrive later all the same, as a kernel would go on sending them; when
        it resets the connection, they are gone.
        """
        self._each(direction, Way.stall)

    def release(self, direction: Direction = "both") -> None:
        """End a stall; what was held is delivered in order."""
        self._each(direction, Way.go)

    def drop(self, direction: Direction = "both") -> None:
        """Lose the bytes that are held now."""
        self._each(direction, Way.drop)

    def cut_after(self, count: int, direction: Direction) -> None:
        """Deliver ``count`` more bytes in that direction and then cut the connection that they were on. Once."""
        self._each(direction, lambda way: setattr(way, "cut_after", count))

    def cut(self) -> None:
        """End every connection by FIN, to both sides. What is held is lost."""
        self._do(lambda: self._end_all(asyncio.StreamWriter.close))

    def reset(self) -> None:
        """End every connection by RST, to both sides. What is held is lost."""
        self._do(lambda: self._end_all(reset))

    def refuse(self) -> None:
        """Refuse new connections; those that are there go on."""
        asyncio.run_coroutine_threadsafe(self._close_listener(), self._loop).result(5)

    def accept(self) -> None:
        """Accept connections again."""
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(5)

    def stop(self) -> None:
        """Reset everything and end. Harmless when called again."""
        if self._loop.is_closed():
            return
        asyncio.run_coroutine_threadsafe(self._finish(), self._loop).result(5)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    # -- in the proxy's own thread -----------------------------------------------------------------------------------

    def _do(self, action: Callable[[], T]) -> T:
        """Have ``action`` done in the proxy's thread, and return its result."""

        async def act() -> T:
            return action()

        return asyncio.run_coroutine_threadsafe(act(), self._loop).result(5)

    def _ways(self, direction: Direction) -> tuple[Way, ...]:
        return {"up": (self._up,), "down": (self._down,), "both": (self._up, self._down)}[direction]

    def _each(self, direction: Direction, action: Callable[[Way], object]) -> None:
        self._do(lambda: [action(way) for way in self._ways(direction)])

    async def _listen(self) -> None:
        while self._listener is None:
            port = self.port or free_port()
            try:
                self._listener = await asyncio.start_server(self._connected, HOST, port)
                self.port = port
            except OSError:
                if self.port:  # a URL with it is out: no other will do
                    raise

    async def _close_listener(self) -> None:
        listener, self._listener = self._listener, None
        if listener is None:
            return
        for each in listener.sockets:
            self._loop.remove_reader(each.fileno())
        # What was accepted a moment ago takes some passes until it is told to us; a server that was closed before would
        # drop it with its socket open.
        for _ in range(10):
            await asyncio.sleep(0)
        listener.close()

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        writers = [writer]
        self._transports.add(writer.transport)
        task = self._loop.create_task(self._relay(reader, writers))
        self._tasks[task] = writers
        task.add_done_callback(self._tasks.pop)

    async def _relay(self, reader: asyncio.StreamReader, writers: list[asyncio.StreamWriter]) -> None:
        (client,) = writers
        try:
            server_reader, server = await self._connect()
        except OSError:
            return reset(client)  # as near as a proxy comes to "connection refused"
        writers.append(server)
        self._transports.add(server.transport)
        pipes = Pipe(self._up, reader, server), Pipe(self._down, server_reader, client)
        try:
            async with asyncio.TaskGroup() as group:
                for pipe in pipes:
                    group.create_task(pipe.run())
        except* CutError:
            pass
        finally:
            for each in writers:
                each.close()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        address = self._address
        if address.path:
            return await asyncio.open_unix_connection(address.path)
        return await asyncio.open_connection(address.host, address.port)

    def _lose(self) -> None:
        def lose() -> None:
            self._end_all(reset)
            for way in (self._up, self._down):
                way.drop()
                way.go()

        self._do(lose)

    def _end_all(self, end: Callable[[asyncio.StreamWriter], None]) -> None:
        for task, writers in self._tasks.items():
            for writer in writers:
                end(writer)
            task.cancel()

    async def _finish(self) -> None:
        await self._close_listener()
        self._end_all(reset)
        if self._tasks:
            await asyncio.wait(self._tasks)
        for transport in self._transports:
            transport.abort()
        await asyncio.sleep(0)  # closed transports let go of their sockets in the next pass
