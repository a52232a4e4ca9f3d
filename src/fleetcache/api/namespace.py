"""The async verbs that ``Cache`` and its namespaces share. Reading and loading are in ``reads``."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Never, ParamSpec, Self, TypeVar, Unpack, overload

from ..config.durations import MAX_TTL, Duration, parse_duration
from ..config.spelling import by_name, misplaced
from ..engine.aio.other_loops import not_known, on_its_loop
from ..errors import Unavailable
from ..format.keys import check_key, check_namespace, check_tag, family_tag
from ..policy.claims import Grant
from ..policy.options import MINIMUM_TTL, CallOptions
from ..policy.results import Found, Loader, Wrapping
from ..telemetry.stats import Stats
from .reads import ALL, BYPASSED, FunctionOptions, ReadingVerbs, check_keys, type_name

if TYPE_CHECKING:
    from .cached import CachedFunction, Decorator
    from .explain import Explanation

__all__ = ["ALL", "CLAIM_TTL", "AsyncVerbs", "Claim", "Namespace"]

P = ParamSpec("P")
T = TypeVar("T")

CLAIM_TTL = "10s"
"""Long enough for a process that stalls a moment, short enough to wait for after a crash. A first lease is as long."""
MIN_CLAIM_TTL = 0.1  # a claim is renewed after each third of its ttl, and a busy machine must be in time


class AsyncVerbs(ReadingVerbs):
    """The verbs over one engine, with a prefix and defaults of their own."""

    # -- writing -----------------------------------------------------------------------------------------------------

    @by_name
    async def set(
        self,
        key: str,
        value: Any,
        *_others: Never,
        ttl: Duration | None = None,
        stale: Duration | None = None,
        tags: Iterable[str] = (),
        type: Any = Any,  # noqa: A002 - the field's word
        strict: bool = False,
        offline_ttl: Duration | None = None,
    ) -> None:
        """Store a value; it replaces any entry of the key. Change your source first.

        If the server does not acknowledge the write, this process keeps the value for ``offline_ttl``, and the key is
        removed on the server when the server is back. With ``strict`` the call raises.

        Raises:
            CodecError: The value would not come back as it is; nothing was sent.
            Unavailable: ``strict`` is set and the server did not acknowledge the write.
        """
        if _others:
            misplaced(AsyncVerbs.set, _others)
        await self.set_many(
            {check_key(key): value},
            ttl=ttl,
            stale=stale,
            tags=tags,
            type=type,
            strict=strict,
            offline_ttl=offline_ttl,
        )

    @on_its_loop()
    @by_name
    async def set_many(
        self,
        mapping: Mapping[str, Any],
        *_others: Never,
        ttl: Duration | None = None,
        stale: Duration | None = None,
        tags: Iterable[str] = (),
        type: Any = Any,  # noqa: A002 - the field's word
        strict: bool = False,
        offline_ttl: Duration | None = None,
    ) -> None:
        """Store many values, as ``set``, in as few writes as fit. If one value cannot be encoded, nothing is sent."""
        if _others:
            misplaced(AsyncVerbs.set_many, _others)
        options = self._options(ttl, stale, tags, offline_ttl=offline_ttl)
        if not isinstance(mapping, Mapping):
            raise TypeError(f"set_many takes a mapping of keys to values, not {type_name(mapping)}")
        values = {self._key(key): value for key, value in mapping.items()}
        engine = self._engine
        rules = await engine.ensure_ready()
        if self._is_bypassed:  # the value is not stored, and the old entries are outdated
            await rules.writing.delete_many(values, strict=strict)
        else:
            await rules.writing.set_many(values, options, type, strict=strict)

    @on_its_loop(bool)
    @by_name
    async def add(
        self,
        key: str,
        value: Any,
        *_others: Never,
        ttl: Duration | None = None,
        stale: Duration | None = None,
        tags: Iterable[str] = (),
        type: Any = Any,  # noqa: A002 - the field's word
        strict: bool = False,
        offline_ttl: Duration | None = None,
    ) -> bool:
        """Store a value if the key has no fresh entry; return ``False`` if it has, or if that is unknown. Not a lock.

        While the server is known to be away, the first ``add`` of this process stores the value in memory, for
        ``offline_ttl``; when the server is back, that value is removed. While the server is only late, or did not
        answer, the result is ``False``.

        Raises:
            CodecError: The value would not come back as it is; nothing was sent.
            Unavailable: ``strict`` is set and the server did not decide whether the value is stored.
        """
        if _others:
            misplaced(AsyncVerbs.add, _others)
        options, full = self._options(ttl, stale, tags, offline_ttl=offline_ttl), self._key(key)
        rules = await self._engine.ensure_ready()
        if self._is_bypassed:
            if strict:
                raise Unavailable(f"add of {key!r}: the cache is bypassed in this context")
            return False
        return await rules.writing.add(full, value, options, type, strict=strict)

    @on_its_loop(not_known)
    @by_name
    async def incr(
        self, key: str, delta: int = 1, *_others: Never, ttl: Duration | None = None, create: bool = True
    ) -> int:
        """Add ``delta`` to a counter and return the sum.

        A new counter begins at 0 and lives for ``ttl``. Later calls do not change its end.

        Raises:
            KeyError: There is no such counter, and ``create`` is false.
            Unavailable: The server did not acknowledge. The cache makes no guess.
            CodecError: The entry is no integer, or the sum is beyond int64 (2^63 - 1).
        """
        if _others:
            misplaced(AsyncVerbs.incr, _others)
        if isinstance(delta, bool) or not isinstance(delta, int):
            raise TypeError(f"incr: delta must be an int, not {delta!r}")
        options, full = self._options(ttl), self._key(key)
        rules = await self._engine.ensure_ready()
        if self._is_bypassed:
            raise Unavailable(f"incr of {key!r}: the cache is bypassed in this context")
        total = await rules.counting.incr(full, delta, options, create=create)
        if total is None:
            raise KeyError(key)
        return total

    @on_its_loop(bool)
    async def touch(self, key: str, ttl: Duration) -> bool:
        """Let a fresh entry live ``ttl`` from now; return ``False`` if there is none. Every instance drops its copy."""
        full, life = self._key(key), parse_duration(ttl, name="ttl", minimum=MINIMUM_TTL, maximum=MAX_TTL)
        rules = await self._engine.ensure_ready()
        return not self._is_bypassed and await rules.writing.touch(full, life, self._defaults)

    async def delete(self, key: str, *, strict: bool = False) -> bool:
        """Remove an entry from every instance and the server. Change your source first.

        Returns:
            Whether a live value is known to be removed. ``False``, too, when the server did not acknowledge. The cache
            then keeps and repeats the removal; until it is done, this instance treats the key as absent.

        Raises:
            Unavailable: ``strict`` is set and the server did not acknowledge the removal.
        """
        return await self.delete_many((key,), strict=strict) == 1

    @on_its_loop(int)
    async def delete_many(self, keys: Iterable[str], *, strict: bool = False) -> int:
        """Remove many keys in as few writes as fit; return the number of live values that are known to be removed."""
        names = [self._key(key) for key in check_keys(keys)]
        rules = await self._engine.ensure_ready()
        return await rules.writing.delete_many(names, strict=strict)

    async def invalidate_tags(self, *tags: str, strict: bool = False) -> None:
        """Remove every entry that carries one of the tags, in every namespace: one ``DEL`` a tag."""
        await self._invalidate([check_tag(tag) for tag in tags], strict=strict)

    async def clear(self, *, strict: bool = False) -> None:
        """Remove all entries of this cache, or of this namespace. Other keys on the server are not touched."""
        await self._invalidate(self._tags[-1:], strict=strict)

    @on_its_loop()
    async def _invalidate(self, tags: Iterable[str], *, strict: bool) -> None:
        rules = await self._engine.ensure_ready()
        await rules.writing.invalidate(tags, strict=strict)

    # -- claims ------------------------------------------------------------------------------------------------------

    @on_its_loop()
    @by_name
    async def claim(
        self, key: str, *_others: Never, ttl: Duration = CLAIM_TTL, wait: "bool | Duration" = True
    ) -> "Claim | None":
        """Claim the right to replace the entry of a key. One caller in the fleet has it at a time.

        This is an advisory lock for a caller that cannot hand its loader to ``get_or_set``. The claim is renewed until
        you release or drop it. While the server cannot be heard, it is a lock of this process alone.

        Args:
            key: The key of the entry. An entry that exists stays, and reads return it.
            ttl: How long other callers wait for this process if it dies.
            wait: How long to wait: ``True`` as for a load (``CACHE_LOAD_WAIT``), ``False`` not at all, or a time.

        Returns:
            A claim to release, also by ``async with``; ``None`` when another caller had it all that time.

        Example:
            >>> import asyncio
            >>> from fleetcache import Cache
            >>> async def main() -> None:
            ...     async with Cache("memory://") as cache:
            ...         claim = await cache.claim("report")
            ...         print(await cache.claim("report", wait=False), await cache.is_claimed("report"))
            ...         print(await claim.release())
            >>> asyncio.run(main())
            None True
            True
        """
        if _others:
            misplaced(AsyncVerbs.claim, _others)
        full, life = self._key(key), parse_duration(ttl, name="ttl", minimum=MIN_CLAIM_TTL, maximum=MAX_TTL)
        if isinstance(wait, bool):
            patience = self._engine.settings.load_wait if wait else 0.0
        else:
            patience = parse_duration(wait, name="wait", zero=True, maximum=MAX_TTL)
        rules = await self._engine.ensure_ready()
        grant = await rules.claims.take(full, life, patience, ask=not self._is_bypassed)
        return None if grant is None else Claim(self, grant)

    @on_its_loop(bool)
    async def is_claimed(self, key: str) -> bool:
        """Return whether a caller in the fleet has the claim of a key now; ``False``, too, if that is unknown."""
        full = self._key(key)
        rules = await self._engine.ensure_ready()
        return await rules.claims.is_taken(full)

    @on_its_loop(bool)
    async def _give_back(self, grant: Grant) -> bool:
        self._engine.check_here()
        return self._engine.rules.claims.give(grant)

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
        key: "str | Callable[..., str] | None" = None,
        stale: Duration | None = None,
        tags: Iterable[str] = (),
        type: Any = ...,  # noqa: A002 - as get
        early: bool = False,
        load_timeout: Duration | None = None,
        offline_ttl: Duration | None = None,
        clearable: bool = False,
    ) -> Any:
        """Cache the results of an ``async def`` by its arguments. Use it bare, or with the options of ``get_or_set``.

        Args:
            fn: The function, when used without parentheses.
            key: A template such as ``"geo:{ip}"``, a function of the call's arguments, or ``None``: the function's name
                and all arguments.
            type: The type results are decoded as; by default the return annotation.
            ttl: As for ``get_or_set``, like the options below.
            stale: How long after ``ttl`` a result is still returned while it is loaded anew (stale-while-revalidate).
            tags: Names by which ``invalidate_tags`` removes results.
            early: Whether hits close to the end may start the refresh already (early expiration).
            load_timeout: Bounds each caller's wait.
            offline_ttl: How long the near cache may answer while the server cannot be heard.
            clearable: Whether ``invalidate_all()`` removes the results of all calls at once. Off by default: it takes a
                tag on every result, and each instance keeps a copy of the tag, which the server tracks.

        Example:
            >>> from fleetcache import Cache
            >>> cache = Cache("memory://")
            >>> @cache.cached(ttl="10m", key="square:{n}")
            ... async def square(n: int) -> int:
            ...     return n * n
            >>> square.key(3)
            'square:3'
        """
        if _others:
            misplaced(AsyncVerbs.cached, _others)
        from .cached import CachedFunction  # noqa: PLC0415 - it needs the verbs

        options = self._options(ttl, stale, tags, early=early, load_timeout=load_timeout, offline_ttl=offline_ttl)

        def decorate(function: Any) -> Any:
            return CachedFunction(self, function, key, options, type, clearable=clearable)

        return decorate if fn is None else decorate(fn)

    # -- views -------------------------------------------------------------------------------------------------------

    @by_name
    def namespace(
        self, name: str, *_others: Never, ttl: Duration | None = None, stale: Duration | None = None
    ) -> "Namespace":
        """Return a view with its own prefix, defaults and ``clear()``, on the same near cache and link.

        Args:
            name: Becomes ``name:`` before every key. Namespaces nest: ``a:b`` is ``b`` in ``a``, and ``clear()`` of
                ``a`` clears it, too.
            ttl: Default ttl of entries set through the namespace.
            stale: Default stale time.
        """
        if _others:
            misplaced(AsyncVerbs.namespace, _others)
        path, tags = self._prefix, self._tags
        for part in check_namespace(name, self._prefix).split(":"):
            tags = (*tags, family_tag(path + part))
            path = f"{path}{part}:"
        return self._part(path, tags, self._options(ttl, stale))

    def _part(self, prefix: str, tags: tuple[str, ...], defaults: CallOptions) -> "Namespace":
        return Namespace(self._home, prefix, tags, defaults)

    @contextmanager
    def bypass(self) -> Iterator[None]:
        """Read nothing from the cache and store nothing in this context; removals are still sent.

        The bypass holds for the whole cache, namespaces included, and for tasks started in the block, until the block
        is left.
        """
        engine, mark = self._engine, object()
        token = BYPASSED.set(BYPASSED.get() | {mark})
        engine.bypasses.add(mark)
        engine.rebind_faces()
        try:
            yield
        finally:
            engine.bypasses.remove(mark)
            engine.rebind_faces()
            with suppress(ValueError):  # some frameworks leave the block in another context; the first one is over
                BYPASSED.reset(token)

    def stats(self) -> Stats:
        """Counters and gauges of the whole cache, namespaces included."""
        return self._engine.stats()

    # -- looking -----------------------------------------------------------------------------------------------------

    @overload
    async def lookup(self, key: str, *, offline_ttl: Duration | None = ...) -> Found[Any] | None: ...
    @overload
    async def lookup(self, key: str, *, type: type[T], offline_ttl: Duration | None = ...) -> Found[T] | None: ...
    @overload
    async def lookup(self, key: str, *, type: Any, offline_ttl: Duration | None = ...) -> Found[Any] | None: ...
    @on_its_loop()
    async def lookup(
        self,
        key: str,
        *,
        type: Any = Any,  # noqa: A002 - as get
        offline_ttl: Duration | None = None,
    ) -> Found[Any] | None:
        """Return the entry of a key with its times, fresh or stale; ``None`` if there is none.

        For a caller that must tell the age of a value, or how long the value is still good. A lookup counts as neither
        a hit nor a miss.

        Args:
            key: 1 byte to 8 KiB.
            type: The type the value is decoded as; without it, plain data.
            offline_ttl: How long the near cache may answer while the server cannot be heard; 0 = not at all.

        Raises:
            KeyRuleError: The key breaks the rules.
            Closed: After ``close()``.

        Example:
            >>> import asyncio
            >>> from fleetcache import Cache
            >>> async def main() -> None:
            ...     async with Cache("memory://") as cache:
            ...         await cache.set("answer", 42, ttl="1m")
            ...         found = await cache.lookup("answer", type=int)
            ...         print(found.value, round(found.fresh_for), round(found.age), found.stale)
            >>> asyncio.run(main())
            42 60 0 False
        """
        full = self._key(key)
        options = self._defaults if offline_ttl is None else self._options(offline_ttl=offline_ttl)
        if self._is_bypassed:
            return None
        rules = await self._engine.ensure_ready()
        return await rules.policy.lookup(full, type, options)

    @on_its_loop()
    async def explain(self, key: str) -> "Explanation":
        """Return the state of one key in the near cache and on the server, in words for people."""
        from .explain import explain  # noqa: PLC0415 - for people, not for every start

        full = self._key(key)
        rules = await self._engine.ensure_ready()
        return await explain(self._engine, rules.writing, full)


class Claim:
    """The right to replace the entry of a key; see ``Cache.claim``. The end of ``async with`` releases it.

    Keep a reference for as long as you need the claim: without one, the cache releases it at its next renewal.
    """

    def __init__(self, verbs: AsyncVerbs, grant: Grant) -> None:
        self._verbs, self._grant = verbs, grant

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._grant.key!r}>"

    async def release(self) -> bool:
        """Release the claim, from any task; ``False`` if it was released before, or belongs to another process."""
        return await self._verbs._give_back(self._grant)  # noqa: SLF001 - two halves of one concept

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.release()


class Namespace(AsyncVerbs):
    """A view on a cache; see ``Cache.namespace``."""

    def __repr__(self) -> str:
        return f"<Namespace {self._prefix!r}>"
