"""The codec and its judgement of values: any bytes read as any type, any value written as any type.

Reading raises ``CodecError`` and nothing else. Each reader gets an accepted value as its writer did. No bytes are ever
read as a pickle here: a user with pickle reads signed entries only, and ``fuzz_entries`` shows it.
"""

from contextlib import suppress
from typing import Any

from fleetcache.errors import CodecError
from fleetcache.format.codec import INT, JSON, MARKED_JSON, MARKED_MSGPACK, MSGPACK, PICKLE, Codecs
from fleetcache.format.values import ALL_GIVEN, find_change, immutable
from tests.fuzz.source import Source
from tests.fuzz.values import TYPES, value

__all__ = ["SEEDS", "one_input"]

CODECS = (Codecs("msgpack"), Codecs("json"))
WRITERS = (*CODECS, Codecs("pickle"))
IDS = (INT, MSGPACK, JSON, PICKLE, MARKED_MSGPACK, MARKED_JSON, 6, 255)
# Headers of long things, deep things, extensions, numbers at the edges.
HOSTILE = (
    b"\x91" * 5000, b"\x81\xa1a" * 3000, b"[" * 5000, b'{"a":' * 3000, b"\xdd\xff\xff\xff\xff",
    b"\xdf\xff\xff\xff\xff",
    b"\xdb\xff\xff\xff\xff", b"\xc6\xff\xff\xff\xff", b"\xc9\xff\xff\xff\xff\xff",
    b"\xc7\x0c\xff" + b"\xff" * 12, b"\xc1",
    b"\xcb\x7f\xf8\0\0\0\0\0\0", b"\xcf" + b"\xff" * 8, b"9" * 20_000, b"-", b"1e999999999", b'"\\ud800"',
    b"1" + b"0" * 5000 + b".5",
    b'{"city":"x","tree":' * 2000, b'"2020-01-01T00:00:00Z"', b'"P1D"', b'"' + b"1" * 5000 + b'"',
    b"\x82\xa1a\x01\xa1a\x02", b"\x81\x91\x01\x02",
    b"\xc7\x02\x0a\x91\x01", b"\xd5\x05\x92\xa0\x80", b"\xd4\x18\xc0", b'{"$":["tuple",[{"$":["set",[1]]}]]}',
    b'{"$":["class",["tests.fuzz.values.User",{"id":1,"name":{"$":["date","2020-01-01"]},"seen":[]}]]}',
    b'{"$":["datetime",["2020-01-01T00:00:00","Europe/Berlin",1]]}', b'{"$":["Pattern",["(a+)+$",32]]}',
    b'{"$":' * 3000,
)  # fmt: skip
SEEDS = [bytes([way, *range(0, 200, 9), way, 77]) * 3 for way in range(10)]


def read(source: Source) -> None:
    """Read any bytes."""
    way = source.byte() % 3
    payload = source.pick(HOSTILE)
    if way == 1:
        payload = source.take(60)
    elif way == 2:
        with suppress(CodecError):
            payload = source.pick(CODECS).encode(value(source), Any)[1]
    payload = source.spoilt(payload)
    codecs = source.pick(CODECS)
    declared = source.pick(TYPES)
    for codec_id in IDS:
        with suppress(CodecError):
            immutable(codecs.decode(codec_id, payload, declared))


def write(source: Source) -> None:
    """Write any value."""
    codecs = source.pick(WRITERS)
    given, declared = value(source), source.pick(TYPES)
    immutable(given)
    try:
        codec_id, payload, back = codecs.encode(given, declared)
    except CodecError as error:
        assert str(error)  # noqa: PT017 - storing it is right too
        return
    again = codecs.decode(codec_id, payload, declared)
    assert find_change(back, again) is None, (given, back, again)
    if codecs.name != "pickle":  # pickle keeps a class's own state
        allowed = frozenset() if declared is Any else ALL_GIVEN
        assert find_change(given, again, allowed) is None, (given, again)


def one_input(data: bytes) -> None:
    """Write one value or read some bytes."""
    source = Source(data)
    (write if source.byte() % 2 else read)(source)
