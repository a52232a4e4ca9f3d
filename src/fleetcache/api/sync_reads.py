"""The verbs of threads that read and load; ``sync_verbs`` adds those that write.

A near hit is answered here, in the calling thread and without a lock. Everything else is the async verb itself, run to
its end by a runner: see ``Runner``. No rule is written twice.
"""

from collections.abc import Callable, Coroutine, Iterable, Mapping
from functools import partial, wraps
from typing import Any, Never, ParamSpec, Protocol, TypeVar, Unpack, overload

from ..config.durations import Duration
from ..config.spelling import by_name, misplaced
from ..engine.threads.runtime import call_alone, call_plain
from ..policy.lookup import DecodedValue
from ..policy.results import SyncLoader, SyncWrapping, unwrap
from ..policy.return_types import declared_type
from .fast_path import FastPath
from .reads import LoadOptions, RefreshOptions, check_keys
from .verbs import AsyncVerbs

__all__ = ["Runner", "SyncReadingVerbs"]

P = ParamSpec("P")
T = TypeVar("T")
D = TypeVar("D")


class Runner(Protocol):
    """Runs coroutines of the rules for a thread: under the monitor of an engine on threads, or on an event loop."""

    def run(self, coro: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine to its end and return its result."""
        ...

    def run_loading(
        self, loader: Callable[..., Any], make: Callable[[Any], Coroutine[Any, Any, T]], alone: Callable[[], T]
    ) -> T:
        """Run the coroutine that ``make`` returns for the loader, in the shape of loader that this engine takes.

        The runner calls ``alone`` instead when the rules cannot run now: their loop is blocked, or loads have nested
        so deeply that this thread's stack has no room for them. ``alone`` calls the loader, and nothing is stored.
        """
        ...


class SyncReadingVerbs(FastPath):
    """The verbs over one engine, for threads.

    Args:
        verbs: The same verbs, as coroutines.
        runner: Runs these coroutines.
    """

    def __init__(self, verbs: AsyncVerbs, runner: Runner) -> None:
        self._verbs, self._runner = verbs, runner
        self._run = runner.run
        self.bind()

    def bind(self) -> None:
        """Copy the engine's parts that the hot path reads into attributes of this object."""
        verbs = self._verbs
        verbs.bind()  # its own turn may come later, and this object copies its attributes below
        engine = self._engine = verbs._engine  # noqa: SLF001 - two faces of one cache
        engine.faces.add(self)
        self._items, self._clock, self._ticks = verbs._items, verbs._clock, verbs._ticks  # noqa: SLF001 - as above
        self._link, self._counters, self._key = verbs._link, verbs._counters, verbs._key  # noqa: SLF001 - as above

    # -- reading -----------------------------------------------------------------------------------------------------

    @overload
    def get(self, key: str, *, allow_stale: bool = ...) -> Any: ...
    @overload
    def get(self, key: str, default: Any, *, allow_stale: bool = ...) -> Any: ...
    @overload
    def get(self, key: str, default: None = ..., *, type: type[T], allow_stale: bool = ...) -> T | None: ...
    @overload
    def get(self, key: str, default: D, *, type: type[T], allow_stale: bool = ...) -> T | D: ...
    @overload
    def get(self, key: str, default: Any = ..., *, type: Any, allow_stale: bool = ...) -> Any: ...
    def get(
        self,
        key: str,
        default: Any = None,
        # By keyword, as the overloads say. An asterisk would cost a hit an eighth: CPython's quick calls support none.
        type: Any = Any,  # noqa: A002 - the field's word
        allow_stale: bool = False,  # noqa: FBT002 - as above
    ) -> Any:
        """Return the value of a key if the key has a fresh entry. Arguments and errors as for ``Cache.get``.

        Example:
            >>> from fleetcache import SyncCache
            >>> with SyncCache("memory://") as cache:
            ...     cache.set("answer", 42)
            ...     print(cache.get("answer", type=int), cache.get("question", "?"))
            42 ?
        """
        # As in ``peek``: the hot path of the cache stands here in full, because a call costs a third of a hit.
        try:
            held = self._items[key]
            if held.declared is type:
                now = next(self._ticks)  # the clock counts a hit; a miss takes it back below
                if held.fresh_until > now and (self._link.trusted_until > now or held.unconfirmed):
                    if held.freq < 3:  # noqa: PLR2004 - near's mark
                        held.freq += 1
                    return held.value
                self._counters.near_hits -= 1
        except (KeyError, TypeError):  # no such entry; or no str, and the check of the key names the rule
            pass
        answer = self._run(self._look_up(key, type, allow_stale))
        return default if answer is None else answer.value

    async def _look_up(self, key: str, declared: Any, allow_stale: bool) -> DecodedValue | None:
        verbs, engine = self._verbs, self._engine
        full = self._key(key)
        if engine.bypasses and verbs._is_bypassed:  # noqa: SLF001 - as above
            return None
        rules = engine if engine.ready and not engine.nested else await engine.ensure_ready()
        return await rules.policy.get(full, declared, verbs._defaults, allow_stale=allow_stale)  # noqa: SLF001 - as above

    def get_many(
        self,
        keys: Iterable[str],
        *,
        type: Any = Any,  # noqa: A002 - as in get
        near: bool = True,
        offline_ttl: Duration | None = None,
    ) -> dict[str, Any]:
        """Return the fresh entries among ``keys``, in few round trips, without absent keys. As ``Cache.get_many``."""
        return self._run(self._verbs.get_many(keys, type=type, near=near, offline_ttl=offline_ttl))

    # -- loading -----------------------------------------------------------------------------------------------------

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
        offline_ttl: Duration | None = None,
    ) -> Any:
        """Return the value of a key; on a miss, load it once in the whole fleet (single flight) and store it.

        Args:
            key: 1 byte to 8 KiB.
            loader: A ``def`` without arguments, run in this thread and its context. May return ``NoStore(value)`` or
                ``Keep(value, ttl=...)``.
            ttl: How long the value is fresh; seconds, ``timedelta`` or text such as ``"5m"``.
            stale: How long after ``ttl`` the value is still returned while one instance refreshes it in the background
                (stale-while-revalidate).
            tags: Names by which ``invalidate_tags`` removes the entry.
            type: The type the value is decoded as; by default the loader's return annotation.
            early: Whether hits close to the end may start the refresh already, although ``stale`` is 0 (early
                expiration).
            load_timeout: Bounds the wait for another caller's load; only this thread can end a load of its own.
            offline_ttl: How long the near cache may answer while the server cannot be heard; 0 = not at all.

        Raises:
            LoadTimeout: ``load_timeout`` ran out.
            LoadCycle: The loader waits for its own key.
            Exception: The loader's own exception; nothing is stored then.

        Example:
            >>> from fleetcache import SyncCache
            >>> with SyncCache("memory://") as cache:
            ...     cache.get_or_set("answer", lambda: 6 * 7, ttl="1m")
            42
        """
        if _others:
            misplaced(SyncReadingVerbs.get_or_set, _others)
        if offline_ttl is None:
            held = self._near_hit(key, refreshes=True)
            if held is not None:
                declared = declared_type(loader) if type is ... else type
                answer = self._engine.entries.decode_near(held, declared)
                if answer is not None:
                    return answer.value
        make = partial(
            self._verbs.get_or_set,
            key,
            ttl=ttl,
            stale=stale,
            tags=tags,
            type=type,
            early=early,
            load_timeout=load_timeout,
            offline_ttl=offline_ttl,
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
    ) -> Any:
        """Load now and replace the entry; a removal during the load still wins. Arguments as for ``get_or_set``."""
        if _others:
            misplaced(SyncReadingVerbs.refresh, _others)
        options: dict[str, Any] = {"ttl": ttl, "stale": stale, "tags": tags, "type": type, "load_timeout": load_timeout}
        make = partial(self._verbs.refresh, key, **options)
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
    ) -> dict[str, T]:
        """Return many values as ``get_or_set`` does; ``loader(missing_keys)`` gets up to 1,000 keys, returns a mapping.

        Keys that the mapping lacks are left out of the result, and nothing is stored for them. ``type`` is the type of
        one value.
        """
        if _others:
            misplaced(SyncReadingVerbs.get_or_set_many, _others)
        names = list(check_keys(keys))

        @wraps(loader)
        def load(missing: list[str]) -> Any:
            return call_plain(loader, missing)  # refuses an awaitable before the result is used as a mapping

        def make(lent: Any) -> Coroutine[Any, Any, dict[str, T]]:
            return self._verbs.get_or_set_many(
                names, lent, ttl=ttl, stale=stale, tags=tags, type=type, offline_ttl=offline_ttl
            )

        def alone() -> dict[str, T]:
            loaded = call_alone(loader, names)
            return {name: unwrap(loaded[name]) for name in names if name in loaded}

        return self._runner.run_loading(load, make, alone)
