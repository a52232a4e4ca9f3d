"""The async verbs that store and remove."""

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Never

from ..config.durations import MAX_TTL, Duration, parse_duration
from ..config.spelling import by_name, misplaced
from ..engine.aio.other_loops import not_known, on_its_loop
from ..errors import Unavailable
from ..format.keys import check_key, check_tag
from ..policy.options import MINIMUM_TTL
from .options import check_keys, type_name

if TYPE_CHECKING:
    from ..engine.engine import Engine
    from .scope import Scope

__all__ = ["Writes"]


class Writes:
    """The verbs that store and remove. ``FastPath`` sets the attributes."""

    _scope: "Scope"
    _engine: "Engine"
    _key: Callable[[object], str]

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

        Args:
            key: 1 byte to 8 KiB.
            value: Plain data, a dataclass, a registered type or another value that the cache's codec can store.
            ttl: How long the value is fresh: seconds, ``timedelta`` or text such as ``"5m"``. By default that of the
                cache or namespace.
            stale: How long after ``ttl`` the value may still be returned while it is refreshed; 0 = not at all.
            tags: Names by which ``invalidate_tags`` removes the entry.
            type: The type that the value is stored as; the call raises if the value is of another type.
            strict: Whether the call raises if the server does not acknowledge the write.
            offline_ttl: How long this process keeps the value while the server cannot be reached; 0 = not at all.

        Raises:
            KeyRuleError: The key or a tag breaks the rules.
            CodecError: The value would not come back as it is; nothing was sent.
            Unavailable: ``strict`` is set and the server did not acknowledge the write.

        Example:
            >>> from fleetcache import Cache
            >>> cache = Cache("memory://")
            >>> await cache.set("city", "Bern", ttl="1h", tags=("geo",))
            >>> await cache.get("city")
            'Bern'
        """
        if _others:
            misplaced(Writes.set, _others)
        await self.set_many(
            {check_key(key): value},
            ttl=ttl,
            stale=stale,
            tags=tags,
            type=type,
            strict=strict,
            offline_ttl=offline_ttl,
            exact=True,
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
        exact: bool = False,
    ) -> None:
        """Store many values, as ``set``, in as few writes as possible. If one value cannot be encoded, nothing is sent.

        Args:
            mapping: The values by key.
            ttl: How long each value is fresh: seconds, ``timedelta`` or text such as ``"5m"``. By default that of the
                cache or namespace.
            stale: How long after ``ttl`` a value may still be returned while it is refreshed; 0 = not at all.
            tags: Names by which ``invalidate_tags`` removes the entries.
            type: The type that each value is stored as; the call raises if a value is of another type.
            strict: Whether the call raises if the server does not acknowledge every write.
            offline_ttl: How long this process keeps the value while the server cannot be reached; 0 = not at all.
            exact: Whether ``ttl`` holds exactly. Otherwise up to ``CACHE_TTL_JITTER`` of it is left out at random, and
                values that are stored together do not end together.

        Raises:
            KeyRuleError: A key or a tag breaks the rules.
            CodecError: A value would not come back as it is; nothing was sent.
            Unavailable: ``strict`` is set and the server did not acknowledge every write.

        Example:
            >>> from fleetcache import Cache
            >>> cache = Cache("memory://")
            >>> await cache.set_many({"a": 1, "b": 2}, ttl="1h")
            >>> await cache.get("b")
            2
        """
        if _others:
            misplaced(Writes.set_many, _others)
        options = self._scope.options(ttl, stale, tags, offline_ttl=offline_ttl, exact=exact)
        if not isinstance(mapping, Mapping):
            raise TypeError(f"set_many takes a mapping of keys to values, not {type_name(mapping)}")
        values = {self._key(key): value for key, value in mapping.items()}
        rules = await self._engine.ensure_ready()
        if self._scope.is_bypassed:  # the value is not stored, and the old entries are outdated
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
        """Store a value if the key has no fresh entry. Not a lock: for that there is ``claim``.

        While the server is known to be away, the first ``add`` of this process stores the value in memory, for
        ``offline_ttl``; when the server is back, that value is removed. While the server is only late, or did not
        answer, the result is ``False``.

        Args:
            key: 1 byte to 8 KiB.
            value: As for ``set``.
            ttl: How long the value is fresh: seconds, ``timedelta`` or text such as ``"5m"``. By default that of the
                cache or namespace.
            stale: How long after ``ttl`` the value may still be returned while it is refreshed; 0 = not at all.
            tags: Names by which ``invalidate_tags`` removes the entry.
            type: The type that the value is stored as; the call raises if the value is of another type.
            strict: Whether the call raises if the server does not decide.
            offline_ttl: How long this process keeps the value while the server cannot be reached; 0 = not at all.

        Returns:
            Whether the value is stored; ``False`` if the key has a fresh entry, or if that is unknown.

        Raises:
            KeyRuleError: The key or a tag breaks the rules.
            CodecError: The value would not come back as it is; nothing was sent.
            Unavailable: ``strict`` is set and the server did not decide whether the value is stored.

        Example:
            >>> from fleetcache import Cache
            >>> cache = Cache("memory://")
            >>> await cache.add("greeted", True, ttl="1d"), await cache.add("greeted", True, ttl="1d")
            (True, False)
        """
        if _others:
            misplaced(Writes.add, _others)
        options, full = self._scope.options(ttl, stale, tags, offline_ttl=offline_ttl), self._key(key)
        rules = await self._engine.ensure_ready()
        if self._scope.is_bypassed:
            if strict:
                raise Unavailable(f"add of {key!r}: the cache is bypassed in this context")
            return False
        return await rules.writing.add(full, value, options, type, strict=strict)

    @on_its_loop(not_known)
    @by_name
    async def incr(
        self,
        key: str,
        delta: int = 1,
        *_others: Never,
        ttl: Duration | None = None,
        create: bool = True,
    ) -> int:
        """Add ``delta`` to a counter and return the sum.

        A new counter begins at 0 and lives for ``ttl``. Later calls do not change its end.

        Args:
            key: 1 byte to 8 KiB.
            delta: The number to add; negative to count down.
            ttl: How long a new counter lives: seconds, ``timedelta`` or text such as ``"1m"``. By default that of the
                cache or namespace.
            create: Whether a counter that does not exist is made.

        Returns:
            The sum.

        Raises:
            KeyError: There is no such counter, and ``create`` is false.
            Unavailable: The server did not acknowledge. The cache makes no guess.
            CodecError: The entry is not an integer, or the sum is beyond int64 (2^63 - 1).

        Example:
            >>> from fleetcache import Cache
            >>> cache = Cache("memory://")
            >>> await cache.incr("visits", ttl="1d"), await cache.incr("visits", 9)
            (1, 10)
        """
        if _others:
            misplaced(Writes.incr, _others)
        if isinstance(delta, bool) or not isinstance(delta, int):
            raise TypeError(f"incr: delta must be an int, not {delta!r}")
        options, full = self._scope.options(ttl), self._key(key)
        rules = await self._engine.ensure_ready()
        if self._scope.is_bypassed:
            raise Unavailable(f"incr of {key!r}: the cache is bypassed in this context")
        total = await rules.counting.incr(full, delta, options, create=create)
        if total is None:
            raise KeyError(key)
        return total

    @on_its_loop(bool)
    async def touch(
        self,
        key: str,
        ttl: Duration,
    ) -> bool:
        """Let a fresh entry live ``ttl`` from now. Every instance drops its near copy.

        Args:
            key: 1 byte to 8 KiB.
            ttl: How long the value is fresh from now: seconds, ``timedelta`` or text such as ``"5m"``.

        Returns:
            Whether there was a fresh entry; ``False`` also if that is unknown.

        Raises:
            KeyRuleError: The key breaks the rules.
            ConfigError: ``ttl`` is not a duration, or is over 30 days.

        Example:
            >>> from fleetcache import Cache
            >>> cache = Cache("memory://")
            >>> await cache.set("session", "anna", ttl="1m")
            >>> await cache.touch("session", "1h"), await cache.touch("nothing", "1h")
            (True, False)
        """
        full, life = self._key(key), parse_duration(ttl, name="ttl", minimum=MINIMUM_TTL, maximum=MAX_TTL)
        rules = await self._engine.ensure_ready()
        return not self._scope.is_bypassed and await rules.writing.touch(full, life, self._scope.defaults)

    async def delete(
        self,
        key: str,
        *,
        strict: bool = False,
    ) -> bool:
        """Remove an entry from every instance and the server. Change your source first.

        Args:
            key: 1 byte to 8 KiB.
            strict: Whether the call raises if the server does not acknowledge the removal.

        Returns:
            Whether a live value is known to be removed. ``False`` also if the server did not acknowledge. The cache
            then keeps and repeats the removal; until it is done, this instance treats the key as absent.

        Raises:
            KeyRuleError: The key breaks the rules.
            Unavailable: ``strict`` is set and the server did not acknowledge the removal.

        Example:
            >>> from fleetcache import Cache
            >>> cache = Cache("memory://")
            >>> await cache.set("city", "Bern")
            >>> await cache.delete("city"), await cache.delete("city")
            (True, False)
        """
        return await self.delete_many((key,), strict=strict) == 1

    @on_its_loop(int)
    async def delete_many(
        self,
        keys: Iterable[str],
        *,
        strict: bool = False,
    ) -> int:
        """Remove many entries, as ``delete``, in as few writes as possible.

        Args:
            keys: Any number of keys.
            strict: Whether the call raises if the server does not acknowledge every removal.

        Returns:
            The number of live values that are known to be removed.

        Raises:
            KeyRuleError: A key breaks the rules.
            TypeError: ``keys`` is one string.
            Unavailable: ``strict`` is set and the server did not acknowledge every removal.

        Example:
            >>> from fleetcache import Cache
            >>> cache = Cache("memory://")
            >>> await cache.set_many({"a": 1, "b": 2})
            >>> await cache.delete_many(["a", "b", "c"])
            2
        """
        names = [self._key(key) for key in check_keys(keys)]
        rules = await self._engine.ensure_ready()
        return await rules.writing.delete_many(names, strict=strict)

    async def invalidate_tags(
        self,
        *tags: str,
        strict: bool = False,
    ) -> None:
        """Remove every entry that carries one of the tags, in every namespace: one ``DEL`` a tag.

        Args:
            *tags: Tags that entries were stored with.
            strict: Whether the call raises if the server does not acknowledge; either way the removal is repeated until
                the server does.

        Raises:
            KeyRuleError: A tag breaks the rules.
            Unavailable: ``strict`` is set and the server did not acknowledge.

        Example:
            >>> from fleetcache import Cache
            >>> cache = Cache("memory://")
            >>> await cache.set("city", "Bern", tags=("geo",))
            >>> await cache.invalidate_tags("geo")
            >>> await cache.get("city", "?")
            '?'
        """
        await self._invalidate([check_tag(tag) for tag in tags], strict=strict)

    async def clear(
        self,
        *,
        strict: bool = False,
    ) -> None:
        """Remove all entries of this cache, or of this namespace. Other keys on the server are not touched.

        Args:
            strict: Whether the call raises if the server does not acknowledge; either way the removal is repeated until
                the server does.

        Raises:
            Unavailable: ``strict`` is set and the server did not acknowledge.

        Example:
            >>> from fleetcache import Cache
            >>> cache = Cache("memory://")
            >>> await cache.set("city", "Bern")
            >>> await cache.clear()
            >>> await cache.get("city", "?")
            '?'
        """
        await self._invalidate(self._scope.tags[-1:], strict=strict)

    @on_its_loop()
    async def _invalidate(self, tags: Iterable[str], *, strict: bool) -> None:
        rules = await self._engine.ensure_ready()
        await rules.writing.invalidate(tags, strict=strict)
