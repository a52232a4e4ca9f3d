"""The verbs of threads that load: on a miss they run the caller's loader, once in the whole fleet (single flight)."""

from collections.abc import Callable, Coroutine, Iterable, Mapping
from functools import partial, wraps
from typing import TYPE_CHECKING, Any, Never, TypeVar, Unpack, overload

from ..config.durations import Duration
from ..config.spelling import by_name, misplaced
from ..engine.threads.runtime import call_alone, call_plain
from ..policy.results import SyncLoader, SyncWrapping, unwrap
from ..policy.return_types import declared_type
from .options import ErrorTimes, LoadOptions, RefreshOptions, check_keys

if TYPE_CHECKING:
    from ..engine.engine import Engine
    from .namespace import Namespace
    from .runner import Runner

__all__ = ["SyncLoads"]

T = TypeVar("T")


class SyncLoads:
    """The verbs that take a loader. ``FastPath`` and ``SyncNamespace`` set the attributes."""

    _verbs: "Namespace"
    _runner: "Runner"
    _engine: "Engine"
    _near_hit: Callable[..., Any]
    _counters: Any

    @overload
    def get_or_set(self, key: str, loader: SyncWrapping[[], T], **options: Unpack[LoadOptions]) -> T: ...
    @overload
    def get_or_set(self, key: str, loader: SyncLoader[[], T], **options: Unpack[LoadOptions]) -> T: ...
    @by_name
    def get_or_set(
        self,
        key: str,
        loader: Callable[[], Any],
        *_others: Never,
        ttl: Duration | None = None,
        stale: Duration | None = None,
        tags: Iterable[str] = (),
        type: Any = ...,  # noqa: A002 - the field's word
        early: bool = False,
        load_timeout: Duration | None = None,
        load_limit: Duration | None = None,
        errors: ErrorTimes | None = None,
        offline_ttl: Duration | None = None,
        exact: bool = False,
    ) -> Any:
        """Return the value of a key; on a miss, load it once in the whole fleet (single flight) and store it.

        Args:
            key: 1 byte to 8 KiB.
            loader: A ``def`` without arguments, run in this thread and its context. May return ``NoStore(value)`` or
                ``Keep(value, ttl=...)``.
            ttl: How long the value is fresh: seconds, ``timedelta`` or text such as ``"5m"``. By default that of the
                cache or namespace.
            stale: How long after ``ttl`` the value is still returned while one instance refreshes it in the background
                (stale-while-revalidate); 0 = not at all.
            tags: Names by which ``invalidate_tags`` removes the entry.
            type: The type the value is decoded as; by default the loader's return annotation.
            early: Whether hits close to the end may start the refresh already, although ``stale`` is 0 (early
                expiration).
            load_timeout: Bounds the wait for another caller's load, a duration as ``ttl``; only this thread can end its
                own load. By default there is no bound.
            load_limit: How long the load may take before it ends with ``LoadTimeout`` for all callers, a duration as
                ``ttl``. A thread's own load cannot be ended: its caller gets the value, and the value is not stored. By
                default ``CACHE_LOAD_LIMIT``.
            errors: Exceptions that are stored like a value and raised again in every process, with their times: a
                mapping of classes to durations such as ``{NotFound: "10s"}``. By default none.
            offline_ttl: How long the near cache may answer while the server cannot be reached; 0 = not at all.
            exact: Whether ``ttl`` holds exactly. Otherwise up to ``CACHE_TTL_JITTER`` of it is left out at random, and
                values that are stored together do not end together.

        Returns:
            The value, decoded as ``type`` says: a hit and a load return the same.

        Raises:
            LoadTimeout: ``load_timeout`` or ``load_limit`` ran out.
            LoadCycle: The loader waits for its own key.
            Exception: The loader's own exception; nothing is stored then.

        Example:
            >>> from fleetcache import SyncCache
            >>> cache = SyncCache("memory://")
            >>> cache.get_or_set("answer", lambda: 6 * 7, ttl="1m", stale="10m")
            42
        """
        if _others:
            misplaced(SyncLoads.get_or_set, _others)
        if offline_ttl is None:
            held = self._near_hit(key, refreshes=True)
            if held is not None:
                declared = declared_type(loader) if type is ... else type
                answer = self._engine.entries.decode_near(held, declared)
                if answer is not None:
                    return answer.value
                self._counters.near_hits -= 1  # as in ``Loads``
        make = partial(
            self._verbs.get_or_set,
            key,
            ttl=ttl,
            stale=stale,
            tags=tags,
            type=type,
            early=early,
            load_timeout=load_timeout,
            load_limit=load_limit,
            errors=errors,
            offline_ttl=offline_ttl,
            exact=exact,
        )
        return self._loading(loader, make)

    @overload
    def refresh(self, key: str, loader: SyncWrapping[[], T], **options: Unpack[RefreshOptions]) -> T: ...
    @overload
    def refresh(self, key: str, loader: SyncLoader[[], T], **options: Unpack[RefreshOptions]) -> T: ...
    @by_name
    def refresh(
        self,
        key: str,
        loader: Callable[[], Any],
        *_others: Never,
        ttl: Duration | None = None,
        stale: Duration | None = None,
        tags: Iterable[str] = (),
        type: Any = ...,  # noqa: A002 - the field's word
        load_timeout: Duration | None = None,
        load_limit: Duration | None = None,
        errors: ErrorTimes | None = None,
        exact: bool = False,
    ) -> Any:
        """Load now and replace the entry; a removal during the load still wins.

        Args:
            key: 1 byte to 8 KiB.
            loader: A ``def`` without arguments, run in this thread and its context. May return ``NoStore(value)`` or
                ``Keep(value, ttl=...)``.
            ttl: How long the value is fresh: seconds, ``timedelta`` or text such as ``"5m"``. By default that of the
                cache or namespace.
            stale: How long after ``ttl`` the value is still returned while one instance refreshes it in the background
                (stale-while-revalidate); 0 = not at all.
            tags: Names by which ``invalidate_tags`` removes the entry.
            type: The type the value is decoded as; by default the loader's return annotation.
            load_timeout: Bounds the wait for another caller's load, a duration as ``ttl``. By default there is no
                bound.
            load_limit: How long the load may take before it ends with ``LoadTimeout`` for all callers, a duration as
                ``ttl``. A thread's own load cannot be ended: its caller gets the value, and the value is not stored. By
                default ``CACHE_LOAD_LIMIT``.
            errors: Exceptions that are stored like a value and raised again in every process, with their times: a
                mapping of classes to durations such as ``{NotFound: "10s"}``. By default none.
            exact: Whether ``ttl`` holds exactly. Otherwise up to ``CACHE_TTL_JITTER`` of it is left out at random, and
                values that are stored together do not end together.

        Returns:
            The value that the loader has returned.

        Raises:
            LoadTimeout: ``load_timeout`` or ``load_limit`` ran out.
            LoadCycle: The loader waits for its own key.
            Exception: The loader's own exception; the entry then stays unchanged.

        Example:
            >>> from fleetcache import SyncCache
            >>> cache = SyncCache("memory://")
            >>> cache.set("answer", 41)
            >>> cache.refresh("answer", lambda: 42), cache.get("answer")
            (42, 42)
        """
        if _others:
            misplaced(SyncLoads.refresh, _others)
        options: dict[str, Any] = {"ttl": ttl, "stale": stale, "tags": tags, "type": type}
        options |= {"load_timeout": load_timeout, "load_limit": load_limit, "errors": errors}
        make = partial(self._verbs.refresh, key, **options, exact=exact)
        return self._loading(loader, make)

    def _loading(self, loader: Any, make: Callable[[Any], Coroutine[Any, Any, Any]]) -> Any:
        return self._runner.run_loading(loader, make, lambda: unwrap(call_alone(loader)))

    @by_name
    def get_or_set_many(
        self,
        keys: Iterable[str],
        loader: Callable[[list[str]], Mapping[str, T]],
        *_others: Never,
        ttl: Duration | None = None,
        stale: Duration | None = None,
        tags: Iterable[str] = (),
        type: Any = Any,  # noqa: A002 - the field's word
        offline_ttl: Duration | None = None,
        exact: bool = False,
    ) -> dict[str, T]:
        """Return many values as ``get_or_set`` does, with one load for the keys that are absent.

        Args:
            keys: Any number of keys.
            loader: A ``def`` that gets up to 1,000 absent keys and returns a mapping of keys to values. Nothing is
                stored for a key that the mapping lacks.
            ttl: How long the value is fresh: seconds, ``timedelta`` or text such as ``"5m"``. By default that of the
                cache or namespace.
            stale: How long after ``ttl`` the value is still returned while one instance refreshes it in the background
                (stale-while-revalidate); 0 = not at all.
            tags: Names by which ``invalidate_tags`` removes the entry.
            type: The type that each value is decoded as; without it, plain data.
            offline_ttl: How long the near cache may answer while the server cannot be reached; 0 = not at all.
            exact: Whether ``ttl`` holds exactly. Otherwise up to ``CACHE_TTL_JITTER`` of it is left out at random, and
                values that are stored together do not end together.

        Returns:
            The values by key, without the keys that the loader did not find.

        Raises:
            KeyRuleError: A key breaks the rules.
            TypeError: ``keys`` is one string, or the loader did not return a mapping.
            Exception: The loader's own exception; nothing is stored then.

        Example:
            >>> from fleetcache import SyncCache
            >>> cache = SyncCache("memory://")
            >>> def load(keys: list[str]) -> dict[str, int]:
            ...     return {key: len(key) for key in keys if key != "nobody"}
            >>> cache.get_or_set_many(["anna", "li", "nobody"], load, ttl="1m")
            {'anna': 4, 'li': 2}
        """
        if _others:
            misplaced(SyncLoads.get_or_set_many, _others)
        names = list(check_keys(keys))

        @wraps(loader)
        def load(missing: list[str]) -> Any:
            return call_plain(loader, missing)  # refuses an awaitable before the result is used as a mapping

        def make(borrowed: Any) -> Coroutine[Any, Any, dict[str, T]]:
            return self._verbs.get_or_set_many(
                names, borrowed, ttl=ttl, stale=stale, tags=tags, type=type, offline_ttl=offline_ttl, exact=exact
            )

        def alone() -> dict[str, T]:
            loaded = call_alone(loader, names)
            return {name: unwrap(loaded[name]) for name in names if name in loaded}

        return self._runner.run_loading(load, make, alone, many=True)
