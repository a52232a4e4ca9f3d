"""Puts one engine in the place of another, so that a cache and all that was made of it work on it for a while.

Those who stand in for the same engine are a stack: the one that came last works. Each may leave at any time.
"""

from collections.abc import Callable
from weakref import WeakKeyDictionary, ref

from ..engine.engine import Engine
from .closing import aend, end

__all__ = ["EngineOverride"]

_stacks: "WeakKeyDictionary[Engine, list[EngineOverride]]" = WeakKeyDictionary()


class EngineOverride:
    """In the place of ``home`` from construction until ``leave()``.

    Args:
        home: Whose place it takes.
        make: Makes, of ``home``, the engine that works there.
        lent: Whether the engine belongs to somebody else, who ends it.
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
            # An app that is started twice in one test opens its cache again; its next process would have a new one.
            engine.reopen = self.renew
        return engine

    @property
    def home(self) -> Engine | None:
        """Whose place it takes, while that is there."""
        return self._home()

    @property
    def used(self) -> bool:
        """Whether anything may be in it."""
        engine = self.engine
        return engine.loop is not None or engine.ready or engine.closed  # one on threads has no loop

    def renew(self) -> None:
        """Go on with a new engine, and end the old one."""
        home = self._home()
        if home is None:
            return  # nobody is left who could use it
        old, self.engine = self.engine, self._made(home)
        _settle(home)
        end(old)

    def leave(self) -> None:
        """Give the place back, and end the engine if it is ours."""
        self._left()
        if not self._lent:
            end(self.engine)

    async def aleave(self) -> None:
        """Do as ``leave``, and wait until it has ended."""
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
