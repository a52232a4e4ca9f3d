"""A fault in force: the return value of the switches of ``Proxy``."""

from collections.abc import Callable

__all__ = ["Fault"]


class Fault:
    """A fault in force from the call of the switch until the ``with`` block ends or ``end()`` is called."""

    def __init__(self, name: str, undo: Callable[[], None]) -> None:
        self._name, self._undo = name, undo
        self._over = False

    def end(self) -> None:
        """Undo the fault. A second call has no effect."""
        if not self._over:
            self._over = True
            self._undo()

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        self.end()

    def __repr__(self) -> str:
        return f"<Fault {self._name}{', over' if self._over else ''}>"
