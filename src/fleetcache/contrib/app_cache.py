"""Which cache an app uses: opened and closed with the app, found again by endpoints.

Made for FastAPI and Starlette, and for any other app that has a lifespan and a ``state``.
"""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any, TypeVar, overload

from starlette.requests import HTTPConnection

from fleetcache import Cache, ConfigError

__all__ = ["cache_of", "get_cache", "lifespan"]

S = TypeVar("S")  # what an app's own lifespan yields: the state of requests, or nothing

_STATE = "fleetcache"
# Of the apps that run in this process now; the newest last.
_open: list[Cache] = []


@overload
def lifespan(cache: Cache, own: None = None) -> Callable[[Any], AbstractAsyncContextManager[None]]: ...
@overload
def lifespan(
    cache: Cache, own: Callable[[Any], AbstractAsyncContextManager[S]]
) -> Callable[[Any], AbstractAsyncContextManager[S]]: ...
def lifespan(cache: Cache, own: Callable[[Any], AbstractAsyncContextManager[Any]] | None = None) -> Any:
    """Open the cache when the app starts, before anything else of it, and close it when the app has ended.

    Closing gives back what this process holds on the server, so that nobody waits for a process that is gone.

    Args:
        cache: The app's cache, which ``get_cache`` and ``cached_response()`` find from then on.
        own: The app's own lifespan, which runs within it; what it yields stays the state of requests.

    Example:
        >>> from fastapi import FastAPI
        >>> from fleetcache import Cache
        >>> app = FastAPI(lifespan=lifespan(Cache("memory://")))
    """

    @asynccontextmanager
    async def opened(app: Any) -> AsyncIterator[Any]:
        async with cache, AsyncExitStack() as stack:
            setattr(app.state, _STATE, cache)
            _open.append(cache)
            stack.callback(_open.remove, cache)
            yield None if own is None else await stack.enter_async_context(own(app))

    return opened


async def get_cache(connection: HTTPConnection) -> Cache:
    """The app's cache, as a dependency: ``Annotated[Cache, Depends(get_cache)]``.

    A ``def`` endpoint, which runs in a thread, uses it by ``cache.sync``.

    Raises:
        ConfigError: No ``lifespan`` of a cache has begun.
    """
    return cache_of(connection.scope)


def cache_of(scope: Mapping[str, Any] | None = None) -> Cache:
    """The cache of the app that serves a request; without one, or in an app mounted in another, of the last app begun.

    Raises:
        ConfigError: There is none.
    """
    app = None if scope is None else scope.get("app")
    found = getattr(getattr(app, "state", None), _STATE, None) or (_open[-1] if _open else None)
    if not isinstance(found, Cache):
        raise ConfigError(
            "this app has no cache yet: write FastAPI(lifespan=lifespan(cache)) and run the lifespan, in tests by "
            "`with TestClient(app)`; or name the cache, cached_response(cache, ...)"
        )
    return found
