"""Manual use of the cache: claims, of which each key has one at a time, and touches, which give an entry a new life."""

from typing import Any

from fleetcache.format.entry import GRACE, parse_header
from tests.simulation.model import LEASE_WAY, Violation

__all__ = ["HandClaims", "Touches"]

# The server counts in whole milliseconds.
TICK = 0.0021


class HandClaims:
    """The claims and their holders.

    Args:
        run: Knows the times at which something was wrong.
    """

    def __init__(self, run: Any) -> None:
        self._run = run
        self._held: dict[str, list[tuple[Any, float]]] = {}

    def begin(self, key: str, by: Any) -> None:
        """Note that a user has the claim."""
        now, calm = self._run.world.now, self._run.calm
        held = self._held.setdefault(key, [])
        for other, since in held:
            if not other.dead and (other is by or (calm(other, since - LEASE_WAY) and calm(by, since - LEASE_WAY))):
                raise Violation("one claim", f"{by.name} has the claim of {key} while {other.name} has it")
        held.append((by, now))

    def end(self, key: str, by: Any) -> None:
        """Note that the user releases the claim."""
        self._held[key] = [one for one in self._held.get(key, []) if one[0] is not by]

    def forget(self, by: Any) -> None:
        """Forget the claims of a dead process or a closed event loop."""
        for key in self._held:
            self.end(key, by)


class _Touch:
    def __init__(self, key: str, ttl: float, began: float) -> None:
        self.key, self.ttl, self.began, self.ended = key, ttl, began, float("inf")


class Touches:
    """The entries that were touched.

    Args:
        run: Has the server, whose entries are read.
    """

    def __init__(self, run: Any) -> None:
        self._run = run
        self._all: list[_Touch] = []

    def begin(self, key: str, ttl: float) -> _Touch:
        """Note that a user begins to touch a key."""
        touch = _Touch(key, ttl, self._run.world.now)
        self._all.append(touch)
        return touch

    def end(self, touch: _Touch, *, touched: bool) -> None:
        """Judge the user's answer; if the entry has a new life, it must be the requested one."""
        run, now = self._run, self._run.world.now
        touch.ended = now
        beside = any(
            one is not touch and one.key == touch.key and one.ended >= touch.began for one in self._all
        ) or run.lifetimes.changed_since(touch.key, touch.began)
        stored = run.host.server.keys.get((0, f"fc:e:{touch.key}".encode()))
        if not touched or beside or stored is None or run.disturbed_since(touch.began):
            return
        header = parse_header(stored.value)
        if header is None or stored.due is None:
            return
        left = stored.due / 1000 - GRACE - header.stale - (now + run.host.clock_step)
        if not touch.ttl - (now - touch.began) - TICK <= left <= touch.ttl + TICK:
            raise Violation("lifetime", f"{touch.key} was touched for {touch.ttl:g} s and is fresh for {left:.3f} s")
