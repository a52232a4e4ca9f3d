"""The verbs of threads that ``SyncCache``, its namespaces and ``Cache.sync`` share. Reading is in ``sync_reads``."""

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Never, ParamSpec, Self, TypeVar, Unpack, overload

from ..config.durations import Duration
from ..config.spelling import by_name, misplaced
from ..policy.results import Found, SyncLoader, SyncWrapping
from ..telemetry.stats import Stats
from .reads import FunctionOptions
from .sync_reads import Runner, SyncReadingVerbs
from .verbs import CLAIM_TTL, Claim

if TYPE_CHECKING:
    from .explain import Explanation
    from .sync_cached import SyncCachedFunction, SyncDecorator

__all__ = ["SyncClaim", "SyncNamespace", "SyncVerbs"]

P = ParamSpec("P")
T = TypeVar("T")


class SyncVerbs(SyncReadingVerbs):
    """The verbs over one engine, for threads, with a prefix and defaults of their own."""

    # -- writing -----------------------------------------------------------------------------------------------------

    @by_name
    def set(
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
        options: dict[str, Any] = {"ttl": ttl, "stale": stale, "tags": tags, "type": type}
        if _others:
            misplaced(SyncVerbs.set, _others)
        self._run(self._verbs.set(key, value, **options, strict=strict, offline_ttl=offline_ttl))

    @by_name
    def set_many(
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
        options: dict[str, Any] = {"ttl": ttl, "stale": stale, "tags": tags, "type": type}
        if _others:
            misplaced(SyncVerbs.set_many, _others)
        self._run(self._verbs.set_many(mapping, **options, strict=strict, offline_ttl=offline_ttl))

    @by_name
    def add(
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
            misplaced(SyncVerbs.add, _others)
        options: dict[str, Any] = {"ttl": ttl, "stale": stale, "tags": tags, "type": type}
        return self._run(self._verbs.add(key, value, **options, strict=strict, offline_ttl=offline_ttl))

    @by_name
    def incr(self, key: str, delta: int = 1, *_others: Never, ttl: Duration | None = None, create: bool = True) -> int:
        """Add ``delta`` to a counter and return the sum.

        A new counter begins at 0 and lives for ``ttl``. Later calls do not change its end.

        Raises:
            KeyError: There is no such counter, and ``create`` is false.
            Unavailable: The server did not acknowledge. The cache makes no guess.
            CodecError: The entry is no integer, or the sum is beyond int64 (2^63 - 1).
        """
        if _others:
            misplaced(SyncVerbs.incr, _others)
        return self._run(self._verbs.incr(key, delta, ttl=ttl, create=create))

    def touch(self, key: str, ttl: Duration) -> bool:
        """Let a fresh entry live ``ttl`` from now; return ``False`` if there is none. Every instance drops its copy."""
        return self._run(self._verbs.touch(key, ttl))

    def delete(self, key: str, *, strict: bool = False) -> bool:
        """Remove an entry from every instance and the server. Change your source first.

        Returns:
            Whether a live value is known to be removed. ``False``, too, when the server did not acknowledge. The cache
            then keeps and repeats the removal; until it is done, this instance treats the key as absent.

        Raises:
            Unavailable: ``strict`` is set and the server did not acknowledge the removal.
        """
        return self._run(self._verbs.delete(key, strict=strict))

    def delete_many(self, keys: Iterable[str], *, strict: bool = False) -> int:
        """Remove many keys in as few writes as fit; return the number of live values that are known to be removed."""
        return self._run(self._verbs.delete_many(keys, strict=strict))

    def invalidate_tags(self, *tags: str, strict: bool = False) -> None:
        """Remove every entry that carries one of the tags, in every namespace: one ``DEL`` a tag."""
        self._run(self._verbs.invalidate_tags(*tags, strict=strict))

    def clear(self, *, strict: bool = False) -> None:
        """Remove all entries of this cache, or of this namespace. Other keys on the server are not touched."""
        self._run(self._verbs.clear(strict=strict))

    # -- claims ------------------------------------------------------------------------------------------------------

    @by_name
    def claim(
        self, key: str, *_others: Never, ttl: Duration = CLAIM_TTL, wait: bool | Duration = True
    ) -> "SyncClaim | None":
        """Claim the right to replace the entry of a key. One caller in the fleet has it at a time.

        Arguments as for ``Cache.claim``. A claim is not reentrant: a thread that claims a key twice waits for itself.
        Any thread may release the claim.

        Example:
            >>> from fleetcache import SyncCache
            >>> with SyncCache("memory://") as cache:
            ...     claim = cache.claim("report")
            ...     print(cache.claim("report", wait=False), cache.is_claimed("report"), claim.release())
            None True True
        """
        if _others:
            misplaced(SyncVerbs.claim, _others)
        # If this thread is interrupted, its wait ends as a load does: no caller would release a claim granted later.
        claim = self._runner.run_loading(
            _nothing, lambda _loader: self._verbs.claim(key, ttl=ttl, wait=wait), lambda: None
        )
        return None if claim is None else SyncClaim(claim, self._runner)

    def is_claimed(self, key: str) -> bool:
        """Return whether a caller in the fleet has the claim of a key now; ``False``, too, if that is unknown."""
        return self._run(self._verbs.is_claimed(key))

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
        clearable: bool = False,
    ) -> Any:
        """Cache the results of a ``def`` by its arguments. Use it bare, or with the options of ``Cache.cached``.

        Example:
            >>> from fleetcache import SyncCache
            >>> cache = SyncCache("memory://")
            >>> @cache.cached(ttl="10m", key="square:{n}")
            ... def square(n: int) -> int:
            ...     return n * n
            >>> square(3), square.key(3), square.peek(3), square.invalidate(3)
            (9, 'square:3', 9, True)
        """
        if _others:
            misplaced(SyncVerbs.cached, _others)
        from .sync_cached import SyncCachedFunction  # noqa: PLC0415 - it needs the verbs

        options = self._verbs._options(  # noqa: SLF001 - two faces of one cache
            ttl, stale, tags, early=early, load_timeout=load_timeout, offline_ttl=offline_ttl
        )

        def decorate(function: Any) -> Any:
            return SyncCachedFunction(self, function, key, options, type, clearable=clearable)

        return decorate if fn is None else decorate(fn)

    # -- views -------------------------------------------------------------------------------------------------------

    @by_name
    def namespace(
        self, name: str, *_others: Never, ttl: Duration | None = None, stale: Duration | None = None
    ) -> "SyncNamespace":
        """Return a view with its own prefix, defaults and ``clear()``. Arguments as for ``Cache.namespace``.

        The view works on the same near cache and link.
        """
        if _others:
            misplaced(SyncVerbs.namespace, _others)
        return SyncNamespace(self._verbs.namespace(name, ttl=ttl, stale=stale), self._runner)

    def bypass(self) -> AbstractContextManager[None]:
        """Read nothing from the cache and store nothing in this context; removals are still sent.

        The bypass holds for this thread, and for code that runs under a copy of its context.
        """
        return self._verbs.bypass()

    def stats(self) -> Stats:
        """Counters and gauges of the whole cache, namespaces included."""
        return self._verbs.stats()

    @overload
    def lookup(self, key: str, *, offline_ttl: Duration | None = ...) -> Found[Any] | None: ...
    @overload
    def lookup(self, key: str, *, type: type[T], offline_ttl: Duration | None = ...) -> Found[T] | None: ...
    @overload
    def lookup(self, key: str, *, type: Any, offline_ttl: Duration | None = ...) -> Found[Any] | None: ...
    def lookup(
        self,
        key: str,
        *,
        type: Any = Any,  # noqa: A002 - as get
        offline_ttl: Duration | None = None,
    ) -> Found[Any] | None:
        """Return the entry of a key with its times, fresh or stale; ``None`` if there is none. As ``Cache.lookup``.

        Example:
            >>> from fleetcache import SyncCache
            >>> with SyncCache("memory://") as cache:
            ...     cache.set("answer", 42, ttl="1m")
            ...     found = cache.lookup("answer", type=int)
            ...     print(found.value, round(found.fresh_for), round(found.age), found.stale)
            42 60 0 False
        """
        return self._run(self._verbs.lookup(key, type=type, offline_ttl=offline_ttl))

    def explain(self, key: str) -> "Explanation":
        """Return the state of one key in the near cache and on the server, in words for people."""
        return self._run(self._verbs.explain(key))


class SyncClaim:
    """The right to replace the entry of a key; see ``SyncCache.claim``. The end of ``with`` releases it.

    Keep a reference for as long as you need the claim: without one, the cache releases it at its next renewal.
    """

    def __init__(self, claim: Claim, runner: Runner) -> None:
        self._claim, self._runner = claim, runner

    def __repr__(self) -> str:
        return repr(self._claim)

    def release(self) -> bool:
        """Release the claim, from any thread; ``False`` if it was released before, or belongs to another process."""
        return self._runner.run(self._claim.release())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


class SyncNamespace(SyncVerbs):
    """A view on a cache for threads; see ``SyncCache.namespace``."""

    def __repr__(self) -> str:
        return f"<SyncNamespace {self._verbs._prefix!r}>"  # noqa: SLF001 - two faces of one cache


def _nothing() -> None:
    """The loader of a claim, which loads nothing: the holder of the claim loads in its own way."""
