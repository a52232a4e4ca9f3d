"""The cache's side of its connection: callbacks for invalidations, timeouts and each change of the link's state."""

import logging
from collections.abc import Awaitable, Callable
from typing import Protocol

from ..clock import Clock
from ..config.durations import format_duration
from ..config.settings import Settings
from ..config.url import Address
from ..log import Teller
from ..near.coherence import Coherence
from ..shared.recovery import Recovery
from ..shared.store import Shared
from ..telemetry.outages import Outages
from ..telemetry.stats import Counters
from ..wire.connection import Connection, WireHooks
from ..wire.link_state import Link, LinkState, NoLink
from ..wire.reasons import EMBEDDED
from ..wire.session import Call

__all__ = ["WireListener"]


class Wired(Protocol):
    """The parts of an engine that these calls reach. The engine builds most of them again on a new event loop."""

    clock: Clock
    tell: Teller
    address: Address | None
    counters: Counters
    coherence: Coherence
    shared: Shared
    recovery: Recovery
    link: Link | NoLink
    wire: Connection | None


class WireListener:
    """Listens to the link and the connections of one engine.

    Attributes:
        offline_since: When the current absence of the server began; ``None`` while it answers.
    """

    def __init__(self, engine: Wired) -> None:
        self._engine = engine
        self._outages = Outages(engine.clock, engine.tell)
        self.offline_since: float | None = None

    def hooks(self, prepare: Callable[[], Awaitable[None]] | None) -> WireHooks:
        """Return the calls of a new connection, which lead to the current parts.

        Args:
            prepare: Starts the embedded server, before each attempt to connect; ``None`` for every other server.
        """
        engine = self._engine
        return WireHooks(
            on_push=engine.coherence.on_invalidation,
            on_own_push=engine.coherence.on_own_push,
            on_timeout=self._on_timeout,
            questions=engine.recovery.questions,
            recover=engine.recovery.recover,
            on_defect=engine.coherence.forget_all,
            heartbeat=self._heartbeat,
            prepare=prepare,
            on_failed=self._outages.check,
            on_too_large=engine.shared.large.met,
            tell=engine.tell,
        )

    def new_link(self, settings: Settings) -> Link:
        """Return a new link, whose changes of state come here."""
        link = Link(
            self._engine.clock(),
            operation_timeout=settings.operation_timeout,
            max_staleness=settings.max_staleness,
            offline_ttl=settings.offline_ttl,
            on_state=self._on_state,
            vouch=self._engine.coherence.near.vouch,
        )
        self._engine.coherence.doubts.link = link
        return link

    def forget(self) -> None:
        """Drop the current outage, in a forked child."""
        self.offline_since = None
        self._outages.forget()

    def _on_state(self, old: LinkState, new: LinkState, new_epoch: bool) -> None:
        engine = self._engine
        engine.shared.usable = new is LinkState.ONLINE
        if new is LinkState.ONLINE and new_epoch:
            self._on_connected()
        engine.coherence.on_state(new, new_epoch=new_epoch)
        if new is LinkState.ONLINE and old is not LinkState.RECOVERING:
            engine.recovery.replay_now()
        if new is LinkState.ONLINE:
            engine.recovery.release_left()
            self.offline_since = None
        elif self.offline_since is None:  # suspect, offline and every attempt to reconnect are one absence
            self.offline_since = engine.clock()
        self._log(old, new)

    def _on_connected(self) -> None:
        engine = self._engine
        engine.counters.reconnects += engine.link.epoch > 1
        engine.shared.refusals.clear()
        greeting = engine.wire.greeting if engine.wire is not None else None
        if greeting is not None and not greeting.tracking:
            engine.coherence.tracking = False
            engine.coherence.copies.clear()
            said, life = greeting.no_tracking_because, format_duration(engine.coherence.untracked_life)
            server = engine.address.safe if engine.address is not None else "the server"
            words = "no tracking: %s does not push changes (%s); near copies live %s at most"
            engine.tell(logging.WARNING, "no_tracking", words, server, said, life, reason="no_tracking")

    def _log(self, old: LinkState, new: LinkState) -> None:
        """Log that the server is away, and that it is back."""
        reason = self._engine.link.reason or "error"
        if new is LinkState.ONLINE:
            self._outages.ended(lambda: self._engine.recovery.replayed)
        elif new is LinkState.OFFLINE and reason != "interrupted":  # caused here by a signal: the link is back at once
            server, fault = self._what_happened(old, reason)
            self._engine.counters.errors[reason] += self._outages.began(reason, server, fault)

    def _what_happened(self, old: LinkState, reason: str) -> tuple[str, str]:
        """Return the server, and in words why the link, in state ``old`` until now, is offline."""
        wire, link, address = self._engine.wire, self._engine.link, self._engine.address
        if reason in EMBEDDED:
            return "the embedded server", f"is missing ({reason}: {wire.last_error if wire is not None else None})"
        detail = None if wire is None or getattr(link, "connected", False) else wire.detail or wire.last_error
        if old is LinkState.CONNECTING:
            happened = "cannot be reached"
        else:
            happened = "cannot be used" if old is LinkState.RECOVERING else "no longer answers"
        server = address.safe if address is not None else "the server"
        return server, f"{happened} ({reason})" if detail is None else f"{happened} ({reason}: {detail})"

    def _on_timeout(self) -> None:
        self._engine.counters.timeouts += 1

    def _heartbeat(self) -> Call:
        self._outages.check()
        return self._engine.recovery.heartbeat()
