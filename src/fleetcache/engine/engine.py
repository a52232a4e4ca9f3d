"""The engine: builds the parts of one cache, builds them anew in a forked child, and closes them.

``aio.engine`` runs them on an event loop, ``threads.engine`` on threads. The face (``cache``) sees the parts through
the engine; so do namespaces, which share the parts.
"""

import logging
import os
import socket
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakSet

from ..clock import Clock, CountingClock, monotonic, system_random
from ..config.settings import Settings
from ..config.url import Address
from ..errors import Closed
from ..format.codec import Codecs
from ..format.function_names import Names
from ..format.keys import Layout
from ..format.signing import Signer
from ..log import Teller
from ..near.coherence import Coherence
from ..near.graveyard import Burial
from ..near.store import Near
from ..policy.batches import Batches
from ..policy.claims import Claims
from ..policy.context import PolicyContext
from ..policy.counters import CounterRules
from ..policy.local_writing import LocalWriting
from ..policy.ports import Runtime
from ..policy.reading import Policy
from ..policy.single_flight import Flights
from ..policy.writing import Writing
from ..shared.entries import Entries
from ..shared.recovery import Recovery
from ..shared.store import Shared
from ..telemetry.reporter import Reporter
from ..telemetry.stats import Counters, Stats
from ..wire.connection import Connection, WireLimits
from ..wire.handshake import ServerInfo
from ..wire.link_state import Link, NoLink
from ..wire.reconnect import Reconnector
from .link_events import WireListener

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop

    from ..shared.embedded.host import Host
    from .threads.reentrant import Inside

__all__ = ["Engine"]

C = TypeVar("C", bound=Connection)

# The frame limit is this many times ``max_value_bytes``: room for a value that a release with a larger limit stored.
FRAME_TIMES = 16

_ENGINES: "WeakSet[Engine]" = WeakSet()
# Engines configured by the process's own environment, and callbacks for new ones: tests override these engines.
FROM_ENV: "WeakSet[Engine]" = WeakSet()
ON_FROM_ENV: "list[Callable[[Engine], None]]" = []
# Objects of abandoned connections, kept alive: if a forked child closed them, it would write to its parent's socket.
_INHERITED: list[Any] = []


class Engine(ABC):
    """All parts of one cache.

    Attributes:
        nested: Threads in a call that interrupted a rule of the same thread; usually none.

    Args:
        settings: The configuration.
        clock: Seconds.
        random: Returns a number in [0, 1).
        token: Returns ``n`` new random bytes.
    """

    nested: Collection[int] = ()
    MAX_LOADS = 0  # the default of CACHE_MAX_LOADS on this engine

    def __init__(
        self,
        settings: Settings,
        *,
        clock: Clock = monotonic,
        random: Callable[[], float] = system_random,
        token: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self.settings = settings
        self.clock, self._random, self._token = clock, random, token
        self.driver = settings.resolved_driver
        self.embedded_host = _host(settings)
        self.address: Address | None = settings.address if self.embedded_host is None else self.embedded_host.address
        self.counters = Counters()
        self.tell = Teller(self.driver)
        self.ticks = CountingClock(clock)
        self.faces: WeakSet[Any] = WeakSet()
        self.names = Names()
        self.bypasses: set[object] = set()  # a mark for each ``bypass()`` that is not left yet
        self.override: Engine | None = None  # the engine that takes this one's place while a test overrides it
        self.reopen: Callable[[], None] | None = None  # of an override: puts a new engine in its place
        self.closed = False
        self.ready = False  # whether a call can begin without waiting, as long as the loop is the same
        self._entered = clock()
        self._change = object()
        self.wire: Connection | None = None
        self.reconnector: Reconnector | None = None
        self._greeting: ServerInfo | None = None  # the greeting of the last connection on another loop
        self.link: Link | NoLink
        self.loop: AbstractEventLoop | None = None  # the event loop in use, if any
        self._listener = WireListener(self)
        self.reporter = Reporter(self)
        self._build()
        _ENGINES.add(self)
        self._tell_doubts()

    def _tell_doubts(self) -> None:
        settings = self.settings
        for doubt in settings.doubts:
            self.tell(logging.WARNING, "doubtful_setting", "doubtful setting: %s", doubt)
        if settings.has_server and settings.default_prefix:
            words = "default prefix: CACHE_PREFIX is %r; two services on one server would share keys: set your own"
            self.tell(logging.WARNING, "default_prefix", words, settings.prefix)

    # -- parts -------------------------------------------------------------------------------------------------------

    def _build(self) -> None:
        """Build new, empty parts."""
        self.instance = f"{socket.gethostname()[:40]}-{os.getpid()}-{self._token(3).hex()}"
        self._build_tiers()
        self._build_rules()

    def _build_tiers(self) -> None:
        """Build the near and the shared tier, and the parts that keep them coherent."""
        settings, clock, counters = self.settings, self.clock, self.counters
        self.layout = Layout(settings.prefix)
        near_bytes = 0 if self.driver == "null" else settings.near_max_bytes
        self.near = Near(settings.near_max_items, near_bytes, alone=not settings.has_server)
        self.flights = Flights()
        self.coherence = Coherence(self.near, self.layout, self.flights, counters, clock, self.tell)
        self.coherence.untracked_life = min(Coherence.UNTRACKED_LIFE, settings.max_staleness / 2)
        self.ports = self._new_ports()
        self.burial = Burial(self.near, clock, self.ports.call_later)
        self.entries = Entries(
            Codecs(settings.codec),
            Signer(settings.signing_keys) if settings.signing_keys else None,
            self.coherence,
            self.layout,
            counters,
            max_bytes=settings.max_value_bytes,
            stamp=partial(self._token, 16),
        )
        self.shared = Shared(self.layout, self.entries, self.coherence, counters, clock, self.ports)
        self.shared.large.frame = FRAME_TIMES * settings.max_value_bytes
        self.coherence.doubts.ask = self.shared.reads.ask_version
        self.recovery = Recovery(
            self.coherence,
            self.layout,
            self.shared,
            counters,
            clock,
            trust_restart=settings.trust_restart,
            version=partial(self._token, 16),
            tell=self.tell,
        )
        if self.embedded_host is not None:
            self.recovery.table.room = settings.embedded_max_bytes

    def _build_rules(self) -> None:
        """Build the rules over these tiers."""
        settings = self.settings
        self.link = self._listener.new_link(settings) if settings.has_server else NoLink()
        self.ctx = PolicyContext(
            self.near,
            self.coherence,
            self.shared,
            self.entries,
            self.flights,
            self.ports,
            self.link,
            self.counters,
            operation_timeout=settings.operation_timeout,
            load_wait=settings.load_wait,
            max_staleness=settings.max_staleness,
            alone=not settings.has_server,
            strict=settings.strict,
            ttl_jitter=settings.ttl_jitter,
            tell=self.tell,
            max_loads=self.MAX_LOADS if settings.max_loads is None else settings.max_loads,
        )
        self.policy = Policy(self.ctx)
        self.writing = Writing(self.ctx) if settings.has_server else LocalWriting(self.ctx)
        self.counting = CounterRules(self.ctx)
        self.batches = Batches(self.ctx, self.policy)
        self.claims = Claims(self.ctx, self.policy.loading.waits.for_change)

    # -- faces -------------------------------------------------------------------------------------------------------

    def register_from_env(self) -> None:
        """Register this engine as configured by the process's own environment."""
        FROM_ENV.add(self)
        for tell in ON_FROM_ENV:
            tell(self)

    @property
    def active(self) -> "Engine":
        """Return the engine that the faces use: this engine, or its override in a test."""
        return self.override or self

    def rebind_faces(self) -> None:
        """Have the faces renew the references that they keep for their hot path."""
        self._change = change = object()
        while True:
            faces: list[Any] | None = None
            while faces is None:
                with suppress(RuntimeError):  # another thread has made a namespace meanwhile
                    faces = list(self.faces)
            for face in faces:
                face.bind()
            if self._change is change:
                return
            change = self._change  # another thread changed it in between: bind the faces again, to the newest state

    # -- what an event loop and threads do in their own ways ---------------------------------------------------------

    @abstractmethod
    def _new_ports(self) -> Runtime:
        """Return a new runtime."""

    @abstractmethod
    async def _prepare(self) -> None:
        """Start the embedded server, or attach to it."""

    @abstractmethod
    def _begin(self) -> None:
        """Start the connection, unless it was started on this event loop or in this process."""

    @abstractmethod
    def _is_here(self) -> bool:
        """Return True if the connection belongs to the running event loop, or to this process."""

    def check_here(self) -> None:  # noqa: B027 - nothing to check on threads
        """Raise an error if the engine belongs to another event loop, which runs."""

    # -- use ---------------------------------------------------------------------------------------------------------

    @property
    def rules(self) -> "Engine | Inside":
        """Return the object that carries out the verbs: this engine."""
        return self

    async def ensure_ready(self) -> "Engine | Inside":
        """Make sure that there is a connection for the calling loop or process, and return ``rules``.

        The first call waits for the connection, for one operation timeout at most.
        """
        if self.closed:
            raise Closed("this cache was closed: open a new one")
        self._begin()
        if self.reconnector is not None and not self.reconnector.tried:
            await self.first_attempt(self._entered + self.settings.operation_timeout - self.clock())
        self.ready = True
        return self

    async def first_attempt(self, timeout: float) -> None:  # noqa: ASYNC109 - a bound, not a cancellation
        """Wait until the first attempt to connect has succeeded or failed, ``timeout`` seconds at most."""
        if self.reconnector is not None and timeout > 0:
            future = self.ports.future()
            self.reconnector.on_first_attempt(future)
            await self.ports.wait(future, self.clock() + timeout)

    def _new_wire(self, shell: Callable[..., C]) -> tuple[C, Reconnector]:
        """Make a connection of this kind for the current parts, and its reconnector, which the caller starts."""
        if self.address is None or not isinstance(self.link, Link):  # the settings do not allow it
            raise AssertionError(f"driver {self.driver} without an address")
        settings, embedded = self.settings, self.embedded_host is not None
        limits = WireLimits(
            settings.operation_timeout, settings.connect_timeout, settings.max_staleness, self.shared.large.frame
        )
        hooks = self._listener.hooks(self._prepare if embedded else None)
        probe = self.layout.probe(self.instance)
        wire = self.wire = self.shared.wire = shell(
            self.address, self.link, limits, hooks, clock=self.clock, probe=probe
        )
        wire.greeting, self._greeting = self._greeting, None
        reconnector = self.reconnector = Reconnector(
            wire,
            None if embedded else settings.credential_provider,  # the embedded server needs none
            limits,
            hooks,
            clock=self.clock,
            random=self._random,
            name=f"fleetcache-{self.instance}",
        )
        return wire, reconnector

    def _abandon(self, *, keep_journal: bool) -> None:
        """Give up the connection and the parts of another loop or process, without touching its sockets' streams."""
        if self.wire is not None:
            if keep_journal:
                self.wire.journal_unanswered()
                self._greeting = self.wire.greeting  # the next connection ends this one on the server, too
            _INHERITED.extend(self.wire.abandon(reset=keep_journal))
        self.wire = self.shared.wire = self.reconnector = None
        self.shared.usable = False  # a caller that still holds the old parts must not use the old connection
        self.reporter.forget()
        coherence, rights = self.coherence, self.shared.rights
        self._build()
        if keep_journal:
            self.coherence.journal, self.coherence.recent = coherence.journal, coherence.recent
            self.coherence.last_all, self.shared.rights = coherence.last_all, rights
        self.rebind_faces()

    def after_fork(self) -> None:
        """Start clean in a forked child. The parent replays its own pending removals."""
        self.loop = None
        self._listener.forget()
        self._abandon(keep_journal=False)

    # -- state and counters ------------------------------------------------------------------------------------------

    @property
    def offline_since(self) -> float | None:
        """Return when the current absence of the server began; ``None`` while it answers."""
        return self._listener.offline_since

    @property
    def tried(self) -> bool:
        """Return True once the first attempt to connect has succeeded or failed."""
        return isinstance(self.link, NoLink) or self.link.tried or self.link.reason is not None

    def stats(self) -> Stats:
        """Return counters and gauges."""
        return self.reporter.stats()

    # -- the end -----------------------------------------------------------------------------------------------------

    async def close(self) -> None:
        """Stop refreshes, release leases and claims, try once to deliver pending removals, and end the connection."""
        if self.closed:
            return
        self.closed = self.ctx.closed = True
        self.ready = False
        self.rebind_faces()
        if not self._is_here():
            return  # never used, or used on a loop that is gone: no task and no connection is alive
        self.burial.stop()
        await self.drain()
        if self.wire is not None:
            await self.wire.close()
        if self.embedded_host is not None:
            self.embedded_host.leave()

    async def drain(self) -> None:
        """Release leases and claims and flush the journal before closing.

        Other instances then do not wait for loads that this process will not finish.
        """
        await self.ports.close(self.settings.operation_timeout)
        self.policy.loading.rights.release_all()
        self.claims.release_all()
        self.recovery.replay_now()
        if self.shared.usable:
            future = self.shared.ping()  # replies come in order: an answer to the ping means that the rest is answered
            if future is not None:
                await self.ports.wait(future, self.clock() + self.settings.operation_timeout)
        lost = len(self.coherence.journal)
        if lost:
            words = (
                "removals lost: %d that the server has not acknowledged at close; other instances may answer these keys"
            )
            self.tell(logging.WARNING, "removals_lost", words, lost, reason=self.link.reason)


def _host(settings: Settings) -> "Host | None":
    """Return the host of the embedded server; ``None`` for every other driver."""
    if settings.resolved_driver != "embedded":
        return None
    from ..shared.embedded.host import Host  # noqa: PLC0415 - only a process with this driver pays for the import

    return Host(settings.embedded_dir, settings.embedded_max_bytes)


def _after_fork() -> None:
    for engine in list(_ENGINES):
        engine.after_fork()


os.register_at_fork(after_in_child=_after_fork)
