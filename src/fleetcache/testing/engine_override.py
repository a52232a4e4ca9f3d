"""Replaces one engine by another, so that a cache, its namespaces and functions use the replacement for a while.

The replacements of one engine form a stack, of which the newest is in use. Each replacement may leave at any time.
"""

from collections.abc import Callable
from weakref import WeakKeyDictionary, ref

from ..engine.engine import Engine
from .closing import aend, end

__all__ = ["EngineOverride"]

_stacks: "WeakKeyDictionary[Engine, list[EngineOverride]]" = WeakKeyDictionary()


class EngineOverride:
    """Replaces the engine ``home`` from construction until ``leave()``.

    Args:
        home: The engine to replace.
        make: Makes the replacement of ``home``.
        lent: True if another owner ends the replacement.
    """

    def __init__(self, home: Engine, make: Callable[[Engine], Engine], *, lent: bool = False) -> None:
        self._home = ref(home)
        self._make, self._lent = make, lent
        self.engine = self._made(home)
        _stacks.setdefault(home, []).append(self)
        _settle(home)

    def _made(self, home: Engine) -> Engine:
        engine = self._make(home)
        if not self._lent:
            # An app that is started twice in one test opens its cache again. In production, the second start is a new
            # process with a new cache.
            engine.reopen = self.renew
        return engine

    @property
    def home(self) -> Engine | None:
        """The replaced engine; ``None`` once it is garbage-collected."""
        return self._home()

    @property
    def used(self) -> bool:
        """Return True if the replacement may hold entries."""
        engine = self.engine
        return engine.loop is not None or engine.ready or engine.closed  # an engine for threads has no loop

    def renew(self) -> None:
        """Make a new replacement, and end the old one."""
        home = self._home()
        if home is None:
            return  # no cache uses the engine any more
        old, self.engine = self.engine, self._made(home)
        _settle(home)
        end(old)

    def leave(self) -> None:
        """Restore the replaced engine or an older replacement, and end this replacement unless it is lent."""
        self._left()
        if not self._lent:
            end(self.engine)

    async def aleave(self) -> None:
        """Do the same as ``leave``, and wait until the replacement has ended."""
        self._left()
        if not self._lent:
            await aend(self.engine)

    def _left(self) -> None:
        home = self._home()
        if home is not None:
            _stacks[home].remove(self)
            _settle(home)


def _settle(home: Engine) -> None:
    stack = _stacks[home]
    home.override = stack[-1].engine if stack else None
    home.rebind_faces()
