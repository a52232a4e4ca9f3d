"""One key as the server holds it: state, time left, tags and whether each is current, size, codec. Never its value."""

from dataclasses import dataclass
from typing import Any

from ...api.cache import Cache
from ...api.explain import Explanation
from ...format.codec import INT, JSON, MARKED_JSON, MARKED_MSGPACK, MSGPACK, PICKLE
from ...format.entry import Header, parse_header, parse_tags
from ...format.keys import Layout
from ...policy.options import Remaining
from .visit import Visit

__all__ = ["KeyReport", "TagState", "explain_key"]

CODECS = {
    INT: "integer",
    MSGPACK: "msgpack",
    JSON: "json",
    PICKLE: "pickle",
    MARKED_MSGPACK: "msgpack with types",
    MARKED_JSON: "json with types",
}


@dataclass(frozen=True, slots=True)
class TagState:
    """One tag of an entry: ``current`` if it still has the version that the entry was stored with."""

    name: str
    current: bool

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"name": self.name, "current": self.current}


@dataclass(frozen=True, slots=True)
class KeyReport:
    """One key.

    Attributes:
        key: As asked for, with its namespaces.
        server_key: As it stands on the server.
        state: What stands there, in the words of ``cache.explain``.
        why: For what cannot be used, what is wrong.
        fresh_for, stale_for: Seconds until it is stale, and after that until it is spent; negative: since when.
        kept_for: Seconds until the server forgets it.
        held_for: Seconds that the right to load it, or to replace it, is still held; ``None``: by nobody.
        size: Bytes on the server, and ``payload`` without the header.
        codec: What wrote it.
        signed: Whether it is signed.
        load_seconds: How long its load took.
        tags: The entry's.
    """

    key: str
    server_key: str
    state: str
    why: str = ""
    fresh_for: float | None = None
    stale_for: float | None = None
    kept_for: float | None = None
    held_for: float | None = None
    size: int | None = None
    payload: int | None = None
    codec: str | None = None
    signed: bool | None = None
    load_seconds: float | None = None
    tags: tuple[TagState, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        told = {name: getattr(self, name) for name in self.__slots__}
        return told | {"tags": [tag.as_dict() for tag in self.tags]}


async def explain_key(cache: Cache, visit: Visit, layout: Layout, key: str) -> KeyReport:
    """Look at a key, and say what a cache makes of it.

    Args:
        cache: With the configuration in question; whether an entry may be used is for it to say.
        visit: For what it does not tell.
        layout: Where our keys are.
        key: With its namespaces, such as ``users:7``.

    Raises:
        KeyRuleError: It is no key.
    """
    seen = await cache.explain(key)
    raw, claim = layout.entry(key), layout.claim(key)
    blob, pttl, claimed = await visit.ask(("GET", raw), ("PTTL", raw), ("PTTL", claim))
    held = pttl if seen.shared == "held" else claimed
    about = KeyReport(
        key,
        seen.server_key,
        seen.shared,
        seen.why,
        kept_for=_seconds(pttl),
        held_for=_seconds(held),
        size=len(blob) if isinstance(blob, bytes) else None,
    )
    header = parse_header(blob) if isinstance(blob, bytes) else None
    if header is None or not isinstance(blob, bytes) or not isinstance(pttl, int):
        return about
    return await _entry(visit, layout, (seen, about), (blob, pttl, header))


async def _entry(
    visit: Visit, layout: Layout, told: tuple[Explanation, KeyReport], found: tuple[bytes, int, Header]
) -> KeyReport:
    """What an entry's own header adds."""
    seen, about = told
    blob, pttl, header = found
    left = Remaining.of(pttl, header.stale)
    tags = parse_tags(header.section) or ()
    versions = await visit.ask(*(("GET", layout.tag(name)) for name, _ in tags)) if tags else []
    return KeyReport(
        about.key,
        about.server_key,
        seen.shared,
        seen.why,
        fresh_for=round(left.fresh, 3),
        stale_for=round(header.stale, 3),
        kept_for=about.kept_for,
        held_for=about.held_for,
        size=about.size,
        payload=len(blob) - header.payload_start,
        codec=CODECS.get(header.codec, f"unknown ({header.codec})"),
        signed=header.signature is not None,
        load_seconds=header.cost,
        tags=tuple(TagState(name, now == then) for (name, then), now in zip(tags, versions, strict=True)),
    )


def _seconds(pttl: Any) -> float | None:
    return pttl / 1000 if isinstance(pttl, int) and pttl > 0 else None
