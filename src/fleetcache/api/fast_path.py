"""Near hits: every face answers them at once, in any thread, without a lock and without I/O.

A hit is one look-up, two comparisons and a mark. ``get`` and decorated functions repeat these lines, because a call
costs a third of a hit.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeVar, overload

from ..policy.options import EARLY_RANGE

if TYPE_CHECKING:
    from ..engine.engine import Engine
    from .scope import Scope

__all__ = ["FastPath"]

T = TypeVar("T")
D = TypeVar("D")


class FastPath:
    """The part of a face that answers near hits, and all that a hit reads.

    Args:
        scope: Where the verbs of the face work.
    """

    def __init__(self, scope: "Scope") -> None:
        self._scope = scope
        self._key: Callable[[object], str] = scope.key  # returns the whole key, or raises
        self._defaults = scope.defaults
        scope.root.faces.add(self)
        self.bind()

    def bind(self) -> None:
        """Copy the engine's parts that the hot path reads into attributes of this object."""
        engine: Engine = self._scope.root.active
        engine.faces.add(self)
        self._engine = engine
        self._items: Mapping[str, Any] = self._scope.items()
        self._clock: Callable[[], float] = engine.clock
        self._ticks: Iterator[float] = engine.ticks.read
        self._counters: Any = engine.counters

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
    # Callers pass ``type`` by keyword, as the overloads show. An asterisk in the signature would slow a hit by an
    # eighth.
    def peek(self, key: str, default: Any = None, type: Any = Any) -> Any:  # noqa: A002 - the field's word
        """Return the value if the near cache can answer at once, without waiting or I/O.

        Args:
            key: 1 byte to 8 KiB.
            default: The result if the near cache has no fresh entry. ``None`` can be stored, too: pass ``MISSING`` to
                tell them apart.
            type: The type the value is decoded as; without it, plain data.

        Returns:
            The value, or ``default``; after ``close()`` always ``default``.

        Raises:
            KeyRuleError: The key breaks the rules.

        Example:
            >>> from fleetcache import Cache
            >>> cache = Cache("memory://")
            >>> await cache.set("answer", 42)
            >>> cache.peek("answer", type=int), cache.peek("question", "?")
            (42, '?')
        """
        try:
            held = self._items[key]
            if held.declared is type or held.also is type:
                now = next(self._ticks)  # the clock counts a hit; a miss corrects that below
                if held.fresh_until > now and held.generation.until > now:
                    if held.freq < 3:  # noqa: PLR2004 - near's mark
                        held.freq += 1
                    return held.value
                self._counters.near_hits -= 1
        except (KeyError, TypeError):  # no such entry; or not a str, and the check of the key below names the rule
            pass
        else:
            held = self._near_hit(key)
            answer = None if held is None else self._engine.entries.decode_near(held, type)
            return default if answer is None else answer.value
        self._key(key)
        return default

    def _near_hit(self, key: Any, *, refreshes: bool = False) -> Any:
        """Return a fresh, trusted near entry, marked and counted; ``None`` leaves the rest to ``policy``.

        ``refreshes``: the call may start a refresh, so ``policy`` judges an entry close to its end.
        """
        try:
            held = self._items[key]
        except (KeyError, TypeError):  # no such entry; or not a str, and the check of the key names the rule
            return None
        now = self._clock()
        if held.generation.until <= now and not (self._engine.near.lives(held) and held.generation.until > now):
            return None
        left = held.fresh_until - now
        if left <= 0 or (refreshes and left < EARLY_RANGE * held.cost):
            return None
        if held.freq < 3:  # noqa: PLR2004 - near's mark
            held.freq += 1
        self._counters.near_hits += 1
        return held
