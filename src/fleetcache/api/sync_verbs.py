"""The verbs of threads: what ``SyncCache``, its namespaces and ``Cache.sync`` share. Reading is in ``sync_reading``."""

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
        """Store a value, whatever is there. Change your source first.

        Not acknowledged by the server, it is kept here for ``offline_ttl`` and removed there when the server is back;
        ``strict`` raises.

        Raises:
            CodecError: It would not come back as it is; nothing was sent.
            Unavailable: ``strict`` and not acknowledged.
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
        """As ``set`` for many keys, in as few writes as fit. If one value cannot be encoded, nothing is sent."""
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
        """Store if there is no fresh entry; ``False`` if there is, or if nobody knows. Not a lock.

        While the server is known to be away, the first of this process stores it in memory, for ``offline_ttl``; when
        the server is back, that is removed. While the server is only late, or did not answer, it is ``False``.

        Raises:
            CodecError: It would not come back as it is; nothing was sent.
            Unavailable: ``strict`` and the server did not decide it.
        """
        if _others:
            misplaced(SyncVerbs.add, _others)
        options: dict[str, Any] = {"ttl": ttl, "stale": stale, "tags": tags, "type": type}
        return self._run(self._verbs.add(key, value, **options, strict=strict, offline_ttl=offline_ttl))

    @by_name
    def incr(self, key: str, delta: int = 1, *_others: Never, ttl: Duration | None = None, create: bool = True) -> int:
        """Add to a counter and return the sum; a new one begins at 0 and lives ``ttl``; later calls do not change that.

        Raises:
            KeyError: There is none, and ``create`` is false.
            Unavailable: The server did not acknowledge: no guess is made.
            CodecError: What is there is no integer, or the sum is beyond int64 (2^63 - 1).
        """
        if _others:
            misplaced(SyncVerbs.incr, _others)
        return self._run(self._verbs.incr(key, delta, ttl=ttl, create=create))

    def touch(self, key: str, ttl: Duration) -> bool:
        """Let a fresh entry live ``ttl`` from now; ``False`` when there is none. Every instance forgets its copy."""
        return self._run(self._verbs.touch(key, ttl))

    def delete(self, key: str, *, strict: bool = False) -> bool:
        """Remove an entry everywhere. Change your source first.

        Returns:
            Whether a live value is known to be removed. ``False`` too when the server did not acknowledge; then the
            removal is kept and repeated, and until it is done this instance treats the key as absent.

        Raises:
            Unavailable: ``strict`` and not acknowledged.
        """
        return self._run(self._verbs.delete(key, strict=strict))

    def delete_many(self, keys: Iterable[str], *, strict: bool = False) -> int:
        """As ``delete`` for many keys, in as few writes as fit; how many live values are known to be removed."""
        return self._run(self._verbs.delete_many(keys, strict=strict))

    def invalidate_tags(self, *tags: str, strict: bool = False) -> None:
        """Remove every entry that carries one of the tags, in every namespace: one ``DEL`` a tag."""
        self._run(self._verbs.invalidate_tags(*tags, strict=strict))

    def clear(self, *, strict: bool = False) -> None:
        """Remove everything of this cache, or of this namespace. Other keys of the server are not touched."""
        self._run(self._verbs.clear(strict=strict))

    # -- claims ------------------------------------------------------------------------------------------------------

    @by_name
    def claim(
        self, key: str, *_others: Never, ttl: Duration = CLAIM_TTL, wait: bool | Duration = True
    ) -> "SyncClaim | None":
        """Take the right to replace what a key holds, of which there is one in the fleet. Arguments as ``Cache.claim``.

        Not reentrant: a thread that asks twice waits for itself. Any thread may release it.

        Example:
            >>> from fleetcache import SyncCache
            >>> with SyncCache("memory://") as cache:
            ...     claim = cache.claim("report")
            ...     print(cache.claim("report", wait=False), cache.is_claimed("report"), claim.release())
            None True True
        """
        if _others:
            misplaced(SyncVerbs.claim, _others)
        # Ended as a load is, when this thread is interrupted: nobody would release what it is granted later.
        claim = self._runner.run_loading(
            _nothing, lambda _loader: self._verbs.claim(key, ttl=ttl, wait=wait), lambda: None
        )
        return None if claim is None else SyncClaim(claim, self._runner)

    def is_claimed(self, key: str) -> bool:
        """Whether anybody in the fleet has the claim of a key now; ``False`` too when that cannot be found out."""
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
        """Cache what a ``def`` returns, by its arguments. Bare, or with the options of ``Cache.cached``.

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

        options = self._verbs._options(  # noqa: SLF001 - two faces of one thing
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
        """A view with its own prefix, defaults and ``clear()``: same near and link. Arguments as for ``Cache``'s."""
        if _others:
            misplaced(SyncVerbs.namespace, _others)
        return SyncNamespace(self._verbs.namespace(name, ttl=ttl, stale=stale), self._runner)

    def bypass(self) -> AbstractContextManager[None]:
        """In this context nothing is read from the cache and nothing stored; removals still go out.

        For this thread, and for what runs under a copy of its context.
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
        """The entry under a key with its times, fresh or stale; ``None`` if there is none. As ``Cache.lookup``.

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
        """What both tiers hold of one key, for people."""
        return self._run(self._verbs.explain(key))


class SyncClaim:
    """The right to replace what a key holds; see ``SyncCache.claim``. Released at the end of ``with``.

    Keep it as long as it is to hold: one that nobody holds any more is given back with its next renewal.
    """

    def __init__(self, claim: Claim, runner: Runner) -> None:
        self._claim, self._runner = claim, runner

    def __repr__(self) -> str:
        return repr(self._claim)

    def release(self) -> bool:
        """Give it back, in whatever thread; ``False`` if that was done before, or it is another process's."""
        return self._runner.run(self._claim.release())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


class SyncNamespace(SyncVerbs):
    """A view on a cache for threads; see ``SyncCache.namespace``."""

    def __repr__(self) -> str:
        return f"<SyncNamespace {self._verbs._prefix!r}>"  # noqa: SLF001 - two faces of one thing


def _nothing() -> None:
    """The loader of who loads by himself."""
