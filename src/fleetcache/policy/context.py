"""The context of the rules: their parts, put together once per cache, and calls on the server within a budget."""

from collections.abc import Callable
from typing import Any

from msgspec import Struct, field

from ..config.durations import MAX_TTL, parse_duration
from ..errors import Closed
from ..format.entry import STORED_ERROR
from ..log import TELL, Teller
from ..telemetry.stats import Counters
from .lookup import DecodedValue, EntryState, Lookup
from .options import MINIMUM_TTL, CallOptions
from .outcome import Outcome, Resolution
from .ports import NO_ANSWER, CoherencePort, EntriesPort, Future, NearPort, Runtime, SharedPort, TrustPort
from .single_flight import Flight, Flights

__all__ = ["MIN_COST", "NO_LOOK", "Budget", "Load", "LoadTimes", "PolicyContext", "judged"]

NO_LOOK = Lookup(EntryState.UNAVAILABLE, reason="no answer")


MIN_COST = 1e-9
"""The least cost of a loaded value, in seconds. An unconfirmed entry without a cost was written, not loaded."""


class Budget:
    """The time one call of the user may still wait for the server: one operation timeout in all (promise 4).

    ``held``: the call is a load that was held back because the server was late, for one more operation timeout at most.
    ``missed``: when the call began to wait for the first request that was not answered; infinity: there is none.
    """

    __slots__ = ("held", "left", "missed", "timeout", "whole")

    def __init__(self, timeout: float) -> None:
        self.left = self.timeout = timeout
        self.held = False
        self.missed = float("inf")
        self.whole = True  # while nothing of the budget is spent, the wire's own timeout is as good and needs no timer

    def renew(self) -> None:
        """Reset the budget, after a reply to a batch."""
        self.left, self.whole = self.timeout, True

    def hold(self, left: float) -> None:
        """Replace the budget by these seconds, once: a second hold would make the call longer still."""
        self.held, self.whole, self.left = True, False, left

    def spend(self, took: float) -> None:
        """Subtract the seconds that the call has waited."""
        self.whole = False
        self.left -= took


class LoadTimes:
    """The usual duration of loads, by loader; a lease lasts twice as long, within 1 to 10 seconds.

    The average moves by a quarter with each load, so that one slow load does not stretch the next hundred leases.
    """

    FIRST, MIN, MAX = 10.0, 1.0, 10.0
    GROUPS = 1000

    def __init__(self) -> None:
        self._usual: dict[str, float] = {}

    def learn(self, group: str, took: float) -> None:
        """Record the duration of a load, whether or not its value was stored."""
        usual = self._usual.get(group)
        if usual is None and len(self._usual) >= self.GROUPS:
            self._usual.clear()
        self._usual[group] = took if usual is None else usual + (took - usual) / 4

    def lease(self, group: str) -> float:
        """Return the seconds to request for a lease or claim."""
        usual = self._usual.get(group)
        return self.FIRST if usual is None else min(self.MAX, max(self.MIN, 2 * usual))


class Load(Struct):
    """One load under way: the caller's request and the progress of the load."""

    key: str
    loader: Callable[..., Any]
    options: CallOptions
    declared: Any
    group: str
    flight: Flight
    budget: Budget
    token: Any
    lease: float = 0.0  # seconds of the lease or claim it holds
    seen: Lookup | None = None
    args: tuple[Any, ...] = ()
    overtime: bool = False  # whether other loads of the key have taken longer than ``load_wait``
    watch: Any = None  # tells of the next change of the key, while the load may wait for another process
    place: Any = None  # its place among the loads of the process, while it has one
    queued: float = 0.0  # seconds that it has waited for a place; infinity: it runs without one
    over_limit: bool = False  # whether it took longer than its load_limit
    late: bool = False  # whether its flight ended at the limit, while its loader runs on in the starter's thread
    end_late: Callable[[], None] | None = None  # ends its flight and its right while the loader runs on
    error: Exception | None = None  # its loader's, if that was stored like a value
    waited: bool = False  # whether it has waited for another load of the key
    give_up: float = 0.0  # when it stops waiting for another load
    beside: Flight | None = None  # the flight that takes longer than ``load_wait`` beside which it was started
    either: float = 0.0  # when it stops waiting for either of two loads; see ``overtime``
    awaited: tuple[bytes, float] = (b"", 0.0)  # the right of the load that it waits for, and when it stops to wait

    def waits_until(self, right: bytes) -> float:
        """Return when it stops waiting for a load with this right, if that is not the flight that it runs beside."""
        beside = self.beside
        begun = beside is not None and beside.outcome is None and beside.right == right
        until = self.awaited[1] if right and self.awaited[0] == right else self.give_up
        return max(self.either, 0.0 if begun else until)

    def gives_up(self, load_wait: float) -> float:
        """Return when it waits for other loads, and for its place, no longer, whatever they do."""
        return self.give_up + 2 * load_wait

    def ended_by(self, outcome: Outcome) -> Outcome:
        """Return the outcome of the flight: that of a stored error raises it, where it would return a value."""
        if self.error is None:
            return outcome
        others = Resolution.RAISE if outcome.others is Resolution.RETURN else outcome.others
        return Outcome(Resolution.RAISE, others, error=self.error, until=outcome.until)


class PolicyContext(Struct):
    """The parts and settings that the rules share.

    Attributes:
        alone: Whether there is no server by choice (memory, null): only the near cache, bounded by nothing but ttl.
        strict: ``CACHE_STRICT``.
        ttl_jitter: ``CACHE_TTL_JITTER``.
        batches: The number of batches that send and wait now; they share the calls and bytes that may be under way.
        max_loads: The number of loaders that may run at once; 0 = any number.
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
    ttl_jitter: float = 0.0
    tell: Teller = TELL
    times: LoadTimes = field(default_factory=LoadTimes)
    closed: bool = False
    batches: int = 0
    max_loads: int = 0

    def of_one_entry(self, options: CallOptions) -> CallOptions:
        """Return the options of one entry to be stored, with its own ttl."""
        return options.shortened(self.ttl_jitter, self.ports.random) if options.jitters else options

    def beside(self, run: Load) -> Flight | None:
        """Return a load of this process that the server lets others load beside; see ``Flights.beside``."""
        return self.flights.beside(run.flight, self.ports.clock(), self.load_wait)

    def check_open(self) -> None:
        """Raise ``Closed`` after ``close()``."""
        if self.closed:
            raise Closed("this cache was closed: open a new one")

    def budget(self) -> Budget:
        """Return a new budget for one call."""
        return Budget(self.operation_timeout)

    async def ask(self, future: Future | None, budget: Budget) -> Any:
        """Return the outcome of a call on the server.

        ``NO_ANSWER``: the call was not sent or not answered, or the budget is spent.
        """
        began = self.ports.clock()
        answer: Any = NO_ANSWER
        if future is not None:
            try:
                answer = await self.ports.wait(future, None if budget.whole else began + budget.left)
            finally:
                budget.spend(self.ports.clock() - began)
        if answer is NO_ANSWER:
            budget.missed = min(budget.missed, began)
        return answer

    def near_answer(self, key: str, declared: Any, options: CallOptions) -> tuple[DecodedValue, Any] | None:
        """Return the answer that the near cache may give, fresh or stale, with the held entry; ``None``: none."""
        held = self.near.items.get(key)
        if held is None or (held.generation.until < 0.0 and not self.near.lives(held)):
            return None  # a removal closed its generation: a closed one ends before all times
        now = self.ports.clock()
        if now >= held.stale_until:
            return None
        if held.unconfirmed:
            if options.offline_ttl <= 0 and not self.alone:
                return None  # the entry was loaded for a caller with another bound
        elif now >= self.trust.bound(options.offline_ttl):
            return None
        answer = self.entries.decode_near(held, declared)
        return None if answer is None else (answer, held)

    def stale_if_error(self, run: Load) -> DecodedValue | None:
        """Return an entry of the near cache that still answers although its offline bound has passed (stale-if-error).

        This is the one exception to promise 3: the server is away and the loader failed, too, so an entry within its
        own ttl and stale time answers.
        """
        held = self.near.living(run.key)
        if self.alone or self.shared.usable or held is None or run.options.offline_ttl <= 0:
            return None
        answer = self.entries.decode_near(held, run.declared) if self.ports.clock() < held.stale_until else None
        if answer is not None:
            self.counters.offline_stale_hits += 1
        return answer

    def keep_unconfirmed(
        self, token: Any, answer: DecodedValue, options: CallOptions, started: float, cost: float = 0.0
    ) -> bool:
        """Keep a value that the shared cache did not confirm in the near cache, for as long as that is safe.

        Returns:
            Whether the value is held now.
        """
        kept = options.bounded(self.unconfirmed_life(options, started))
        if kept.ttl <= 0 or answer.payload is None:
            return False
        life = (started + kept.ttl, started + kept.ttl + kept.stale)
        held = self.entries.near_entry(answer, options.tags, life, born=started + cost, unconfirmed=True, cost=cost)
        return self.coherence.fill(token, held)

    def keep_here(self, key: str, answer: DecodedValue, options: CallOptions, now: float) -> bool:
        """Keep a written value in the near cache alone; return whether it is held now."""
        token = self.coherence.open_fill(key, options.tags)
        kept = self.keep_unconfirmed(token, answer, options, now)
        self.coherence.close_fill(token)
        return kept

    def is_fresh_here(self, key: str, options: CallOptions) -> bool:
        """Return whether the near cache has a fresh entry that may answer."""
        found = self.near_answer(key, Any, options)
        return found is not None and bool(self.ports.clock() < found[1].fresh_until)

    def value_here(self, key: str) -> Any:
        """Return the near cache's entry of a value, whatever its life; ``None`` for a stored error, too."""
        held = self.near.living(key)
        return None if held is None or held.declared is STORED_ERROR else held

    def error_here(self, key: str, options: CallOptions) -> Exception | None:
        """Return the fresh error that the near cache may answer with, if the call has declared its class."""
        held = self.near.living(key)
        if held is None or held.declared is not STORED_ERROR or self.ports.clock() >= held.fresh_until:
            return None
        if held.unconfirmed:
            if options.offline_ttl <= 0 and not self.alone:
                return None
        elif self.ports.clock() >= self.trust.bound(options.offline_ttl):
            return None
        return self.entries.decode_error(held.codec, held.value, options.errors)

    def error_there(self, seen: Lookup, options: CallOptions) -> Exception | None:
        """Return the error that the server holds, if the call has declared its class."""
        if seen.state is not EntryState.ERROR or options.errors is None or seen.answer is None:
            return None
        return self.entries.decode_error(seen.answer.codec, seen.answer.payload or b"", options.errors)

    def needs_right(self, seen: Lookup, options: CallOptions, *, anew: bool) -> bool:
        """Return whether the next step after a read is to take a right and to load."""
        if seen.state is EntryState.ERROR:
            return anew or self.error_there(seen, options) is None
        if seen.state in {EntryState.FRESH, EntryState.STALE}:
            return anew
        return seen.state is not EntryState.LOADING and not seen.is_ending

    def touch_here(self, key: str, ttl: float, options: CallOptions) -> bool:
        """Set the ttl of a fresh entry in memory; return ``False`` if there is none."""
        held = self.value_here(key)
        now = self.ports.clock()
        if held is None or now >= held.fresh_until:
            return False
        if held.cost and not self.alone:
            return False  # loaded: another process may have removed it since, so its bound counts from its load
        life = self.unconfirmed_life(options, now)
        ttl = min(ttl, max(life, held.fresh_until - now))
        stale = min(held.stale_until - held.fresh_until, max(0.0, life - ttl))
        return self.near.put(key, self.entries.extended(held, held.value, (now + ttl, now + ttl + stale)))

    def holds_alone(self, key: str, options: CallOptions) -> bool:
        """Return whether this process holds a fresh unconfirmed value while the server is away.

        The process may then count in its own memory, and extend the value's life there.
        """
        held = self.value_here(key)
        if held is None or not held.unconfirmed or options.offline_ttl <= 0:
            return False
        return self.trust.away and bool(self.ports.clock() < held.fresh_until)

    def unconfirmed_life(self, options: CallOptions, started: float) -> float:
        """Return for how many seconds from the start of its loader an unconfirmed value may be used.

        While the server is only late, no other value outlives ``max_staleness`` after its last answer. Nor does one
        whose loader started before that answer.
        """
        if self.alone:
            return float("inf")
        late = self.trust.serves and started < self.trust.confirmed
        return self.max_staleness if self.shared.usable or late else options.offline_ttl

    async def read(self, key: str, declared: Any, token: Any, budget: Budget, load: Load | None = None) -> Lookup:
        """Read the key from the server, and its tags' versions if they are needed to judge the entry.

        The state is ``UNAVAILABLE`` without an answer, and while the removal of the key is pending.
        """
        journal = self.coherence.journal
        if journal.pending and journal.has_pending_key(key):
            return Lookup(EntryState.UNAVAILABLE)
        seen = await self.ask(self.shared.look(key, declared, token, load=load), budget)
        return await self.settled(key, seen, declared, token, budget)

    async def settled(self, key: str, seen: Any, declared: Any, token: Any, budget: Budget) -> Lookup:
        """Return the result of a call that read the key, judged again once its tags are known."""
        if isinstance(seen, Lookup) and seen.state is EntryState.TAGS_UNKNOWN:
            seen = await self.ask(self.shared.settle(key, seen, declared, token), budget)
        return judged(seen)

    async def capture(self, tags: tuple[str, ...], budget: Budget) -> Any:
        """Return the versions of the tags, known or read from the server; ``None`` if one cannot be read."""
        asked: set[str] = set()
        while not asked.issuperset(missing := self.coherence.missing(tags)):  # a known version may be dropped meanwhile
            asked.update(missing)
            if await self.ask(self.shared.capture(missing, lambda: None, self.ports.future()), budget) is NO_ANSWER:
                break
        return self.coherence.captured(tags)


def judged(seen: Any) -> Lookup:
    """Return the result of a call that has read the key and its tags; without an answer for all, the key is unknown."""
    return seen if isinstance(seen, Lookup) and seen.state is not EntryState.TAGS_UNKNOWN else NO_LOOK


def kept_options(options: CallOptions, ttl: Any, stale: Any) -> CallOptions:
    """Return the options with the times that the loader's result sets (``Keep``), checked."""
    return options.kept(
        None if ttl is None else parse_duration(ttl, name="Keep.ttl", minimum=MINIMUM_TTL, maximum=MAX_TTL),
        None if stale is None else parse_duration(stale, name="Keep.stale", zero=True, maximum=MAX_TTL),
    )
