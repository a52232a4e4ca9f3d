"""Wrong use raises an error of its own that names the mistake, before any command is sent."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import pytest

from fleetcache import Cache, CodecError, ConfigError, KeyRuleError
from tests.support.drivers import Driver, commands_of
from tests.support.run import run

Call = Callable[[Any], Awaitable[Any]]


async def load() -> int:
    return 1


async def load_many(keys: list[str]) -> Mapping[str, int]:
    return dict.fromkeys(keys, 1)


EMPTY, TYPE, LONG = "a key may not be empty", "a key is a str, not", "at most 8192 bytes as UTF-8, not 8193"

# Every verb that takes a key.
VERBS: dict[str, Callable[[Any, Any], Awaitable[Any]]] = {
    "get": lambda cache, key: cache.get(key),
    "set": lambda cache, key: cache.set(key, 1),
    "add": lambda cache, key: cache.add(key, 1),
    "get_or_set": lambda cache, key: cache.get_or_set(key, load),
    "refresh": lambda cache, key: cache.refresh(key, load),
    "delete": lambda cache, key: cache.delete(key),
    "delete_many": lambda cache, key: cache.delete_many(["good", key]),
    "get_many": lambda cache, key: cache.get_many(["good", key]),
    "get_or_set_many": lambda cache, key: cache.get_or_set_many(["good", key], load_many),
    "incr": lambda cache, key: cache.incr(key),
    "touch": lambda cache, key: cache.touch(key, 1),
    "lookup": lambda cache, key: cache.lookup(key),
    "explain": lambda cache, key: cache.explain(key),
}

KEYS: dict[str, tuple[Any, str]] = {
    "empty": ("", EMPTY),
    "too long": ("é" * 4096 + "x", LONG),
    "int": (3, TYPE),
    "None": (None, TYPE),
    "bytes": (b"k", TYPE),
    "unhashable": (["k"], TYPE),
    "surrogate": ("\ud800", "lone surrogate"),
}

DURATION = 'accepted: seconds as int or float, timedelta, or text such as "250ms"'

OTHERS: dict[str, tuple[Call, type[Exception], str]] = {
    "ttl 0": (lambda c: c.set("k", 1, ttl=0), ConfigError, "ttl = 0 must be more than zero; " + DURATION),
    "ttl negative": (lambda c: c.add("k", 1, ttl=-1), ConfigError, "ttl = -1 must be more than zero"),
    "ttl nan": (lambda c: c.set_many({"k": 1}, ttl=float("nan")), ConfigError, "ttl = nan is not finite"),
    "ttl inf": (lambda c: c.incr("k", ttl=float("inf")), ConfigError, "ttl = inf is not finite"),
    "ttl text": (lambda c: c.get_or_set("k", load, ttl="soon"), ConfigError, "ttl = 'soon' is not a duration"),
    "ttl bool": (lambda c: c.refresh("k", load, ttl=True), ConfigError, "ttl = True is not a duration"),
    "ttl too long": (lambda c: c.touch("k", "31d"), ConfigError, "ttl = '31d' is over 30d"),
    "touch None": (lambda c: c.touch("k", None), ConfigError, "ttl = None is not a duration"),
    "stale negative": (lambda c: c.set("k", 1, stale=-1), ConfigError, "stale = -1 must not be negative"),
    "load_timeout 0": (lambda c: c.get_or_set("k", load, load_timeout=0), ConfigError, "load_timeout = 0"),
    "offline_ttl": (lambda c: c.get_or_set("k", load, offline_ttl=-1), ConfigError, "offline_ttl = -1"),
    "bare tags": (lambda c: c.set("k", 1, tags="geo"), KeyRuleError, r'not one string: write tags=\("geo",\)'),
    "tags of ints": (lambda c: c.set("k", 1, tags=[3]), KeyRuleError, "a tag is a str, not int: 3"),
    "no tags": (lambda c: c.set("k", 1, tags=3), KeyRuleError, r'such as tags=\("geo",\), not 3'),
    "empty tag": (lambda c: c.get_or_set("k", load, tags=[""]), KeyRuleError, "a tag may not be empty"),
    "reserved tag": (lambda c: c.get_or_set_many(["k"], load_many, tags=["*x"]), KeyRuleError, "reserved for clear"),
    "long tag": (lambda c: c.set("k", 1, tags=["x" * 256]), KeyRuleError, "at most 255 bytes as UTF-8, not 256"),
    "many tags": (lambda c: c.set("k", 1, tags=[str(n) for n in range(65)]), KeyRuleError, "at most 64 tags, not 65"),
    "invalidate": (lambda c: c.invalidate_tags("a", "*"), KeyRuleError, "reserved for clear"),
    "invalidate list": (lambda c: c.invalidate_tags(["a"]), KeyRuleError, "a tag is a str, not list"),
    "one str": (lambda c: c.get_many("abc"), TypeError, "several keys, not the one str 'abc'"),
    "one bytes": (lambda c: c.delete_many(b"abc"), TypeError, "several keys, not the one bytes"),
    "no keys": (lambda c: c.get_or_set_many(3, load_many), TypeError, "several keys, such as a list of str, not int"),
    "pairs": (lambda c: c.set_many([("a", 1)]), TypeError, "a mapping of keys to values, not list"),
    "bad key in mapping": (lambda c: c.set_many({"a": 1, "": 2}), KeyRuleError, EMPTY),
    "bad value in mapping": (lambda c: c.set_many({"a": 1, "b": (1, {object()})}), CodecError, "an object"),
    "value": (lambda c: c.set("k", object()), CodecError, "cannot be stored"),
    "value of another type": (lambda c: c.set("k", 1, type=str), CodecError, "an int cannot be stored as str"),
    "no loader": (lambda c: c.get_or_set("k", None), TypeError, "must be a function, not a NoneType"),
    "called loader": (lambda c: c.get_or_set("k", load()), TypeError, "the function itself, without calling it"),
    "refresh loader": (lambda c: c.refresh("k", 3), TypeError, "must be a function, not a int: write an async def"),
    "batch loader": (lambda c: c.get_or_set_many(["k"], {}), TypeError, "must be a function, not a dict"),
    "delta bool": (lambda c: c.incr("k", True), TypeError, "delta must be an int, not True"),
    "delta float": (lambda c: c.incr("k", 1.5), TypeError, "delta must be an int, not 1.5"),
}


@pytest.mark.parametrize("verb", VERBS)
def test_a_wrong_key_is_named_by_every_verb(verb: str) -> None:
    async def main() -> None:
        async with Cache("memory://") as cache:
            for key, message in KEYS.values():
                with pytest.raises(KeyRuleError, match=message):
                    await VERBS[verb](cache, key)

    asyncio.run(main())


@pytest.mark.parametrize("name", OTHERS)
def test_wrong_use_is_named(name: str) -> None:
    call, error, message = OTHERS[name]

    async def main() -> None:
        async with Cache("memory://") as cache:
            with pytest.raises(error, match=message):
                await call(cache)

    asyncio.run(main())


def test_nothing_of_it_is_sent(remote: Driver) -> None:
    """The server gets no further command, and the cache goes on."""
    assert remote.server is not None

    async def main() -> None:
        with remote.server.client() as client:  # type: ignore[union-attr]  # looked at above
            async with remote.cache() as cache:
                await cache.set("warm", 1, tags=["t"])
                before = commands_of(client)
                for verb in VERBS.values():
                    for key, _ in KEYS.values():
                        with pytest.raises(KeyRuleError):
                            await verb(cache, key)
                for call, error, _ in OTHERS.values():
                    with pytest.raises(error):
                        await call(cache)
                assert commands_of(client) == before
                assert await cache.get("warm") == 1

    run(main())


@pytest.mark.parametrize("key", ["", 3, None, "x" * 8193])
def test_peek_names_a_wrong_key_too(key: Any) -> None:
    with pytest.raises(KeyRuleError):
        Cache("memory://").peek(key)


@pytest.mark.parametrize("key", ["", 3])
def test_a_namespace_names_a_wrong_key_too(key: Any) -> None:
    async def main() -> None:
        async with Cache("memory://") as cache:
            with pytest.raises(KeyRuleError):
                await cache.namespace("n").get(key)

    run(main())


@pytest.mark.parametrize("name", ["", 3, "*all", "x" * 255, "users:", ":", "a::b"])
def test_a_wrong_namespace_is_named(name: Any) -> None:
    with pytest.raises(KeyRuleError, match="a namespace"):
        Cache("memory://").namespace(name)


def test_namespaces_nest_only_as_deep_as_their_names_fit() -> None:
    view = Cache("memory://").namespace("x" * 200).namespace("y" * 53)
    with pytest.raises(KeyRuleError, match="a namespace with its parents has at most 254 bytes, not 256"):
        view.namespace("z")
