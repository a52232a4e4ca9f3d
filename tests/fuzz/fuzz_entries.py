"""The judgement of a key's content: any reply in the place of an entry; near takes good entries only.

Nothing raises. An answered entry has exactly the current tags; with signatures it is, byte for byte, an entry that a
holder of the signing key wrote to this key. An unsigned pickle is never read: the planted one would fail.
"""

import pickle
from typing import Any

from fleetcache.errors import CodecError
from fleetcache.format.codec import PICKLE, Codecs
from fleetcache.format.keys import ALL_TAG, Layout
from fleetcache.format.signing import Signer
from fleetcache.near.coherence import Coherence
from fleetcache.near.store import Near
from fleetcache.policy.lookup import EntryState, Lookup
from fleetcache.policy.options import CallOptions
from fleetcache.policy.single_flight import Flights
from fleetcache.shared.entries import Entries
from fleetcache.telemetry.stats import Counters
from fleetcache.wire.session import ReplyError
from tests.fuzz.source import Source
from tests.fuzz.values import TYPES, value

__all__ = ["SEEDS", "one_input"]

SEEDS = [bytes([way, *range(0, 240, 5), 31 * way]) * 2 for way in range(8)]
LAYOUT = Layout("p")
KEYS = (b"k" * 32, b"o" * 32)
# Odd replies to GET and PTTL, as another server or a proxy may send.
ODD: tuple[Any, ...] = (
    None,
    True,
    False,
    5,
    -1,
    -2,
    0,
    1.5,
    [],
    [b"V" * 60],
    {},
    "text",
    ReplyError("WRONGTYPE no"),
    ReplyError(""),
    b"",
    2**63 - 1,
)


def boom() -> None:
    """Fail; reading a planted pickle would run this."""
    raise AssertionError("a pickle that nobody signed was read")


class Bomb:
    def __reduce__(self) -> tuple[Any, ...]:
        return boom, ()


BOMB = pickle.dumps(Bomb())


def entries(source: Source, *, signed: bool) -> tuple[Entries, Coherence]:
    """Return the judge of entries, with the versions of two tags known."""
    coherence = Coherence(Near(50, 20_000), LAYOUT, Flights(), Counters(), lambda: 10.0)
    coherence.tracking = source.byte() % 2 == 1
    coherence.keep_version(ALL_TAG, b"a" * 16, 10.0)
    coherence.keep_version("t", b"t" * 16, 10.0)
    codecs = Codecs(source.pick(("msgpack", "json", "pickle")) if signed else source.pick(("msgpack", "json")))
    return (
        Entries(
            codecs,
            Signer(KEYS) if signed else None,
            coherence,
            LAYOUT,
            Counters(),
            max_bytes=5_000,
            stamp=lambda: bytes(16),
        ),
        coherence,
    )


def genuine(source: Source, writer: Entries) -> bytes:
    """Return an entry as it is stored."""
    try:
        answer = writer.encode(value(source, 2), Any)
    except CodecError:
        answer = writer.encode("x", Any)
    carried = ((ALL_TAG, source.pick((b"a" * 16, b"b" * 16))), ("t", b"t" * 16), ("u", b"u" * 16))[: source.below(4)]
    return writer.pack("k", answer, carried, CallOptions(60.0, 5.0, (), 30.0), source.below(100) / 9).blob


def planted(source: Source, blob: bytes) -> Any:
    """Return a reply in the entry's place."""
    way = source.byte() % 6
    if way == 0:
        return source.pick(ODD)
    if way == 1:
        start = int.from_bytes(blob[33:35])
        return blob[:18] + bytes((PICKLE,)) + blob[19:start] + BOMB
    if way == 2:
        return source.pick((b"V", b"L", b"")) + source.rest()
    return source.spoilt(blob) if way < 5 else blob


def one_input(data: bytes) -> None:
    """Read one key once."""
    source = Source(data)
    signed = source.byte() % 2 == 1
    judge, coherence = entries(source, signed=signed)
    written = genuine(source, judge)
    blob = planted(source, written)
    pttl = source.pick(ODD) if source.chance(4) else source.below(100_000)
    token = coherence.open_fill("k", ("t",)) if source.byte() % 2 else None
    declared = source.pick(TYPES)
    seen = judge.see("k", blob, pttl, 9.0, declared, token)
    assert isinstance(seen, Lookup)
    if seen.answer is not None:
        assert seen.state in {EntryState.FRESH, EntryState.STALE}
        assert not signed or blob == written
        assert coherence.judge(seen.header.section)[1] == tuple(name for name, _ in judge.tags_of(seen))
        judge.copy(seen.answer, declared)
    held = coherence.near.items.get("k")
    assert held is None or seen.answer is not None
    if held is not None:
        judge.decode_near(held, source.pick(TYPES))
