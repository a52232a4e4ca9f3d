"""The cache of an app: opened and closed with the app, found by its endpoints.

Made for FastAPI and Starlette, and for any other app that has a lifespan and a ``state``.
"""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any, TypeVar, overload

from starlette.requests import HTTPConnection

from fleetcache import Cache, ConfigError

__all__ = ["cache_of", "get_cache", "lifespan", "lifespan_state"]

S = TypeVar("S")  # the value that an app's own lifespan yields: the state of requests, or None

_STATE = "fleetcache"
# Caches of the apps that run in this process now, each with the state that the app's own lifespan made; newest last.
_open: list[tuple[Cache, dict[str, Any]]] = []


@overload
def lifespan(cache: Cache, own: None = None) -> Callable[[Any], AbstractAsyncContextManager[None]]: ...
@overload
def lifespan(
    cache: Cache, own: Callable[[Any], AbstractAsyncContextManager[S]]
) -> Callable[[Any], AbstractAsyncContextManager[S]]: ...
def lifespan(cache: Cache, own: Callable[[Any], AbstractAsyncContextManager[Any]] | None = None) -> Any:
    """Open the cache when the app starts, before the app's own lifespan, and close the cache when the app has ended.

    Closing releases the leases and claims of this process on the server, so that no other process waits for it.

    Args:
        cache: The app's cache, which ``get_cache`` and ``cached_response()`` find from then on.
        own: The app's own lifespan, which runs while the cache is open; its yielded value stays the state of requests.

    Example:
        >>> from fastapi import FastAPI
        >>> from fleetcache import Cache
        >>> app = FastAPI(lifespan=lifespan(Cache("memory://")))
    """

    @asynccontextmanager
    async def opened(app: Any) -> AsyncIterator[Any]:
        async with cache, AsyncExitStack() as stack:
            setattr(app.state, _STATE, cache)
            begun: tuple[Cache, dict[str, Any]] = (cache, {})
            _open.append(begun)
            stack.callback(_end, begun)
            state = None if own is None else await stack.enter_async_context(own(app))
            begun[1].update(state or {})
            yield state

    return opened


def _end(begun: tuple[Cache, dict[str, Any]]) -> None:
    _open[:] = [each for each in _open if each is not begun]


async def get_cache(connection: HTTPConnection) -> Cache:
    """Return the app's cache, as a dependency: ``Annotated[Cache, Depends(get_cache)]``.

    A ``def`` endpoint, which runs in a thread, uses the cache by ``cache.sync``.

    Args:
        connection: The request or WebSocket; FastAPI passes it.

    Returns:
        The cache that the app's ``lifespan`` has opened.

    Raises:
        ConfigError: No ``lifespan`` of a cache has begun.

    Example:
        >>> from typing import Annotated
        >>> from fastapi import Depends, FastAPI
        >>> app = FastAPI()
        >>> @app.get("/visits")
        ... async def visits(cache: Annotated[Cache, Depends(get_cache)]) -> int:
        ...     return await cache.incr("visits")
    """
    return cache_of(connection.scope)


def cache_of(scope: Mapping[str, Any] | None = None) -> Cache:
    """Return the cache of the app that serves a request.

    Without a request, or in an app mounted in another app, this is the cache of the app that started last.

    Raises:
        ConfigError: No app has a cache.
    """
    app = None if scope is None else scope.get("app")
    found = getattr(getattr(app, "state", None), _STATE, None) or (_open[-1][0] if _open else None)
    if not isinstance(found, Cache):
        raise ConfigError(
            "this app has no cache yet: write FastAPI(lifespan=lifespan(cache)) and run the lifespan, in tests by "
            "`with TestClient(app)`; or name the cache, cached_response(cache, ...)"
        )
    return found


def lifespan_state(scope: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the state that the lifespan of a request's app gave to all requests; empty if unknown."""
    try:
        cache = cache_of(scope)
    except ConfigError:
        return {}
    return next((state for each, state in reversed(_open) if each is cache), {})
