"""``SyncNamespace``: all verbs of threads over one scope, as ``namespace`` has them for asyncio."""

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Never, ParamSpec, Self, TypeVar, Unpack, overload

from ..config.durations import Duration
from ..config.spelling import by_name, misplaced
from ..policy.results import SyncLoader, SyncWrapping
from ..telemetry.stats import Stats
from .fast_path import FastPath
from .namespace import CLAIM_TTL, Claim, Namespace
from .options import ErrorTimes, FunctionOptions
from .sync_loads import SyncLoads
from .sync_reads import SyncReads
from .sync_writes import SyncWrites

if TYPE_CHECKING:
    from .runner import Run, Runner
    from .sync_cached import SyncCachedFunction, SyncDecorator

__all__ = ["SyncClaim", "SyncNamespace"]

P = ParamSpec("P")
T = TypeVar("T")


class SyncNamespace(FastPath, SyncReads, SyncLoads, SyncWrites):
    """A view on a cache for threads, with its own prefix, defaults and ``clear()``; see ``SyncCache.namespace``.

    Example:
        >>> from fleetcache import SyncCache
        >>> cache = SyncCache("memory://")
        >>> users = cache.namespace("users")
        >>> users.set("7", "Anna")
        >>> users.get("7"), cache.get("7")
        ('Anna', None)
    """

    def __init__(self, verbs: Namespace, runner: "Runner") -> None:
        self._verbs, self._runner = verbs, runner
        self._run: Run = runner.run
        super().__init__(verbs._scope)  # noqa: SLF001 - two faces of one cache

    def __repr__(self) -> str:
        return f"<SyncNamespace {self._scope.prefix!r}>"

    # -- functions ---------------------------------------------------------------------------------------------------

    @overload
    def cached(self, fn: SyncWrapping[P, T], /) -> "SyncCachedFunction[P, T]": ...
    @overload
    def cached(self, fn: SyncLoader[P, T], /) -> "SyncCachedFunction[P, T]": ...
    @overload
    def cached(self, /, **options: Unpack[FunctionOptions]) -> "SyncDecorator": ...
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
        """Cache the results of a ``def`` by its arguments. Use it bare, or with options.

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
            load_timeout: Bounds the wait for another caller's load; a duration as ``ttl``. By default there is no
                bound.
            offline_ttl: How long the near cache may answer while the server cannot be reached; 0 = not at all.
            load_limit: How long the load may take before it ends with ``LoadTimeout`` for all callers, a duration as
                ``ttl``. A thread's own load cannot be ended: its caller gets the value, and the value is not stored. By
                default ``CACHE_LOAD_LIMIT``.
            errors: Exceptions that are stored like a value and raised again in every process, with their times: a
                mapping of classes to durations such as ``{NotFound: "10s"}``. By default none.
            max_loads: How many calls of the function run at once in a process, apart from ``CACHE_MAX_LOADS``; 0 = any
                number. For a function whose source may hang: its loads then take no other loads' places.
            exact: Whether ``ttl`` holds exactly. Otherwise up to ``CACHE_TTL_JITTER`` of it is left out at random, and
                values that are stored together do not end together.
            clearable: Whether ``invalidate_all()`` removes the results of all calls at once. Off by default: it takes a
                tag on every result, and each instance keeps a copy of the tag, which the server tracks.

        Returns:
            The cached function, a ``SyncCachedFunction``; with options alone, the decorator that makes it.

        Raises:
            ConfigError: An option is wrong, or the function's results can never be stored.
            KeyRuleError: The template does not fit the function.

        Example:
            >>> from fleetcache import SyncCache
            >>> cache = SyncCache("memory://")
            >>> @cache.cached(ttl="10m", key="square:{n}")
            ... def square(n: int) -> int:
            ...     return n * n
            >>> square(3), square.key(3), square.peek(3), square.invalidate(3)
            (9, 'square:3', 9, True)
        """
        if _others or _unknown:
            misplaced(SyncNamespace.cached, _others, _unknown)
        from .sync_cached import SyncCachedFunction  # noqa: PLC0415 - an app without decorators needs none

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
            return SyncCachedFunction(self, function, key, options, type, clearable=clearable)

        return decorate if fn is None else decorate(fn)

    # -- claims ------------------------------------------------------------------------------------------------------

    @by_name
    def claim(
        self, key: str, *_others: Never, ttl: Duration = CLAIM_TTL, wait: bool | Duration = True
    ) -> "SyncClaim | None":
        """Claim the right to replace the entry of a key. One caller in the fleet has it at a time.

        This is an advisory lock for a caller that cannot hand its loader to ``get_or_set``. The claim is renewed until
        you release or drop it. While the server cannot be reached, it is a lock of this process alone.
        A claim is not reentrant: a thread that claims a key twice waits for itself. Any thread may release the claim.

        Args:
            key: The key of the entry, 1 byte to 8 KiB. An existing entry stays in place, and reads return it.
            ttl: How long other callers wait for this process if it dies: seconds, ``timedelta`` or text such as
                ``"10s"``; 0.1 s at least.
            wait: How long to wait: ``True`` as for a load (``CACHE_LOAD_WAIT``), ``False`` not at all, or a duration.

        Returns:
            A claim to release, for example by ``with``; ``None`` if another caller had it all that time.

        Raises:
            KeyRuleError: The key breaks the rules.
            ConfigError: ``ttl`` or ``wait`` is not a duration.

        Example:
            >>> from fleetcache import SyncCache
            >>> cache = SyncCache("memory://")
            >>> claim = cache.claim("report")
            >>> cache.claim("report", wait=False), cache.is_claimed("report"), claim.release()
            (None, True, True)
        """
        if _others:
            misplaced(SyncNamespace.claim, _others)
        # If this thread is interrupted, its wait ends as a load does: no caller would release a claim granted later.
        claim = self._runner.run_loading(
            _nothing, lambda _loader: self._verbs.claim(key, ttl=ttl, wait=wait), lambda: None
        )
        return None if claim is None else SyncClaim(claim, self._runner)

    def is_claimed(self, key: str) -> bool:
        """Return whether a caller in the fleet has the claim of a key now.

        Args:
            key: 1 byte to 8 KiB.

        Returns:
            ``True`` if a caller is known to have the claim; ``False`` also if that is unknown.

        Raises:
            KeyRuleError: The key breaks the rules.

        Example:
            >>> from fleetcache import SyncCache
            >>> cache = SyncCache("memory://")
            >>> with cache.claim("report"):
            ...     cache.is_claimed("report")
            True
        """
        return self._run(self._verbs.is_claimed(key))

    # -- views -------------------------------------------------------------------------------------------------------

    @by_name
    def namespace(
        self,
        name: str,
        *_others: Never,
        ttl: Duration | None = None,
        stale: Duration | None = None,
        **_unknown: Never,
    ) -> "SyncNamespace":
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
            >>> from fleetcache import SyncCache
            >>> cache = SyncCache("memory://")
            >>> users = cache.namespace("users", ttl="10m")
            >>> users.set("7", "Anna")
            >>> cache.get("users:7")
            'Anna'
        """
        if _others or _unknown:
            misplaced(SyncNamespace.namespace, _others, _unknown)
        return SyncNamespace(self._verbs.namespace(name, ttl=ttl, stale=stale), self._runner)

    def bypass(self) -> AbstractContextManager[None]:
        """Read nothing from the cache and store nothing in this context; removals are still sent.

        The bypass holds for the whole cache, namespaces included, for this thread and for code that runs under a copy
        of its context, until the block is left.

        Returns:
            A context manager for a plain ``with``.

        Example:
            >>> from fleetcache import SyncCache
            >>> cache = SyncCache("memory://")
            >>> cache.set("answer", 42)
            >>> with cache.bypass():
            ...     cache.get("answer", "?")
            '?'
        """
        return self._scope.bypassed()

    def stats(self) -> Stats:
        """Return the counters and gauges of the whole cache, namespaces included.

        Returns:
            A snapshot; the counters start at 0 with the process.

        Example:
            >>> from fleetcache import SyncCache
            >>> cache = SyncCache("memory://")
            >>> cache.set("answer", 42)
            >>> cache.get("answer", type=int)
            42
            >>> cache.stats().sets, cache.stats().near_hits
            (1, 1)
        """
        return self._engine.stats()


class SyncClaim:
    """The right to replace the entry of a key; see ``SyncCache.claim``. The end of ``with`` releases it.

    Keep a reference for as long as you need the claim: without one, the cache releases it at its next renewal.

    Example:
        >>> from fleetcache import SyncCache
        >>> cache = SyncCache("memory://")
        >>> with cache.claim("report"):
        ...     cache.set("report", "the new one")
    """

    def __init__(self, claim: "Claim", runner: "Runner") -> None:
        self._claim, self._runner = claim, runner

    def __repr__(self) -> str:
        return repr(self._claim)

    def release(self) -> bool:
        """Release the claim, from any thread.

        Returns:
            ``False`` if the claim was released before, or belongs to another process.

        Example:
            >>> from fleetcache import SyncCache
            >>> cache = SyncCache("memory://")
            >>> claim = cache.claim("report")
            >>> claim.release(), claim.release()
            (True, False)
        """
        return self._runner.run(self._claim.release())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


def _nothing() -> None:
    """The loader of a claim, which loads nothing: the holder of the claim loads in its own way."""
