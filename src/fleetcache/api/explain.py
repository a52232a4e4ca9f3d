"""``cache.explain(key)``: the state of one key in the near cache and on the server, in words for people."""

from typing import TYPE_CHECKING, Any, Protocol

from msgspec import Struct
from msgspec.structs import asdict

from ..config.spelling import renamed
from ..format.entry import STORED_ERROR
from ..policy.lookup import Lookup

if TYPE_CHECKING:
    from ..engine.engine import Engine

__all__ = ["Explanation", "explain"]


class Explanation(Struct, frozen=True):
    """One key in both tiers, near (L1) and shared (L2).

    Attributes:
        key: The key with the namespace's prefix.
        server_key: The name of the key on the server.
        near: The near entry: ``fresh``, ``stale``, ``expired``, ``error`` (a stored error) or ``none``.
        ttl: Seconds for which the entry was stored as fresh. Loads and ``set_many`` store it for a little less than the
            ttl of the call (``CACHE_TTL_JITTER``). ``None``: there is no entry.
        near_fresh_for: Seconds the near entry is still fresh; negative = seconds since it was.
        trusted_for: Seconds until near entries are no longer trusted, unless the server answers before then.
        unconfirmed: Whether the server has not confirmed the near entry.
        shared: The entry on the server: ``fresh``, ``stale``, ``spent``, ``unusable``, ``foreign``, ``held`` (a caller
            loads it), ``failed`` (a load failed a moment ago), ``error`` (a stored error), ``none``, or ``fault`` (no
            answer).
        why: The reason why the server's entry cannot be used.
        shared_fresh_for: Seconds the server's entry is still fresh.
        tags: The entry's tags.
        pending_removal: Whether the server has not yet acknowledged a removal of the key.
        loading: Whether this process loads the key now.

    Example:
        >>> from fleetcache import SyncCache
        >>> cache = SyncCache("memory://")
        >>> cache.set("answer", 42)
        >>> found = cache.explain("answer")
        >>> found.near, found.pending_removal
        ('fresh', False)
    """

    key: str
    server_key: str
    near: str
    ttl: float | None
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
        """Return all fields as a dict, for JSON.

        Example:
            >>> from fleetcache import SyncCache
            >>> SyncCache("memory://").explain("answer").as_dict()["near"]
            'none'
        """
        return asdict(self)


class Looking(Protocol):
    """The part that reads an entry from the server."""

    async def look(self, key: str) -> tuple[Lookup, Any]:
        """Return the state of the key on the server."""
        ...


async def explain(engine: "Engine", there: Looking, key: str) -> Explanation:
    """Read both tiers. This changes nothing on the server, but may fill the near cache."""
    now = engine.clock()
    held = engine.near.living(key)
    near = "none"
    if held is not None:
        near = "fresh" if now < held.fresh_until else "stale" if now < held.stale_until else "expired"
        if near == "fresh" and held.declared is STORED_ERROR:
            near = "error"
    seen, _ = await there.look(key)
    fresh = seen.answer is not None
    tags = [name for name, _ in engine.entries.tags_of(seen)] or (held.tags if held is not None else ())
    trusted_until = engine.link.trusted_until
    return Explanation(
        key=key,
        server_key=engine.layout.entry(key).decode(),
        near=near,
        ttl=seen.header.ttl if fresh else None if held is None else held.span,
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
