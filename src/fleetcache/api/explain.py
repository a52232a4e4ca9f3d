"""``cache.explain(key)``: what both tiers hold of one key, in words for people."""

from typing import TYPE_CHECKING, Any, Protocol

from msgspec import Struct
from msgspec.structs import asdict

from ..config.spelling import renamed
from ..policy.lookup import Lookup

if TYPE_CHECKING:
    from ..engine.engine import Engine

__all__ = ["Explanation", "explain"]


class Explanation(Struct, frozen=True):
    """One key in both tiers.

    Attributes:
        key: With the namespace's prefix.
        server_key: As it stands on the server.
        near: ``fresh``, ``stale``, ``expired`` or ``none``.
        near_fresh_for: Seconds near may still call it fresh; negative = since when it may not.
        trusted_for: Seconds until the horizon, unless the server is heard again before.
        unbacked: Whether near holds it unconfirmed by the server.
        shared: What stands on the server: ``fresh``, ``stale``, ``spent``, ``unusable``, ``foreign``, ``held``
            (somebody loads), ``none``, or ``fault`` (no answer).
        why: For what cannot be used, what is wrong.
        shared_fresh_for: Seconds the server's entry is still fresh.
        tags: The entry's tags.
        owed: Whether a removal of it is not yet acknowledged.
        loading: Whether this process loads it now.
    """

    key: str
    server_key: str
    near: str
    near_fresh_for: float | None
    trusted_for: float | None
    unconfirmed: bool
    shared: str
    why: str
    shared_fresh_for: float | None
    tags: tuple[str, ...]
    pending_removal: bool
    loading: bool

    unbacked = renamed("unbacked", "unconfirmed")
    owed = renamed("owed", "pending_removal")

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


class Looking(Protocol):
    """Who looks at the server's side of it."""

    async def look(self, key: str) -> tuple[Lookup, Any]:
        """What stands there."""
        ...


async def explain(engine: "Engine", there: Looking, key: str) -> Explanation:
    """Look at both tiers without changing either, but for near, which a look may fill."""
    now = engine.clock()
    held = engine.near.items.get(key)
    near = "none"
    if held is not None:
        near = "fresh" if now < held.fresh_until else "stale" if now < held.stale_until else "expired"
    seen, _ = await there.look(key)
    fresh = seen.answer is not None
    tags = [name for name, _ in engine.entries.tags_of(seen)] or (held.tags if held is not None else ())
    trusted_until = engine.link.trusted_until
    return Explanation(
        key=key,
        server_key=engine.layout.entry(key).decode(),
        near=near,
        near_fresh_for=None if held is None else round(held.fresh_until - now, 3),
        trusted_for=None if abs(trusted_until) == float("inf") else round(trusted_until - now, 3),
        unconfirmed=held is not None and held.unconfirmed,
        shared=seen.state.value,
        why=seen.reason,
        shared_fresh_for=round(seen.fresh_until - now, 3) if fresh else None,
        tags=tuple(tags),
        pending_removal=engine.coherence.journal.has_pending_key(key),
        loading=engine.flights.get(key) is not None,
    )
