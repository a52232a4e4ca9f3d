"""The verbs of threads that read stored entries, without a loader.

A near hit is answered here, in the calling thread and without a lock. Everything else is the async verb itself, run to
its end by a runner: see ``Runner``. No rule is written twice.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeVar, overload

from ..config.durations import Duration
from ..policy.lookup import DecodedValue
from ..policy.options import CallOptions
from ..policy.results import Found

if TYPE_CHECKING:
    from ..engine.engine import Engine
    from .explain import Explanation
    from .namespace import Namespace
    from .runner import Run
    from .scope import Scope

__all__ = ["SyncReads"]

T = TypeVar("T")
D = TypeVar("D")


class SyncReads:
    """The verbs that read stored entries. ``FastPath`` and ``SyncNamespace`` set the attributes."""

    _verbs: "Namespace"
    _run: "Run"
    _scope: "Scope"
    _engine: "Engine"
    _key: Callable[[object], str]
    _defaults: CallOptions
    _items: Mapping[str, Any]
    _ticks: Iterator[float]
    _counters: Any

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
        # Callers pass it by keyword, as the overloads show. An asterisk would slow a hit by an eighth: CPython's quick
        # calls support none.
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

        Returns:
            The value, or ``default``. While the server cannot be reached, a near copy within its ``offline_ttl``.

        Raises:
            KeyRuleError: The key breaks the rules.
            Closed: After ``close()``.

        Example:
            >>> from fleetcache import SyncCache
            >>> cache = SyncCache("memory://")
            >>> cache.set("answer", 42)
            >>> cache.get("answer", type=int), cache.get("question", "?")
            (42, '?')
        """
        # As in ``peek``, the hot path of the cache is written out here, because a call costs a third of a hit.
        try:
            held = self._items[key]
            if held.declared is type or held.also is type:
                now = next(self._ticks)  # the clock counts a hit; a miss corrects that below
                if held.fresh_until > now and held.generation.until > now:
                    if held.freq < 3:  # noqa: PLR2004 - near's mark
                        held.freq += 1
                    return held.value
                self._counters.near_hits -= 1
        except (KeyError, TypeError):  # no such entry; or not a str, and the check of the key names the rule
            pass
        answer = self._run(self._look_up(key, type, allow_stale))
        return default if answer is None else answer.value

    async def _look_up(self, key: str, declared: Any, allow_stale: bool) -> DecodedValue | None:
        engine = self._engine
        full = self._key(key)
        if engine.bypasses and self._scope.is_bypassed:
            return None
        rules = engine if engine.ready and not engine.nested else await engine.ensure_ready()
        return await rules.policy.get(full, declared, self._defaults, allow_stale=allow_stale)

    def get_many(
        self,
        keys: Iterable[str],
        *,
        type: Any = Any,  # noqa: A002 - as in get
        near: bool = True,
        offline_ttl: Duration | None = None,
    ) -> dict[str, Any]:
        """Return the fresh entries among ``keys``, in as few round trips as possible.

        Args:
            keys: Any number of keys.
            type: The type that each value is decoded as; without it, plain data.
            near: Whether the near cache may answer while the server can be asked. ``False`` costs the round trip and
                sees every acknowledged write: for read-modify-write, such as a session.
            offline_ttl: How long the near cache may answer while the server cannot be reached: seconds, ``timedelta``
                or text such as ``"5m"``; 0 = not at all.

        Returns:
            The values by key, without the absent keys.

        Raises:
            KeyRuleError: A key breaks the rules.
            TypeError: ``keys`` is one string.
            Closed: After ``close()``.

        Example:
            >>> from fleetcache import SyncCache
            >>> cache = SyncCache("memory://")
            >>> cache.set_many({"a": 1, "b": 2})
            >>> cache.get_many(["a", "b", "c"])
            {'a': 1, 'b': 2}
        """
        return self._run(self._verbs.get_many(keys, type=type, near=near, offline_ttl=offline_ttl))

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
        """Return the entry of a key with its times, fresh or stale.

        For a caller that must tell the age of a value, or how long the value is still good. A lookup counts as neither
        a hit nor a miss.

        Args:
            key: 1 byte to 8 KiB.
            type: The type the value is decoded as; without it, plain data.
            offline_ttl: How long the near cache may answer while the server cannot be reached: seconds, ``timedelta``
                or text such as ``"5m"``; 0 = not at all.

        Returns:
            The entry; ``None`` if there is none.

        Raises:
            KeyRuleError: The key breaks the rules.
            Closed: After ``close()``.

        Example:
            >>> from fleetcache import SyncCache
            >>> cache = SyncCache("memory://")
            >>> cache.set("answer", 42, ttl="1m")
            >>> found = cache.lookup("answer", type=int)
            >>> found.value, round(found.fresh_for), round(found.age), found.stale
            (42, 60, 0, False)
        """
        return self._run(self._verbs.lookup(key, type=type, offline_ttl=offline_ttl))

    def explain(self, key: str) -> "Explanation":
        """Return the state of one key in the near cache and on the server, for a person who investigates a fault.

        Args:
            key: 1 byte to 8 KiB.

        Returns:
            The state in both tiers, with the reason why an entry cannot be used.

        Raises:
            KeyRuleError: The key breaks the rules.
            Closed: After ``close()``.

        Example:
            >>> from fleetcache import SyncCache
            >>> cache = SyncCache("memory://")
            >>> cache.set("answer", 42, ttl="1m")
            >>> found = cache.explain("answer")
            >>> found.near, round(found.near_fresh_for), found.loading
            ('fresh', 60, False)
        """
        return self._run(self._verbs.explain(key))
