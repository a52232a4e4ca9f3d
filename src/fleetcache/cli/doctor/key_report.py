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
    """One tag of an entry: ``current`` if the tag still has the version that the entry was stored with."""

    name: str
    current: bool

    def as_dict(self) -> dict[str, Any]:
        """Return all fields as a dict, for JSON."""
        return {"name": self.name, "current": self.current}


@dataclass(frozen=True, slots=True)
class KeyReport:
    """One key.

    Attributes:
        key: The key as the user gave it, with its namespaces.
        server_key: The name of the key on the server.
        state: The state of the server's entry, in the words of ``cache.explain``.
        why: The reason why the entry cannot be used.
        fresh_for, stale_for: Seconds until the entry is stale, and from then until it is spent; negative: since when.
        kept_for: Seconds until the server drops the entry.
        held_for: Seconds that a caller still holds the right to load or replace the entry; ``None``: no caller has it.
        size: Bytes on the server, and ``payload`` without the header.
        codec: The codec that wrote the value.
        signed: Whether the entry is signed.
        load_seconds: Seconds that the load of the value took.
        tags: The entry's tags.
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
        """Return all fields as a dict, for JSON."""
        told = {name: getattr(self, name) for name in self.__slots__}
        return told | {"tags": [tag.as_dict() for tag in self.tags]}


async def explain_key(cache: Cache, visit: Visit, layout: Layout, key: str) -> KeyReport:
    """Read a key on the server and return a report on it, with the cache's judgement.

    Args:
        cache: A cache with the configuration in question, which judges whether the entry may be used.
        visit: A connection that asks the server for the other facts.
        layout: The layout of the cache's keys on the server.
        key: The key with its namespaces, such as ``users:7``.

    Raises:
        KeyRuleError: ``key`` breaks the rules for keys.
    """
    seen = await cache.explain(key)
    raw, claim = layout.entry(key), layout.claim(key)
    blob, pttl, claimed, kind = await visit.ask(("GET", raw), ("PTTL", raw), ("PTTL", claim), ("GETRANGE", claim, 0, 0))
    held = pttl if seen.shared == "held" else claimed if kind == b"C" else None  # not the mark of a failed load
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
    """Return the report with the facts of the entry's own header."""
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
