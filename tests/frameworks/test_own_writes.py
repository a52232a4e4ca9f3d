"""In an outage a process sees its own writes through each adapter, after any removal."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.core.cache import cache as django_cache
from django.test import override_settings
from flask import Flask
from flask_caching import Cache as FlaskCaching

from fleetcache.contrib.cachelib import FleetCache
from fleetcache.contrib.django import cache_of
from fleetcache.near.journal import Journal
from tests.frameworks.django_site import caches_at
from tests.support.flask_apps import closing_caches
from tests.support.waiting import wait_until

NOWHERE = "redis://127.0.0.1:1"  # no server listens there: the cache is offline from the first call on
MORE = Journal.MAX + 50


@contextmanager
def through_django(prefix: str) -> Iterator[Any]:
    with override_settings(CACHES=caches_at(NOWHERE, prefix)):
        wait_until(lambda: cache_of().stats().link == "offline" or django_cache.get("nothing"))
        yield django_cache


@contextmanager
def through_cachelib(prefix: str) -> Iterator[Any]:
    backend = FleetCache(NOWHERE, secret_key="of this test", prefix=prefix)  # noqa: S106 - it is no secret
    with backend.cache:
        wait_until(lambda: backend.cache.stats().link == "offline" or backend.get("nothing"))
        yield backend


@contextmanager
def through_flask_caching(prefix: str) -> Iterator[Any]:
    app = Flask("shop")
    app.config.update(SECRET_KEY="of this test", FLEETCACHE_URL=NOWHERE, FLEETCACHE_PREFIX=prefix)  # noqa: S106 - as above
    app.config.update(CACHE_TYPE="fleetcache.contrib.flask.caching")
    with closing_caches(), app.app_context():
        yield FlaskCaching(app)


REMOVALS: dict[str, Callable[[Any], Any]] = {
    "a clear": lambda cache: cache.clear(),
    "removals beyond the journal": lambda cache: [cache.delete(f"gone:{number}") for number in range(MORE)],
    "values beyond the journal": lambda cache: [cache.set(f"more:{number}", 1) for number in range(MORE)],
}


def all_of(cache: Any, keys: list[str]) -> list[Any]:
    if cache is django_cache:
        return [cache.get_many(keys).get(key) for key in keys]
    return list(cache.get_many(*keys))


@pytest.mark.parametrize("before", REMOVALS)
@pytest.mark.parametrize("through", [through_django, through_cachelib, through_flask_caching])
def test_what_was_set_after_it_is_seen(through: Any, before: str, prefix: str) -> None:
    with through(prefix) as cache:
        cache.set("a", "old")
        REMOVALS[before](cache)
        cache.set("a", "new")
        assert cache.get("a") == "new"
        cache.set_many({"b": 1, "c": [2], "d": 3})
        assert all_of(cache, ["a", "b", "c", "d", "nobody"]) == ["new", 1, [2], 3, None]
        cache.clear()
        assert all_of(cache, ["a", "b", "c", "d"]) == [None] * 4
        assert cache.add("a", "first") is True
        assert cache.get("a") == "first"
