"""Django: a cache backend, a view of its health, and what ``manage.py check`` should know. Needs the extra ``django``.

1. There is one cache in a process for all aliases of one LOCATION and OPTIONS. Django makes a backend object for every
   thread and every ASGI request; they all point to that cache, and nothing they do closes it.
2. It is a ``SyncCache``, and tasks use its ``aio``: one near store and one link, whatever threads and event loops, the
   short-lived ones of ``async_to_sync`` too, come and go.
3. A bad setting is an error at the first use and in ``manage.py check``, not while Django starts.
"""

try:
    import django  # noqa: F401 - looked for here, so that the error says what to install
except ModuleNotFoundError as missing:
    raise ModuleNotFoundError(
        "fleetcache.contrib.django needs Django, which is not installed: pip install fleetcache[django]",
        name=missing.name,
    ) from missing

from .backend import FleetCache, NotCounted, NotPicklable, cache_of
from .views import health

__all__ = ["FleetCache", "NotCounted", "NotPicklable", "cache_of", "health"]
