"""The async verbs: what ``Cache`` and its namespaces share.

A hit in near is answered here, synchronously: one look-up, two comparisons and a mark. Everything else goes to policy.
"""

from asyncio import get_running_loop
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from functools import partial
from typing import TYPE_CHECKING, Any, ParamSpec, TypedDict, TypeVar, Unpack, overload

from .declared import declared_type
from .durations import MAX_TTL, Duration, seconds
from .errors import Unavailable
from .freshness import EARLY_RANGE, Freshness
from .keys import ALL_TAG, check_key, check_namespace, check_tag, check_tags, family_tag
from .policy import Asked
from .results import Keep, Loader, NoStore, Wrapping
from .stats import Stats

if TYPE_CHECKING:
    from .decorator import CachedFunction, Decorator
    from .engine import Engine
    from .explain import Explanation

__all__ = ["ALL", "AsyncVerbs", "Namespace"]

P = ParamSpec("P")
T = TypeVar("T")
D = TypeVar("D")

_BYPASSED: ContextVar[frozenset[int]] = ContextVar("fleetcache_bypassed", default=frozenset())


def _nothing(_key: str) -> None:
    """What near looks like to a cache that is closed or bypassed somewhere: every call takes the long way."""


def _prefixed(look_up: Callable[[str], Any], prefix: str, key: str) -> Any:
    return look_up(prefix + key)


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


class AsyncVerbs:
    """The verbs over one engine, with a prefix and defaults of their own."""

    def __init__(self, engine: "Engine", prefix: str, tags: tuple[str, ...], defaults: Freshness) -> None:
        self._engine = engine
        self._prefix = prefix
        self._tags = tags
        self._defaults = defaults
        self.bind()
        engine.on_rebuilt.add(self)

    def bind(self) -> None:
        """Fetch anew what the hot path keeps at hand."""
        engine = self._engine
        # Nothing is at hand once the cache is closed, and while any context bypasses it: policy's way sorts that out.
        look_up: Callable[[str], Any] = engine.near.items.get
        if engine.closed or engine.bypasses > 0:
            look_up = _nothing
        elif self._prefix:
            look_up = partial(_prefixed, look_up, self._prefix)
        self._near_get = look_up
        self._clock = engine.clock
        self._link = engine.link
        self._counters = engine.counters

    # -- options -----------------------------------------------------------------------------------------------------

    def _key(self, key: object) -> str:
        return self._prefix + check_key(key) if self._prefix else check_key(key)

    def _options(
        self,
        ttl: Duration | None = None,
        stale: Duration | None = None,
        tags: Iterable[str] = (),
        *,
        early: bool = False,
        load_timeout: Duration | None = None,
        offline_ttl: Duration | None = None,
    ) -> Freshness:
        defaults = self._defaults
        return Freshness(
            ttl=defaults.ttl if ttl is None else seconds(ttl, name="ttl", minimum=0.001, maximum=MAX_TTL),
            stale=defaults.stale if stale is None else seconds(stale, name="stale", zero=True, maximum=MAX_TTL),
            tags=self._tags + check_tags(tags) if tags else self._tags,
            offline_ttl=defaults.offline_ttl
            if offline_ttl is None
            else seconds(offline_ttl, name="offline_ttl", zero=True, maximum=MAX_TTL),
            early=early,
            load_timeout=None if load_timeout is None else seconds(load_timeout, name="load_timeout"),
        )

    @property
    def _is_bypassed(self) -> bool:
        return self._engine.bypasses > 0 and id(self._engine) in _BYPASSED.get()

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
        *,
        type: Any = Any,  # noqa: A002 - the field's word
        allow_stale: bool = False,
    ) -> Any:
        """The value under a key, if it is there and fresh.

        Args:
            key: 1 byte to 8 KiB.
            default: Answered when there is none. ``None`` is a value like any other: pass ``MISSING`` to tell.
            type: The type the value is decoded as; without it, plain data.
            allow_stale: Whether an entry past its ttl, within its stale time, will do.

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
        # What ``_at_hand`` does, written out once more: this line is what the cache is for, and a call costs a third.
        try:
            held = self._near_get(key)
        except TypeError:
            held = None
        if (
            held is not None
            and held.declared is type
            and (now := self._clock()) < held.fresh_until
            and (now < self._link.horizon or held.unbacked)
            and not held.encoded
        ):
            if held.freq < 3:  # noqa: PLR2004 - near's mark
                held.freq += 1
            self._counters.near_hits += 1
            return held.value
        full = self._key(key)
        engine = self._engine
        if engine.bypasses and self._is_bypassed:
            return default
        if engine.loop is not get_running_loop() or not engine.settled:
            await engine.enter()
        answer = await engine.policy.get(full, type, self._defaults, allow_stale=allow_stale)
        return default if answer is None else answer.value

    def _at_hand(self, key: Any, *, refreshes: bool = False) -> Any:
        """A fresh entry of near that may be trusted now, marked and counted; ``None`` leaves the rest to policy.

        ``refreshes``: the call may start a refresh, so an entry close to its end is policy's to judge.
        """
        try:
            held = self._near_get(key)
        except TypeError:  # no str: policy's way names the rule
            return None
        if held is None:
            return None
        now = self._clock()
        left = held.fresh_until - now
        if left <= 0 or (now >= self._link.horizon and not held.unbacked):
            return None
        if refreshes and left < EARLY_RANGE * held.cost:
            return None
        if held.freq < 3:  # noqa: PLR2004 - near's mark
            held.freq += 1
        self._counters.near_hits += 1
        return held

    @overload
    def peek(self, key: str) -> Any: ...
    @overload
    def peek(self, key: str, default: Any) -> Any: ...
    @overload
    def peek(self, key: str, default: None = ..., *, type: type[T]) -> T | None: ...
    @overload
    def peek(self, key: str, default: D, *, type: type[T]) -> T | D: ...
    @overload
    def peek(self, key: str, default: Any = ..., *, type: Any) -> Any: ...
    def peek(self, key: str, default: Any = None, *, type: Any = Any) -> Any:  # noqa: A002 - the field's word
        """The value if near can answer at once: no await, no I/O. Arguments as for ``get``."""
        held = self._at_hand(key)
        if held is not None:
            if held.declared is type and not held.encoded:
                return held.value
            answer = self._engine.entries.from_near(held, type)
            if answer is not None:
                return answer.value
        self._key(key)
        return default

    async def get_many(self, keys: Iterable[str], *, type: Any = Any) -> dict[str, Any]:  # noqa: A002 - as in get
        """The fresh entries among ``keys``, in one round trip; absent keys are left out."""
        names = {self._key(key): key for key in _several(keys)}
        if self._is_bypassed or not names:
            return {}
        await self._engine.enter()
        found = await self._engine.batches.get_many(names, type, self._defaults)
        return {names[full]: value for full, value in found.items()}

    # -- loading -----------------------------------------------------------------------------------------------------

    @overload
    async def get_or_set(self, key: str, loader: Wrapping[[], T], **options: Unpack[LoadOptions]) -> T: ...
    @overload
    async def get_or_set(self, key: str, loader: Loader[[], T], **options: Unpack[LoadOptions]) -> T: ...
    async def get_or_set(
        self,
        key: str,
        loader: Callable[[], Awaitable[Any]],
        *,
        ttl: Duration | None = None,
        stale: Duration | None = None,
        tags: Iterable[str] = (),
        type: Any = ...,  # noqa: A002 - the field's word
        early: bool = False,
        load_timeout: Duration | None = None,
        offline_ttl: Duration | None = None,
    ) -> T:
        """The value under a key; if there is none, what ``loader`` returns, loaded once in the whole fleet.

        Args:
            key: 1 byte to 8 KiB.
            loader: ``async def`` without arguments. May return ``NoStore(value)`` or ``Keep(value, ttl=...)``.
            ttl: How long the value is fresh; seconds, ``timedelta`` or text such as ``"5m"``.
            stale: How long after that it is still answered while one instance refreshes it in the background.
            tags: Names that ``invalidate_tags`` may remove it by.
            type: The type it is decoded as; by default the loader's return annotation.
            early: Whether hits close to the end may start the refresh already, although ``stale`` is 0.
            load_timeout: Bounds this caller's wait, not the load.
            offline_ttl: Bound of near answers while the server cannot be heard; 0 = none.

        Raises:
            LoadTimeout: ``load_timeout`` ran out.
            LoadCycle: The loader waits for its own key.
            Exception: Whatever the loader raised; nothing is stored then.
        """
        declared = declared_type(loader) if type is ... else type
        if offline_ttl is None:
            held = self._at_hand(key, refreshes=True)
            answer = None if held is None else self._engine.entries.from_near(held, declared)
            if answer is not None:
                found: T = answer.value
                return found
        options = self._options(ttl, stale, tags, early=early, load_timeout=load_timeout, offline_ttl=offline_ttl)
        value: T = await self._obtain(Asked(self._key(key), loader, options, declared, _group(loader)))
        return value

    async def _obtain(self, asked: Asked) -> Any:
        engine = self._engine
        if self._is_bypassed:
            return _plain(await engine.ports.load(asked.loader, *asked.args))
        await engine.enter()
        return await engine.policy.get_or_set(asked)

    @overload
    async def refresh(self, key: str, loader: Wrapping[[], T], **options: Unpack[RefreshOptions]) -> T: ...
    @overload
    async def refresh(self, key: str, loader: Loader[[], T], **options: Unpack[RefreshOptions]) -> T: ...
    async def refresh(
        self,
        key: str,
        loader: Callable[[], Awaitable[Any]],
        *,
        ttl: Duration | None = None,
        stale: Duration | None = None,
        tags: Iterable[str] = (),
        type: Any = ...,  # noqa: A002 - the field's word
        load_timeout: Duration | None = None,
    ) -> T:
        """Load now and replace what is there; a removal meanwhile still wins. Arguments as for ``get_or_set``."""
        options = self._options(ttl, stale, tags, load_timeout=load_timeout)
        declared = declared_type(loader) if type is ... else type
        value: T = await self._renew(Asked(self._key(key), loader, options, declared, _group(loader)))
        return value

    async def _renew(self, asked: Asked) -> Any:
        engine = self._engine
        if self._is_bypassed:
            return _plain(await engine.ports.load(asked.loader, *asked.args))
        await engine.enter()
        return await engine.policy.refresh(asked)

    async def get_or_set_many(
        self,
        keys: Iterable[str],
        loader: Callable[[list[str]], Awaitable[Mapping[str, T]]],
        *,
        ttl: Duration | None = None,
        stale: Duration | None = None,
        tags: Iterable[str] = (),
        type: Any = Any,  # noqa: A002 - the field's word
        offline_ttl: Duration | None = None,
    ) -> dict[str, T]:
        """As ``get_or_set`` for many keys: ``loader(missing_keys)`` returns a mapping, called once a round.

        Keys that the mapping lacks are left out of the result, and nothing is stored for them. ``type`` is the type of
        one value.
        """
        options = self._options(ttl, stale, tags, offline_ttl=offline_ttl)
        names = {self._key(key): key for key in _several(keys)}
        engine = self._engine
        if not names:
            return {}

        async def load(missing: list[str]) -> Any:
            loaded = await engine.ports.load(loader, [names[full] for full in missing])
            if not isinstance(loaded, Mapping):
                raise TypeError(f"the loader of get_or_set_many must return a mapping, not {_kind(loaded)}")
            return {full: loaded[names[full]] for full in missing if names[full] in loaded}

        if self._is_bypassed:
            found = {full: _plain(value) for full, value in (await load(list(names))).items()}
        else:
            await engine.enter()
            found = await engine.batches.get_or_set_many(names, load, options, type, _group(loader))
        return {names[full]: value for full, value in found.items()}

    # -- writing -----------------------------------------------------------------------------------------------------

    async def set(
        self,
        key: str,
        value: Any,
        *,
        ttl: Duration | None = None,
        stale: Duration | None = None,
        tags: Iterable[str] = (),
        type: Any = Any,  # noqa: A002 - the field's word
        strict: bool = False,
    ) -> None:
        """Store a value, whatever is there. Change your source first.

        Not acknowledged by the server, it is kept here and removed there when the server is back; ``strict`` raises.

        Raises:
            CodecError: It would not come back as it is; nothing was sent.
            Unavailable: ``strict`` and not acknowledged.
        """
        await self.set_many({check_key(key): value}, ttl=ttl, stale=stale, tags=tags, type=type, strict=strict)

    async def set_many(
        self,
        mapping: Mapping[str, Any],
        *,
        ttl: Duration | None = None,
        stale: Duration | None = None,
        tags: Iterable[str] = (),
        type: Any = Any,  # noqa: A002 - the field's word
        strict: bool = False,
    ) -> None:
        """As ``set`` for many keys, in one write. If one value cannot be encoded, nothing is sent."""
        options = self._options(ttl, stale, tags)
        if not isinstance(mapping, Mapping):
            raise TypeError(f"set_many takes a mapping of keys to values, not {_kind(mapping)}")
        values = {self._key(key): value for key, value in mapping.items()}
        engine = self._engine
        await engine.enter()
        if self._is_bypassed:  # nothing is stored, but what was there is no longer true
            await engine.writing.delete_many(values, strict=strict)
        else:
            await engine.writing.set_many(values, options, type, strict=strict)

    async def add(
        self,
        key: str,
        value: Any,
        *,
        ttl: Duration | None = None,
        stale: Duration | None = None,
        tags: Iterable[str] = (),
        type: Any = Any,  # noqa: A002 - the field's word
    ) -> bool:
        """Store if there is no fresh entry; ``False`` if there is, or the server did not acknowledge. Not a lock."""
        options, full = self._options(ttl, stale, tags), self._key(key)
        await self._engine.enter()
        return not self._is_bypassed and await self._engine.writing.add(full, value, options, type)

    async def incr(self, key: str, delta: int = 1, *, ttl: Duration | None = None) -> int:
        """Add to a counter and return the sum; a new one begins at 0 and lives ``ttl``; later calls do not change that.

        Raises:
            Unavailable: The server did not acknowledge: no guess is made.
            CodecError: What is there is no integer, or the sum is beyond 2^53 - 1.
        """
        if isinstance(delta, bool) or not isinstance(delta, int):
            raise TypeError(f"incr: delta must be an int, not {delta!r}")
        options, full = self._options(ttl), self._key(key)
        await self._engine.enter()
        if self._is_bypassed:
            raise Unavailable(f"incr of {key!r}: the cache is bypassed in this context")
        return await self._engine.writing.incr(full, delta, options)

    async def touch(self, key: str, ttl: Duration) -> bool:
        """Let a fresh entry live ``ttl`` from now; ``False`` when there is none. Every instance forgets its copy."""
        full, life = self._key(key), seconds(ttl, name="ttl", minimum=0.001, maximum=MAX_TTL)
        await self._engine.enter()
        return not self._is_bypassed and await self._engine.writing.touch(full, life)

    async def delete(self, key: str, *, strict: bool = False) -> bool:
        """Remove an entry everywhere. Change your source first.

        Returns:
            Whether a live value is known to be removed. ``False`` too when the server did not acknowledge; then the
            removal is kept and repeated, and until it is done this instance treats the key as absent.

        Raises:
            Unavailable: ``strict`` and not acknowledged.
        """
        return await self.delete_many((key,), strict=strict) == 1

    async def delete_many(self, keys: Iterable[str], *, strict: bool = False) -> int:
        """As ``delete`` for many keys, in one write; how many live values are known to be removed."""
        names = [self._key(key) for key in _several(keys)]
        await self._engine.enter()
        return await self._engine.writing.delete_many(names, strict=strict)

    async def invalidate_tags(self, *tags: str, strict: bool = False) -> None:
        """Remove every entry that carries one of the tags, in every namespace: one ``DEL`` a tag."""
        names = [check_tag(tag) for tag in tags]
        await self._engine.enter()
        await self._engine.writing.invalidate(names, strict=strict)

    async def clear(self, *, strict: bool = False) -> None:
        """Remove everything of this cache, or of this namespace. Other keys of the server are not touched."""
        await self._engine.enter()
        await self._engine.writing.invalidate([self._tags[-1]], strict=strict)

    # -- functions ---------------------------------------------------------------------------------------------------

    @overload
    def cached(self, fn: Wrapping[P, T], /) -> "CachedFunction[P, T]": ...
    @overload
    def cached(self, fn: Loader[P, T], /) -> "CachedFunction[P, T]": ...
    @overload
    def cached(self, /, **options: Unpack[FunctionOptions]) -> "Decorator": ...
    def cached(
        self,
        fn: Any = None,
        /,
        *,
        ttl: Duration | None = None,
        key: "str | Callable[..., str] | None" = None,
        stale: Duration | None = None,
        tags: Iterable[str] = (),
        type: Any = ...,  # noqa: A002 - as get
        early: bool = False,
        load_timeout: Duration | None = None,
        offline_ttl: Duration | None = None,
    ) -> Any:
        """Cache what an ``async def`` returns, by its arguments. Bare, or with the options of ``get_or_set``.

        Args:
            fn: The function, when used without parentheses.
            key: A template such as ``"geo:{ip}"``, a function of the call's arguments, or ``None``: the function's name
                and all arguments.
            type: The type results are decoded as; by default the return annotation.
            ttl: As for ``get_or_set``; so are the others.
            stale: How long after that it is still answered while it is loaded anew.
            tags: Names that ``invalidate_tags`` may remove it by.
            early: Whether hits close to the end may start the refresh already.
            load_timeout: Bounds each caller's wait.
            offline_ttl: Bound of near answers while the server cannot be heard.

        Example:
            >>> from fleetcache import Cache
            >>> cache = Cache("memory://")
            >>> @cache.cached(ttl="10m", key="square:{n}")
            ... async def square(n: int) -> int:
            ...     return n * n
            >>> square.key(3)
            'square:3'
        """
        from .decorator import CachedFunction  # noqa: PLC0415 - it needs the verbs

        options = self._options(ttl, stale, tags, early=early, load_timeout=load_timeout, offline_ttl=offline_ttl)

        def decorate(function: Any) -> Any:
            return CachedFunction(self, function, key, options, type)

        return decorate if fn is None else decorate(fn)

    # -- views -------------------------------------------------------------------------------------------------------

    def namespace(self, name: str, *, ttl: Duration | None = None, stale: Duration | None = None) -> "Namespace":
        """A view with its own prefix, defaults and ``clear()``: same near and link.

        Args:
            name: Becomes ``name:`` before every key. Namespaces nest.
            ttl: Default ttl of entries set through it.
            stale: Default stale time.
        """
        prefix = f"{self._prefix}{check_namespace(name, self._prefix)}:"
        options = self._options(ttl, stale)
        return Namespace(self._engine, prefix, (*self._tags, family_tag(prefix[:-1])), options)

    @contextmanager
    def bypass(self) -> Iterator[None]:
        """In this context nothing is read from the cache and nothing stored; removals still go out."""
        engine = self._engine
        token = _BYPASSED.set(_BYPASSED.get() | {id(engine)})
        engine.bypasses += 1
        engine.rebuilt()
        try:
            yield
        finally:
            engine.bypasses -= 1
            engine.rebuilt()
            with suppress(ValueError):  # left in another context than entered, as some frameworks do: that one is over
                _BYPASSED.reset(token)

    def stats(self) -> Stats:
        """Counters and gauges of the whole cache, namespaces included."""
        return self._engine.stats()

    async def explain(self, key: str) -> "Explanation":
        """What both tiers hold of one key, for people."""
        from .explain import explain  # noqa: PLC0415 - for people, not for every start

        full = self._key(key)
        await self._engine.enter()
        return await explain(self._engine, full)


class Namespace(AsyncVerbs):
    """A view on a cache; see ``Cache.namespace``."""

    def __repr__(self) -> str:
        return f"<Namespace {self._prefix!r}>"


def _several(keys: Any) -> Iterable[str]:
    if isinstance(keys, str | bytes):
        raise TypeError(f"keys must be several keys, not the one {_kind(keys)} {keys[:60]!r}: write [key]")
    if not isinstance(keys, Iterable):
        raise TypeError(f"keys must be several keys, such as a list of str, not {_kind(keys)}")
    return keys


def _group(loader: Any) -> str:
    """Loads of one function take alike long: leases learn by it.

    Raises:
        TypeError: It is no function.
    """
    if not callable(loader):
        hint = "pass the function itself, without calling it" if isinstance(loader, Awaitable) else "write an async def"
        if isinstance(loader, Coroutine):
            loader.close()  # or Python would complain as well that nobody awaited it
        raise TypeError(f"the loader must be a function, not a {_kind(loader)}: {hint}")
    return getattr(loader, "__qualname__", "") or type(loader).__qualname__


def _kind(value: object) -> str:
    return type(value).__name__


def _plain(result: Any) -> Any:
    return result.value if isinstance(result, Keep | NoStore) else result


ALL = (ALL_TAG,)
