"""One endpoint whose responses are cached: the way of a request, from its headers to its answer.

1. The framework solves the request's dependencies before the cache answers, so an unauthorized client is refused on a
   hit, too. Headers that dependencies put on the response are for this request only: they are sent, but not stored.
2. Reads of the request are recorded. If the key lacks a part that was read, only the request's own caller gets the
   response. A route uses only responses made behind the dependencies of app, router and route that it has itself.
3. Each key has one load in the fleet, by ``get_or_set`` (single flight). A response that may not be stored goes to
   its own caller only: callers that waited for it run the endpoint themselves, and for a while no caller waits for a
   response of that key.
4. Failures are never stored. An exception, and a 5xx that is raised, reaches all waiting callers. A raised status
   below 500 is an answer.
5. A cache need not follow the ``Cache-Control`` of a request (RFC 9111 §5.2.1). ``no-store`` is followed: a stored
   response may answer the request, but its own response is not stored. ``no-cache`` and ``max-age=0`` are followed
   only with ``client_reload``.
"""

import inspect
import math
from asyncio import get_running_loop
from collections.abc import Callable
from functools import partial
from time import monotonic
from typing import Any, NamedTuple

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response

from fleetcache import ConfigError, Found, Keep

from ..lifespan import cache_of
from .keys import ResponseKeys
from .loading import Call, Load
from .options import Options
from .reads import Injected, reads_of
from .rendering import REPLAYED, Renderer, route_of
from .rules import (
    UNSTORED,
    StoredResponse,
    answer,
    directives,
    for_one,
    is_cookie,
    lifetime,
    may_be_stale,
    noted,
    refusal,
    stored_response,
    varies_by,
)

__all__ = ["Endpoint"]

# Seconds for which requests bypass the cache after a response of their key could not be stored: short, because the
# next response may be storable again.
_PAUSE = 5.0
_MAX_PAUSES = 10_000
# Most names of undeclared parts in ``Cache-Status``: enough to act on, without filling a header with text.
_MAX_NAMES = 5
# Largest error of an age, in seconds: the server counts in milliseconds, and fleetcache rounds to one.
_BLUR = 0.002
# The longest life of an entry. The value is answered already, so in an outage no bound applies to reading its age.
_ANY_BOUND = "30d"


class _OnRoute(NamedTuple):
    """The keys of an endpoint on one route, valid as long as the app's ``dependency_overrides`` stay the same."""

    route: Any  # kept, so that no other object gets its id
    overrides: dict[Any, Any]
    keys: ResponseKeys
    unseen: frozenset[str]


class Endpoint:
    """A function, its cache and its options.

    Args:
        cache: The cache of the responses; ``None``: the cache of the app.
        function: The endpoint.
        options: The options of ``cached_response``.
        name: The prefix of keys; ``None``: the function's module and qualified name.

    Raises:
        ConfigError: ``function`` is not a function, or is a generator.
    """

    def __init__(self, cache: Any, function: Callable[..., Any], options: Options, name: str | None) -> None:
        if not inspect.isroutine(function):
            kind = type(function).__name__
            raise ConfigError(f"cached_response goes below the decorator of the route, on a function, not on a {kind}")
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            raise ConfigError(
                f"cached_response on {function.__qualname__}: a generator is a stream, and is never stored"
            )
        self._cache, self._function, self._options = cache, function, options
        self._in_thread = not inspect.iscoroutinefunction(function)
        self.max_bytes = options.max_bytes
        self.injected = Injected(function)
        self.renderer = Renderer(function.__name__, in_thread=self._in_thread)
        self.family = f"response:{name or f'{function.__module__}.{function.__qualname__}'}"
        # Several functions may have the same name: <locals>, <lambda>, methods of objects.
        self._located = name is None and ("<" in function.__qualname__ or inspect.ismethod(function))
        self._routes: dict[int, _OnRoute] = {}
        # By key whose response could not be stored: until when (monotonic) requests bypass the cache, and the note.
        self._past: dict[str, tuple[float, str]] = {}

    @property
    def keys(self) -> ResponseKeys:
        """The keys of the endpoint's responses, without regard to a route."""
        return self._on(None)[0]

    def _on(self, route: Any) -> tuple[ResponseKeys, frozenset[str]]:
        """Return the keys on one route, and the dependencies there that may read a request before it is recorded.

        Both are made at first use, because annotations may name types that are defined further down.
        """
        overrides = getattr(getattr(route, "dependency_overrides_provider", None), "dependency_overrides", None) or {}
        known = self._routes.get(id(route))
        if known is None or known.overrides != overrides:
            reads = reads_of(self._function, overrides, route)
            keys = ResponseKeys(self.family, located=self._located, reads=reads, options=self._options)
            known = self._routes[id(route)] = _OnRoute(route, dict(overrides), keys, reads.unseen)
        return known.keys, known.unseen

    def cache(self, request: Request | None = None) -> Any:
        """Return the endpoint's cache, by default that of the app; see ``cache_of``."""
        if self._cache is not None:
            return self._cache
        return cache_of(None if request is None else request.scope)

    async def run(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Call the function as the framework would."""
        kwargs = self.injected.plain(kwargs)
        if self._in_thread:
            return await run_in_threadpool(self._function, *args, **kwargs)
        return await self._function(*args, **kwargs)

    # -- a request ---------------------------------------------------------------------------------------------------

    async def serve(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Return the result for the framework: a response, or the function's own return value."""
        request = kwargs.get(self.injected.request) or next((arg for arg in args if isinstance(arg, Request)), None)
        if not isinstance(request, Request):  # called without a framework
            return await self.run(args, kwargs)
        call = self._call(request, args, kwargs)
        if (replayed := call.request.scope.get(REPLAYED)) is not None:
            value = await call.run()
            replayed.given, replayed.direct, replayed.undeclared = (
                call.given,
                isinstance(value, Response),
                call.undeclared,
            )
            return value
        note = call.keys.bypass(call.request)
        if note is None and not self._for_all(call):
            note = "fwd=bypass; detail=dependency"
        if note is None and (names := call.undeclared):
            note = _of_more(names)
        if note is None:
            try:
                key = await call.keys.key(call.request, kwargs)
            except (ValueError, RuntimeError):  # a parameter cannot be written as text, or the body was read as a form
                note = "fwd=bypass; detail=key"
            else:
                return await self._cached(call, key)
        return await self._past_cache(call, note)

    def _call(self, request: Request, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call:
        shared = kwargs.get(self.injected.response)
        keys, unseen = self._on(route_of(request.scope))
        return Call(self, request, keys, unseen, args, kwargs, shared if isinstance(shared, Response) else None)

    async def _past_cache(self, call: Call, note: str) -> Any:
        value = await call.run()
        response = value if isinstance(value, Response) else call.shared
        if response is not None:
            response.raw_headers[:] = noted(response.raw_headers, note)  # in place: FastAPI may hold the list already
        return value

    def _for_all(self, call: Call) -> bool:
        """Return True if the headers of dependencies leave the response fit for every request with the same key."""
        given = Headers(raw=call.given)
        return for_one(given) is None and not varies_by(given).difference(call.keys.known)

    async def _cached(self, call: Call, key: str) -> Any:
        began, request = monotonic(), call.request
        said = directives(request.headers.getlist("cache-control"))
        anew = self._options.client_reload and ("no-cache" in said or said.get("max-age") == "0")
        if "no-store" in said and anew:
            return await self._past_cache(call, "fwd=request")
        if "no-store" in said or request.method == "HEAD":
            return await self._looked_up(call, key)
        until, why = self._past.get(key, (0.0, ""))
        if until > began:
            return await self._past_cache(call, why)
        if call.keys.takes_body(request):
            call.body = await request.body()
        waiting = _Waiting()
        load, stored = await self._obtained(call, key, anew=anew)
        if stored.status != UNSTORED.status and stored.rendering != call.rendering:
            # Stored by another route, or by another release, that makes other bytes of the same values.
            load, stored = await self._obtained(call, key, anew=True)
        note = "fwd=request" if anew else "fwd=miss"
        if load.error is not None or (stored.status == UNSTORED.status and load.response is not None):
            if load.undeclared:
                note = _of_more(load.undeclared)
            self._pause(key, note if load.undeclared else "fwd=miss; detail=unstorable")
        if load.error is not None:
            raise load.error
        if load.response is not None:
            return self._loaded(call, load, stored, note)
        if stored.status == UNSTORED.status or stored.rendering != call.rendering:
            return await self._past_cache(call, note)
        return await self._again(call, key, stored, waiting.ended())

    async def _looked_up(self, call: Call, key: str) -> Any:
        """Answer a request whose own response is not stored: with ``no-store``, or of HEAD."""
        cache, stale = self.cache(call.request), bool(self._options.loading["stale"])
        stored = await cache.get(key, UNSTORED, type=StoredResponse, allow_stale=stale)
        if stored.status == UNSTORED.status or stored.rendering != call.rendering:
            return await self._past_cache(call, "fwd=miss")
        return await self._again(call, key, stored, 0.0)

    async def _obtained(self, call: Call, key: str, *, anew: bool) -> tuple[Load, StoredResponse]:
        cache = self.cache(call.request)
        load = Load(call, self._kept, partial(cache.delete, key), self.family)
        tags = self._tags(call)
        try:
            if anew:
                ttl, stale = self._options.loading["ttl"], self._options.loading["stale"]
                return load, await cache.refresh(
                    key, load, ttl=ttl, stale=stale, tags=tags, type=StoredResponse, exact=True
                )
            return load, await cache.get_or_set(key, load, **self._options.loading, tags=tags, type=StoredResponse)
        finally:
            load.over = True

    def _tags(self, call: Call) -> tuple[str, ...]:
        """Return the tags of a response: by the last one ``invalidate`` finds all variants.

        Dependencies of a route may make variants where the endpoint has none. The caller of ``invalidate`` may be in
        a process without that route, so these variants have the tag in any case.
        """
        keys, options = call.keys, self._options
        tags = (*options.tags, keys.tag) if options.clearable else options.tags
        if keys.varies is not None and (options.clearable or self.keys.varies is None):
            tags = (*tags, keys.call_of(call.request, call.kwargs))
        return tags

    def _loaded(self, call: Call, load: Load, stored: StoredResponse, note: str) -> Any:
        """Return the response that this request's own load has made."""
        made: Any = load.response
        if stored.status == UNSTORED.status:
            if not load.direct:
                made.raw_headers += call.given
            made.raw_headers[:] = noted(made.raw_headers, note)
            return made
        cookies = [header for header in made.raw_headers if is_cookie(header)]  # sent, but not stored
        response = self._answer(call, stored, stored.age or None, f"{note}; stored", cookies)
        response.background = made.background
        return response

    async def _again(self, call: Call, key: str, stored: StoredResponse, waited: float) -> Any:
        """Return a response that another request has made; its age follows from the remaining life of its entry.

        ``waited``: seconds for which this request may have waited for the response.
        """
        found: Found[StoredResponse] | None = await self.cache(call.request).lookup(
            key, type=StoredResponse, offline_ttl=_ANY_BOUND
        )
        if found is None or found.value.rendering != call.rendering:  # the response was not stored, or is gone already
            return self._answer(call, stored, stored.age or None, "fwd=miss; collapsed")
        stored = found.value
        if found.age + _BLUR < waited:
            return self._answer(call, stored, stored.age or None, "fwd=miss; collapsed")
        return self._answer(call, stored, int(stored.age + found.age), f"hit; ttl={math.floor(found.fresh_for)}")

    def _answer(
        self,
        call: Call,
        stored: StoredResponse,
        age: int | None,
        note: str,
        cookies: list[tuple[bytes, bytes]] | None = None,
    ) -> Response:
        request = call.request
        personal = bool(cookies) or call.keys.personal(request)
        return answer(
            stored,
            request.headers,
            method=request.method,
            age=age,
            cache_control=self._options.cache_control(personal=personal),
            vary=call.keys.vary,
            note=note,
            extra=[*([] if stored.direct else call.given), *(cookies or [])],
        )

    # -- storing -----------------------------------------------------------------------------------------------------

    def _kept(self, call: Call, response: Any, direct: bool) -> Keep[StoredResponse] | None:
        options = self._options
        body = getattr(response, "body", None)  # streams and files have none
        if not isinstance(response, Response) or not isinstance(body, bytes | memoryview):
            return None
        strip = options.set_cookie == "strip"
        headers = Headers(raw=[header for header in response.raw_headers if not (strip and is_cookie(header))])
        refused = refusal(
            headers,
            status=response.status_code,
            size=len(body),
            statuses=options.statuses,
            max_bytes=options.max_bytes,
            known=call.keys.known,
        )
        says = lifetime(headers, options.clock())
        if refused is not None or says == 0 or call.request.scope.get("session"):
            return None
        ttl = min((life for life in (says, options.loading["ttl"]) if life is not None), default=None)
        stored = stored_response(response, direct=direct, rendering=call.rendering)
        return Keep(stored, ttl=ttl, stale=None if may_be_stale(headers) else 0)

    def _pause(self, key: str, why: str) -> None:
        if len(self._past) >= _MAX_PAUSES:
            self._past.clear()
        self._past[key] = (monotonic() + _PAUSE, why)

    # -- calls by the app's own code ---------------------------------------------------------------------------------

    def key(self, *args: Any, **kwargs: Any) -> str:
        """See ``CachedEndpoint``."""
        return self.keys.call_by_hand(args, kwargs)

    async def invalidate(self, *args: Any, **kwargs: Any) -> None:
        """See ``CachedEndpoint``."""
        key, varies = self.key(*args, **kwargs), self.keys.varies
        if varies is not None and not self._options.clearable:
            raise ConfigError(
                f"{self.family}: invalidate() cannot know all variants of a response: they vary because {varies}; "
                "decorate it with cached_response(..., clearable=True), or use tags="
            )
        if varies is None:
            await self.cache().delete(key)
        await self.cache().invalidate_tags(key)

    async def invalidate_all(self) -> None:
        """See ``CachedEndpoint``."""
        if not self._options.clearable:
            raise ConfigError(f"{self.family}: decorate it with cached_response(..., clearable=True)")
        await self.cache().invalidate_tags(self.keys.tag)


def _of_more(names: list[str]) -> str:
    """Return the note for ``Cache-Status`` on a response made with parts of the request that its key does not hold."""
    told = ", ".join(names[:_MAX_NAMES]).encode("ascii", "replace").decode()
    escaped = "".join(f"\\{letter}" if letter in '"\\' else letter for letter in told if letter.isprintable())
    return f'fwd=miss; detail="{escaped}"'


class _Waiting:
    """The time that a request waits: 0 if answered before the event loop's next pass, as from the near cache."""

    def __init__(self) -> None:
        self._began, self._turned = monotonic(), False
        self._turn = get_running_loop().call_soon(self._note)

    def _note(self) -> None:
        self._turned = True

    def ended(self) -> float:
        """Stop the measurement and return the seconds waited."""
        self._turn.cancel()
        return monotonic() - self._began if self._turned else 0.0
