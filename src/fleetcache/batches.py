"""Many keys at once: one write each way, never a loop of round trips.

Two overlapping batches never wait for each other in a ring: what was granted is loaded and given back before anything
that others hold is waited for.
"""

from collections.abc import Callable, Iterable
from typing import Any

from .flights import Flight, Outcome, Verb
from .freshness import Freshness
from .loading import Loading
from .parts import Parts, Run
from .policy import Policy
from .ports import NO_ANSWER
from .seen import Answer, Claimed, Look, Seen

__all__ = ["Batches"]

Loader = Callable[..., Any]


class Batches:
    """get_many and get_or_set_many."""

    def __init__(self, parts: Parts, policy: Policy) -> None:
        self.parts, self.policy = parts, policy
        self.loading: Loading = policy.loading

    # -- get_many ----------------------------------------------------------------------------------------------------

    async def get_many(self, keys: Iterable[str], declared: Any, options: Freshness) -> dict[str, Any]:
        """Fresh entries only; absent keys are left out."""
        parts = self.parts
        parts.check_open()
        found: dict[str, Any] = {}
        wanted: list[str] = []
        for key in dict.fromkeys(keys):
            near = parts.near_answer(key, declared, options)
            if near is not None and parts.ports.clock() < near[1].fresh_until:
                parts.counters.near_hits += 1
                found[key] = near[0].value
            else:
                wanted.append(key)
        runs = [self.run(key, options, declared) for key in wanted]
        try:
            for run, seen in await self.look(runs):
                if seen.look is Look.FRESH and seen.answer is not None:
                    parts.counters.shared_hits += 1
                    found[run.key] = seen.answer.value
                else:
                    parts.counters.misses += 1
        finally:
            for run in runs:
                parts.coherence.done(run.token)
        return {key: found[key] for key in dict.fromkeys(keys) if key in found}

    def run(self, key: str, options: Freshness, declared: Any, flight: Flight | None = None, group: str = "") -> Run:
        """One key of a batch."""
        parts = self.parts
        token = parts.coherence.take(key, options.tags)
        return Run(key, _none, options, declared, group, flight or Flight(key, options.tags), parts.budget(), token)

    async def look(self, runs: list[Run]) -> list[tuple[Run, Seen]]:
        """All reads in one write, then all unknown tags in another."""
        parts = self.parts
        if not parts.shared.usable:
            return [(run, Seen(Look.FAULT)) for run in runs]
        budget = parts.budget()
        gates = [
            None if parts.coherence.journal.owes_key(run.key) else parts.shared.look(run.key, run.declared, run.token)
            for run in runs
        ]
        seen = [await parts.ask(gate, budget) for gate in gates]
        settling = [
            parts.shared.settle(run.key, one, run.declared, run.token)
            if one is not NO_ANSWER and one.look is Look.UNKNOWN_TAGS
            else None
            for run, one in zip(runs, seen, strict=True)
        ]
        for i, gate in enumerate(settling):
            if gate is not None:
                seen[i] = await parts.ask(gate, budget)
        return [(run, Seen(Look.FAULT) if one is NO_ANSWER else one) for run, one in zip(runs, seen, strict=True)]

    # -- get_or_set_many ---------------------------------------------------------------------------------------------

    async def get_or_set_many(
        self, keys: Iterable[str], loader: Loader, options: Freshness, declared: Any, group: str
    ) -> dict[str, Any]:
        """Every key that the tiers or the loader know; the loader gets the missing keys, once a round."""
        wanted = list(dict.fromkeys(keys))
        found = await self.get_many(wanted, declared, options)
        missing = [key for key in wanted if key not in found]
        give_up = self.parts.ports.clock() + self.parts.load_wait
        while missing:
            round_ = _Round(self, missing, loader, options, declared, group)
            values, again = await round_.play()
            found.update(values)
            missing = again
            if missing and self.parts.ports.clock() >= give_up:
                self.parts.counters.wait_timeouts += len(missing)
                loaded = await self.parts.ports.load(loader, missing)
                found.update({key: loaded[key] for key in missing if key in loaded})
                break
            if missing:
                more = await self.get_many(missing, declared, options)
                found.update(more)
                missing = [key for key in missing if key not in more]
        return {key: found[key] for key in wanted if key in found}


class _Round:
    """One round: take what rights are to be had, load those keys with one call, then wait for the rest."""

    def __init__(
        self, batches: Batches, keys: list[str], loader: Loader, options: Freshness, declared: Any, group: str
    ) -> None:
        self._batches = batches
        self._parts, self._policy, self._loading = batches.parts, batches.policy, batches.loading
        self._keys, self._loader, self._options = keys, loader, options
        self._declared, self._group = declared, group
        self._values: dict[str, Any] = {}
        self._again: list[str] = []

    async def play(self) -> tuple[dict[str, Any], list[str]]:
        """The values found or loaded, and the keys to ask for again."""
        parts = self._parts
        joined = {key: flight for key in self._keys if (flight := parts.flights.get(key)) is not None}
        runs = []
        for key in self._keys:
            if key not in joined:
                flight = parts.flights.start(key, self._options.tags)
                run = self._batches.run(key, self._options, self._declared, flight, self._group)
                runs.append(run)
        watches = {run.key: parts.coherence.watch(run.key, parts.ports.gate()) for run in runs}
        try:
            waiting = await self._lead(runs)
            await self._rest(waiting, watches, joined)
        finally:
            for run in runs:
                parts.coherence.unwatch(watches[run.key])
                parts.coherence.done(run.token)
                parts.flights.end(run.flight, Outcome(Verb.AGAIN))
        return self._values, self._again

    async def _lead(self, runs: list[Run]) -> dict[str, float]:
        """Load what is ours to load; returns what others hold, with how long."""
        granted: dict[str, tuple[Run, bytes | None, bytes | None]] = {}
        waiting: dict[str, float] = {}
        for run, seen, base, mark in await self._rights(runs):
            if seen.look in {Look.FRESH, Look.STALE} and seen.answer is not None and base is None:
                self._values[run.key] = seen.answer.value
                self._parts.flights.end(run.flight, Outcome(Verb.ANSWER, answer=seen.answer))
            elif seen.look is Look.HELD:
                waiting[run.key] = seen.remaining
                self._parts.flights.end(run.flight, Outcome(Verb.AGAIN))
            else:
                granted[run.key] = (run, base, mark)
        if granted:
            await self._load(granted)
        return waiting

    async def _rights(self, runs: list[Run]) -> list[tuple[Run, Seen, bytes | None, bytes | None]]:
        """Leases for what is not there, claims for what may not be used, all in one write.

        What comes back is, per key, what was seen, the head that a store may replace, and the mark of our claim.
        """
        parts = self._parts
        budget = parts.budget()
        ms = round(parts.times.lease(self._group) * 1000)
        asked: list[tuple[Run, Seen, Any, bytes | None, bytes | None]] = []
        for run, seen in await self._batches.look(runs):
            mark = parts.entries.head(b"C")
            placeholder = parts.entries.head(b"L")
            if seen.look in {Look.NONE, Look.FOREIGN}:
                if seen.look is Look.FOREIGN:
                    parts.shared.discard(run.key)
                gate = parts.shared.acquire(run.key, placeholder, ms, run.declared, run.token)
                asked.append((run, seen, gate, placeholder, None))
            elif seen.look in {Look.SPENT, Look.UNUSABLE, Look.STALE}:
                asked.append((run, seen, parts.shared.claim(run.key, mark, ms, run.declared, run.token), None, mark))
            else:
                asked.append((run, seen, None, None, None))
        results: list[tuple[Run, Seen, bytes | None, bytes | None]] = []
        try:
            for run, seen, gate, lease, claim in asked:
                if lease is None and claim is None:
                    results.append((run, seen, None, None))
                else:
                    results.append((run, *self._right(run, await parts.ask(gate, budget), lease, claim)))
        except BaseException:
            # Cancelled: what was granted by now, or will be, nobody else would give back.
            for run, _, _, lease, claim in asked:
                self._loading.give_back(run, lease, claim)
            raise
        return results

    def _right(  # noqa: PLR0911 - one exit for each answer
        self, run: Run, got: Any, placeholder: bytes | None, mark: bytes | None
    ) -> tuple[Seen, bytes | None, bytes | None]:
        """What the answer to ``acquire`` or ``claim`` gives us."""
        if isinstance(got, Claimed):
            seen = got.seen
            if got.granted and seen.look in {Look.SPENT, Look.UNUSABLE, Look.STALE}:
                return seen, seen.head, mark
            if got.granted and mark is not None:
                self._parts.shared.unclaim(run.key, mark)
            if seen.look in {Look.FRESH, Look.STALE, Look.FAULT}:
                return seen, None, None
            return Seen(Look.HELD, remaining=got.remaining if not got.granted else 0.0), None, None
        if isinstance(got, Seen):
            if got.look is Look.GRANTED:
                return got, placeholder, None
            if got.look in {Look.FRESH, Look.STALE, Look.HELD, Look.FAULT}:
                return got, None, None
            return Seen(Look.HELD), None, None
        return Seen(Look.FAULT), None, None

    async def _load(self, granted: dict[str, tuple[Run, bytes | None, bytes | None]]) -> None:
        """One call of the loader for all; each key is fulfilled, or released when the mapping lacks it."""
        parts = self._parts
        budget = parts.budget()
        stops = [self._loading.keep_alive(run, base, mark) for run, base, mark in granted.values() if base is not None]
        try:
            captured = await parts.capture(self._options.tags, budget)
            started = parts.ports.clock()
            loaded = await self._loading.call(self._lead_run(granted))
            cost = parts.ports.clock() - started
            unwrapped = {key: self._loading.unwrap(granted[key][0], loaded[key]) for key in granted if key in loaded}
        except BaseException as error:
            for run, base, mark in granted.values():
                self._loading.give_back(run, base, mark)
                if isinstance(error, Exception):
                    parts.flights.end(run.flight, Outcome(Verb.RAISE, error=error))
            raise
        finally:
            for stop in stops:
                stop()
        await self._store(granted, unwrapped, captured, (started, cost))

    def _lead_run(self, granted: dict[str, tuple[Run, bytes | None, bytes | None]]) -> Run:
        """The run that carries the loader. The others wait for it, so that a loader's wait for any is a cycle."""
        runs = [run for run, _, _ in granted.values()]
        lead = runs[0]
        lead.loader, lead.args = self._loader, (list(granted),)
        for run in runs[1:]:
            run.flight.waits_for.add(lead.flight)
        return lead

    async def _store(
        self,
        granted: dict[str, tuple[Run, bytes | None, bytes | None]],
        unwrapped: dict[str, tuple[Answer, Freshness | None]],
        captured: Any,
        times: tuple[float, float],
    ) -> None:
        stores = []
        for key, (run, base, mark) in granted.items():
            if key not in unwrapped:
                self._loading.give_back(run, base, mark)
                continue
            answer, options = unwrapped[key]
            self._values[key] = answer.value
            stores.append((run, self._loading.send(run, (base, mark), (answer, options), captured, times)))
        for run, finish in stores:
            self._parts.flights.end(run.flight, await finish())

    async def _rest(self, waiting: dict[str, float], watches: dict[str, Any], joined: dict[str, Flight]) -> None:
        """Holding nothing now, wait until the first of the others has news, then the next round asks for all."""
        parts = self._parts
        for key, flight in joined.items():
            verb, value = await self._policy.join(flight, None)
            if verb is Verb.ANSWER:
                self._values[key] = value
            else:
                self._again.append(key)
        for key, remaining in waiting.items():
            await self._loading.news(watches[key].gate, remaining, parts.ports.clock() + parts.load_wait)
            self._again.append(key)


async def _none(*_args: Any) -> None:
    raise AssertionError("a batch loads with the loader it was given")
