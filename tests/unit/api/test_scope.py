"""``Scope``: the keys, tags and default options of a cache or namespace, and the blocks that bypass the cache."""

from contextvars import copy_context
from typing import Any

import pytest

from fleetcache import ConfigError, KeyRuleError, Settings
from fleetcache.api.scope import ALL, Scope
from fleetcache.engine.aio.engine import AioEngine


@pytest.fixture
def scope() -> Scope:
    return Scope.of(AioEngine(Settings.from_url("memory://", ttl="1m", stale="10s", offline_ttl="30s")))


def test_a_call_without_options_has_those_of_the_cache(scope: Scope) -> None:
    options = scope.options()
    assert options == scope.defaults
    assert (options.ttl, options.stale, options.offline_ttl, options.tags) == (60.0, 10.0, 30.0, ALL)


def test_a_call_has_its_own_where_it_gives_any(scope: Scope) -> None:
    options = scope.options("2m", 0, ("t",), early=True, load_timeout="5s", offline_ttl=0)
    assert (options.ttl, options.stale, options.offline_ttl) == (120.0, 0.0, 0.0)
    assert (options.early, options.load_timeout) == (True, 5.0)
    assert (len(options.tags), options.tags[0]) == (2, ALL[0])
    assert scope.bounded(None) is scope.defaults
    assert scope.bounded("1h").offline_ttl == 3600.0


def test_a_scope_within_another_adds_to_its_prefix_and_tags(scope: Scope) -> None:
    inner = scope.within("users", "5m", None).within("admins:old", None, None)
    assert inner.key("7") == "users:admins:old:7"
    assert inner.tags[: len(ALL)] == ALL
    assert len(inner.tags) == len(ALL) + 3
    assert (scope.key("7"), scope.within("users", "5m", None).defaults.ttl) == ("7", 300.0)


@pytest.mark.parametrize(
    ("name", "ttl", "error"), [("", None, KeyRuleError), ("a::b", None, KeyRuleError), ("a", 0, ConfigError)]
)
def test_a_wrong_scope_is_named(scope: Scope, name: str, ttl: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        scope.within(name, ttl, None)


def test_its_items_are_near_entries_under_its_prefix(scope: Scope) -> None:
    near: Any = scope.root.near.items
    near["users:7"] = entry = object()
    assert scope.items()["users:7"] is entry
    assert scope.within("users", None, None).items()["7"] is entry
    with pytest.raises(KeyError):
        scope.within("admins", None, None).items()["7"]
    scope.root.closed = True
    assert len(scope.items()) == 0


def test_a_bypass_holds_in_its_context_until_the_block_is_left(scope: Scope) -> None:
    inner, elsewhere = scope.within("users", None, None), copy_context()
    assert not scope.is_bypassed
    with scope.bypassed():
        assert scope.is_bypassed
        assert inner.is_bypassed
        assert not elsewhere.run(lambda: scope.is_bypassed)
        assert len(scope.items()) == 0
        started = copy_context()
        with inner.bypassed():
            assert scope.is_bypassed
        assert scope.is_bypassed
    assert not scope.is_bypassed
    assert not started.run(lambda: scope.is_bypassed)


def test_another_cache_is_not_bypassed(scope: Scope) -> None:
    other = Scope.of(AioEngine(Settings.from_url("memory://")))
    with scope.bypassed():
        assert not other.is_bypassed
