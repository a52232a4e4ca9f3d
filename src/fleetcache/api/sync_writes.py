"""The verbs of threads that store and remove."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Never

from ..config.durations import Duration
from ..config.spelling import by_name, misplaced

if TYPE_CHECKING:
    from .namespace import Namespace
    from .runner import Run

__all__ = ["SyncWrites"]


class SyncWrites:
    """The verbs that store and remove. ``SyncNamespace`` sets the attributes."""

    _verbs: "Namespace"
    _run: "Run"

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
            >>> from fleetcache import SyncCache
            >>> cache = SyncCache("memory://")
            >>> cache.set("city", "Bern", ttl="1h", tags=("geo",))
            >>> cache.get("city")
            'Bern'
        """
        if _others:
            misplaced(SyncWrites.set, _others)
        options: dict[str, Any] = {"ttl": ttl, "stale": stale, "tags": tags, "type": type}
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
            >>> from fleetcache import SyncCache
            >>> cache = SyncCache("memory://")
            >>> cache.set_many({"a": 1, "b": 2}, ttl="1h")
            >>> cache.get("b")
            2
        """
        if _others:
            misplaced(SyncWrites.set_many, _others)
        options: dict[str, Any] = {"ttl": ttl, "stale": stale, "tags": tags, "type": type}
        self._run(self._verbs.set_many(mapping, **options, strict=strict, offline_ttl=offline_ttl, exact=exact))

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
            >>> from fleetcache import SyncCache
            >>> cache = SyncCache("memory://")
            >>> cache.add("greeted", True, ttl="1d"), cache.add("greeted", True, ttl="1d")
            (True, False)
        """
        if _others:
            misplaced(SyncWrites.add, _others)
        options: dict[str, Any] = {"ttl": ttl, "stale": stale, "tags": tags, "type": type}
        return self._run(self._verbs.add(key, value, **options, strict=strict, offline_ttl=offline_ttl))

    @by_name
    def incr(
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
            >>> from fleetcache import SyncCache
            >>> cache = SyncCache("memory://")
            >>> cache.incr("visits", ttl="1d"), cache.incr("visits", 9)
            (1, 10)
        """
        if _others:
            misplaced(SyncWrites.incr, _others)
        return self._run(self._verbs.incr(key, delta, ttl=ttl, create=create))

    def touch(
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
            >>> from fleetcache import SyncCache
            >>> cache = SyncCache("memory://")
            >>> cache.set("session", "anna", ttl="1m")
            >>> cache.touch("session", "1h"), cache.touch("nothing", "1h")
            (True, False)
        """
        return self._run(self._verbs.touch(key, ttl))

    def delete(
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
            >>> from fleetcache import SyncCache
            >>> cache = SyncCache("memory://")
            >>> cache.set("city", "Bern")
            >>> cache.delete("city"), cache.delete("city")
            (True, False)
        """
        return self._run(self._verbs.delete(key, strict=strict))

    def delete_many(
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
            >>> from fleetcache import SyncCache
            >>> cache = SyncCache("memory://")
            >>> cache.set_many({"a": 1, "b": 2})
            >>> cache.delete_many(["a", "b", "c"])
            2
        """
        return self._run(self._verbs.delete_many(keys, strict=strict))

    def invalidate_tags(
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
            >>> from fleetcache import SyncCache
            >>> cache = SyncCache("memory://")
            >>> cache.set("city", "Bern", tags=("geo",))
            >>> cache.invalidate_tags("geo")
            >>> cache.get("city", "?")
            '?'
        """
        self._run(self._verbs.invalidate_tags(*tags, strict=strict))

    def clear(
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
            >>> from fleetcache import SyncCache
            >>> cache = SyncCache("memory://")
            >>> cache.set("city", "Bern")
            >>> cache.clear()
            >>> cache.get("city", "?")
            '?'
        """
        self._run(self._verbs.clear(strict=strict))
