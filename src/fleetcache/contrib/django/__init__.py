"""Django: a cache backend, a view of its health, and checks for ``manage.py check``. Needs the extra ``django``.

1. A process has one cache for all aliases with the same LOCATION and OPTIONS. Django makes a backend object for every
   thread and every ASGI request. All these objects use that cache, and none of their methods closes it.
2. The cache is a ``SyncCache``, and tasks use its ``aio``. All threads and event loops, including the short-lived loops
   of ``async_to_sync``, share one near cache and one connection.
3. A bad setting is an error at the first use and in ``manage.py check``, not while Django starts.
"""

try:
    import django  # noqa: F401 - looked for here, so that the error says what to install
except ModuleNotFoundError as missing:
    raise ModuleNotFoundError(
        "fleetcache.contrib.django needs Django, which is not installed: pip install fleetcache[django]",
        name=missing.name,
    ) from missing

from .backend import FleetCache, NotCounted, NotPicklable, cache_of, health

__all__ = ["FleetCache", "NotCounted", "NotPicklable", "cache_of", "health"]
