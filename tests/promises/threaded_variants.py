"""``SyncCache`` as the promises are checked on it, and naive variants; see ``tests/promises/variants``."""

from typing import Any, cast

from fleetcache import Cache
from fleetcache.engine.threads.engine import SyncEngine
from tests.promises.variants import nothing, replace
from tests.support.threaded import inline, threaded

__all__ = ["deaf", "forgets_what_it_owes", "inline", "not_one_at_a_time", "threaded", "trusts_for_ever"]


def deaf(url: str, **settings: Any) -> Cache:
    """Near ignores the server's pushes."""
    cache = threaded(url, **settings)
    replace(cache._engine.coherence, on_invalidation=nothing, heard_all_tag=nothing)
    return cache


def trusts_for_ever(url: str, **settings: Any) -> Cache:
    """Near answers until the entry expires, even if the server is silent."""
    cache = threaded(url, **settings)
    link = cache._engine.link
    replace(
        link, bound=lambda _offline_ttl: float("inf"), _settle_trust=lambda: replace(link, trusted_until=float("inf"))
    )
    cache._engine.near.vouch(float("inf"))
    return cache


def forgets_what_it_owes(url: str, **settings: Any) -> Cache:
    """A removal without an acknowledgement is forgotten."""
    cache = threaded(url, **settings)
    replace(cache._engine.coherence.journal, defer=nothing)
    return cache


class _Open:
    """A lock that never locks."""

    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None: ...

    def _release_save(self) -> None: ...

    def _acquire_restore(self, _depth: object) -> None: ...

    def acquire(self) -> None: ...

    def _is_owned(self) -> bool:
        return False


def not_one_at_a_time(url: str, **settings: Any) -> Cache:
    """Threads run the rules at the same time."""
    cache = threaded(url, **settings)
    cast("SyncEngine", cache._engine).monitor._lock = _Open()
    return cache
