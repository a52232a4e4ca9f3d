"""Coherence with real parts around it, for tests that need no server."""

from typing import Any

from fleetcache.format.keys import Layout
from fleetcache.near.coherence import Coherence
from fleetcache.near.store import Near, NearEntry
from fleetcache.policy.single_flight import Flights
from fleetcache.telemetry.stats import Counters
from tests.support.clock import ManualClock

__all__ = ["LAYOUT", "TAGS", "V1", "V2", "Gate", "World"]

LAYOUT = Layout("fc")
V1, V2 = b"1" * 16, b"2" * 16
TAGS = ("*", "geo")


class Gate:
    def __init__(self) -> None:
        self.opened = False

    def done(self) -> bool:
        return self.opened

    def set_result(self, result: Any, /) -> None:
        assert result is None
        self.opened = True


class World:
    """Coherence with real parts, one flight of ``k`` and one tag copy."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.near, self.flights, self.counters = Near(100, 1_000_000), Flights(), Counters()
        self.it = Coherence(self.near, LAYOUT, self.flights, self.counters, self.clock)
        self.it.tracking = True
        self.it.keep_version("*", V1, 0.0)
        self.it.keep_version("geo", V1, 0.0)

    def held(self, *, unconfirmed: bool = False, tags: tuple[str, ...] = TAGS) -> NearEntry:
        return NearEntry(
            "value",
            codec=0,
            declared=str,
            fresh_until=self.clock() + 60,
            stale_until=self.clock() + 60,
            unconfirmed=unconfirmed,
            tags=tags,
            cost=0.0,
            stamp=b"V" * 17,
            size=54,
        )

    def fill(self, key: str = "k", **options: Any) -> bool:
        token = self.it.open_fill(key, TAGS)
        try:
            return self.it.fill(token, self.held(**options))
        finally:
            self.it.close_fill(token)

    def push(self, *raw: bytes | None) -> None:
        self.it.on_invalidation(None if raw == (None,) else [key for key in raw if key is not None])
