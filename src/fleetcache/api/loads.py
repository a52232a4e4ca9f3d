"""The async verbs that load: on a miss they run the caller's loader, once in the whole fleet (single flight)."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import partial, wraps
from typing import TYPE_CHECKING, Any, Never, TypeVar, Unpack, overload

from ..config.durations import Duration
from ..config.spelling import by_name, misplaced
from ..engine.aio.other_loops import ElsewhereError, sent_to
from ..policy.ports import load_apart
from ..policy.reading import LoadRequest
from ..policy.results import Loader, Wrapping, unwrap
from ..policy.return_types import declared_type
from .options import ErrorTimes, LoadOptions, RefreshOptions, check_keys, group_of, type_name

if TYPE_CHECKING:
    from ..engine.engine import Engine
    from .scope import Scope

__all__ = ["Loads"]

T = TypeVar("T")


class Loads:
    """The verbs that take a loader. ``FastPath`` sets the attributes."""

    _scope: "Scope"
    _engine: "Engine"
    _key: Callable[[object], str]
    _near_hit: Callable[..., Any]
    _counters: Any

    @overload
    async def get_or_set(self, key: str, loader: Wrapping[[], T], **options: Unpack[LoadOptions]) -> T: ...
    @overload
    async def get_or_set(self, key: str, loader: Loader[[], T], **options: Unpack[LoadOptions]) -> T: ...
    @by_name
    async def get_or_set(
        self,
        key: str,
        loader: Callable[[], Awaitable[Any]],
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
    ) -> T:
        """Return the value of a key; on a miss, load it once in the whole fleet (single flight) and store it.

        Args:
            key: 1 byte to 8 KiB.
            loader: ``async def`` without arguments. May return ``NoStore(value)`` or ``Keep(value, ttl=...)``.
            ttl: How long the value is fresh: seconds, ``timedelta`` or text such as ``"5m"``. By default that of the
                cache or namespace.
            stale: How long after ``ttl`` the value is still returned while one instance refreshes it in the background
                (stale-while-revalidate); 0 = not at all.
            tags: Names by which ``invalidate_tags`` removes the entry.
            type: The type the value is decoded as; by default the loader's return annotation.
            early: Whether hits close to the end may start the refresh already, although ``stale`` is 0 (early
                expiration).
            load_timeout: Bounds this caller's wait, not the load; a duration as ``ttl``. By default there is no bound.
            load_limit: How long the load may take before it ends with ``LoadTimeout`` for all callers, a duration as
                ``ttl``. The loader is cancelled. By default ``CACHE_LOAD_LIMIT``.
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
            >>> from fleetcache import Cache
            >>> cache = Cache("memory://")
            >>> async def load() -> int:
            ...     return 6 * 7
            >>> await cache.get_or_set("answer", load, ttl="1m", stale="10m")
            42
        """
        if _others:
            misplaced(Loads.get_or_set, _others)
        declared = declared_type(loader) if type is ... else type
        if offline_ttl is None:
            held = self._near_hit(key, refreshes=True)
            answer = None if held is None else self._engine.entries.decode_near(held, declared)
            if answer is not None:
                found: T = answer.value
                return found
            if held is not None:
                self._counters.near_hits -= 1  # of another type, or a stored error: ``policy`` counts the call
        options = self._scope.options(
            ttl,
            stale,
            tags,
            early=early,
            load_timeout=load_timeout,
            offline_ttl=offline_ttl,
            load_limit=load_limit,
            errors=errors,
            exact=exact,
        )
        value: T = await self._obtain(LoadRequest(self._key(key), loader, options, declared, group_of(loader)))
        return value

    async def _obtain(self, asked: LoadRequest) -> Any:
        engine = self._engine
        if self._scope.is_bypassed:
            return unwrap(await load_apart(engine.rules.ports, asked.loader, *asked.args))
        try:
            rules = await engine.ensure_ready()
        except ElsewhereError:
            return unwrap(await load_apart(engine.rules.ports, asked.loader, *asked.args))
        return await rules.policy.get_or_set(asked)

    @overload
    async def refresh(self, key: str, loader: Wrapping[[], T], **options: Unpack[RefreshOptions]) -> T: ...
    @overload
    async def refresh(self, key: str, loader: Loader[[], T], **options: Unpack[RefreshOptions]) -> T: ...
    @by_name
    async def refresh(
        self,
        key: str,
        loader: Callable[[], Awaitable[Any]],
        *_others: Never,
        ttl: Duration | None = None,
        stale: Duration | None = None,
        tags: Iterable[str] = (),
        type: Any = ...,  # noqa: A002 - the field's word
        load_timeout: Duration | None = None,
        load_limit: Duration | None = None,
        errors: ErrorTimes | None = None,
        exact: bool = False,
    ) -> T:
        """Load now and replace the entry; a removal during the load still wins.

        Args:
            key: 1 byte to 8 KiB.
            loader: ``async def`` without arguments. May return ``NoStore(value)`` or ``Keep(value, ttl=...)``.
            ttl: How long the value is fresh: seconds, ``timedelta`` or text such as ``"5m"``. By default that of the
                cache or namespace.
            stale: How long after ``ttl`` the value is still returned while one instance refreshes it in the background
                (stale-while-revalidate); 0 = not at all.
            tags: Names by which ``invalidate_tags`` removes the entry.
            type: The type the value is decoded as; by default the loader's return annotation.
            load_timeout: Bounds this caller's wait, not the load; a duration as ``ttl``. By default there is no bound.
            load_limit: How long the load may take before it ends with ``LoadTimeout`` for all callers, a duration as
                ``ttl``. The loader is cancelled. By default ``CACHE_LOAD_LIMIT``.
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
            >>> from fleetcache import Cache
            >>> cache = Cache("memory://")
            >>> await cache.set("answer", 41)
            >>> async def load() -> int:
            ...     return 42
            >>> await cache.refresh("answer", load), await cache.get("answer")
            (42, 42)
        """
        if _others:
            misplaced(Loads.refresh, _others)
        options = self._scope.options(
            ttl, stale, tags, load_timeout=load_timeout, load_limit=load_limit, errors=errors, exact=exact
        )
        declared = declared_type(loader) if type is ... else type
        value: T = await self._renew(LoadRequest(self._key(key), loader, options, declared, group_of(loader)))
        return value

    async def _renew(self, asked: LoadRequest) -> Any:
        engine = self._engine
        if self._scope.is_bypassed:
            return unwrap(await load_apart(engine.rules.ports, asked.loader, *asked.args))
        try:
            rules = await engine.ensure_ready()
        except ElsewhereError as error:
            value = unwrap(await load_apart(engine.rules.ports, asked.loader, *asked.args))
            # The entry on the cache's own loop is older than the value that this caller has seen.
            await sent_to(error, partial(_forget, self, asked.key), int)
            return value
        return await rules.policy.refresh(asked)

    @by_name
    async def get_or_set_many(
        self,
        keys: Iterable[str],
        loader: Callable[[list[str]], Awaitable[Mapping[str, T]]],
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
            loader: ``async def`` that gets up to 1,000 absent keys and returns a mapping of keys to values. Nothing is
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
            >>> from fleetcache import Cache
            >>> cache = Cache("memory://")
            >>> async def load(keys: list[str]) -> dict[str, int]:
            ...     return {key: len(key) for key in keys if key != "nobody"}
            >>> await cache.get_or_set_many(["anna", "li", "nobody"], load, ttl="1m")
            {'anna': 4, 'li': 2}
        """
        if _others:
            misplaced(Loads.get_or_set_many, _others)
        options = self._scope.options(ttl, stale, tags, offline_ttl=offline_ttl, exact=exact)
        names = {self._key(key): key for key in check_keys(keys)}
        if not names:
            return {}
        found = await self._obtain_many(names, _by_whole_keys(loader, names), options, type, group_of(loader))
        return {names[full]: value for full, value in found.items()}

    async def _obtain_many(self, names: dict[str, str], load: Any, *rest: Any) -> dict[str, Any]:
        engine = self._engine
        if not self._scope.is_bypassed:
            try:
                rules = await engine.ensure_ready()
            except ElsewhereError:
                pass
            else:
                return await rules.batches.get_or_set_many(names, load, *rest)
        found = await load_apart(engine.rules.ports, load, list(names))
        return {full: unwrap(value) for full, value in found.items()}


def _by_whole_keys(loader: Any, names: dict[str, str]) -> Callable[[list[str]], Any]:
    """Return a loader of keys with their prefix, which calls the caller's loader with the keys of the caller."""

    def by_whole_keys(loaded: Any, missing: list[str]) -> dict[str, Any]:
        if not isinstance(loaded, Mapping):
            raise TypeError(f"the loader of get_or_set_many must return a mapping, not {type_name(loaded)}")
        return {full: loaded[names[full]] for full in missing if names[full] in loaded}

    async def awaited(loaded: Awaitable[Any], missing: list[str]) -> dict[str, Any]:
        return by_whole_keys(await loaded, missing)

    @wraps(loader)
    def load(missing: list[str]) -> Any:
        loaded: Any = loader([names[full] for full in missing])
        # A plain result is right for ``SyncCache`` and an error for ``Cache``; the ports decide.
        return awaited(loaded, missing) if isinstance(loaded, Awaitable) else by_whole_keys(loaded, missing)

    return load


async def _forget(verbs: Loads, full: str) -> int:
    """Remove the entry of a key that already has its prefix."""
    rules = await verbs._engine.ensure_ready()  # noqa: SLF001 - a part of ``refresh``
    return await rules.writing.delete_many([full], strict=False)
