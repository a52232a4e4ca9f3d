"""The tasks that ``celery worker`` runs in our tests, and a cache that the parent uses before it forks."""

import json
import os
import threading
import time
from typing import Any

from celery import Celery  # type: ignore[import-untyped] # it has no types

from fleetcache import SyncCache

app = Celery("tasks", config_source=json.loads(os.environ["CELERY_CONFIG"]))
cache = SyncCache(os.environ["REDIS_URL"], prefix=os.environ["CACHE_PREFIX"], operation_timeout="2s")
cache.set("warm", f"by {os.getpid()}")  # at import, in the parent: its link is there when it forks
INSTANCE_OF_PARENT = cache.status_now().instance


def load() -> dict[str, int]:
    """Load so slowly that both children ask before the end."""
    time.sleep(0.1)
    return {"pid": os.getpid(), "times": cache.incr("loads")}


@app.task(name="look")  # type: ignore[untyped-decorator] # as above
def look(key: str) -> dict[str, Any]:
    """Return the process id, the value found, and the state of the cache in this process."""
    found = cache.get_or_set(key, load)
    stats = cache.stats()
    return {
        "pid": os.getpid(),
        "found": found,
        "warm": cache.get("warm"),
        "a copy of the parent's": cache.status_now().instance == INSTANCE_OF_PARENT,
        "link threads": [thread.name for thread in threading.enumerate()].count("fleetcache-link"),
        "near hits": stats.near_hits,
        "epoch": stats.epoch,
    }


@app.task(name="forget")  # type: ignore[untyped-decorator] # as above
def forget(key: str) -> int:
    """Remove an entry everywhere; return this process's id."""
    cache.delete(key)
    return os.getpid()
