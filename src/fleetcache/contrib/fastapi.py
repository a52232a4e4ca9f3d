"""FastAPI and Starlette: a cache that lives as long as the app, and cached responses of endpoints.

Importing this module needs Starlette only. FastAPI is used only for endpoints of FastAPI, so apps of plain Starlette
can use this module, too.
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
from typing import Any, Never, ParamSpec, Protocol, TypeVar, cast, get_args, overload

from fleetcache import ConfigError

from .lifespan import get_cache, lifespan
from .responses.options import (
    Cookies,
    Duration,
    Identity,
    Options,
    Strip,
    by_name,
    check_choice,
    check_cookies,
    check_duration,
    check_loading,
    check_max_bytes,
    check_methods,
    check_names,
    check_spelling,
    check_statuses,
    check_vary,
    meant_as,
)
from .responses.serving import Endpoint

__all__ = ["AsyncCache", "CachedEndpoint", "EndpointDecorator", "cached_response", "get_cache", "lifespan"]

P = ParamSpec("P")
T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)  # the result of awaiting the endpoint
R_co = TypeVar("R_co", covariant=True)  # the function's own return type: for an async def, an awaitable

# Larger than usual responses of APIs, small enough that some 30 of them fit into the near cache.
_MAX_BYTES = 1024 * 1024


class AsyncCache(Protocol):
    """A ``Cache``, or a namespace of one.

    Example:
        >>> from fleetcache import Cache
        >>> cache: AsyncCache = Cache("memory://").namespace("responses")
    """

    @property
    def delete_many(self) -> Callable[[Iterable[str]], Coroutine[Any, Any, int]]:
        """Like the method of ``Cache``, by which type checkers distinguish it from a ``SyncCache``."""
        ...


class CachedEndpoint(Protocol[P, T_co, R_co]):
    """An endpoint decorated with ``@cached_response(...)``. Called without a request, it calls the function.

    Type checkers check parameters by position against the function's own. By name they accept any, because
    ``invalidate`` and ``key`` do not take an endpoint's dependencies or its ``Request``.

    Example:
        >>> from fleetcache import Cache
        >>> @cached_response(Cache("memory://"), ttl="5m")
        ... async def user(user_id: int) -> dict[str, int]:
        ...     return {"id": user_id}
        >>> await user(42)
        {'id': 42}
        >>> await user.invalidate(42)
    """

    __name__: str

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, T_co]:
        """Return the response, or outside a request the function's result; always to be awaited."""
        ...

    @overload
    async def invalidate(self, *args: P.args, **kwargs: P.kwargs) -> None: ...
    @overload
    async def invalidate(self, **parameters: Any) -> None: ...
    async def invalidate(self, *args: Any, **kwargs: Any) -> None:
        """Remove all variants of the responses for these parameters of path, query and body, on every instance.

        Args:
            *args: The endpoint's own parameters of path, query and body in their order, without dependencies,
                headers and cookies. Omitted parameters have their defaults. For an endpoint of Starlette: none.
            **kwargs: The same by name. For an endpoint that takes the ``Request``: the parameters of its route's path.

        Raises:
            ConfigError: By the endpoint's own signature, responses vary by more than these parameters and carry no tag;
                ``clearable=True`` adds one.
            TypeError: The parameters are not the endpoint's.
        """
        ...

    async def invalidate_all(self) -> None:
        """Remove all responses of the endpoint, on every instance. Needs ``clearable=True``.

        Raises:
            ConfigError: The endpoint is not clearable.
        """
        ...

    @overload
    def key(self, *args: P.args, **kwargs: P.kwargs) -> str: ...
    @overload
    def key(self, **parameters: Any) -> str: ...
    def key(self, *args: Any, **kwargs: Any) -> str:
        """Return the key of the response; where responses vary, the common prefix and tag of all variants.

        Args:
            *args: As for ``invalidate``.
            **kwargs: As for ``invalidate``.
        """
        ...

    @property
    def uncached(self) -> Callable[P, R_co]:
        """The undecorated function."""
        ...


class EndpointDecorator(Protocol):
    """The decorator that ``cached_response(...)`` returns.

    Example:
        >>> from fleetcache import Cache
        >>> briefly: EndpointDecorator = cached_response(Cache("memory://"), ttl="5s")
        >>> @briefly
        ... async def news() -> list[str]:
        ...     return ["nothing new"]
    """

    @overload
    def __call__(
        self, function: Callable[P, Coroutine[Any, Any, T]], /
    ) -> CachedEndpoint[P, T, Coroutine[Any, Any, T]]: ...
    @overload
    def __call__(self, function: Callable[P, T], /) -> CachedEndpoint[P, T, T]: ...


@by_name
def cached_response(
    cache: AsyncCache | None = None,
    /,
    *_others: Never,
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
    **_unknown: Never,
) -> EndpointDecorator:
    """Cache an endpoint's responses. Put this decorator below the route's decorator.

    Args:
        cache: The cache, or a namespace of one. ``None``: the cache that ``lifespan`` has opened.
        ttl: How long a response is fresh; the response's own ``Cache-Control`` may shorten it.
        stale: How long after ``ttl`` a response is still answered, while one instance makes it again in the background
            (stale-while-revalidate).
        tags: Names by which ``invalidate_tags`` removes the responses.
        early: Whether answers close to the end of ``ttl`` may already start that refresh.
        offline_ttl: How old an answer from the near cache may be while the server cannot be reached.
        clearable: Whether ``invalidate_all()`` works, and ``invalidate()`` where responses vary. Off by default,
            because it puts a tag or two on every response, which the server keeps for 60 days.
        name: The prefix of keys; by default the function's module and qualified name.
        vary: Request headers that decide the answer, besides those that the endpoint declares as parameters.
        query: Query parameters that decide the answer, for an endpoint that takes the ``Request``; by default all.
        ignore: Parts of a request that do not decide the answer although they are read: names of headers, ``client``,
            ``state.NAME``, and any other name that ``Cache-Status`` gives as the reason for an unstored response. Also
            ``cookie NAME`` and ``query NAME`` that dependencies declare.
        max_age: How long clients and proxies may use their copy without asking. By default they must ask each time
            (and get a 304 without a body), because a client's copy cannot be invalidated.
        authorization: Requests with ``Authorization``, or an API key that the endpoint's security schemes read:
            ``bypass`` the cache, put the value into the ``key``, or ``ignore`` it if every client that is let in gets
            the same answer.
        cookies: The same for requests with cookies. Or names, such as ``("session",)``: the values of these cookies
            are in the key, and other cookies, such as those of an analytics script, are ignored. Declared
            cookies (parameters of the endpoint or of dependencies) are in the key, unless ``ignore`` names them.
        set_cookie: Responses that set a cookie: ``bypass`` the cache, or ``strip`` the cookie from the stored response.
        methods: Methods whose responses are stored. HEAD is answered from the stored response of GET.
        statuses: Statuses of responses that are stored.
        client_reload: Whether a request with ``Cache-Control: no-cache`` or ``max-age=0`` makes the cache load again,
            for all clients. Off by default, because every client could then put load on your server.
        max_bytes: Larger bodies are passed on and not stored. 1 MiB.
        clock: Seconds of the wall clock, for an ``Expires`` of the endpoint's own.

    Raises:
        TypeError: An option is given by position, or by a name that is none.
        ConfigError: An option is wrong, or the decorated object is not a function that can be called with a request.

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
    check_spelling(cached_response, _others, _unknown)
    _check_cache(cache)
    options = Options(
        loading=check_loading(ttl, stale, offline_ttl, early=early),
        tags=check_names("tags", tags), clearable=clearable,
        vary=check_vary(vary), query=None if query is None else check_names("query", query),
        ignore=frozenset(part.lower() for part in check_names("ignore", ignore)),
        max_age=check_duration("max_age", max_age, like="ttl"),
        authorization=check_choice("authorization", authorization, get_args(Identity)),
        cookies=check_cookies(cookies), set_cookie=check_choice("set_cookie", set_cookie, get_args(Strip)),
        methods=check_methods(methods), statuses=check_statuses(statuses),
        client_reload=client_reload, max_bytes=check_max_bytes(max_bytes), clock=clock,
    )  # fmt: skip
    return cast("EndpointDecorator", functools.partial(_decorate, cache, name, options))


def _check_cache(cache: object) -> None:
    if cache is not None and not inspect.iscoroutinefunction(getattr(cache, "get_or_set", None)):
        example = f"{meant}={cache!r}" if (meant := meant_as(cache)) else "ttl=..."
        raise ConfigError(
            f"cached_response: {type(cache).__name__} is not an async cache; accepted: a Cache or a namespace "
            f"of one, or nothing for that of the app; options by name: @cached_response({example})"
        )


def _decorate(cache: Any, name: str | None, options: Options, function: Callable[..., Any], /) -> Any:
    endpoint = Endpoint(cache, function, options, name)

    # Starlette treats only a function as an endpoint.
    @functools.wraps(function)
    async def serve(*args: Any, **kwargs: Any) -> Any:
        return await endpoint.serve(args, kwargs)

    known: Any = serve
    known.__signature__ = endpoint.injected.signature
    known.invalidate, known.invalidate_all = endpoint.invalidate, endpoint.invalidate_all
    known.key, known.uncached = endpoint.key, function
    return known
