"""Bare clients: instances by the thousand in one process, for scenes in which no caller asks for anything.

Each is the product's own engine with its own link, session, handshake, recovery and heartbeats. Only the shell is
another: one epoll loop moves the bytes of all connections, where a process would have an event loop for one.

1. A bare client shares its processor with thousands. So a connection that is made, and bytes that wait in its socket,
   are handled before a deadline counts.
2. It runs no verbs. It may read a key, in the bytes of a shared hit, and so hold it: the server pushes its next change.
   A scene that loads values uses ``Lab.fleet``.
"""

import gc
import heapq
import logging
import select
import socket
import struct
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Generator
from contextlib import AbstractAsyncContextManager, suppress
from itertools import count
from multiprocessing.connection import Connection as Pipe
from typing import Any, Self

from benchmarks.scale.lab import PREFIX, Lab, Worker
from fleetcache.config.settings import Settings
from fleetcache.config.url import CredentialProvider
from fleetcache.engine.aio.runtime import AioRuntime
from fleetcache.engine.engine import Engine
from fleetcache.policy.ports import Runtime
from fleetcache.wire.connection import Connection, Deadline
from fleetcache.wire.session import AnyCall, Call

__all__ = ["Crowd", "Crowds", "crowd"]

READ_SIZE = 256 * 1024
RESET = struct.pack("ii", 1, 0)


class Promise:
    """A future that the loop below looks at."""

    __slots__ = ("opened", "value")

    def __init__(self) -> None:
        self.opened, self.value = False, None

    def done(self) -> bool:
        """Return True if the future has its result."""
        return self.opened

    def set_result(self, result: Any, /) -> None:
        """Set the result."""
        self.opened, self.value = True, result


class _Wait:
    """Awaited by the reconnector of a bare client, until a condition holds."""

    def __init__(self, ready: Callable[[], bool]) -> None:
        self.ready = ready

    def __await__(self) -> Generator["_Wait", None, None]:
        yield self


class _Bound(AbstractAsyncContextManager["Deadline"]):
    def __init__(self, wire: "BareConnection", seconds: float) -> None:
        self._wire, self._seconds = wire, seconds

    def extend(self, seconds: float) -> None:
        """Move the deadline to ``seconds`` from now."""
        self._wire.bound(seconds)

    async def __aenter__(self) -> Self:
        self.extend(self._seconds)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.extend(float("inf"))


class BareConnection(Connection):
    """One connection of a crowd."""

    future = Promise

    def __init__(self, *args: Any, crowd: "Crowd", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._crowd = crowd
        self.sock: socket.socket | None = None
        self.number = -1
        self.writable = False
        self._unsent = b""
        self._until = float("inf")
        self._life: Coroutine[Any, Any, None] | None = None
        self._waits: _Wait | None = None

    # -- the loop's side ---------------------------------------------------------------------------------------------

    def step(self, now: float) -> None:
        """Ring the timers that are due and continue the reconnector, as far as it goes without waiting."""
        if now >= self._wake_at:
            self._tick()
        if self._waits is not None and now >= self._until and not self._waits.ready():
            self._look()
        while self._waits is not None and self._life is not None:
            if self._waits.ready():
                self._continue(self._life.send, None)
            elif now >= self._until:
                self._continue(self._life.throw, TimeoutError("no answer"))
            else:
                break
        self.flush()

    def _look(self) -> None:
        """Handle what the socket has, before a deadline counts."""
        if self.sock is None:
            return
        poll = select.poll()
        poll.register(self.sock, select.POLLIN | select.POLLOUT)
        events = dict(poll.poll(0)).get(self.number, 0)
        if events and not self.writable:
            self.writable = True
        elif events & ~select.POLLOUT:
            self.read()

    def _continue(self, move: Callable[[Any], Any], given: Any) -> None:
        try:
            self._waits = move(given)
        except StopIteration:
            self._waits = self._life = None

    def read(self) -> None:
        """Read and handle the bytes that wait in the socket."""
        if self.sock is None:
            return
        try:
            size = self.sock.recv_into(self._crowd.buffer)
        except BlockingIOError:
            return
        except OSError as error:
            self.fail("reset", repr(error))
            return
        if size:
            self.received(self._crowd.buffer[:size])
        else:
            self.fail("reset", "the server closed the connection")

    def flush(self) -> None:
        """Write the queued calls."""
        if self.sock is None or not self.writable:
            return
        data = self._unsent + (self.session.send_queued(self._clock()) if self.session.queued else b"")
        if not data:
            return
        try:
            sent = self.sock.send(data)
        except BlockingIOError:
            sent = 0
        except OSError as error:
            self.fail("reset", repr(error))
            return
        self._unsent = data[sent:]
        self._crowd.watch(self, writing=bool(self._unsent))

    # -- the connection's side ---------------------------------------------------------------------------------------

    def submit(self, call: AnyCall, *, at_once: bool = False) -> None:  # noqa: ARG002 - the step's end is as soon
        """Queue a call; it is written at the end of the step."""
        self.session.queue(call)
        self._arm(min(self._wake_at, self._clock() + self._limits.operation_timeout))

    def _arm(self, when: float) -> None:
        self._wake_at = when
        self._crowd.ring(when, self)

    def _disarm(self) -> None:
        self._wake_at = float("inf")

    def _has_bytes(self) -> bool:
        if self.sock is None:
            return False
        poll = select.poll()
        poll.register(self.sock, select.POLLIN)
        return bool(poll.poll(0))

    def _abort(self) -> None:
        sock, self.sock, self._unsent, self.writable = self.sock, None, b"", False
        if sock is not None:
            self._crowd.drop(self.number)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            sock.close()

    def _tell_over(self) -> None:
        self._crowd.ring(self._clock(), self)

    def bound(self, seconds: float) -> None:
        """Raise ``TimeoutError`` in a wait that lasts longer than ``seconds`` from now."""
        self._until = self._clock() + seconds
        self._crowd.ring(self._until, self)

    def start(self, run: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run the coroutine on the crowd's loop."""
        self._life = run()
        self._continue(self._life.send, None)
        self._crowd.ring(self._clock(), self)

    async def connect(self) -> None:
        """Open a connection."""
        sock = self.sock = socket.socket()
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.number = sock.fileno()
        self._crowd.add(self, sock)
        begun = sock.connect_ex((self.address.host, self.address.port))
        if begun:
            await _Wait(lambda: self.writable)
        failed = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if failed:
            raise ConnectionRefusedError(failed, "the connection was refused")
        self.writable = True
        self._crowd.watch(self, writing=False)

    async def until_over(self) -> None:
        """Wait until the connection is over."""
        await _Wait(lambda: self.over is not None)

    async def reply(self, future: Any) -> Any:
        """Wait until the connection is over or the future has a result."""
        await _Wait(lambda: future.opened or self.over is not None)
        return future.value

    async def pause(self, seconds: float) -> None:
        """Wait for ``seconds``."""
        until = self._clock() + seconds
        self._crowd.ring(until, self)
        await _Wait(lambda: self._clock() >= until)

    def within(self, seconds: float) -> AbstractAsyncContextManager[Deadline]:
        """Return a deadline for the waits."""
        return _Bound(self, seconds)

    async def provided(self, provider: CredentialProvider) -> tuple[str, ...]:
        """Ask the provider for user and password."""
        return tuple(provider.get_credentials())

    async def close(self) -> None:
        """End the connection."""
        self.abandon(reset=True)

    def abandon(self, *, reset: bool) -> list[Any]:  # noqa: ARG002 - a crowd has no other end
        """Let the connection go."""
        if self._life is not None:
            self._life.close()
        self._abort()
        return []


class _Engine(Engine):
    """The product's engine over a connection of the crowd."""

    def __init__(self, settings: Settings, crowd: "Crowd") -> None:
        self._crowd = crowd
        super().__init__(settings)

    def _new_ports(self) -> Runtime:
        ports = AioRuntime(self.clock, self._random, self.tell)
        ports.future = Promise
        return ports

    async def _prepare(self) -> None:
        """Prepare nothing: a crowd has no embedded server."""

    def _begin(self) -> None:
        _, reconnector = self._new_wire(self._connection)
        reconnector.start()

    def _connection(self, *args: Any, **kwargs: Any) -> BareConnection:
        return BareConnection(*args, crowd=self._crowd, **kwargs)

    def _is_here(self) -> bool:
        return True

    def begin(self) -> None:
        """Connect, for as long as the crowd lives."""
        self._begin()

    def read(self, key: str, answered: Callable[[list[Any]], None]) -> None:
        """Read a key on the live connection."""
        raw = self.layout.entry(key)
        if isinstance(self.wire, BareConnection):
            self.wire.submit(Call((("GET", raw), ("PTTL", raw)), answered))
            self.wire.flush()


class Crowd:
    """Bare clients on one epoll loop.

    Args:
        url: The server's URL.
        size: The number of clients.
        **settings: Other settings of each.
    """

    def __init__(self, url: str, size: int, **settings: Any) -> None:
        self._epoll = select.epoll()
        self._wires: dict[int, BareConnection] = {}
        self._writing: set[int] = set()
        self._bells: list[tuple[float, int, BareConnection]] = []
        self._order = count()
        self.buffer = memoryview(bytearray(READ_SIZE))
        shared = Settings.from_url(url, **{"prefix": PREFIX, **settings})
        self.engines = [_Engine(shared, self) for _ in range(size)]
        self.answers = 0  # to reads

    def report(self) -> dict[str, int]:
        """Return the clients that are online, the answers to reads, and the pushes, each in all."""
        return {
            "online": sum(engine.shared.usable for engine in self.engines),
            "answers": self.answers,
            "pushes": sum(engine.counters.invalidations for engine in self.engines),
        }

    def read(self, key: str) -> None:
        """Let each client that is online read a key."""
        for engine in self.engines:
            if engine.shared.usable:
                engine.read(key, self._answered)

    def _answered(self, _replies: list[Any]) -> None:
        self.answers += 1

    def begin(self, first: int, number: int) -> None:
        """Let some of the clients connect."""
        for engine in self.engines[first : first + number]:
            engine.begin()

    def turn(self, seconds: float) -> None:
        """Handle events for about this long."""
        until = time.monotonic() + seconds
        while (now := time.monotonic()) < until:
            wake = min(until, self._bells[0][0] if self._bells else until)
            for number, events in self._epoll.poll(max(0.0, wake - now), 1000):
                wire = self._wires.get(number)
                if wire is None:
                    continue
                if events & ~select.EPOLLOUT and wire.writable:
                    wire.read()
                wire.writable = True
                wire.step(time.monotonic())
            now = time.monotonic()
            while self._bells and self._bells[0][0] <= now:
                heapq.heappop(self._bells)[2].step(now)

    def end(self) -> None:
        """Drop all connections."""
        for engine in self.engines:
            if engine.wire is not None:
                engine.wire.abandon(reset=True)
        self._epoll.close()

    # -- for connections ---------------------------------------------------------------------------------------------

    def ring(self, when: float, wire: BareConnection) -> None:
        """Step this connection at this time."""
        if when < float("inf"):
            heapq.heappush(self._bells, (when, next(self._order), wire))

    def add(self, wire: BareConnection, sock: socket.socket) -> None:
        """Watch a socket that connects."""
        self._wires[sock.fileno()] = wire
        self._writing.add(sock.fileno())
        self._epoll.register(sock.fileno(), select.EPOLLIN | select.EPOLLOUT)

    def watch(self, wire: BareConnection, *, writing: bool) -> None:
        """Watch a socket for bytes, and for room if ``writing``."""
        if writing != (wire.number in self._writing):
            (self._writing.add if writing else self._writing.discard)(wire.number)
            self._epoll.modify(wire.number, select.EPOLLIN | (select.EPOLLOUT if writing else 0))

    def drop(self, number: int) -> None:
        """Forget a socket that is about to be closed."""
        self._wires.pop(number, None)
        self._writing.discard(number)
        self._epoll.unregister(number)


def crowd(pipe: Pipe, url: str, size: int, settings: dict[str, Any]) -> None:
    """Run a crowd in this process; ``Crowds`` is the other end of the pipe."""
    logging.getLogger("fleetcache").setLevel(logging.CRITICAL)  # an outage has a line for each client
    gc.disable()  # a collection would look at the parts of thousands of engines, where a process has one
    clients = Crowd(url, size, **settings)
    pipe.send("ready")
    with suppress(EOFError, OSError):  # the scene has ended
        _serve(pipe, clients)


def _serve(pipe: Pipe, clients: Crowd) -> None:
    begun = 0
    while True:
        clients.turn(0.02)
        while pipe.poll():
            asked = pipe.recv()
            if isinstance(asked, int):
                clients.begin(begun, asked)
                begun += asked
            elif isinstance(asked, str):
                clients.read(asked)
            pipe.send(clients.report())


class Crowds:
    """Bare clients in several processes.

    Args:
        lab: The scene's laboratory.
        url: The server's URL.
        size: The number of clients.
        processes: The number of processes.
        **settings: Other settings of each client.
    """

    def __init__(self, lab: Lab, url: str, size: int, *, processes: int = 2, **settings: Any) -> None:
        self.size = size
        self._workers: list[Worker] = [lab.worker(crowd, url, size // processes, settings) for _ in range(processes)]
        for worker in self._workers:
            worker.receive(300.0)

    @property
    def online(self) -> int:
        """The clients that are online."""
        return self.report()["online"]

    def report(self, told: str | int | None = None) -> Counter[str]:
        """Tell each process something and return their reports, added up."""
        for worker in self._workers:
            worker.send(told)
        return sum((Counter(worker.receive()) for worker in self._workers), Counter())

    def begin(self, number: int) -> None:
        """Let this many more of the clients connect, the same number in each process."""
        self.report(number // len(self._workers))

    def read(self, key: str) -> None:
        """Let each client read a key, and wait until all are answered."""
        before = self.report()["answers"]
        self.report(key)
        self._until("answers", before + self.size, 60.0)

    def until_pushed(self, before: int) -> None:
        """Wait until each client has got one push more than the ``before`` of all."""
        self._until("pushes", before + self.size, 60.0)

    def until_online(self, number: int | None = None, seconds: float = 120.0) -> float:
        """Wait until this many of the clients are online, by default all; return the seconds.

        Raises:
            TimeoutError: Fewer are online in time.
        """
        return self._until("online", self.size if number is None else number, seconds)

    def _until(self, what: str, wanted: int, seconds: float) -> float:
        began = time.monotonic()
        while (there := self.report()[what]) < wanted:
            if time.monotonic() - began > seconds:
                raise TimeoutError(f"{what}: {there} of {wanted} after {seconds:g} s")
            time.sleep(0.02)
        return time.monotonic() - began
