"""The parts that policy works with, put together once per cache, and how it asks the server within a budget."""

from collections.abc import Callable
from typing import Any

from msgspec import Struct, field

from ..config.durations import MAX_TTL, seconds
from ..errors import Closed
from ..log import TELL, Teller
from ..telemetry.stats import Counters
from .lookup import DecodedValue, EntryState, Lookup
from .options import MINIMUM_TTL, CallOptions
from .ports import NO_ANSWER, CoherencePort, EntriesPort, Future, NearPort, Runtime, SharedPort, TrustPort
from .single_flight import Flight, Flights

__all__ = ["NO_LOOK", "Budget", "Load", "LoadTimes", "PolicyContext"]

NO_LOOK = Lookup(EntryState.UNAVAILABLE, reason="no answer")


class Budget:
    """What one call of the user may still wait for the server: one operation timeout in all (promise 4)."""

    __slots__ = ("left", "timeout", "whole")

    def __init__(self, timeout: float) -> None:
        self.left = self.timeout = timeout
        self.whole = True  # until something was spent, the wire's own timeout is as good and costs no timer

    def renew(self) -> None:
        """A batch has had a reply: its time begins anew."""
        self.left, self.whole = self.timeout, True

    def spend(self, took: float) -> None:
        """So long it waited."""
        self.whole = False
        self.left -= took


class LoadTimes:
    """How long loads usually take, by loader: leases are twice that.

    The average moves by a quarter with each load, so that one slow load does not stretch the next hundred leases.
    """

    FIRST, MIN, MAX = 10.0, 1.0, 10.0
    GROUPS = 1000

    def __init__(self) -> None:
        self._usual: dict[str, float] = {}

    def learn(self, group: str, took: float) -> None:
        """A load was seen, stored or not."""
        usual = self._usual.get(group)
        if usual is None and len(self._usual) >= self.GROUPS:
            self._usual.clear()
        self._usual[group] = took if usual is None else usual + (took - usual) / 4

    def lease(self, group: str) -> float:
        """Seconds a lease or claim is asked for."""
        usual = self._usual.get(group)
        return self.FIRST if usual is None else min(self.MAX, max(self.MIN, 2 * usual))


class Load(Struct):
    """One load on its way: what was asked, and how far it is."""

    key: str
    loader: Callable[..., Any]
    options: CallOptions
    declared: Any
    group: str
    flight: Flight
    budget: Budget
    token: Any
    lease: float = 0.0  # seconds, of the right it holds
    seen: Lookup | None = None
    args: tuple[Any, ...] = ()


class PolicyContext(Struct):
    """Everything policy is handed.

    Attributes:
        alone: There is no server by choice (memory, null): near is all there is, and nothing bounds it but ttl.
        strict: ``CACHE_STRICT``.
        batches: How many send and wait just now; they share what may be under way.
        tell: Writes to the log.
    """

    near: NearPort
    coherence: CoherencePort
    shared: SharedPort
    entries: EntriesPort
    flights: Flights
    ports: Runtime
    trust: TrustPort
    counters: Counters
    operation_timeout: float
    load_wait: float
    max_staleness: float
    alone: bool
    strict: bool
    tell: Teller = TELL
    times: LoadTimes = field(default_factory=LoadTimes)
    closed: bool = False
    batches: int = 0

    def check_open(self) -> None:
        """Raise ``Closed`` after ``close()``."""
        if self.closed:
            raise Closed("this cache was closed: open a new one")

    def budget(self) -> Budget:
        """For one call."""
        return Budget(self.operation_timeout)

    async def ask(self, future: Future | None, budget: Budget) -> Any:
        """The outcome of a call on the server, or ``NO_ANSWER``: not sent, not answered, or the budget is spent."""
        if future is None:
            return NO_ANSWER
        began = self.ports.clock()
        try:
            return await self.ports.wait(future, None if budget.whole else began + budget.left)
        finally:
            budget.spend(self.ports.clock() - began)

    def near_answer(self, key: str, declared: Any, options: CallOptions) -> tuple[DecodedValue, Any] | None:
        """What near may answer, fresh or stale, with the held entry."""
        held = self.near.items.get(key)
        now = self.ports.clock()
        if held is None or now >= held.stale_until:
            return None
        if held.unconfirmed:
            if options.offline_ttl <= 0 and not self.alone:
                return None  # it was loaded for a caller with another bound
        elif now >= self.trust.bound(options.offline_ttl):
            return None
        answer = self.entries.decode_near(held, declared)
        return None if answer is None else (answer, held)

    def keep_unbacked(
        self, token: Any, answer: DecodedValue, options: CallOptions, started: float, cost: float = 0.0
    ) -> bool:
        """Keep in near what shared did not confirm, for as long as that is safe; whether it is held now."""
        kept = options.bounded(self.unbacked_life(options))
        if kept.ttl <= 0 or answer.payload is None:
            return False
        life = (started + kept.ttl, started + kept.ttl + kept.stale)
        held = self.entries.near_entry(answer, options.tags, life, born=started + cost, unconfirmed=True, cost=cost)
        return self.coherence.fill(token, held)

    def keep_here(self, key: str, answer: DecodedValue, options: CallOptions, now: float) -> bool:
        """Keep what is written in memory alone; whether it is held now."""
        token = self.coherence.open_fill(key, options.tags)
        kept = self.keep_unbacked(token, answer, options, now)
        self.coherence.close_fill(token)
        return kept

    def holds_alone(self, key: str, options: CallOptions) -> bool:
        """Whether this process alone holds it, fresh, while the server is away: it may count there, and prolong it."""
        held = self.near.items.get(key)
        if held is None or not held.unconfirmed or options.offline_ttl <= 0:
            return False
        return self.trust.away and bool(self.ports.clock() < held.fresh_until)

    def unbacked_life(self, options: CallOptions) -> float:
        """How many seconds from the start of its loader a value is good for that shared did not confirm."""
        if self.alone:
            return float("inf")
        return self.max_staleness if self.shared.usable else options.offline_ttl

    def near_life(self, options: CallOptions, sent_at: float) -> tuple[float, float]:
        """Until when near may call a value fresh, and stale, that was sent to the server at ``sent_at``."""
        most = self.coherence.life(sent_at)
        fresh_until = sent_at + options.ttl
        return min(fresh_until, most), min(fresh_until + options.stale, most)

    async def settled(self, key: str, seen: Any, token: Any, budget: Budget) -> Lookup:
        """What a look at plain data showed, judged again once its tags are known; ``FAULT`` if it showed nothing."""
        if isinstance(seen, Lookup) and seen.state is EntryState.TAGS_UNKNOWN:
            seen = await self.ask(self.shared.settle(key, seen, Any, token), budget)
        return seen if isinstance(seen, Lookup) and seen.state is not EntryState.TAGS_UNKNOWN else NO_LOOK

    async def capture(self, tags: tuple[str, ...], budget: Budget) -> Any:
        """The versions of the tags, known or asked for; ``None`` when they cannot be had."""
        asked: set[str] = set()
        while not asked.issuperset(missing := self.coherence.missing(tags)):  # one that was known may go meanwhile
            asked.update(missing)
            if await self.ask(self.shared.capture(missing, lambda: None, self.ports.future()), budget) is NO_ANSWER:
                break
        return self.coherence.captured(tags)


def kept_options(options: CallOptions, ttl: Any, stale: Any) -> CallOptions:
    """The options after a loader decided by its result (``Keep``)."""
    return options.kept(
        None if ttl is None else seconds(ttl, name="Keep.ttl", minimum=MINIMUM_TTL, maximum=MAX_TTL),
        None if stale is None else seconds(stale, name="Keep.stale", zero=True, maximum=MAX_TTL),
    )
