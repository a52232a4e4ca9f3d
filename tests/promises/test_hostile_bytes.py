"""Promise 7, its second half: no bytes on the server make a verb raise, and none are executed."""

import pickle
import struct
import time
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from fleetcache import Cache
from fleetcache.errors import CodecError, Unavailable
from fleetcache.format.codec import INT, JSON, MARKED_JSON, MARKED_MSGPACK, MSGPACK, PICKLE
from fleetcache.format.keys import Layout
from tests.promises.plain import Plain
from tests.promises.variants import ours
from tests.support.client import Client
from tests.support.run import run
from tests.support.servers import Server
from tests.support.waiting import eventually

DEEP = 200_000

# Payloads by codec: bombs for parsers.
PAYLOADS: list[tuple[int, bytes]] = [
    (INT, b"9" * 100_000),
    (INT, b" 1_0 "),
    (INT, b""),
    (MSGPACK, b""),
    (MSGPACK, b"\xc1"),
    (MSGPACK, b"\xff" * 1000),
    (MSGPACK, b"\xdd\xff\xff\xff\xff"),  # an array of 2^32-1
    (MSGPACK, b"\xdf\xff\xff\xff\xff"),  # a map
    (MSGPACK, b"\xdb\xff\xff\xff\xff"),  # a str
    (MSGPACK, b"\xc9\xff\xff\xff\xff\x01"),  # an extension
    (MSGPACK, b"\xa2\xff\xfe"),  # no UTF-8
    (MSGPACK, b"\x91" * DEEP + b"\xc0"),
    (MSGPACK, b"\x81\xa1a" * DEEP),
    (JSON, b"[" * DEEP),
    (JSON, b'{"a":' * DEEP),
    (JSON, b'"\\ud800"'),
    (JSON, b"1e999999999"),
    (MARKED_MSGPACK, b"\xc7\x02\x0a\x91\x01"),  # a tuple
    (MARKED_MSGPACK, b"\xd5\x0a\xc1\xc1"),
    (MARKED_MSGPACK, b"\x91" * DEEP + b"\xc0"),
    (MARKED_MSGPACK, b"\xd4\x05\xc0"),  # a class without a name
    (MARKED_JSON, b'{"$":' * DEEP),
    (MARKED_JSON, b'{"$":["class",["os.PathLike",{}]]}'),
    (MARKED_JSON, b'{"$":["registered",["os.system","true"]]}'),
    (MARKED_JSON, b'{"$":["datetime",["2026-01-01","../../etc/passwd",0]]}'),
    (255, b"whatever"),
]


class Bomb:
    """A pickle that creates a file when it is read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return Path.touch, (self.path,)


def hostile(entry: bytes, bomb: bytes) -> Iterator[bytes]:
    """Yield bytes that an attacker with write access could plant as an entry, most of them with a proper head."""
    start = struct.unpack_from(">H", entry, 33)[0]
    yield from (bomb, b"", b"V", b"L", b"garbage", b"V" + bytes(16), b"V" + b"\xff" * 400, b"L" + bytes(40))
    for codec in (INT, MSGPACK, JSON, PICKLE, MARKED_MSGPACK, MARKED_JSON):
        yield entry[:18] + bytes((codec,)) + entry[19:start] + bomb
    for codec, payload in PAYLOADS:
        yield entry[:18] + bytes((codec,)) + entry[19:start] + payload
    for at, size in ((20, 1), (21, 4), (25, 4), (29, 4), (33, 2)):  # tags, lifetimes, cost, start of the payload
        yield entry[:at] + b"\xff" * size + entry[at + size :]
        yield entry[:at] + b"\x00" * size + entry[at + size :]


def mangled(entry: bytes) -> Iterator[bytes]:
    """Yield the entry cut short or changed at every byte."""
    for length in range(len(entry)):
        yield entry[:length]
        yield entry[:length] + bytes((entry[length] ^ 0xFF,)) + entry[length + 1 :]


async def load() -> str:
    return "loaded"


async def load_many(keys: list[str]) -> dict[str, str]:
    return dict.fromkeys(keys, "loaded")


def verbs(cache: Any) -> dict[str, Callable[[], Awaitable[object]]]:
    """Return the verbs on ``key`` that each variant has."""
    return {
        "get": lambda: cache.get("key"),
        "get_or_set": lambda: cache.get_or_set("key", load),
        "set": lambda: cache.set("key", "set"),
        "delete": lambda: cache.delete("key"),
    }


def more_verbs(cache: Cache) -> dict[str, Callable[[], Awaitable[object]]]:
    """Return all verbs on ``key``, with those that only ``Cache`` has."""
    return verbs(cache) | {
        "get of a type": lambda: cache.get("key", type=dict[str, list[int]]),
        "get stale": lambda: cache.get("key", allow_stale=True),
        "get_many": lambda: cache.get_many(["key"]),
        "get_or_set_many": lambda: cache.get_or_set_many(["key"], load_many),
        "refresh": lambda: cache.refresh("key", load),
        "add": lambda: cache.add("key", "added"),
        "touch": lambda: cache.touch("key", "1m"),
        "incr": lambda: cache.incr("key"),
        "lookup": lambda: cache.lookup("key"),
        "explain": lambda: cache.explain("key"),
        "delete_many": lambda: cache.delete_many(["key"]),
    }


async def attack(cache: Any, plant: Callable[[], object], only: tuple[str, ...] = ()) -> list[str]:
    """Return the verbs that raised, with their errors; the bytes are planted again before each verb."""
    raised = []
    calls = (more_verbs if isinstance(cache, Cache) else verbs)(cache)
    for verb, call in calls.items():
        if only and verb not in only:
            continue
        plant()
        if isinstance(cache, Cache):  # near must not answer instead
            await eventually(lambda: "key" not in cache._engine.near.items)
        try:
            await call()
        except Exception as error:  # noqa: BLE001 - to report it with its verb
            # incr raises on an entry that is no counter, because a count cannot be guessed.
            if verb != "incr" or not isinstance(error, CodecError | Unavailable):
                raised.append(f"{verb}: {error!r}")
    return raised


def test_hostile_entries_raise_nothing_and_run_nothing(server: Server, prefix: str, tmp_path: Path) -> None:
    async def main() -> None:
        async with (
            ours(server.url, prefix=prefix, operation_timeout="2s") as cache,
            ours(server.url, prefix=prefix, operation_timeout="5s") as writer,
        ):
            raw = cache._engine.layout.entry("key")
            await writer.set("key", "genuine", tags=("tag",), ttl="1h")
            with server.client() as client:
                entry = client("GET", raw)
                for blob in hostile(entry, pickle.dumps(Bomb(tmp_path / "executed"))):
                    assert await attack(cache, partial(client, "SET", raw, blob, "PX", 3_000_000)) == [], blob[:100]
                for blob in mangled(entry):
                    planted = partial(client, "SET", raw, blob, "PX", 3_000_000)
                    assert await attack(cache, planted, only=("get", "get_or_set")) == [], blob
            assert cache.status_now().link == "online"
            assert await cache.get_or_set("fresh", load) == "loaded"

    run(main())
    assert not (tmp_path / "executed").exists()


def test_a_plain_cache_raises_and_executes(one_server: Server, prefix: str, tmp_path: Path) -> None:
    async def main() -> list[str]:
        raised = []
        with one_server.client() as client:
            for blob in (pickle.dumps(Bomb(tmp_path / "executed")), b"garbage"):
                cache = Plain(one_server, prefix)
                raised += await attack(cache, partial(client, "SET", f"{prefix}:key", blob))
                await cache.close()
        return raised

    assert run(main())
    assert (tmp_path / "executed").exists()


def test_what_is_unusable_is_replaced_by_one_load(server: Server, prefix: str) -> None:
    blobs = {"garbage": b"garbage", "bare": b"V" + bytes(16), "another format": b"V" + b"\xff" * 100}

    async def main() -> None:
        settings: dict[str, Any] = {"prefix": prefix, "operation_timeout": "5s"}
        async with ours(server.url, **settings) as one, ours(server.url, **settings) as other:
            with server.client() as client:
                for key, blob in blobs.items():
                    client("SET", one._engine.layout.entry(key), blob, "PX", 60_000)
            for key in blobs:
                assert [await cache.get_or_set(key, load) for cache in (one, other, one)] == ["loaded"] * 3
            assert one.stats().loads + other.stats().loads == len(blobs)
            assert sum(one.stats().unusable.values()) >= len(blobs)

    run(main())


TYPES: dict[str, tuple[str | int, ...]] = {
    "list": ("RPUSH", 1, 2, 3),
    "hash": ("HSET", "field", "value"),
    "set": ("SADD", "member"),
    "sorted set": ("ZADD", 1, "member"),
    "stream": ("XADD", "*", "field", "value"),
    "string without end": ("SET", "V" + 16 * "x"),
}


@pytest.mark.parametrize("kind", ["entry", "claim", "tag", "all"])
def test_keys_of_another_type_raise_nothing(server: Server, prefix: str, kind: str) -> None:
    genuine: list[bytes] = []
    entry = Layout(prefix).entry("key")

    def put(client: Client, raw: bytes, command: str | int, *values: str | int) -> None:
        client.transaction(("DEL", raw), (command, raw, *values))  # the cache makes a tag anew that it misses
        if kind != "entry":  # a claim or an entry, so that the verb reads the other keys
            client("SET", entry, b"V" + bytes(16) if kind == "claim" else genuine[0], "PX", 60_000)

    async def main() -> None:
        async with ours(server.url, prefix=prefix, operation_timeout="2s", load_wait=0.05) as cache:
            layout = cache._engine.layout
            keys = {"entry": layout.entry("key"), "claim": layout.claim("key"), "tag": layout.tag("tag")}
            raw = (keys | {"all": layout.tag("*")})[kind]
            await cache.set("key", "genuine", tags=("tag",))
            with server.client() as client:
                genuine.append(client("GET", layout.entry("key")))
                for name, command in TYPES.items():
                    raised = await attack(cache, partial(put, client, raw, *command))
                    assert raised == [], name
                client("DEL", raw)

    run(main())


def test_a_forged_lease_delays_by_no_more_than_the_longest_wait(server: Server, prefix: str) -> None:
    async def main() -> float:
        async with ours(server.url, prefix=prefix, load_wait=0.3, operation_timeout="5s") as cache:
            with server.client() as client:
                client("SET", cache._engine.layout.entry("key"), b"L" + bytes(16), "PX", 3_600_000)
            began = time.perf_counter()
            assert await cache.get_or_set("key", load) == "loaded"
            return time.perf_counter() - began

    assert 0.29 < run(main()) < 10  # the usual wait is 30 s, the forged lease lasts an hour


def test_a_pickle_is_read_only_if_its_signature_is_right(server: Server, prefix: str, tmp_path: Path) -> None:
    settings = {"prefix": prefix, "operation_timeout": "5s", "codec": "pickle", "signing_keys": "k" * 32}

    async def main() -> None:
        async with ours(server.url, **settings) as cache, ours(server.url, **settings) as writer:
            raw = cache._engine.layout.entry("key")
            await writer.set("key", {"genuine"})
            with server.client() as client:
                entry = client("GET", raw)
                assert await cache.get("key") == {"genuine"}
                start = struct.unpack_from(">H", entry, 33)[0]
                bomb = pickle.dumps(Bomb(tmp_path / "executed"))
                unsigned = entry[:19] + b"\x00" + entry[20:33] + struct.pack(">H", start - 32) + entry[35 : start - 32]
                for blob in (entry[:start] + bomb, unsigned + bomb):
                    raised = await attack(cache, partial(client, "SET", raw, blob, "PX", 3_000_000))
                    assert raised == []

    run(main())
    assert not (tmp_path / "executed").exists()
