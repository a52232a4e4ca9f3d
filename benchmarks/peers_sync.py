"""The peers of ``SyncCache``, each opened as in its own documentation; otherwise as in ``peers``."""

import functools
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from benchmarks.peers import TTL, why

__all__ = ["NEAR_SYNC", "SHARED_SYNC", "OpenedSync", "SyncPeer", "opened_sync"]


@dataclass(frozen=True)
class SyncPeer:
    """A peer's own bound methods, for a benchmark to call."""

    get: Callable[[str], Any]
    put: Callable[[str, str], object]


@dataclass(frozen=True)
class OpenedSync:
    """The running peers, and for each missing one the reason."""

    running: Mapping[str, SyncPeer]
    missing: Mapping[str, str]


Opener = Callable[[str, ExitStack], SyncPeer]


def _redis_py(url: str, stack: ExitStack) -> SyncPeer:
    from redis import Redis  # noqa: PLC0415 - only when measured

    client = stack.enter_context(Redis.from_url(url))
    return SyncPeer(client.get, functools.partial(client.set, ex=TTL))


def _glide(url: str, stack: ExitStack) -> SyncPeer:
    from glide_sync import GlideClient, GlideClientConfiguration, NodeAddress  # noqa: PLC0415 - only when measured

    where = urlsplit(url)
    client = GlideClient.create(GlideClientConfiguration([NodeAddress(where.hostname, where.port)]))
    stack.callback(client.close)
    return SyncPeer(client.get, client.set)


def _django(backend: str, url: str, stack: ExitStack) -> SyncPeer:
    """A backend named in ``CACHES``. All threads share one object, which saves a connection for each."""
    from django.conf import settings  # noqa: PLC0415 - only when measured
    from django.core.cache import CacheHandler  # noqa: PLC0415 - as above

    if not settings.configured:
        settings.configure()
    cache = CacheHandler({"default": {"BACKEND": backend, "LOCATION": url, "TIMEOUT": TTL}})["default"]
    stack.callback(cache.close)
    return SyncPeer(cache.get, cache.set)


def _dogpile(backend: str, url: str, _stack: ExitStack) -> SyncPeer:
    from dogpile.cache import make_region  # noqa: PLC0415 - only when measured

    arguments = {} if backend == "dogpile.cache.memory" else {"url": url, "redis_expiration_time": 2 * TTL}
    region = make_region().configure(backend, expiration_time=TTL, arguments=arguments)
    return SyncPeer(region.get, region.set)


def _cachebox(_url: str, _stack: ExitStack) -> SyncPeer:
    from cachebox import TTLCache  # noqa: PLC0415 - only when measured

    store: Any = TTLCache(10_000, TTL)
    return SyncPeer(store.get, store.insert)


NEAR_SYNC: Mapping[str, Opener] = {
    "Django": functools.partial(_django, "django.core.cache.backends.locmem.LocMemCache"),
    "dogpile.cache": functools.partial(_dogpile, "dogpile.cache.memory"),
    "cachebox": _cachebox,
}
SHARED_SYNC: Mapping[str, Opener] = {
    "redis-py": _redis_py,
    "valkey-glide-sync": _glide,
    "django-redis": functools.partial(_django, "django_redis.cache.RedisCache"),
    "Django": functools.partial(_django, "django.core.cache.backends.redis.RedisCache"),
    "dogpile.cache": functools.partial(_dogpile, "dogpile.cache.redis"),
}


@contextmanager
def opened_sync(openers: Mapping[str, Opener], url: str) -> Iterator[OpenedSync]:
    """Open all peers; each must answer for one key before it counts as running."""
    running, missing = {}, {}
    with ExitStack() as stack:
        for name, opener in openers.items():
            try:
                peer = opener(url, stack)
                peer.get("not-there")
            except Exception as error:  # noqa: BLE001 - whatever a foreign library raises is why it is not in the table
                missing[name] = why(error)
            else:
                running[name] = peer
        yield OpenedSync(running, missing)
