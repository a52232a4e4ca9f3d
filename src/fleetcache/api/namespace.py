"""``Namespace``: all async verbs over one scope. A cache is the namespace without a prefix, opened and closed.

The verbs on keys are in ``reads``, ``loads`` and ``writes``. This module adds cached functions, claims, namespaces
within a namespace, and blocks that bypass the cache.
"""

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Never, ParamSpec, Self, TypeVar, Unpack, overload

from ..config.durations import MAX_TTL, Duration, parse_duration
from ..config.spelling import by_name, misplaced
from ..engine.aio.other_loops import on_its_loop
from ..policy.claims import Grant
from ..policy.results import Loader, Wrapping
from ..telemetry.stats import Stats
from .fast_path import FastPath
from .loads import Loads
from .options import ErrorTimes, FunctionOptions
from .reads import Reads
from .scope import Scope
from .writes import Writes

if TYPE_CHECKING:
    from .cached import CachedFunction, Decorator

__all__ = ["CLAIM_TTL", "Claim", "Namespace"]

P = ParamSpec("P")
T = TypeVar("T")

CLAIM_TTL = "10s"
"""Long enough for a process that stalls a moment, short enough to wait for after a crash. A first lease is as long."""
MIN_CLAIM_TTL = 0.1  # a claim is renewed after each third of its ttl, and a busy machine must be in time


class Namespace(FastPath, Reads, Loads, Writes):
    """A view on a cache, with its own prefix, defaults and ``clear()``; see ``Cache.namespace``.

    Example:
        >>> from fleetcache import Cache
        >>> cache = Cache("memory://")
        >>> users = cache.namespace("users")
        >>> await users.set("7", "Anna")
        >>> await users.get("7"), await cache.get("7")
        ('Anna', None)
    """

    def __repr__(self) -> str:
        return f"<Namespace {self._scope.prefix!r}>"

    # -- functions ---------------------------------------------------------------------------------------------------

    @overload
    def cached(self, fn: Wrapping[P, T], /) -> "CachedFunction[P, T]": ...
    @overload
    def cached(self, fn: Loader[P, T], /) -> "CachedFunction[P, T]": ...
    @overload
    def cached(self, /, **options: Unpack[FunctionOptions]) -> "Decorator": ...
    @by_name
    def cached(
        self,
        fn: Any = None,
        /,
        *_others: Never,
        ttl: Duration | None = None,
        key: str | Callable[..., str] | None = None,
        stale: Duration | None = None,
        tags: Iterable[str] = (),
        type: Any = ...,  # noqa: A002 - as get
        early: bool = False,
        load_timeout: Duration | None = None,
        offline_ttl: Duration | None = None,
        load_limit: Duration | None = None,
        errors: ErrorTimes | None = None,
        max_loads: int | None = None,
        exact: bool = False,
        clearable: bool = False,
        **_unknown: Never,
    ) -> Any:
        """Cache the results of an ``async def`` by its arguments. Use it bare, or with options.

        Args:
            fn: The function, when used without parentheses.
            ttl: How long a result is fresh: seconds, ``timedelta`` or text such as ``"5m"``. By default that of the
                cache or namespace.
            key: A template such as ``"geo:{ip}"``, a function of the call's arguments, or ``None``: the function's name
                and all arguments.
            stale: How long after ``ttl`` a result is still returned while one instance loads it again in the background
                (stale-while-revalidate); 0 = not at all.
            tags: Names by which ``invalidate_tags`` removes results.
            type: The type results are decoded as; by default the return annotation.
            early: Whether hits close to the end may start the refresh already (early expiration).
            load_timeout: Bounds each caller's wait; a duration as ``ttl``. By default there is no bound.
            offline_ttl: How long the near cache may answer while the server cannot be reached; 0 = not at all.
            load_limit: How long the load may take before it ends with ``LoadTimeout`` for all callers, a duration as
                ``ttl``. The loader is cancelled. By default ``CACHE_LOAD_LIMIT``.
            errors: Exceptions that are stored like a value and raised again in every process, with their times: a
                mapping of classes to durations such as ``{NotFound: "10s"}``. By default none.
            max_loads: How many calls of the function run at once in a process, apart from ``CACHE_MAX_LOADS``; 0 = any
                number. For a function whose source may hang: its loads then take no other loads' places.
            exact: Whether ``ttl`` holds exactly. Otherwise up to ``CACHE_TTL_JITTER`` of it is left out at random, and
                values that are stored together do not end together.
            clearable: Whether ``invalidate_all()`` removes the results of all calls at once. Off by default: it takes a
                tag on every result, and each instance keeps a copy of the tag, which the server tracks.

        Returns:
            The cached function, a ``CachedFunction``; with options alone, the decorator that makes it.

        Raises:
            ConfigError: An option is wrong, or the function's results can never be stored.
            KeyRuleError: The template does not fit the function.

        Example:
            >>> from fleetcache import Cache
            >>> cache = Cache("memory://")
            >>> @cache.cached(ttl="10m", key="square:{n}")
            ... async def square(n: int) -> int:
            ...     return n * n
            >>> await square(3), square.key(3), square.peek(3), await square.invalidate(3)
            (9, 'square:3', 9, True)
        """
        if _others or _unknown:
            misplaced(Namespace.cached, _others, _unknown)
        from .cached import CachedFunction  # noqa: PLC0415 - an app without decorators needs none

        options = self._scope.options(
            ttl,
            stale,
            tags,
            early=early,
            load_timeout=load_timeout,
            offline_ttl=offline_ttl,
            load_limit=load_limit,
            errors=errors,
            max_loads=max_loads,
            exact=exact,
        )

        def decorate(function: Any) -> Any:
            return CachedFunction(self, function, key, options, type, clearable=clearable)

        return decorate if fn is None else decorate(fn)

    # -- claims ------------------------------------------------------------------------------------------------------

    @on_its_loop()
    @by_name
    async def claim(
        self, key: str, *_others: Never, ttl: Duration = CLAIM_TTL, wait: bool | Duration = True
    ) -> "Claim | None":
        """Claim the right to replace the entry of a key. One caller in the fleet has it at a time.

        This is an advisory lock for a caller that cannot hand its loader to ``get_or_set``. The claim is renewed until
        you release or drop it. While the server cannot be reached, it is a lock of this process alone.

        Args:
            key: The key of the entry, 1 byte to 8 KiB. An existing entry stays in place, and reads return it.
            ttl: How long other callers wait for this process if it dies: seconds, ``timedelta`` or text such as
                ``"10s"``; 0.1 s at least.
            wait: How long to wait: ``True`` as for a load (``CACHE_LOAD_WAIT``), ``False`` not at all, or a duration.

        Returns:
            A claim to release, for example by ``async with``; ``None`` if another caller had it all that time.

        Raises:
            KeyRuleError: The key breaks the rules.
            ConfigError: ``ttl`` or ``wait`` is not a duration.

        Example:
            >>> from fleetcache import Cache
            >>> cache = Cache("memory://")
            >>> claim = await cache.claim("report")
            >>> await cache.claim("report", wait=False), await cache.is_claimed("report"), await claim.release()
            (None, True, True)
        """
        if _others:
            misplaced(Namespace.claim, _others)
        full, life = self._key(key), parse_duration(ttl, name="ttl", minimum=MIN_CLAIM_TTL, maximum=MAX_TTL)
        if isinstance(wait, bool):
            patience = self._engine.settings.load_wait if wait else 0.0
        else:
            patience = parse_duration(wait, name="wait", zero=True, maximum=MAX_TTL)
        rules = await self._engine.ensure_ready()
        grant = await rules.claims.acquire(full, life, patience, ask=not self._scope.is_bypassed)
        return None if grant is None else Claim(self, grant)

    @on_its_loop(bool)
    async def is_claimed(self, key: str) -> bool:
        """Return whether a caller in the fleet has the claim of a key now.

        Args:
            key: 1 byte to 8 KiB.

        Returns:
            ``True`` if a caller is known to have the claim; ``False`` also if that is unknown.

        Raises:
            KeyRuleError: The key breaks the rules.

        Example:
            >>> from fleetcache import Cache
            >>> cache = Cache("memory://")
            >>> async with await cache.claim("report"):
            ...     await cache.is_claimed("report")
            True
        """
        full = self._key(key)
        rules = await self._engine.ensure_ready()
        return await rules.claims.is_taken(full)

    @on_its_loop(bool)
    async def _release(self, grant: Grant) -> bool:
        self._engine.check_here()
        return self._engine.rules.claims.release(grant)

    # -- views -------------------------------------------------------------------------------------------------------

    @by_name
    def namespace(
        self,
        name: str,
        *_others: Never,
        ttl: Duration | None = None,
        stale: Duration | None = None,
        **_unknown: Never,
    ) -> "Namespace":
        """Return a view with its own prefix, defaults and ``clear()``, on the same near cache and link.

        Args:
            name: Becomes ``name:`` before every key. Namespaces nest: ``a:b`` is ``b`` in ``a``, and ``clear()`` of
                ``a`` clears it, too.
            ttl: Default ttl of entries set through the namespace: seconds, ``timedelta`` or text such as ``"5m"``.
            stale: Default stale time, a duration as ``ttl``.

        Returns:
            The namespace, with all verbs of the cache.

        Raises:
            KeyRuleError: The name breaks the rules.
            ConfigError: ``ttl`` or ``stale`` is not a duration.

        Example:
            >>> from fleetcache import Cache
            >>> cache = Cache("memory://")
            >>> users = cache.namespace("users", ttl="10m")
            >>> await users.set("7", "Anna")
            >>> await cache.get("users:7")
            'Anna'
        """
        if _others or _unknown:
            misplaced(Namespace.namespace, _others, _unknown)
        return self._view_on(self._scope.within(name, ttl, stale))

    def _view_on(self, scope: Scope) -> "Namespace":
        return Namespace(scope)

    def bypass(self) -> AbstractContextManager[None]:
        """Read nothing from the cache and store nothing in this context; removals are still sent.

        The bypass holds for the whole cache, namespaces included, and for tasks started in the block, until the block
        is left.

        Returns:
            A context manager for a plain ``with``.

        Example:
            >>> from fleetcache import Cache
            >>> cache = Cache("memory://")
            >>> await cache.set("answer", 42)
            >>> with cache.bypass():
            ...     await cache.get("answer", "?")
            '?'
        """
        return self._scope.bypassed()

    def stats(self) -> Stats:
        """Return the counters and gauges of the whole cache, namespaces included.

        Returns:
            A snapshot; the counters start at 0 with the process.

        Example:
            >>> from fleetcache import Cache
            >>> cache = Cache("memory://")
            >>> await cache.set("answer", 42)
            >>> await cache.get("answer", type=int)
            42
            >>> cache.stats().sets, cache.stats().near_hits
            (1, 1)
        """
        return self._engine.stats()


class Claim:
    """The right to replace the entry of a key; see ``Cache.claim``. The end of ``async with`` releases it.

    Keep a reference for as long as you need the claim: without one, the cache releases it at its next renewal.

    Example:
        >>> from fleetcache import Cache
        >>> cache = Cache("memory://")
        >>> async with await cache.claim("report"):
        ...     await cache.set("report", "the new one")
    """

    def __init__(self, verbs: Namespace, grant: Grant) -> None:
        self._verbs, self._grant = verbs, grant

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._grant.key!r}>"

    async def release(self) -> bool:
        """Release the claim, from any task.

        Returns:
            ``False`` if the claim was released before, or belongs to another process.

        Example:
            >>> from fleetcache import Cache
            >>> cache = Cache("memory://")
            >>> claim = await cache.claim("report")
            >>> await claim.release(), await claim.release()
            (True, False)
        """
        return await self._verbs._release(self._grant)  # noqa: SLF001 - two halves of one concept

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.release()
