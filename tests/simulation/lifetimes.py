"""How long each value may be answered: no longer than its life since its load, its store or its read was *sent*.

Rules:

1. A stored value ends when the server drops it: it is fresh until ``due - grace - stale``, and until ``due - grace``
   for callers that allow stale values. A copy of it ends no later, whenever it was read.
2. A value that shared did not confirm ends ``offline_ttl`` after its loader began, or after its touch, and
   ``max_staleness`` after that while its instance is online; and never after its own ``ttl`` and ``stale``.
3. The server keeps a value for the requested time, and does not store a value that must not be kept.
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
# A loader's result may live a little shorter than requested, so that values stored together do not end together.
SHORTER = 0.94
NEVER = float("inf")


class Lifetimes:
    """The stored values and their ends.

    Args:
        model: Knows the values.
        step: Returns by how much the server's clock is ahead of the world's.
    """

    def __init__(self, model: Model, step: Callable[[], float]) -> None:
        self._model, self._step = model, step
        self._least_step = 0.0
        self._ends: dict[int, tuple[float, float]] = {}  # fresh, stale; by the server's clock
        self._heads: dict[int, bytes] = {}
        self._changed: dict[str, float] = {}  # by key, the time at which another entry was stored

    def stepped(self) -> None:
        """Note that the server's clock has jumped."""
        self._least_step = min(self._least_step, self._step())

    def stored(self, key: bytes, blob: Any, due: int | None) -> None:
        """Note and judge that the server stores a value, or gives it another end."""
        header = parse_header(blob) if key.startswith(ENTRY) and isinstance(blob, bytes) else None
        if header is None or due is None:
            return
        try:
            value = self._model.values.get(int(blob[header.payload_start :]))
        except ValueError:
            return
        if value is None or value.key != key[len(ENTRY) :].decode():
            return  # another client's value, or a counter
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
        """Return True if another entry was stored since then."""
        return self._changed.get(key, -NEVER) >= since

    def is_backed(self, number: int) -> bool:
        """Return True if the server ever had the value."""
        return number in self._ends

    # -- allowed answers -------------------------------------------------------------------------------------------

    def end(self, value: Value, *, stale: bool) -> float:
        """Return until when the value may be answered, by the server's statement, in world time."""
        ends = self._ends.get(value.number)
        return -NEVER if ends is None else ends[stale] - self._least_step + TICK

    def judge(self, value: Value, by: Any, at: float, *, stale: bool, own: bool, joined: bool) -> None:
        """Judge a value that answered a call.

        Args:
            value: The answer.
            by: The instance.
            at: The time at which the call began.
            stale: True if the call allows stale values.
            own: True if the call's own loader brought the value, or may have.
            joined: True if the call came while the load ran.
        """
        if own or at <= self.end(value, stale=stale):
            return
        most = value.bound
        # It was online all the time: the server refused the value, or was not asked to store it.
        if by.away_at < value.started:
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
        """Judge the life of an entry in near. ``heard``: without tracking, the time of the server's last question."""
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
        """Return how long the process stalled, and how long a write waited before it knew that it is not confirmed."""
        stood: float = sum(max(0.0, min(until, at) - max(since, value.started)) for since, until in by.stalled)
        return TICK + stood + (value.slack if value.loader is None else 0.0)
