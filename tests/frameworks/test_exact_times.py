"""Adapters store for exactly the time that their framework names: sessions, windows and ``max-age`` count on it."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.core.cache import cache as django_cache
from django.test import override_settings
from dogpile.cache import make_region
from fastapi import FastAPI

from fleetcache import Cache
from fleetcache.contrib.cachelib import FleetCache
from fleetcache.contrib.django import cache_of
from fleetcache.contrib.fastapi import cached_response
from fleetcache.contrib.litestar import FleetStore
from tests.frameworks.asking import asking
from tests.frameworks.django_site import caches_at
from tests.support.run import run

TTL, KEY = 1000.0, "k" * 32


def _times(cache: Any) -> list[float]:
    """Return the ttl of each entry in the near cache."""
    items: Mapping[str, Any] = cache._engine.near.items
    return [round(held.span) for held in items.values()]


@pytest.mark.parametrize("face", ["sync", "async"])
def test_django(face: str, prefix: str) -> None:
    with override_settings(CACHES=caches_at("memory://", prefix)):
        if face == "sync":
            django_cache.set_many({"a": 1, "b": 2}, TTL)
            django_cache.set("c", 1, TTL)
            django_cache.get_or_set("d", lambda: 1, TTL)
        else:
            async_to_sync(django_cache.aset_many)({"a": 1, "b": 2}, TTL)
            async_to_sync(django_cache.aset)("c", 1, TTL)
            async_to_sync(django_cache.aget_or_set)("d", lambda: 1, TTL)
        assert _times(cache_of()) == [TTL] * 4


def test_cachelib() -> None:
    backend = FleetCache("memory://", secret_key=KEY)
    backend.set_many({"a": 1, "b": 2}, int(TTL))
    backend.set("c", 1, int(TTL))
    assert _times(backend.cache) == [TTL] * 3


def test_dogpile() -> None:
    region = make_region().configure("fleetcache", TTL, arguments={"url": "memory://", "signing_keys": (KEY.encode(),)})
    region.set_multi({"a": 1, "b": 2})
    region.get_or_create("c", lambda: 1)
    longest = 30 * 86_400.0  # a value has its region's time in itself, and its entry outlives that
    assert _times(region.actual_backend.cache) == [longest] * 3


def test_litestar() -> None:
    async def main() -> list[float]:
        async with Cache("memory://") as cache:
            await FleetStore(cache).set("a", "v", int(TTL))
            return _times(cache)

    assert run(main()) == [TTL]


def test_responses() -> None:
    async def main() -> list[float]:
        app, cache = FastAPI(), Cache("memory://")

        @app.get("/{n}")
        @cached_response(cache, ttl=TTL, client_reload=True)
        async def number(n: int) -> int:
            return n

        async with asking(app) as client:
            for n in range(3):
                await client.get(f"/{n}")
            await client.get("/0", cache_control="no-cache")
        return _times(cache)

    assert asyncio.run(main()) == [TTL] * 3
