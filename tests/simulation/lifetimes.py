"""How long each value may be answered: no longer than its life since its load, its store or its read was *sent*.

Rules:

1. What the server stores ends when the server lets go of it: fresh until ``due - grace - stale``, and until
   ``due - grace`` for who allows stale values. A copy of it ends no later, whenever it was read.
2. What shared did not confirm ends ``offline_ttl`` after its loader began, or was touched, and ``max_staleness`` after
   it while its instance is online; and never after its own ``ttl`` and ``stale``.
3. The server keeps what was stored as long as it was asked to, and what is not to be kept not at all.
4. Without tracking a copy ends a second after the server got the question, or half of ``max_staleness``.
"""

from collections.abc import Callable
from typing import Any

from fleetcache.format.entry import GRACE, parse_header
from fleetcache.near.coherence import Coherence
from tests.simulation.model import Model, Value, Violation

__all__ = ["Lifetimes"]

ENTRY = b"fc:e:"
# The server counts in whole milliseconds, as do the fields of an entry.
TICK = 0.0021
# A loader's result may live a little shorter than it was asked to, so that what was stored together does not end so.
SHORTER = 0.94
NEVER = float("inf")


class Lifetimes:
    """What was stored and until when.

    Args:
        model: Knows the values.
        step: By how much the server's clock is ahead of the world's now.
    """

    def __init__(self, model: Model, step: Callable[[], float]) -> None:
        self._model, self._step = model, step
        self._least_step = 0.0
        self._ends: dict[int, tuple[float, float]] = {}  # fresh, stale; by the server's clock
        self._heads: dict[int, bytes] = {}
        self._changed: dict[str, float] = {}  # when another entry was stored under a key

    def stepped(self) -> None:
        """The server's clock has jumped."""
        self._least_step = min(self._least_step, self._step())

    def stored(self, key: bytes, blob: Any, due: int | None) -> None:
        """The server stores something, or gives it another end."""
        header = parse_header(blob) if key.startswith(ENTRY) and isinstance(blob, bytes) else None
        if header is None or due is None:
            return
        try:
            value = self._model.values.get(int(blob[header.payload_start :]))
        except ValueError:
            return
        if value is None or value.key != key[len(ENTRY) :].decode():
            return  # somebody else's, or a counter
        stale_end = due / 1000 - GRACE
        fresh, stale = self._ends.get(value.number, (-NEVER, -NEVER))
        self._ends[value.number] = (max(fresh, stale_end - header.stale), max(stale, stale_end))
        if self._heads.get(value.number) != header.stamp:
            self._heads[value.number] = header.stamp
            self._changed[value.key] = self._model.clock()
            self._check_stored(value, header.stale, stale_end)

    def _check_stored(self, value: Value, stale: float, stale_end: float) -> None:
        if value.ttl is None:
            raise Violation("lifetime", f"{value.key}: value {value.number} is stored and was not to be kept")
        ttl = stale_end - self._now() - stale
        if abs(stale - value.stale) > TICK or not value.ttl * SHORTER - TICK <= ttl <= value.ttl + TICK:
            raise Violation(
                "lifetime",
                f"{value.key}: value {value.number} is stored for {ttl:.3f} s and {stale:.3f} s stale, "
                f"and was to live {value.ttl:.3f} s and {value.stale:.3f} s",
            )

    def _now(self) -> float:
        return self._model.clock() + self._step()

    def changed_since(self, key: str, since: float) -> bool:
        """Whether another entry was stored meanwhile."""
        return self._changed.get(key, -NEVER) >= since

    def is_backed(self, number: int) -> bool:
        """Whether the server ever had it."""
        return number in self._ends

    # -- what may be answered --------------------------------------------------------------------------------------

    def end(self, value: Value, *, stale: bool) -> float:
        """Until when it may be answered by what the server said: world time."""
        ends = self._ends.get(value.number)
        return -NEVER if ends is None else ends[stale] - self._least_step + TICK

    def judge(self, value: Value, by: Any, at: float, *, stale: bool, own: bool, joined: bool) -> None:
        """Whether a call that began then may be answered with it.

        Args:
            value: What it got.
            by: The instance.
            at: When the call began.
            stale: Whether it allows stale values.
            own: Whether its own loader brought it, or it may have.
            joined: Whether it came while the load ran.
        """
        if own or at <= self.end(value, stale=stale):
            return
        most = value.bound
        if by.away_at < value.started:  # it was online all the time: the server refused to store it, or was not asked
            most = min(most, self._model.max_staleness)
        bound = value.started + most if joined else self._unconfirmed_end(value, value.bound, stale=stale)
        if at <= bound + self._held_up(value, by, at):
            return
        raise Violation(
            "lifetime",
            f"{by.name} got value {value.number} of {value.key} for a call that began at {at:.3f}; it began at "
            f"{value.started:.3f} and was good until {max(self.end(value, stale=stale), bound):.3f}",
        )

    def judge_held(self, value: Value, held: Any, by: Any, heard: float | None) -> None:
        """Whether near may keep it for so long. ``heard``: without tracking, when the server last got a question."""
        ends = (held.fresh_until, held.stale_until)
        if held.unconfirmed:
            slack = self._held_up(value, by, self._model.clock())
            bound = min(value.bound, self._model.max_staleness) if by.says_online() else value.bound
            most = tuple(self._unconfirmed_end(value, bound, stale=stale) + slack for stale in (False, True))
        else:
            most = (self.end(value, stale=False), self.end(value, stale=True))
            if heard is not None:
                life = heard + min(Coherence.UNTRACKED_LIFE, self._model.max_staleness / 2) + TICK
                most = (min(most[0], life), min(most[1], life))
        if ends[0] > most[0] or ends[1] > most[1]:
            raise Violation(
                "lifetime",
                f"near of {by.name} keeps value {value.number} of {value.key} until {ends[0]:.3f}, stale until "
                f"{ends[1]:.3f}; allowed are {most[0]:.3f} and {most[1]:.3f}",
            )

    def _unconfirmed_end(self, value: Value, bound: float, *, stale: bool) -> float:
        end = value.started + min(bound, value.life(stale=stale))
        if value.touched is None:
            return end
        at, ttl = value.touched
        bound = max(bound, self._model.offline_ttl)
        return max(end, at + (bound if stale else min(bound, ttl)))

    def _held_up(self, value: Value, by: Any, at: float) -> float:
        """How long a write may have waited before it knew that it is not confirmed, and its process stood still."""
        stood: float = sum(max(0.0, min(until, at) - max(since, value.started)) for since, until in by.stalled)
        return TICK + stood + (value.slack if value.loader is None else 0.0)
