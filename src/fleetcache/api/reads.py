"""The async verbs that read and load; ``verbs`` adds those that write.

A near hit is answered here, synchronously: one look-up, two comparisons and a mark. Everything else goes to ``policy``.
"""

from asyncio import get_running_loop
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from contextvars import ContextVar
from functools import partial, wraps
from typing import TYPE_CHECKING, Any, Never, ParamSpec, TypedDict, TypeVar, Unpack, overload

from ..config.durations import MAX_TTL, Duration, parse_duration
from ..config.spelling import by_name, misplaced
from ..engine.aio.other_loops import ElsewhereError, on_its_loop, sent_to
from ..format.keys import ALL_TAG, check_key, check_tags
from ..policy.options import MINIMUM_TTL, CallOptions
from ..policy.ports import load_apart
from ..policy.reading import LoadRequest
from ..policy.results import Loader, Wrapping, unwrap
from ..policy.return_types import declared_type
from .fast_path import FastPath

if TYPE_CHECKING:
    from ..engine.engine import Engine

__all__ = ["ALL", "BYPASSED", "FunctionOptions", "ReadingVerbs", "check_keys", "type_name"]

P = ParamSpec("P")
T = TypeVar("T")
D = TypeVar("D")

# The marks of the ``bypass()`` blocks around this context. A task keeps the marks it was started with. So a mark counts
# only while its cache knows the mark, too, which is until the block is left.
BYPASSED: ContextVar[frozenset[object]] = ContextVar("fleetcache_bypassed", default=frozenset())


class _Prefixed(dict[str, Any]):
    """The near cache's items under a prefix. This dict stays empty, so each key is missing and looked up in near."""

    def __init__(self, items: Mapping[str, Any], prefix: str) -> None:
        super().__init__()
        self._all, self._prefix = items, prefix

    def __missing__(self, key: str) -> Any:
        return self._all[self._prefix + key]


class RefreshOptions(TypedDict, total=False):
    """Options of ``refresh``."""

    ttl: Duration | None
    stale: Duration | None
    tags: Iterable[str]
    type: Any
    load_timeout: Duration | None


class LoadOptions(RefreshOptions, total=False):
    """Options of ``get_or_set``."""

    early: bool
    offline_ttl: Duration | None


class FunctionOptions(LoadOptions, total=False):
    """Options of ``cached``."""

    key: str | Callable[..., str] | None
    clearable: bool


class ReadingVerbs(FastPath):
    """The verbs over one engine, with a prefix and defaults of their own."""

    def __init__(self, engine: "Engine", prefix: str, tags: tuple[str, ...], defaults: CallOptions) -> None:
        self._home = engine
        self._prefix = prefix
        self._tags = tags
        self._defaults = defaults
        self._key = self._prefixed if prefix else check_key
        engine.faces.add(self)
        self.bind()

    def bind(self) -> None:
        """Copy the engine's parts that the hot path reads into attributes of this object."""
        engine = self._engine = self._home.active
        engine.faces.add(self)
        # Without items, every call takes the way of ``policy``, which handles a closed cache and a bypass.
        items: Mapping[str, Any] = engine.near.items
        if engine.closed or engine.bypasses:
            items = {}
        elif self._prefix:
            items = _Prefixed(items, self._prefix)
        self._items = items
        self._clock, self._ticks = engine.clock, engine.ticks.read
        self._link = engine.link
        self._counters = engine.counters

    # -- options -----------------------------------------------------------------------------------------------------

    def _prefixed(self, key: object) -> str:
        return self._prefix + check_key(key)

    def _options(
        self,
        ttl: Duration | None = None,
        stale: Duration | None = None,
        tags: Iterable[str] = (),
        *,
        early: bool = False,
        load_timeout: Duration | None = None,
        offline_ttl: Duration | None = None,
    ) -> CallOptions:
        defaults = self._defaults
        return CallOptions(
            ttl=defaults.ttl if ttl is None else parse_duration(ttl, name="ttl", minimum=MINIMUM_TTL, maximum=MAX_TTL),
            stale=defaults.stale if stale is None else parse_duration(stale, name="stale", zero=True, maximum=MAX_TTL),
            tags=self._tags + check_tags(tags) if tags else self._tags,
            offline_ttl=defaults.offline_ttl
            if offline_ttl is None
            else parse_duration(offline_ttl, name="offline_ttl", zero=True, maximum=MAX_TTL),
            early=early,
            load_timeout=None if load_timeout is None else parse_duration(load_timeout, name="load_timeout"),
        )

    @property
    def _is_bypassed(self) -> bool:
        bypasses = self._engine.bypasses
        return bool(bypasses) and not bypasses.isdisjoint(BYPASSED.get())

    # -- reading -----------------------------------------------------------------------------------------------------

    @overload
    async def get(self, key: str, *, allow_stale: bool = ...) -> Any: ...
    @overload
    async def get(self, key: str, default: Any, *, allow_stale: bool = ...) -> Any: ...
    @overload
    async def get(self, key: str, default: None = ..., *, type: type[T], allow_stale: bool = ...) -> T | None: ...
    @overload
    async def get(self, key: str, default: D, *, type: type[T], allow_stale: bool = ...) -> T | D: ...
    @overload
    async def get(self, key: str, default: Any = ..., *, type: Any, allow_stale: bool = ...) -> Any: ...
    async def get(
        self,
        key: str,
        default: Any = None,
        # By keyword, as the overloads say. An asterisk would cost a hit an eighth: CPython's quick calls support none.
        type: Any = Any,  # noqa: A002 - the field's word
        allow_stale: bool = False,  # noqa: FBT002 - as above
    ) -> Any:
        """Return the value of a key if the key has a fresh entry.

        Args:
            key: 1 byte to 8 KiB.
            default: The result if there is no fresh entry. ``None`` can be stored, too: pass ``MISSING`` to tell them
                apart.
            type: The type the value is decoded as; without it, plain data.
            allow_stale: Whether the call also returns an entry past its ttl, within its stale time.

        Raises:
            KeyRuleError: The key breaks the rules.
            Closed: After ``close()``.

        Example:
            >>> import asyncio
            >>> from fleetcache import Cache
            >>> async def main() -> None:
            ...     async with Cache("memory://") as cache:
            ...         await cache.set("answer", 42)
            ...         print(await cache.get("answer", type=int), await cache.get("question", "?"))
            >>> asyncio.run(main())
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
        full = self._key(key)
        engine = self._engine
        if engine.bypasses and self._is_bypassed:
            return default
        if engine.loop is not get_running_loop() or not engine.ready:
            return await _get_entering(self, full, key, default, type, allow_stale)
        answer = await engine.policy.get(full, type, self._defaults, allow_stale=allow_stale)
        return default if answer is None else answer.value

    @on_its_loop(dict)
    async def get_many(
        self,
        keys: Iterable[str],
        *,
        type: Any = Any,  # noqa: A002 - as in get
        near: bool = True,
        offline_ttl: Duration | None = None,
    ) -> dict[str, Any]:
        """Return the fresh entries among ``keys``, in as few round trips as fit; absent keys are left out.

        Args:
            keys: Any number of keys.
            type: The type that each value is decoded as.
            near: Whether the near cache may answer while the server can be asked. ``False`` costs the round trip and
                sees every acknowledged write: for read-modify-write, such as a session.
            offline_ttl: How long the near cache may answer while the server cannot be heard; 0 = not at all.
        """
        names = {self._key(key): key for key in check_keys(keys)}
        if self._is_bypassed or not names:
            return {}
        rules = await self._engine.ensure_ready()
        options = self._defaults if offline_ttl is None else self._options(offline_ttl=offline_ttl)
        found = await rules.batches.get_many(names, type, options, near=near)
        return {names[full]: value for full, value in found.items()}

    # -- loading -----------------------------------------------------------------------------------------------------

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
        offline_ttl: Duration | None = None,
    ) -> T:
        """Return the value of a key; on a miss, load it once in the whole fleet (single flight) and store it.

        Args:
            key: 1 byte to 8 KiB.
            loader: ``async def`` without arguments. May return ``NoStore(value)`` or ``Keep(value, ttl=...)``.
            ttl: How long the value is fresh; seconds, ``timedelta`` or text such as ``"5m"``.
            stale: How long after ``ttl`` the value is still returned while one instance refreshes it in the background
                (stale-while-revalidate).
            tags: Names by which ``invalidate_tags`` removes the entry.
            type: The type the value is decoded as; by default the loader's return annotation.
            early: Whether hits close to the end may start the refresh already, although ``stale`` is 0 (early
                expiration).
            load_timeout: Bounds this caller's wait, not the load.
            offline_ttl: How long the near cache may answer while the server cannot be heard; 0 = not at all.

        Raises:
            LoadTimeout: ``load_timeout`` ran out.
            LoadCycle: The loader waits for its own key.
            Exception: The loader's own exception; nothing is stored then.
        """
        if _others:
            misplaced(ReadingVerbs.get_or_set, _others)
        declared = declared_type(loader) if type is ... else type
        if offline_ttl is None:
            held = self._near_hit(key, refreshes=True)
            answer = None if held is None else self._engine.entries.decode_near(held, declared)
            if answer is not None:
                found: T = answer.value
                return found
        options = self._options(ttl, stale, tags, early=early, load_timeout=load_timeout, offline_ttl=offline_ttl)
        value: T = await self._obtain(LoadRequest(self._key(key), loader, options, declared, _group(loader)))
        return value

    async def _obtain(self, asked: LoadRequest) -> Any:
        engine = self._engine
        if self._is_bypassed:
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
    ) -> T:
        """Load now and replace the entry; a removal during the load still wins. Arguments as for ``get_or_set``."""
        if _others:
            misplaced(ReadingVerbs.refresh, _others)
        options = self._options(ttl, stale, tags, load_timeout=load_timeout)
        declared = declared_type(loader) if type is ... else type
        value: T = await self._renew(LoadRequest(self._key(key), loader, options, declared, _group(loader)))
        return value

    async def _renew(self, asked: LoadRequest) -> Any:
        engine = self._engine
        if self._is_bypassed:
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
    ) -> dict[str, T]:
        """Return many values as ``get_or_set`` does; ``loader(missing_keys)`` gets up to 1,000 keys, returns a mapping.

        Keys that the mapping lacks are left out of the result, and nothing is stored for them. ``type`` is the type of
        one value.
        """
        if _others:
            misplaced(ReadingVerbs.get_or_set_many, _others)
        options = self._options(ttl, stale, tags, offline_ttl=offline_ttl)
        names = {self._key(key): key for key in check_keys(keys)}
        engine = self._engine
        if not names:
            return {}

        def by_full_names(loaded: Any, missing: list[str]) -> dict[str, Any]:
            if not isinstance(loaded, Mapping):
                raise TypeError(f"the loader of get_or_set_many must return a mapping, not {type_name(loaded)}")
            return {full: loaded[names[full]] for full in missing if names[full] in loaded}

        async def awaited(loaded: Awaitable[Any], missing: list[str]) -> dict[str, Any]:
            return by_full_names(await loaded, missing)

        @wraps(loader)
        def load(missing: list[str]) -> Any:
            loaded: Any = loader([names[full] for full in missing])
            # A plain result is right for ``SyncCache`` and an error for ``Cache``; the ports decide.
            return awaited(loaded, missing) if isinstance(loaded, Awaitable) else by_full_names(loaded, missing)

        apart = self._is_bypassed
        if not apart:
            try:
                rules = await engine.ensure_ready()
            except ElsewhereError:
                apart = True
        if apart:
            found = {
                full: unwrap(value) for full, value in (await load_apart(engine.rules.ports, load, list(names))).items()
            }
        else:
            found = await rules.batches.get_or_set_many(names, load, options, type, _group(loader))
        return {names[full]: value for full, value in found.items()}


async def _get_entering(
    verbs: ReadingVerbs, full: str, key: str, default: Any, declared: Any, allow_stale: bool
) -> Any:
    """The rest of ``get`` on another or a new loop. Apart, because closures in ``get`` cost each hit a twelfth."""
    try:
        rules = await verbs._engine.ensure_ready()  # noqa: SLF001 - a part of ``get``
    except ElsewhereError as error:
        return await sent_to(error, partial(verbs.get, key, default, declared, allow_stale), lambda: default)
    answer = await rules.policy.get(full, declared, verbs._defaults, allow_stale=allow_stale)  # noqa: SLF001 - as above
    return default if answer is None else answer.value


async def _forget(verbs: ReadingVerbs, full: str) -> int:
    """Remove the entry of a key that already has its prefix."""
    rules = await verbs._engine.ensure_ready()  # noqa: SLF001 - a part of ``refresh``
    return await rules.writing.delete_many([full], strict=False)


def check_keys(keys: Any) -> Iterable[str]:
    """Return ``keys`` if they are several keys; refuse one key, which would be read letter by letter."""
    if isinstance(keys, str | bytes):
        raise TypeError(f"keys must be several keys, not the one {type_name(keys)} {keys[:60]!r}: write [key]")
    if not isinstance(keys, Iterable):
        raise TypeError(f"keys must be several keys, such as a list of str, not {type_name(keys)}")
    return keys


def _group(loader: Any) -> str:
    """Return the name under which loads of a function are timed: they take similar time, and leases learn from it.

    Raises:
        TypeError: The loader is no function.
    """
    if not callable(loader):
        hint = "pass the function itself, without calling it" if isinstance(loader, Awaitable) else "write an async def"
        if isinstance(loader, Coroutine):
            loader.close()  # or Python would also warn that the coroutine was never awaited
        raise TypeError(f"the loader must be a function, not a {type_name(loader)}: {hint}")
    named = loader if getattr(loader, "__qualname__", None) else type(loader)
    return f"{named.__module__}.{named.__qualname__}"


def type_name(value: object) -> str:
    """Return the name of a value's type, for messages."""
    return type(value).__name__


ALL = (ALL_TAG,)
