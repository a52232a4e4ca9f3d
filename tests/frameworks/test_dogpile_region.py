"""A dogpile region over our backend: dogpile's rules, our tiers, in memory, on a server, and with the server away."""

import json
import logging
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import Any

import pytest
from dogpile.cache import CacheRegion, make_region
from dogpile.cache.api import NO_VALUE

from fleetcache import CodecError, ConfigError, SyncCache
from fleetcache.contrib.dogpile import FleetBackend, Mutex
from fleetcache.testing.server import free_port
from tests.conftest import GetServer
from tests.support.servers import Server
from tests.support.waiting import wait_until

KEY = b"k" * 32
Make = Callable[..., Any]  # returns a region; Any, because its own types leave most open


def backend_of(region: Any) -> FleetBackend:
    backend = region.actual_backend
    assert isinstance(backend, FleetBackend)
    return backend


@pytest.fixture
def server(shared_servers: GetServer) -> Server:
    """One engine is enough: the tests of the core run with all of them."""
    return shared_servers("valkey", "tcp")


@pytest.fixture(params=["memory", "server", "away"])
def url(request: pytest.FixtureRequest) -> str:
    """The URL of each place where a region can live."""
    if request.param == "server":
        found: Server = request.getfixturevalue("server")
        return found.url
    return "memory://" if request.param == "memory" else f"redis://127.0.0.1:{free_port()}"


@pytest.fixture
def make(prefix: str) -> Iterator[Make]:
    """Yield a function that makes regions by the backend's name."""
    made: list[CacheRegion] = []

    def new(url: str, *, region: dict[str, Any] | None = None, expires: float = 60, **arguments: Any) -> CacheRegion:
        given = {"url": url, "prefix": prefix, "signing_keys": (KEY,), "operation_timeout": "2s", **arguments}
        made.append(make_region(**(region or {})).configure("fleetcache", expires, arguments=given))
        return made[-1]

    yield new
    for region in made:
        backend_of(region).cache.close()


def test_what_a_region_can_do(make: Make, url: str) -> None:
    region = make(url)
    numbers = count(1)
    assert region.get("k") is NO_VALUE
    assert [region.get_or_create("k", lambda: next(numbers)) for _ in range(3)] == [1, 1, 1]
    region.set("none", None)
    assert region.get("none") is None
    region.set_multi({"a": (1, {2}), "b": "two"})
    assert region.get_multi(["a", "nothing", "b"]) == [(1, {2}), NO_VALUE, "two"]
    made = region.get_or_create_multi(["b", "c", "d"], lambda *keys: [key.upper() for key in keys])
    assert made == ["two", "C", "D"]
    region.delete("k")
    region.delete_multi(["a", "b"])
    assert region.get_multi(["k", "a", "b", "c"]) == [NO_VALUE, NO_VALUE, NO_VALUE, "C"]


def test_functions_and_keys_of_any_kind(make: Make, url: str) -> None:
    region = make(url)
    calls: list[str] = []

    def upper(word: str) -> str:
        calls.append(word)
        return word.upper()

    shout = region.cache_on_arguments()(upper)
    words = ["ä b\n", "x" * 20_000, "x" * 20_001, "\ud800"]
    for _ in range(2):
        assert [shout(word) for word in words] == [word.upper() for word in words]
    assert calls == words
    shout.invalidate(words[1])
    shout(words[1])
    assert len(calls) == 5
    region.set("", "empty")
    assert region.get("") == "empty"


def test_dogpile_says_what_is_old(make: Make, url: str) -> None:
    region, numbers = make(url, expires=0.2), count(1)
    assert region.get_or_create("k", lambda: next(numbers)) == 1
    time.sleep(0.25)
    assert region.get("k") is NO_VALUE
    assert region.get("k", ignore_expiration=True) == 1
    assert region.get_or_create("k", lambda: next(numbers)) == 2


@pytest.mark.parametrize("hard", [True, False])
def test_invalidate(make: Make, url: str, hard: bool) -> None:
    region, numbers = make(url), count(1)
    assert region.get_or_create("k", lambda: next(numbers)) == 1
    region.invalidate(hard=hard)
    assert region.get_or_create("k", lambda: next(numbers)) == 2
    assert region.get_or_create("k", lambda: next(numbers)) == 2


def test_an_entry_outlives_what_dogpile_calls_its_expiration(make: Make, server: Server, prefix: str) -> None:
    make(server.url).set("k", 1)
    make(server.url, ttl="2h").set("short", 1)
    with server.client() as raw:
        assert raw("PTTL", f"{prefix}:e:k") > 29 * 86_400_000
        assert raw("PTTL", f"{prefix}:e:short") < 3 * 3_600_000


def test_a_creation_in_the_background_releases_in_its_own_thread(make: Make, url: str) -> None:
    go, numbers = threading.Event(), count(1)
    with ThreadPoolExecutor(1) as pool:

        def runner(region: CacheRegion, key: str, creator: Callable[[], Any], mutex: Any) -> None:
            def create() -> None:
                try:
                    go.wait(10)
                    region.set(key, creator())
                finally:
                    mutex.release()

            pool.submit(create)

        region = make(url, region={"async_creation_runner": runner}, expires=0.1)
        assert region.get_or_create("k", lambda: next(numbers)) == 1
        time.sleep(0.15)
        assert [region.get_or_create("k", lambda: next(numbers)) for _ in range(3)] == [1, 1, 1]
        assert region.key_is_locked("k")
        go.set()
        wait_until(lambda: not region.key_is_locked("k"))
        assert region.get("k", ignore_expiration=True) == 2


def test_nothing_begins_before_the_first_use(make: Make, server: Server) -> None:
    def of_ours() -> list[str]:
        return [thread.name for thread in threading.enumerate() if thread.name.startswith("fleetcache")]

    before = of_ours()
    make(server.url)
    assert of_ours() == before


def test_a_cache_of_yours_is_shared(server: Server, prefix: str) -> None:
    with SyncCache(server.url, prefix=prefix, signing_keys=(KEY,), operation_timeout="2s") as cache:
        region = make_region().configure("fleetcache", arguments={"cache": cache, "ttl": "1h"})
        region.set("k", "value")
        assert cache.get("k", type=bytes).endswith(b".")  # type: ignore[union-attr] # a pickle's last byte
        cache.clear()
        assert region.get("k") is NO_VALUE


# -- read values are not executed --------------------------------------------------------------------------------------


def test_pickles_of_a_server_must_be_signed(server: Server) -> None:
    arguments = {"url": server.url, "prefix": "p"}
    for region in (make_region(), make_region(serializer=json.dumps)):
        with pytest.raises(ConfigError, match="signing_keys is missing; accepted: signing_keys"):
            region.configure("fleetcache", arguments=arguments)


def test_a_value_that_somebody_else_wrote_is_not_there(make: Make, server: Server, prefix: str) -> None:
    region = make(server.url, near_max_bytes=0)
    region.set("k", "ours")
    assert region.get("k") == "ours"
    with server.client() as raw:
        entry = bytearray(raw("GET", f"{prefix}:e:k"))
        entry[-3] ^= 1
        raw("SET", f"{prefix}:e:k", bytes(entry), "KEEPTTL")
    assert region.get("k") is NO_VALUE


def test_a_region_with_a_serializer_of_its_own_needs_no_key(make: Make, server: Server) -> None:
    own = {"serializer": lambda value: json.dumps(value).encode(), "deserializer": json.loads}
    region = make(server.url, region=own, signing_keys=())
    region.set("k", [1, 2])
    assert region.get("k") == [1, 2]


# -- values that do not fit --------------------------------------------------------------------------------------------


def test_what_is_too_large_is_answered_and_not_kept(make: Make, url: str, caplog: pytest.LogCaptureFixture) -> None:
    region = make(url, max_value_bytes="1KB")
    region.set("k", "old")
    with caplog.at_level(logging.ERROR):
        assert region.get_or_create("large", lambda: "x" * 2000) == "x" * 2000
        region.set_multi({"k": "x" * 2000, "small": "y"})
    assert region.get_multi(["large", "k", "small"]) == [NO_VALUE, NO_VALUE, "y"]
    said = [record.message for record in caplog.records if record.levelno == logging.ERROR]
    assert len(said) == 1
    assert "uncached: a value of a dogpile region (a value of 2" in said[0]


def test_strict_says_so(make: Make, url: str) -> None:
    with pytest.raises(CodecError, match="CACHE_MAX_VALUE_BYTES"):
        make(url, max_value_bytes="1KB", strict=True).set("k", "x" * 2000)


# -- the mutex ---------------------------------------------------------------------------------------------------------


def test_the_mutex_is_one_at_a_time_and_not_reentrant(make: Make, url: str) -> None:
    backend = backend_of(make(url))
    first, second = backend.get_mutex("k"), backend.get_mutex("k")
    assert first.acquire()
    assert not first.acquire(wait=False)
    assert not second.acquire(wait=False)
    assert second.locked()
    first.release()
    assert not second.locked()
    assert second.acquire(wait=False)
    with pytest.raises(RuntimeError, match="the mutex of 'k' was released without being acquired"):
        first.release()
    assert first.locked()
    second.release()


def test_who_waited_too_long_goes_on_beside_the_holder(make: Make, url: str) -> None:
    backend = backend_of(make(url, load_wait="100ms"))
    mutex = backend.get_mutex("k")
    assert mutex.acquire()
    assert mutex.acquire()  # after 100 ms; dogpile's caller would create and release it
    mutex.release()
    assert backend.get_mutex("k").locked()  # by the second holder or the first: both are the same
    mutex.release()
    assert not backend.get_mutex("k").locked()


def test_a_creator_that_asks_for_its_own_key_does_not_hang(make: Make, url: str) -> None:
    region = make(url, load_wait="100ms")
    deep = count()

    def create() -> str:
        return "end" if next(deep) else "outer of " + region.get_or_create("k", create)

    assert region.get_or_create("k", create) == "outer of end"
    assert not region.key_is_locked("k")


def test_the_lock_of_another_region_of_the_process_counts(server: Server, make: Make) -> None:
    one, other = backend_of(make(server.url)), backend_of(make(server.url))
    assert one.get_mutex("k").acquire()
    assert not other.get_mutex("k").acquire(wait=False)
    assert isinstance(other.get_mutex("k"), Mutex)
    assert other.get_mutex("k2").acquire(wait=False)
