"""The backend's contract, in Django's words: equal for ``get`` and ``aget``, with a server and without."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.core.cache import CacheKeyWarning, cache, caches
from django.test import override_settings

from fleetcache import CodecError
from fleetcache.config.durations import MAX_TTL
from fleetcache.contrib.django import NotPicklable, cache_of
from fleetcache.contrib.django.backend import MAX_TTL as LONGEST
from fleetcache.contrib.django.backend import MIN_TTL
from fleetcache.policy.options import MINIMUM_TTL
from tests.frameworks.django_site import BACKEND, caches_at
from tests.support.servers import Server


class Face:
    """The backend of an alias, with methods to call without await: the sync ones, or the async ones."""

    def __init__(self, kind: str, alias: str = "default") -> None:
        self.kind, self.alias = kind, alias

    def __getattr__(self, name: str) -> Callable[..., Any]:
        backend = caches[self.alias]
        method: Callable[..., Any] = getattr(backend, name if self.kind == "sync" else f"a{name}")
        return method if self.kind == "sync" else async_to_sync(method)


@pytest.fixture(params=["memory", "valkey"])
def there(request: pytest.FixtureRequest, prefix: str) -> Iterator[None]:
    url = "memory://" if request.param == "memory" else request.getfixturevalue("server").url
    one = caches_at(url, prefix)["default"]
    others = {
        "other": {"KEY_PREFIX": "other"},
        "v2": {"VERSION": 2},
        "by function": {"KEY_FUNCTION": lambda key, prefix, version: f"{key}|{version}|{prefix}"},
        "for ever": {"TIMEOUT": None},
        "not at all": {"TIMEOUT": 0},
    }
    with override_settings(CACHES={"default": one, **{alias: one | more for alias, more in others.items()}}):
        yield


@pytest.fixture(params=["sync", "async"])
def face(request: pytest.FixtureRequest, there: None) -> Face:  # noqa: ARG001 - the caches it speaks to
    return Face(request.param)


@pytest.fixture
def server(shared_servers: Callable[[str, str], Server]) -> Server:
    return shared_servers("valkey", "tcp")


def left(key: str) -> float:
    """Return the seconds for which the server, or memory, keeps the entry."""
    found = cache_of().explain(cache.make_key(key))
    seconds = found.near_fresh_for if found.shared_fresh_for is None else found.shared_fresh_for
    assert seconds is not None
    return seconds


def test_what_was_set_is_got_and_what_was_not_is_the_default(face: Face) -> None:
    for value in (None, 0, "text", b"bytes", 1.5, [1, (2, 3)], {"a": {1, 2}}, ValueError("kept")):
        face.set("k", value)
        assert repr(face.get("k", "default")) == repr(value)
        assert face.has_key("k")
    assert face.delete("k")
    assert not face.delete("k")
    assert face.get("k") is None
    assert face.get("k", "default") == "default"
    assert not face.has_key("k")


def test_add_stores_what_is_not_there(face: Face) -> None:
    assert face.add("k", 1)
    assert not face.add("k", 2)
    assert face.get("k") == 1


def test_many_at_once(face: Face) -> None:
    assert face.set_many({"a": 1, "b": [2], 3: "c"}) == []
    assert face.get_many(key for key in ["a", "b", 3, "absent"]) == {"a": 1, "b": [2], 3: "c"}
    assert face.delete_many(["a", 3]) is None
    assert face.get_many(["a", "b", 3]) == {"b": [2]}
    assert face.get_many([]) == {}
    assert face.set_many({}) == []


def test_counters_count_what_is_there(face: Face) -> None:
    face.set("n", 41)
    assert [face.incr("n"), face.incr("n", 10), face.decr("n"), face.decr("n", 50), face.get("n")] == [42, 52, 51, 1, 1]
    for count in (face.incr, face.decr):
        with pytest.raises(ValueError, match="Key 'absent' not found"):
            count("absent")
    assert not face.has_key("absent")
    face.set("text", "a")
    with pytest.raises(CodecError, match="not an integer"):
        face.incr("text")


def test_a_counter_keeps_its_life(face: Face) -> None:
    face.set("n", 1, 50)
    face.incr("n")
    assert 40 < left("n") <= 50


@pytest.mark.parametrize(
    ("timeout", "kept"),
    [(None, MAX_TTL), (100 * 86_400, MAX_TTL), (60, 60), (60.5, 60.5), ("90s", 90)],
)
def test_a_timeout_is_how_long_it_is_kept(face: Face, timeout: Any, kept: float) -> None:
    face.set("k", 1, timeout)
    assert kept - 5 < left("k") <= kept
    face.set("k", 1, 10)
    assert face.touch("k", timeout)
    face.get("k")
    assert kept - 5 < left("k") <= kept


def test_without_a_timeout_the_setting_is_meant(face: Face) -> None:
    for alias, kept in (("default", 300), ("for ever", MAX_TTL)):
        Face(face.kind, alias).set("k", 1)
        assert kept - 5 < left("k") <= kept
    Face(face.kind, "not at all").set("k", 2)
    assert face.get("k") is None


@pytest.mark.parametrize("timeout", [0, -1, -0.5])
def test_no_time_is_not_at_all(face: Face, timeout: float) -> None:
    face.set("k", 1)
    face.set("k", 2, timeout)
    assert face.get("k") is None
    assert face.add("k", 3, timeout)
    assert not face.has_key("k")
    face.set_many({"k": 4}, timeout)
    assert not face.has_key("k")
    assert face.get_or_set("k", lambda: 5, timeout) == 5
    assert not face.has_key("k")
    face.set("k", 6)
    assert not face.add("k", 7, timeout)
    assert face.get_or_set("k", 8, timeout) == 6
    assert face.touch("k", timeout)
    assert not face.touch("k", timeout)


def test_the_bounds_are_those_of_the_core() -> None:
    assert (LONGEST, MIN_TTL) == (MAX_TTL, MINIMUM_TTL)


def test_get_or_set_takes_a_value_or_a_function_called_once(face: Face) -> None:
    calls: list[int] = []

    def load() -> list[int]:
        calls.append(1)
        return [len(calls)]

    assert [face.get_or_set("k", load), face.get_or_set("k", load), face.get_or_set("k", "other")] == [[1]] * 3
    assert face.get_or_set("v", "a value") == face.get("v") == "a value"
    assert face.get_or_set("none", None) is None
    assert face.has_key("none")
    with pytest.raises(ZeroDivisionError):
        face.get_or_set("raises", lambda: 1 // 0)


@pytest.mark.usefixtures("there")
def test_aget_or_set_takes_an_async_def() -> None:
    async def load() -> str:
        return "awaited"

    assert Face("async").get_or_set("k", load) == "awaited"
    assert cache.get("k") == "awaited"


def test_versions_are_apart(face: Face) -> None:
    face.set("k", 1)
    face.set("k", 2, version=2)
    assert [face.get("k"), face.get("k", version=2), Face(face.kind, "v2").get("k")] == [1, 2, 2]
    assert face.delete("k")
    assert face.incr_version("k", version=2) == 3
    assert [face.get("k", version=2), face.get("k", version=3)] == [None, 2]
    with pytest.raises(ValueError, match="not found"):
        face.decr_version("k", version=2)


def test_aliases_share_what_has_the_same_key(face: Face) -> None:
    face.set("k", 1)
    Face(face.kind, "by function").set("k", 2)
    Face(face.kind, "other").set("k", 3)
    assert [Face(face.kind, alias).get("k") for alias in ("default", "for ever", "by function", "other")] == [
        1,
        1,
        2,
        3,
    ]


def test_clear_removes_what_has_the_prefix(face: Face) -> None:
    face.set("k", 1)
    other = Face(face.kind, "other")
    other.set("k", 2)
    other.add("k2", 2)
    other.get_or_set("k3", 2)
    other.clear()
    assert other.get_many(["k", "k2", "k3"]) == {}
    assert face.get("k") == 1
    other.set("k", 2)
    face.clear()
    assert [face.get("k"), other.get("k")] == [None, None]


@pytest.mark.filterwarnings("ignore::django.core.cache.CacheKeyWarning")
def test_any_key_will_do_and_none_becomes_another(face: Face) -> None:
    long = "x" * 9_000
    keys = ["", " ", "a b", "ü", "\x00", "#", "\ud800", long, long + "y", 1, 1.5, None, ("a", 1), "digest:"]
    face.set_many({key: [number] for number, key in enumerate(keys)})
    assert face.get_many(keys) == {key: [number] for number, key in enumerate(keys)}


@pytest.mark.filterwarnings("ignore::django.core.cache.CacheKeyWarning")
@pytest.mark.parametrize("made", ["", "digest:", "digest:" + "0" * 64, "\udfff", "k" * 1001])
@pytest.mark.usefixtures("there")
def test_keys_that_a_key_function_makes_are_apart_from_the_digests_of_others(made: str) -> None:
    backend: Any = caches["by function"]
    backend.key_func = lambda key, _prefix, _version: key
    name = backend._name(made, None)
    assert backend._name(name, None) != name
    backend.set(made, 1)
    assert [backend.get(made), backend.get(name)] == [1, None]


def test_a_key_that_others_would_refuse_is_warned_about(face: Face) -> None:
    with pytest.warns(CacheKeyWarning, match="longer than 250"):
        face.get("x" * 300)
    with pytest.warns(CacheKeyWarning, match="characters that will cause errors"):
        face.set("a b", 1)


def test_what_cannot_be_pickled_is_told_and_nothing_is_stored(face: Face) -> None:
    for store in (face.set, face.add):
        with pytest.raises(NotPicklable, match="a function cannot be stored"):
            store("k", lambda: 1)
    assert not face.has_key("k")


def test_what_one_got_is_nobody_elses(face: Face) -> None:
    face.set("k", [1])
    face.get("k").append(2)
    assert face.get("k") == [1]


@pytest.mark.usefixtures("there")
def test_in_and_the_empty_cache() -> None:
    assert "k" not in cache
    cache.set("k", None)
    assert "k" in cache


@pytest.mark.parametrize("name", ["get", "set", "add", "get_or_set", "touch", "delete", "clear", "get_many", "incr"])
@pytest.mark.usefixtures("there")
def test_a_panel_may_wrap_the_methods_of_the_object(name: str) -> None:
    backend = caches.create_connection("default")
    calls: list[str] = []
    real = getattr(backend, name)

    def wrapped(*args: Any, **kwargs: Any) -> Any:
        calls.append(name)
        return real(*args, **kwargs)

    setattr(backend, name, wrapped)
    backend.set("k", 1)
    arguments: dict[str, tuple[Any, ...]] = {"clear": (), "get_many": (["k"],), "set": ("k", 1), "add": ("k", 1)}
    getattr(backend, name)(*arguments.get(name, ("k", 1) if name == "get_or_set" else ("k",)))
    assert calls == ([name] if name != "set" else ["set", "set"])


def test_the_backend_is_found_by_its_path() -> None:
    with override_settings(CACHES={"default": {"BACKEND": BACKEND, "LOCATION": "null://"}}):
        cache.set("k", 1)
        assert cache.get("k") is None
