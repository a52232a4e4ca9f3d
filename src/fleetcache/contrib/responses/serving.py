"""One endpoint whose responses are cached: what happens to a request, from its headers to its answer.

1. The framework has solved its dependencies before it gets here: who may not ask is refused on a hit, too. What they
   put on the response is this request's own, and neither stored nor left out.
2. What is read of the request is recorded, and where the key does not hold it the response is its own caller's alone.
3. One load in the fleet for each key, by ``get_or_set``. A response that may not be kept is its own caller's alone:
   those who waited for it run the endpoint themselves, and for a while nobody waits for the like.
4. Failures are never stored. An exception, and a 5xx that is raised, reaches all who waited; one below is an answer.
5. Of what a request says in ``Cache-Control``, which a cache may follow or not (RFC 9111 §5.2.1), ``no-store`` is
   followed: what is stored may answer it, what it causes is not stored. ``no-cache`` and ``max-age=0`` only when told.
"""

import inspect
import math
from asyncio import get_running_loop
from collections.abc import Callable
from functools import partial
from time import monotonic
from typing import Any, NamedTuple

from msgspec.structs import replace
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response

from fleetcache import ConfigError, Found, Keep

from ..lifespan import cache_of
from .keys import ResponseKeys
from .loading import Call, Load
from .options import Options
from .reads import Injected, earlier_of, reads_of
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

# How long a key whose response could not be kept goes past the cache: short, for it may be otherwise a moment later.
_PAUSE = 5.0
_MAX_PAUSES = 10_000
# So many names of what was read are told: enough to go on, and no page of text in a header.
_MAX_NAMES = 5
# The server counts in milliseconds, and we round to one: so far an age may be off.
_BLUR = 0.002
# What was answered was answered: in an outage its age is asked for past every bound. No entry lives longer.
_ANY_BOUND = "30d"


class _OnRoute(NamedTuple):
    """What is known of an endpoint on one route, for as long as the app overrides the same dependencies."""

    route: Any  # kept, so that nothing else gets its id
    overrides: dict[Any, Any]
    keys: ResponseKeys
    unseen: frozenset[str]


class Endpoint:
    """A function, its cache and its options.

    Args:
        cache: Where responses are; ``None``: in the cache of the app.
        function: The endpoint.
        options: All that was said.
        name: What keys begin with; ``None``: the function's module and qualified name.

    Raises:
        ConfigError: It is no function, or one that yields.
    """

    def __init__(self, cache: Any, function: Callable[..., Any], options: Options, name: str | None) -> None:
        if not inspect.isroutine(function):
            kind = type(function).__name__
            raise ConfigError(f"cached_response goes below the decorator of the route, on a function, not on a {kind}")
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            raise ConfigError(f"cached_response on {function.__qualname__}: what yields is a stream, and never stored")
        self._cache, self._function, self._options = cache, function, options
        self._in_thread = not inspect.iscoroutinefunction(function)
        self.max_bytes = options.max_bytes
        self.injected = Injected(function)
        self.renderer = Renderer(function.__name__, in_thread=self._in_thread)
        self.family = f"response:{name or f'{function.__module__}.{function.__qualname__}'}"
        # <locals>, <lambda>, methods of objects: several functions may have this name.
        self._located = name is None and ("<" in function.__qualname__ or inspect.ismethod(function))
        self._routes: dict[int, _OnRoute] = {}
        # Keys whose responses cannot be kept: until when, monotonic, they go past the cache, and what is told of it.
        self._past: dict[str, tuple[float, str]] = {}

    @property
    def keys(self) -> ResponseKeys:
        """The keys of its responses, wherever it is."""
        return self._on(None)[0]

    def _on(self, route: Any) -> tuple[ResponseKeys, frozenset[str]]:
        """The keys on one route, and who may have read the request there before it is recorded.

        Made at first use, since annotations may name what is defined further down.
        """
        overrides = getattr(getattr(route, "dependency_overrides_provider", None), "dependency_overrides", None) or {}
        known = self._routes.get(id(route))
        if known is None or known.overrides != overrides:
            reads, earlier = reads_of(self._function, overrides), earlier_of(route, overrides)
            reads = replace(reads, api_keys=tuple(dict.fromkeys((*reads.api_keys, *earlier.api_keys))))
            keys = ResponseKeys(self.family, located=self._located, reads=reads, options=self._options)
            known = self._routes[id(route)] = _OnRoute(route, dict(overrides), keys, earlier.unseen)
        return known.keys, known.unseen

    def cache(self, request: Request | None = None) -> Any:
        """The cache; see ``cache_of``."""
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
        """What the framework gets: a response, or what the function returns."""
        request = kwargs.get(self.injected.request) or next((arg for arg in args if isinstance(arg, Request)), None)
        if not isinstance(request, Request):  # called by hand
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
            except (ValueError, RuntimeError):  # it cannot be written, or the body was read as a form
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
            response.raw_headers[:] = noted(response.raw_headers, note)  # in place: FastAPI's may be looked at already
        return value

    def _for_all(self, call: Call) -> bool:
        """Whether what dependencies put on a response leaves it fit for all who have the same key."""
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
            # Of another route, or of another release, that makes other bytes of the same values.
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
        """For a request that must not, or cannot, cause what is stored."""
        cache, stale = self.cache(call.request), self._options.stale > 0
        stored = await cache.get(key, UNSTORED, type=StoredResponse, allow_stale=stale)
        if stored.status == UNSTORED.status or stored.rendering != call.rendering:
            return await self._past_cache(call, "fwd=miss")
        return await self._again(call, key, stored, 0.0)

    async def _obtained(self, call: Call, key: str, *, anew: bool) -> tuple[Load, StoredResponse]:
        cache, keys = self.cache(call.request), call.keys
        load = Load(call, self._kept, partial(cache.delete, key), self.family)
        tags = self._options.tags
        if self._options.clearable:
            tags = (*tags, keys.tag, *((keys.call_of(call.request, call.kwargs),) if keys.varies else ()))
        try:
            if anew:
                ttl, stale = self._options.loading["ttl"], self._options.loading["stale"]
                return load, await cache.refresh(key, load, ttl=ttl, stale=stale, tags=tags, type=StoredResponse)
            return load, await cache.get_or_set(key, load, **self._options.loading, tags=tags, type=StoredResponse)
        finally:
            load.over = True

    def _loaded(self, call: Call, load: Load, stored: StoredResponse, note: str) -> Any:
        """The response that this request has made."""
        made: Any = load.response
        if stored.status == UNSTORED.status:
            if not load.direct:
                made.raw_headers += call.given
            made.raw_headers[:] = noted(made.raw_headers, note)
            return made
        cookies = [header for header in made.raw_headers if is_cookie(header)]  # stripped from what is stored
        response = self._answer(call, stored, stored.age or None, f"{note}; stored", cookies)
        response.background = made.background
        return response

    async def _again(self, call: Call, key: str, stored: StoredResponse, waited: float) -> Any:
        """One that another request has made: how long ago follows from what is left of its entry's life.

        ``waited``: seconds for which this request may have waited for it.
        """
        found: Found[StoredResponse] | None = await self.cache(call.request).lookup(
            key, type=StoredResponse, offline_ttl=_ANY_BOUND
        )
        if found is None or found.value.rendering != call.rendering:  # it was not kept, or is gone already
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

    # -- what is kept ------------------------------------------------------------------------------------------------

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
        ttl = min((life for life in (says, options.ttl) if life is not None), default=None)
        stored = stored_response(response, direct=direct, rendering=call.rendering)
        return Keep(stored, ttl=ttl, stale=None if may_be_stale(headers) else 0)

    def _pause(self, key: str, why: str) -> None:
        if len(self._past) >= _MAX_PAUSES:
            self._past.clear()
        self._past[key] = (monotonic() + _PAUSE, why)

    # -- by hand -----------------------------------------------------------------------------------------------------

    def key(self, *args: Any, **kwargs: Any) -> str:
        """See ``CachedEndpoint``."""
        return self.keys.call_by_hand(args, kwargs)

    async def invalidate(self, *args: Any, **kwargs: Any) -> None:
        """See ``CachedEndpoint``."""
        key, varies = self.key(*args, **kwargs), self.keys.varies
        if varies is None:
            await self.cache().delete(key)
        elif self._options.clearable:
            await self.cache().invalidate_tags(key)
        else:
            raise ConfigError(
                f"{self.family}: invalidate() cannot know all variants of a response, for they vary because {varies}; "
                "decorate it with cached_response(..., clearable=True), or use tags="
            )

    async def invalidate_all(self) -> None:
        """See ``CachedEndpoint``."""
        if not self._options.clearable:
            raise ConfigError(f"{self.family}: decorate it with cached_response(..., clearable=True)")
        await self.cache().invalidate_tags(self.keys.tag)


def _of_more(names: list[str]) -> str:
    """For ``Cache-Status``: the response was made of more than its key holds."""
    told = ", ".join(names[:_MAX_NAMES]).encode("ascii", "replace").decode()
    escaped = "".join(f"\\{letter}" if letter in '"\\' else letter for letter in told if letter.isprintable())
    return f'fwd=miss; detail="{escaped}"'


class _Waiting:
    """How long a request waits: not at all, if it is answered before the event loop has turned, as from near."""

    def __init__(self) -> None:
        self._began, self._turned = monotonic(), False
        self._turn = get_running_loop().call_soon(self._note)

    def _note(self) -> None:
        self._turned = True

    def ended(self) -> float:
        """Seconds."""
        self._turn.cancel()
        return monotonic() - self._began if self._turned else 0.0
