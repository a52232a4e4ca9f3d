"""The engine: puts the parts of one cache together, keeps them on the running event loop, and says how they do.

The face (``cache``) sees the parts through it; so do namespaces, which share them.
"""

import asyncio
import logging
import os
import socket
from collections.abc import Callable, Collection
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakSet

from ..clock import Clock, CountingClock, monotonic, system_random
from ..config.durations import text
from ..config.settings import Settings
from ..config.url import Address
from ..errors import Closed
from ..format.codec import Codecs
from ..format.function_names import Names
from ..format.keys import Layout
from ..format.signing import Signer
from ..log import Teller
from ..near.coherence import Coherence
from ..near.store import Near
from ..policy.batches import Batches
from ..policy.claims import Claims
from ..policy.context import PolicyContext
from ..policy.counters import CounterRules
from ..policy.ports import Runtime
from ..policy.reading import Policy
from ..policy.single_flight import Flights
from ..policy.writing import Writing
from ..shared.entries import Entries
from ..shared.recovery import Recovery
from ..shared.store import Shared
from ..telemetry.outages import Outages
from ..telemetry.reporter import Reporter
from ..telemetry.stats import Counters, Stats
from ..wire.connection import WireHooks, WireLimits
from ..wire.handshake import ServerInfo
from ..wire.link import Link, LinkState
from ..wire.reasons import EMBEDDED
from ..wire.reconnect import Reconnector
from ..wire.session import Call
from .aio.connection import AioConnection
from .aio.other_loops import WAY_OUT, ElsewhereError, on_its_loop
from .aio.runtime import AioRuntime

if TYPE_CHECKING:
    from ..shared.embedded.host import Host
    from .threads.reentrant import Inside

__all__ = ["Engine"]

W = TypeVar("W", bound=Reconnector)

# One unfinished frame may take so many times the largest value: room for what a release with another limit stored.
FRAME_TIMES = 16

_ENGINES: "WeakSet[Engine]" = WeakSet()
# Those that the process's own environment described, and who is told of new ones: tests put others in their place.
FROM_ENV: "WeakSet[Engine]" = WeakSet()
ON_FROM_ENV: "list[Callable[[Engine], None]]" = []
# What a forked child inherited of its parent's connections: closing them would speak on the parent's socket.
_INHERITED: list[Any] = []


class NoLink:
    """The link of a cache that has no server by choice: nothing bounds near but the entries' own lives."""

    def __init__(self) -> None:
        # On the instance, as Link has them: each near hit reads one, and a class's attributes take longer.
        self.state = LinkState.CLOSED
        self.away = False
        self.trusted_until = self.confirmed = float("inf")
        self.since = 0.0
        self.epoch = 0
        self.reason: str | None = None

    def bound(self, offline_ttl: float) -> float:  # noqa: ARG002 - as Link
        """For ever."""
        return float("inf")


class Engine:
    """All parts of one cache.

    Attributes:
        nested: Threads in a call that came in the middle of a rule of theirs; nearly always none.

    Args:
        settings: What was configured.
        clock: Seconds.
        random: In [0, 1).
        token: ``n`` new random bytes.
    """

    nested: Collection[int] = ()

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
        self.outages = Outages(clock, self.tell)
        self.ticks = CountingClock(clock)
        self.faces: WeakSet[Any] = WeakSet()
        self.names = Names()
        self.bypasses: set[object] = set()  # a mark for each ``bypass()`` that is not left yet
        self.override: Engine | None = None  # works in this one's place while a test overrides it
        self.reopen: Callable[[], None] | None = None  # of a stand-in: puts a new one in its place
        self.closed = False
        self.ready = False  # nothing is to be waited for before a call, while the loop is the same
        self._entered = clock()
        self._told_elsewhere = False
        self._change = object()
        self.reporter = Reporter(self)
        self.wire: Reconnector | None = None
        self._greeting: ServerInfo | None = None  # of the last connection on another loop
        self.loop: asyncio.AbstractEventLoop | None = None
        self.offline_since: float | None = None
        self.last_error: str | None = None
        self._build()
        _ENGINES.add(self)
        for doubt in settings.doubts:
            self.tell(logging.WARNING, "doubtful_setting", "%s", doubt)
        if settings.has_server and settings.default_prefix:
            text = "CACHE_PREFIX is the default %r: two services on one server would share keys; set your own"
            self.tell(logging.WARNING, "default_prefix", text, settings.prefix)

    def _build(self) -> None:
        """New parts, with nothing in them."""
        settings = self.settings
        self.layout = Layout(settings.prefix)
        self.near = Near(settings.near_max_items, 0 if self.driver == "null" else settings.near_max_bytes)
        self.flights = Flights()
        self.coherence = Coherence(self.near, self.layout, self.flights, self.counters, self.clock, self.tell)
        self.coherence.untracked_life = min(Coherence.UNTRACKED_LIFE, settings.max_staleness / 2)
        self.ports = self._new_ports()
        entries = Entries(
            Codecs(settings.codec),
            Signer(settings.signing_keys) if settings.signing_keys else None,
            self.coherence,
            self.layout,
            self.counters,
            max_bytes=settings.max_value_bytes,
            stamp=lambda: self._token(16),
        )
        self.shared = Shared(self.layout, entries, self.coherence, self.counters, self.clock, self.ports)
        self.shared.large.frame = FRAME_TIMES * settings.max_value_bytes
        self.recovery = Recovery(
            self.coherence,
            self.layout,
            self.shared,
            self.counters,
            self.clock,
            trust_restart=settings.trust_restart,
            version=lambda: self._token(16),
            tell=self.tell,
        )
        self.link: Link | NoLink = NoLink()
        self.entries = entries
        self.ctx = PolicyContext(
            self.near,
            self.coherence,
            self.shared,
            entries,
            self.flights,
            self.ports,
            self.link,
            self.counters,
            operation_timeout=settings.operation_timeout,
            load_wait=settings.load_wait,
            max_staleness=settings.max_staleness,
            alone=not settings.has_server,
            strict=settings.strict,
            tell=self.tell,
        )
        if settings.has_server:
            self._new_link()
        self.policy = Policy(self.ctx)
        self.writing = Writing(self.ctx)
        self.counting = CounterRules(self.ctx)
        self.batches = Batches(self.ctx, self.policy)
        self.claims = Claims(self.ctx, self.policy.loading.wait_for_change)
        self.instance = f"{socket.gethostname()[:40]}-{os.getpid()}-{self._token(3).hex()}"

    def _new_link(self) -> None:
        settings = self.settings
        self.link = self.ctx.trust = Link(
            self.clock(),
            operation_timeout=settings.operation_timeout,
            max_staleness=settings.max_staleness,
            offline_ttl=settings.offline_ttl,
            on_state=self._on_state,
        )

    def register_from_env(self) -> None:
        """The process's own environment described it."""
        FROM_ENV.add(self)
        for tell in ON_FROM_ENV:
            tell(self)

    @property
    def active(self) -> "Engine":
        """The engine that the faces use: this one, but in a test that put another in its place."""
        return self.override or self

    def rebind_faces(self) -> None:
        """Tell the faces that what they keep for their hot path has changed."""
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
            change = self._change  # another thread came in between: what this one saw must not be the last word

    # -- the loop: ``sync_engine`` has threads here ------------------------------------------------------------------

    def _new_ports(self) -> Runtime:
        ports = self._on_loop = AioRuntime(self.clock, self._random, self.tell)
        if self.loop is not None:
            ports.live_on(self.loop)
        return ports

    async def _prepare(self) -> None:
        """Have the embedded server there."""
        if self.embedded_host is not None:
            await self.embedded_host.ready()

    def _on_own_loop(self) -> bool:
        """Whether what lives of it lives where this is called."""
        return asyncio.get_running_loop() is self.loop

    @property
    def rules(self) -> "Engine | Inside":
        """Who does what a verb asks."""
        return self

    async def ensure_ready(self) -> "Engine | Inside":
        """Be on this loop, connected as far as one operation timeout allows at the very first call; ``rules``."""
        if self.closed:
            raise Closed("this cache was closed: open a new one")
        if not self._on_own_loop():
            self._rebind_loop()
        if self.wire is not None and not self.wire.tried:
            await self.first_attempt(self._entered + self.settings.operation_timeout - self.clock())
        self.ready = True
        return self

    def check_here(self) -> None:
        """Raise ``ElsewhereError`` if it lives on another loop that runs; told once."""
        loop = self.loop
        if loop is None or self._on_own_loop() or not loop.is_running():
            return
        if not self._told_elsewhere:
            self._told_elsewhere = True
            words = f"{WAY_OUT}; until then what is called here is sent there, and what is loaded here is not stored"
            self.tell(logging.WARNING, "second_loop", words)
        raise ElsewhereError(self, loop)

    async def first_attempt(self, timeout: float) -> None:  # noqa: ASYNC109 - a bound, not a cancellation
        """Wait until the first attempt to connect ended either way, or ``timeout`` seconds."""
        if self.wire is not None and timeout > 0:
            future = self.ports.future()
            self.wire.on_first_attempt(future)
            await self.ports.wait(future, self.clock() + timeout)

    def _rebind_loop(self) -> None:
        """The first loop, or another than before: what lived on the old one is abandoned."""
        old = self.loop
        self.check_here()
        self.ready = False
        self.loop = asyncio.get_running_loop()
        self._on_loop.live_on(self.loop)
        self._entered = self.clock()
        if not self.settings.has_server:
            self.flights.detach_all()  # what flew on the old loop lands no more
            return
        if old is not None:
            self._abandon(keep_journal=True)
        self._new_wire(AioConnection).start()

    def _new_wire(self, shell: Callable[..., W]) -> W:
        """A connection of this kind, between the parts that are there now."""
        if self.address is None or not isinstance(self.link, Link):  # the settings do not allow it
            raise AssertionError(f"driver {self.driver} without an address")
        settings = self.settings
        wire = self.wire = self.shared.wire = shell(
            self.address,
            settings.credential_provider if self.embedded_host is None else None,  # the embedded server asks for none
            self.link,
            WireLimits(
                settings.operation_timeout,
                settings.connect_timeout,
                settings.max_staleness,
                self.shared.large.frame,
            ),
            WireHooks(
                on_push=self.coherence.on_invalidation,
                on_own_push=self.coherence.on_own_push,
                on_timeout=self._on_timeout,
                recover=self.recovery.recover,
                on_defect=self.coherence.forget_all,
                heartbeat=self._heartbeat,
                prepare=None if self.embedded_host is None else self._prepare,
                on_failed=self.outages.look,
                on_too_large=self.shared.large.met,
                tell=self.tell,
            ),
            clock=self.clock,
            random=self._random,
            name=f"fleetcache-{self.instance}",
            probe=self.layout.probe(self.instance),
        )
        wire.greeting, self._greeting = self._greeting, None
        return wire

    def _abandon(self, *, keep_journal: bool) -> None:
        """Give up what belongs to another loop or process, without touching its sockets' streams."""
        if self.wire is not None:
            if keep_journal:
                self.wire.journal_unanswered()
                self._greeting = self.wire.greeting  # the next connection ends this one on the server, too
            _INHERITED.extend(self.wire.abandon(reset=keep_journal))
        self.wire = self.shared.wire = None
        self.shared.usable = False  # whoever still holds the old parts must not speak on the old connection
        self.reporter.forget()
        coherence, rights = self.coherence, self.shared.rights
        self._build()
        if keep_journal:
            self.coherence.journal, self.coherence.recent = coherence.journal, coherence.recent
            self.coherence.last_all, self.shared.rights = coherence.last_all, rights
        self.rebind_faces()

    def after_fork(self) -> None:
        """In the child: start clean. The parent replays what the parent owes."""
        self.loop = None
        self.offline_since = None
        self.outages.forget()
        self._abandon(keep_journal=False)

    # -- what the wire tells -----------------------------------------------------------------------------------------

    def _on_timeout(self) -> None:
        self.counters.timeouts += 1

    def _on_state(self, old: LinkState, new: LinkState, new_epoch: bool) -> None:
        self.shared.usable = new is LinkState.ONLINE
        if new is LinkState.ONLINE and new_epoch:
            self.counters.reconnects += self.link.epoch > 1
            self.shared.refusals.clear()
            greeting = self.wire.greeting if self.wire is not None else None
            if greeting is not None and not greeting.tracking:
                self.coherence.tracking = False
                self.coherence.copies.clear()
                said, life = greeting.no_tracking_because, text(self.coherence.untracked_life)
                words = "the cache server does not push changes (%s): near copies live %s at most"
                self.tell(logging.WARNING, "no_tracking", words, said, life, reason="no_tracking")
        self.coherence.on_state(new, new_epoch=new_epoch)
        if new is LinkState.ONLINE and old is not LinkState.RECOVERING:
            self.recovery.replay_now()
        if new is LinkState.ONLINE:
            self.offline_since = None
        elif self.offline_since is None:  # suspect, offline and every attempt to come back are one absence
            self.offline_since = self.clock()
        self._log(old, new)

    def _log(self, old: LinkState, new: LinkState) -> None:
        """When it goes, and when it is back."""
        reason = self.link.reason or "error"
        if new is LinkState.ONLINE:
            self.outages.ended(lambda: self.recovery.replayed)
        elif new is LinkState.OFFLINE and reason != "interrupted":  # our own doing, for a signal: it is back at once
            self.counters.errors[reason] += self.outages.began(reason, self._what_happened(old))

    def _what_happened(self, old: LinkState) -> str:
        """Why the link is offline that was ``old`` until now, in words."""
        wire, connected = self.wire, getattr(self.link, "connected", False)
        if self.link.reason in EMBEDDED:
            return f"there is no embedded server: {wire.last_error if wire is not None else None}"
        server = self.address.safe if self.address is not None else "the server"
        detail = None if wire is None or connected else wire.detail or wire.last_error
        if old is LinkState.CONNECTING:
            happened = "cannot be reached"
        else:
            happened = "cannot be used" if old is LinkState.RECOVERING else "answers no more"
        return f"{server} {happened}" if detail is None else f"{server} {happened} ({detail})"

    def _heartbeat(self) -> Call:
        self.outages.look()
        return self.recovery.heartbeat()

    # -- how it does -------------------------------------------------------------------------------------------------

    @property
    def tried(self) -> bool:
        """Whether the first attempt to connect has ended either way."""
        return isinstance(self.link, NoLink) or self.link.tried or self.link.reason is not None

    def stats(self) -> Stats:
        """Counters and gauges."""
        return self.counters.snapshot(
            near_hits=self.counters.near_hits + self.ticks.count,
            near_items=len(self.near),
            near_bytes=self.near.bytes,
            near_evictions=self.near.evictions,
            flights=len(self.flights),
            waiters=self.coherence.waiters,
            journal=len(self.coherence.journal),
            tag_copies=len(self.coherence.copies),
            link="none" if isinstance(self.link, NoLink) else self.link.state.value,
            epoch=self.link.epoch,
        )

    # -- the end -----------------------------------------------------------------------------------------------------

    @on_its_loop()
    async def close(self) -> None:
        """Stop refreshes, give back leases and claims, try once to deliver what is owed, and end the connection."""
        if self.closed:
            return
        self.check_here()
        self.closed = self.ctx.closed = True
        self.ready = False
        self.rebind_faces()
        if not self._on_own_loop():
            return  # never used here, or on a loop that is gone: nothing of it is alive
        await self.drain()
        if self.wire is not None:
            await self.wire.close()
        if self.embedded_host is not None:
            self.embedded_host.leave()

    async def drain(self) -> None:
        """Have nobody wait for what this process will not do any more."""
        await self.ports.close(self.settings.operation_timeout)
        self.policy.loading.release_all()
        self.claims.give_all_back()
        self.recovery.replay_now()
        if self.shared.usable:
            future = self.shared.ping()  # replies come in order: when this is answered, all before it is
            if future is not None:
                await self.ports.wait(future, self.clock() + self.settings.operation_timeout)
        lost = len(self.coherence.journal)
        if lost:
            words = "cache closed; removals that the server has not acknowledged: %d"
            self.tell(logging.WARNING, "removals_lost", words, lost, reason=self.link.reason)


def _host(settings: Settings) -> "Host | None":
    """For the driver that has its own server."""
    if settings.resolved_driver != "embedded":
        return None
    from ..shared.embedded.host import Host  # noqa: PLC0415 - only who asks for a server pays for how it is started

    return Host(settings.embedded_dir, settings.embedded_max_bytes)


def _after_fork() -> None:
    for engine in list(_ENGINES):
        engine.after_fork()


os.register_at_fork(after_in_child=_after_fork)
