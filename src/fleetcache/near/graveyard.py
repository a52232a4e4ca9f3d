"""The graveyard: near entries that a removal has ended and that still take memory, and their burial in slices.

To free 400,000 entries takes a tenth of a second or a whole one, too long for an event loop. So a removal leaves them
here, in the containers that listed them, and each container is emptied a few keys at a time. The rules:

1. The memory of the dead counts as the store's until they are buried. They do not count as entries.
2. A put that needs room buries first: dead entries leave before living ones.
3. While anything is left, an alarm rings every few milliseconds and buries for a part of that time.
"""

from collections import deque
from collections.abc import Callable, Sized
from contextlib import suppress
from sys import getsizeof
from typing import TYPE_CHECKING, Any, Protocol

from ..clock import Clock
from .generations import Generations

if TYPE_CHECKING:

    class Buried(Protocol):
        """A store with dead entries."""

        on_dead: Callable[[], None]

        def bury(self, steps: int) -> bool:
            """Bury up to so many of the dead; return whether any are left."""
            ...

        @property
        def frees_much(self) -> bool:
            """Whether the next step takes as long as a slice."""
            ...


__all__ = ["Burial", "Grave", "Graveyard"]

# Lines of an index with up to this many keys are freed at once, which takes microseconds.
_SMALL = 64
# To give an emptied container of this many bytes back to the system takes a good part of a millisecond.
_LARGE = 4_000_000


class Grave:
    """Keys, most of them of dead entries, in the container that listed them.

    Args:
        keys: Emptied little by little. A key may be held anew meanwhile: the store looks at its entry.
        tag: The removed tag, if it was one, and the number of its removal.
    """

    __slots__ = ("keys", "number", "tag")

    def __init__(self, keys: "deque[str] | dict[str, None]", tag: str | None = None, number: int = -1) -> None:
        self.keys, self.tag, self.number = keys, tag, number


class Graveyard:
    """The dead entries of a store.

    Attributes:
        graves: While it is empty, no entry is dead.
        count: Dead entries. Those of two removed tags are counted twice until all are buried.
        weight: Bytes of those whose place in the queue is given up already, and of their index.
    """

    def __init__(self, generations: Generations) -> None:
        self._generations = generations
        self.graves: deque[Grave] = deque()
        self._rubble: deque[tuple[dict[str, Any], int]] = deque()  # dicts without entries, and their weights
        self.count = self.weight = 0

    def __bool__(self) -> bool:
        return bool(self.graves or self._rubble)

    @property
    def frees_much(self) -> bool:
        """Whether the next step gives a large container back."""
        if self.graves:
            following: Sized = self.graves[0].keys
        elif self._rubble:
            following = self._rubble[0][0]
        else:
            return False
        return not following and getsizeof(following) >= _LARGE

    def add(self, *graves: Grave) -> None:
        """Add keys of dead entries; the caller changes ``count``."""
        self.graves.extend(graves)

    def add_rubble(self, *dicts: "tuple[dict[str, Any], int]") -> None:
        """Add dicts that need no burial but are to be freed, each with the bytes that count until then."""
        self._rubble.extend(dicts)
        self.weight += sum(weight for _, weight in dicts)

    def next_key(self) -> str | None:
        """Take out the next key; ``None`` if there is none.

        Each grave is closed once it is empty, and its last key buried: that is when the next key is asked for.
        """
        graves = self.graves
        while graves:
            keys = graves[0].keys
            if keys:
                return keys.popitem()[0] if isinstance(keys, dict) else keys.popleft()
            grave = graves.popleft()
            if grave.tag is not None:
                self._generations.buried(grave.tag, grave.number)
        if self._rubble:
            self._clear_away()
        else:
            self.count = 0
        return None

    def _clear_away(self) -> None:
        """Free one item of a dict; a large line in it becomes a grave, although none of its keys has a dead entry."""
        heap, weight = self._rubble[0]
        if heap:
            _, keys = heap.popitem()
            if isinstance(keys, dict) and len(keys) > _SMALL:
                self.graves.append(Grave(keys))
        else:
            self._rubble.popleft()
            self.weight -= weight


class Burial:
    """Buries the dead of a store in slices, until none is left.

    Args:
        near: The store.
        clock: Returns seconds.
        call_later: Calls a function after some seconds, where the store may be changed; returns the alarm.
    """

    # A third of the time at most goes into burials, and the 400,000 entries of a large tag are gone in a few seconds.
    # An emptied container of megabytes takes a millisecond to free: one slice ends before it, the next begins with it.
    EVERY, SLICE = 0.001, 0.0005
    # Steps between two looks at the clock. Some of them give a whole page of memory back, which takes longer.
    STEPS = 8

    def __init__(self, near: "Buried", clock: Clock, call_later: Callable[[float, Callable[[], None]], Any]) -> None:
        self._near, self._clock, self._call_later = near, clock, call_later
        self._alarm: Any = None
        self._stopped = False
        near.on_dead = self.begin

    def begin(self) -> None:
        """Set the alarm, unless it is set."""
        if self._alarm is None and not self._stopped:
            with suppress(RuntimeError):  # no loop runs here, or the interpreter ends: each put buries a few
                self._alarm = self._call_later(self.EVERY, self._ring)

    def resume(self) -> None:
        """Set the alarm again where the store is used now: the loop that had it is gone."""
        self._alarm = None
        if self._near.bury(0):
            self.begin()

    def stop(self) -> None:
        """Cancel the alarm for good."""
        self._stopped = True
        if self._alarm is not None:
            self._alarm.cancel()

    def _ring(self) -> None:
        self._alarm = None
        until = self._clock() + self.SLICE
        left = self._near.bury(self.STEPS)
        while left and self._clock() < until and not self._near.frees_much:
            left = self._near.bury(self.STEPS)
        if left:
            self.begin()
