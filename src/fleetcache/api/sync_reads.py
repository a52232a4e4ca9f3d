"""The verbs of threads that read and load; ``sync_verbs`` adds the others.

A hit in near is answered here, in the calling thread and without a lock. Everything else is the async verb itself, run
to its end by a runner: see ``Runner``. No rule is written twice.
"""

from collections.abc import Callable, Coroutine, Iterable, Mapping
from functools import partial, wraps
from typing import Any, Never, ParamSpec, Protocol, TypeVar, Unpack, overload

from ..config.durations import Duration
from ..config.spelling import by_name, misplaced
from ..engine.threads.runtime import call_alone, call_plain
from ..policy.lookup import DecodedValue
from ..policy.results import SyncLoader, SyncWrapping, plain
from ..policy.return_types import declared_type
from .fast_path import FastPath
from .reads import LoadOptions, RefreshOptions, several
from .verbs import AsyncVerbs

__all__ = ["Runner", "SyncReadingVerbs"]

P = ParamSpec("P")
T = TypeVar("T")
D = TypeVar("D")


class Runner(Protocol):
    """Runs coroutines of the rules for a thread: under the monitor of an engine on threads, or on an event loop."""

    def run(self, coro: Coroutine[Any, Any, T]) -> T:
        """Its result."""
        ...

    def run_loading(
        self, loader: Callable[..., Any], make: Callable[[Any], Coroutine[Any, Any, T]], alone: Callable[[], T]
    ) -> T:
        """The result of what ``make`` makes with the loader, in the shape that this engine wants loaders to have.

        ``alone`` is what remains when the rules cannot be run now: their loop is blocked, or loads have nested so
        deeply that this thread's stack has no room for them. It calls the loader, and nothing is stored.
        """
        ...


class SyncReadingVerbs(FastPath):
    """The verbs over one engine, for threads.

    Args:
        verbs: The same verbs, as coroutines.
        runner: Runs them.
    """

    def __init__(self, verbs: AsyncVerbs, runner: Runner) -> None:
        self._verbs, self._runner = verbs, runner
        self._run = runner.run
        self.bind()

    def bind(self) -> None:
        """Fetch anew what the hot path keeps at hand."""
        verbs = self._verbs
        verbs.bind()  # perhaps before its own turn: its hot path is ours
        engine = self._engine = verbs._engine  # noqa: SLF001 - two faces of one thing
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
        # By keyword, as the overloads say. An asterisk costs a hit an eighth: CPython's quick calls know none.
        type: Any = Any,  # noqa: A002 - the field's word
        allow_stale: bool = False,  # noqa: FBT002 - as above
    ) -> Any:
        """The value under a key, if it is there and fresh. Arguments and errors as for ``Cache.get``.

        Example:
            >>> from fleetcache import SyncCache
            >>> with SyncCache("memory://") as cache:
            ...     cache.set("answer", 42)
            ...     print(cache.get("answer", type=int), cache.get("question", "?"))
            42 ?
        """
        # As in ``peek``: this line is what the cache is for, and a call costs a third of it.
        try:
            held = self._items[key]
            if held.declared is type:
                now = next(self._ticks)  # counted there: a hit, unless taken back
                if held.fresh_until > now and (self._link.trusted_until > now or held.unconfirmed):
                    if held.freq < 3:  # noqa: PLR2004 - near's mark
                        held.freq += 1
                    return held.value
                self._counters.near_hits -= 1
        except (KeyError, TypeError):  # not there; or no str: policy's way names the rule
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
        """The fresh entries among ``keys``, in few round trips; absent keys are left out. As ``Cache.get_many``."""
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
        """The value under a key; if there is none, what ``loader`` returns, loaded once in the whole fleet.

        Args:
            key: 1 byte to 8 KiB.
            loader: A ``def`` without arguments, run in this thread and its context. May return ``NoStore(value)`` or
                ``Keep(value, ttl=...)``.
            ttl: How long the value is fresh; seconds, ``timedelta`` or text such as ``"5m"``.
            stale: How long after that it is still answered while one instance refreshes it in the background.
            tags: Names that ``invalidate_tags`` may remove it by.
            type: The type it is decoded as; by default the loader's return annotation.
            early: Whether hits close to the end may start the refresh already, although ``stale`` is 0.
            load_timeout: Bounds the wait for somebody else's load; nobody but this thread can end its own.
            offline_ttl: Bound of near answers while the server cannot be heard; 0 = none.

        Raises:
            LoadTimeout: ``load_timeout`` ran out.
            LoadCycle: The loader waits for its own key.
            Exception: Whatever the loader raised; nothing is stored then.

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
        """Load now and replace what is there; a removal meanwhile still wins. Arguments as for ``get_or_set``."""
        if _others:
            misplaced(SyncReadingVerbs.refresh, _others)
        options: dict[str, Any] = {"ttl": ttl, "stale": stale, "tags": tags, "type": type, "load_timeout": load_timeout}
        make = partial(self._verbs.refresh, key, **options)
        return self._loading(loader, make)

    def _loading(self, loader: Any, make: Callable[[Any], Coroutine[Any, Any, Any]]) -> Any:
        return self._runner.run_loading(loader, make, lambda: plain(call_alone(loader)))

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
        """As ``get_or_set`` for many keys: ``loader(missing_keys)`` returns a mapping, called with 1,000 keys at most.

        Keys that the mapping lacks are left out of the result, and nothing is stored for them. ``type`` is the type of
        one value.
        """
        if _others:
            misplaced(SyncReadingVerbs.get_or_set_many, _others)
        names = list(several(keys))

        @wraps(loader)
        def load(missing: list[str]) -> Any:
            return call_plain(loader, missing)  # before anything is made of what it returns

        def make(lent: Any) -> Coroutine[Any, Any, dict[str, T]]:
            return self._verbs.get_or_set_many(
                names, lent, ttl=ttl, stale=stale, tags=tags, type=type, offline_ttl=offline_ttl
            )

        def alone() -> dict[str, T]:
            loaded = call_alone(loader, names)
            return {name: plain(loaded[name]) for name in names if name in loaded}

        return self._runner.run_loading(load, make, alone)
