"""A TCP proxy with the faults of networks and dying servers: delay, silence, closed, reset and refused connections.

The proxy runs in its own thread, so a test controls it by plain calls from sync and async code; each takes effect
before it returns.
"""

import asyncio
import threading
import weakref
from collections.abc import Callable
from typing import Any, Literal, Self, TypeVar

from ..config.durations import Duration, parse_duration
from ..config.url import Address
from .pipes import CutError, Pipe, Way, reset
from .server import HOST, Server, free_port

__all__ = ["Direction", "Fault", "Proxy"]

T = TypeVar("T")
Direction = Literal["up", "down", "both"]  # up: client to server


class Fault:
    """A fault in force, returned by the switches of ``Proxy``: lasts until ``with`` ends or ``end()`` is called.

    Example:
        >>> with Server() as server, Proxy(server) as proxy:
        ...     fault = proxy.slow("20ms")
        ...     fault.end()
        ...     fault
        <Fault slow, over>
    """

    def __init__(self, name: str, undo: Callable[[], None]) -> None:
        self._name, self._undo = name, undo
        self._over = False

    def end(self) -> None:
        """Undo the fault. A second call has no effect."""
        if not self._over:
            self._over = True
            self._undo()

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        self.end()

    def __repr__(self) -> str:
        return f"<Fault {self._name}{', over' if self._over else ''}>"


def _tell_defects(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Log what went wrong in the proxy's thread.

    A reset connection is no defect here. asyncio reports one if the garbage collector finds the future before the
    stream that it belongs to.
    """
    if not isinstance(context.get("exception"), OSError):
        loop.default_exception_handler(context)


class Proxy:
    """Relays connections to a server from construction until ``stop()``, or until the ``with`` block ends.

    The switches ``away``, ``frozen``, ``slow`` and ``blackhole`` work from the call on, until the end of their ``with``
    block or until ``heal()``. The other methods act once, or last until ``heal()``.

    Args:
        target: The server behind the proxy: a ``Server``, or the URL of a server elsewhere. With TLS the proxy passes
            bytes unchanged, so the certificate must be valid for 127.0.0.1, or the URL must have
            ``ssl_check_hostname=false``.

    Raises:
        ConfigError: The URL is not that of a server.

    Attributes:
        port: The proxy's port on 127.0.0.1, which never changes.
        connections: Number of connections accepted so far.

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
        # All transports that may have a socket: a closed transport keeps its socket until its bytes are flushed, which
        # never happens if its peer has stopped reading.
        self._transports: weakref.WeakSet[asyncio.WriteTransport] = weakref.WeakSet()
        self._listener: asyncio.Server | None = None
        self._loop = asyncio.new_event_loop()
        self._loop.set_exception_handler(_tell_defects)
        self._thread = threading.Thread(target=self._loop.run_forever, name="fleetcache-proxy", daemon=True)
        self._thread.start()
        self._up, self._down = self._do(lambda: (Way(), Way()))
        self.accept()

    @property
    def server(self) -> Server:
        """The server behind the proxy, to be killed or restarted.

        Raises:
            TypeError: The target is not a ``Server`` but a URL.
        """
        if isinstance(self._target, str):
            raise TypeError(f"this proxy stands before {self._address.safe}, which this test run did not start")
        return self._target

    @property
    def _target_url(self) -> str:
        return self._target if isinstance(self._target, str) else self._target.url

    @property
    def url(self) -> str:
        """The URL of the server through this proxy."""
        given, _, query = self._target_url.strip().partition("?")
        login, at, _ = given.partition("://")[2].rpartition("@")  # such a URL has at most one "@"
        query = "&".join(part for part in query.split("&") if part and not part.startswith("db="))
        scheme = "rediss" if self._address.kind == "tls" else "redis"
        return f"{scheme}://{login}{at}{HOST}:{self.port}/{self._address.db}{'?' if query else ''}{query}"

    # -- switches ----------------------------------------------------------------------------------------------------

    def away(self) -> Fault:
        """Make the server unreachable: reset connections and refuse new ones. The server keeps its data."""
        self.refuse()
        self.reset()
        return Fault("away", self.accept)

    def frozen(self) -> Fault:
        """Make the server accept bytes and answer nothing, as if stopped. Afterwards it answers all held commands."""
        self.stall()
        return Fault("frozen", self.release)

    def slow(self, by: Duration) -> Fault:
        """Delay every answer by a duration, in order.

        Args:
            by: Seconds, ``timedelta`` or text such as ``"100ms"``.

        Raises:
            ConfigError: ``by`` is not a duration.
        """
        self.delay(parse_duration(by, name="slow"), "down")
        return Fault("slow", lambda: self.delay(0, "down"))

    def blackhole(self) -> Fault:
        """Make the network lose all bytes silently. Afterwards the existing connections are reset."""
        self.stall()
        return Fault("blackhole", self._lose)

    def heal(self) -> None:
        """End all faults: accept connections, deliver held bytes, without delay."""
        self.delay(0)
        self._each("both", lambda way: setattr(way, "cut_after", None))
        self.release()
        self.accept()

    # -- single acts -------------------------------------------------------------------------------------------------

    @property
    def open(self) -> int:
        """Number of current connections, half-closed connections included."""
        return self._do(lambda: len(self._tasks))

    def delivered(self, direction: Direction = "both") -> int:
        """Return the number of bytes delivered so far.

        Args:
            direction: ``up`` from the client to the server, ``down`` back, or ``both``.
        """
        return self._do(lambda: sum(way.delivered for way in self._ways(direction)))

    def held(self, direction: Direction = "both") -> int:
        """Return the number of bytes held now.

        Args:
            direction: ``up`` from the client to the server, ``down`` back, or ``both``.
        """
        return self._do(lambda: sum(way.held for way in self._ways(direction)))

    def delay(self, by: float, direction: Direction = "both") -> None:
        """Delay all bytes, in order.

        Args:
            by: Seconds; 0 ends the delay.
            direction: ``up`` from the client to the server, ``down`` back, or ``both``.
        """
        self._each(direction, lambda way: setattr(way, "delay", by))

    def stall(self, direction: Direction = "both") -> None:
        """Accept bytes and hold them.

        When their sender closes its socket, the bytes still arrive later, because a kernel would continue to send them.
        When the sender resets the connection, the bytes are lost.

        Args:
            direction: ``up`` from the client to the server, ``down`` back, or ``both``.
        """
        self._each(direction, Way.stall)

    def release(self, direction: Direction = "both") -> None:
        """End a stall; deliver the held bytes in order.

        Args:
            direction: ``up`` from the client to the server, ``down`` back, or ``both``.
        """
        self._each(direction, Way.go)

    def drop(self, direction: Direction = "both") -> None:
        """Drop the bytes that are held now.

        Args:
            direction: ``up`` from the client to the server, ``down`` back, or ``both``.
        """
        self._each(direction, Way.drop)

    def cut_after(self, count: int, direction: Direction) -> None:
        """Deliver some more bytes, then cut the connection that carried the last of them, once.

        Args:
            count: The number of bytes still delivered.
            direction: ``up`` from the client to the server, ``down`` back, or ``both``.
        """
        self._each(direction, lambda way: setattr(way, "cut_after", count))

    def cut(self) -> None:
        """End every connection by FIN, to both sides. Held bytes are lost."""
        self._do(lambda: self._end_all(asyncio.StreamWriter.close))

    def reset(self) -> None:
        """End every connection by RST, to both sides. Held bytes are lost."""
        self._do(lambda: self._end_all(reset))

    def refuse(self) -> None:
        """Refuse new connections; existing connections continue."""
        asyncio.run_coroutine_threadsafe(self._close_listener(), self._loop).result(5)

    def accept(self) -> None:
        """Accept connections again."""
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(5)

    def stop(self) -> None:
        """Reset all connections and end the proxy. A second call has no effect."""
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
        """Run ``action`` in the proxy's thread, and return its result."""

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
                if self.port:  # a URL with this port is in use, so no other port will do
                    raise

    async def _close_listener(self) -> None:
        listener, self._listener = self._listener, None
        if listener is None:
            return
        for each in listener.sockets:
            self._loop.remove_reader(each.fileno())
        # asyncio reports an accepted connection only some passes later. A server that is closed before would drop the
        # connection and leave its socket open.
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
            return reset(client)  # the closest possible to "connection refused"
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
        await asyncio.sleep(0)  # closed transports release their sockets in the next pass
