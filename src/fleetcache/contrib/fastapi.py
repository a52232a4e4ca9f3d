"""FastAPI and Starlette: a cache that lives as long as the app, and responses of endpoints answered from it.

Starlette is all that this needs to be imported: FastAPI is asked only about endpoints of FastAPI, so apps of plain
Starlette use it, too.
"""

try:
    import starlette  # noqa: F401 - looked for here, so that the error says what to install
except ModuleNotFoundError as missing:
    raise ModuleNotFoundError(
        f"fleetcache.contrib.fastapi needs {missing.name}, which is not installed: pip install fleetcache[fastapi]",
        name=missing.name,
    ) from missing

import functools
import inspect
import time
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, ParamSpec, Protocol, TypeVar, cast, overload

from fleetcache import ConfigError

from .lifespan import get_cache, lifespan
from .responses.options import Cookies, Duration, Identity, Strip, checked
from .responses.serving import Endpoint

__all__ = ["AsyncCache", "CachedEndpoint", "EndpointDecorator", "cached_response", "get_cache", "lifespan"]

P = ParamSpec("P")
T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)  # what awaiting the endpoint gives
R_co = TypeVar("R_co", covariant=True)  # what the function itself returns: for an async def, to be awaited

# Larger than what APIs answer, small enough that some 30 of them fit into near.
_MAX_BYTES = 1024 * 1024


class AsyncCache(Protocol):
    """A ``Cache``, or a namespace of one."""

    @property
    def delete_many(self) -> Callable[[Iterable[str]], Coroutine[Any, Any, int]]:
        """As of ``Cache``; by it type checkers tell it from a ``SyncCache``."""
        ...


class CachedEndpoint(Protocol[P, T_co, R_co]):
    """What ``@cached_response(...)`` makes of an endpoint. Called without a request, it calls the function.

    Type checkers hold parameters by position to the function's own. By name they take any, since an endpoint's
    dependencies, or its ``Request``, are none that ``invalidate`` and ``key`` ask for.
    """

    __name__: str

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, T_co]:
        """The response, or outside a request the function's result; always to be awaited."""
        ...

    @overload
    async def invalidate(self, *args: P.args, **kwargs: P.kwargs) -> None: ...
    @overload
    async def invalidate(self, **parameters: Any) -> None: ...
    async def invalidate(self, *args: Any, **kwargs: Any) -> None:
        """Remove the responses to calls with these parameters of path and query everywhere, all variants of them.

        Args:
            *args: The endpoint's own parameters of path, query and body in their order, without dependencies,
                headers and cookies; those left out have their defaults. For an endpoint of Starlette: none.
            **kwargs: The same by name. For an endpoint that takes the ``Request``: those of its route's path.

        Raises:
            ConfigError: Responses vary by more than that, and carry no tag: ``clearable=True`` gives them one.
            TypeError: They are not the endpoint's parameters.
        """
        ...

    async def invalidate_all(self) -> None:
        """Remove all responses of the endpoint everywhere. Needs ``clearable=True``.

        Raises:
            ConfigError: It is not clearable.
        """
        ...

    @overload
    def key(self, *args: P.args, **kwargs: P.kwargs) -> str: ...
    @overload
    def key(self, **parameters: Any) -> str: ...
    def key(self, *args: Any, **kwargs: Any) -> str:
        """The key of the response; where responses vary, what the keys of all variants begin with, and their tag."""
        ...

    @property
    def uncached(self) -> Callable[P, R_co]:
        """The function itself."""
        ...


class EndpointDecorator(Protocol):
    """What ``cached_response(...)`` returns."""

    @overload
    def __call__(
        self, function: Callable[P, Coroutine[Any, Any, T]], /
    ) -> CachedEndpoint[P, T, Coroutine[Any, Any, T]]: ...
    @overload
    def __call__(self, function: Callable[P, T], /) -> CachedEndpoint[P, T, T]: ...


def cached_response(
    cache: AsyncCache | None = None,
    /,
    *,
    ttl: Duration | None = None,
    stale: Duration | None = None,
    tags: Iterable[str] = (),
    early: bool = False,
    offline_ttl: Duration | None = None,
    clearable: bool = False,
    name: str | None = None,
    vary: Iterable[str] = (),
    query: Iterable[str] | None = None,
    ignore: Iterable[str] = (),
    max_age: Duration | None = None,
    authorization: Identity = "bypass",
    cookies: Cookies = "bypass",
    set_cookie: Strip = "bypass",
    methods: Iterable[str] = ("GET",),
    statuses: Iterable[int] = (200,),
    client_reload: bool = False,
    max_bytes: int = _MAX_BYTES,
    clock: Callable[[], float] = time.time,
) -> EndpointDecorator:
    """Answer an endpoint's requests with the response of an earlier one: below the route's decorator.

    Args:
        cache: The cache, or a namespace of one. ``None``: the one that ``lifespan`` has opened.
        ttl: How long a response is fresh; the response's own ``Cache-Control`` may shorten it.
        stale: How long after that it is still answered, while one instance makes it anew in the background.
        tags: Names that ``invalidate_tags`` may remove it by.
        early: Whether answers close to the end may start that already.
        offline_ttl: Bound of near answers while the server cannot be heard.
        clearable: Whether ``invalidate_all()`` works, and ``invalidate()`` where responses vary. Not by default: it
            takes a tag or two on every response, which the server keeps for 60 days.
        name: What keys begin with; by default the function's module and qualified name.
        vary: Request headers that decide the answer, beside those that the endpoint declares as parameters.
        query: Query parameters that decide it, for an endpoint that takes the ``Request``; by default all.
        ignore: What may be read of a request and decides nothing: names of headers, ``client``, ``state.NAME``, and
            whatever else ``Cache-Status`` names where a response was not stored for it.
        max_age: How long clients and proxies may keep it unasked. By default they must ask each time (and get a 304
            without a body), since what a client keeps nobody can invalidate.
        authorization: Requests with ``Authorization``, or an API key that the endpoint's security schemes read:
            ``bypass`` the cache, have it in the ``key``, or ``ignore`` it: the answer is the same for all who get one.
        cookies: The same for requests with cookies. Or names, such as ``("session",)``: the values of these are in the
            key, and other cookies, such as those of an analytics script, are nothing. Cookies that are declared as
            parameters are always in the key.
        set_cookie: Responses that set a cookie: ``bypass``, or ``strip`` the cookie from what is stored.
        methods: Those whose responses are stored. HEAD is answered from what GET has stored.
        statuses: Those that are stored.
        client_reload: Whether ``Cache-Control: no-cache`` or ``max-age=0`` of a request makes us load anew, for all.
            Not by default, since every client could then make your server work.
        max_bytes: Bodies beyond that are passed on and not stored. 1 MiB.
        clock: Seconds of the wall clock, for an ``Expires`` of the endpoint's own.

    Raises:
        ConfigError: An option is wrong, or it is no function to be called with a request.

    Example:
        >>> from fastapi import FastAPI
        >>> from fleetcache import Cache
        >>> app, cache = FastAPI(), Cache("memory://")
        >>> @app.get("/users/{user_id}")
        ... @cached_response(cache, ttl="5m")
        ... async def user(user_id: int) -> dict[str, int]:
        ...     return {"id": user_id}
        >>> user.key(42).endswith("user(user_id=42)")
        True
    """
    if cache is not None and not inspect.iscoroutinefunction(getattr(cache, "get_or_set", None)):
        raise ConfigError(
            f"cached_response: {type(cache).__name__} is no cache of an event loop; accepted: a Cache or a namespace "
            "of one, or nothing for that of the app; options by name: @cached_response(ttl=...)"
        )
    options = checked(
        ttl=ttl,
        stale=stale,
        early=early,
        offline_ttl=offline_ttl,
        tags=tags,
        vary=vary,
        query=query,
        ignore=ignore,
        max_age=max_age,
        authorization=authorization,
        cookies=cookies,
        set_cookie=set_cookie,
        methods=methods,
        statuses=statuses,
        max_bytes=max_bytes,
        clearable=clearable,
        client_reload=client_reload,
        clock=clock,
    )

    def decorate(function: Callable[..., Any], /) -> Any:
        endpoint = Endpoint(cache, function, options, name)

        # A function and nothing else is what Starlette takes for an endpoint.
        @functools.wraps(function)
        async def serve(*args: Any, **kwargs: Any) -> Any:
            return await endpoint.serve(args, kwargs)

        known: Any = serve
        known.__signature__ = endpoint.injected.signature
        known.invalidate, known.invalidate_all = endpoint.invalidate, endpoint.invalidate_all
        known.key, known.uncached = endpoint.key, function
        return known

    return cast("EndpointDecorator", decorate)
