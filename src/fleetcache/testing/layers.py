"""One kind of cache in the place of all caches of the app, as the pytest fixtures need it.

The caches of the app are those that were made before the tests began, and each ``Cache.from_env()`` since. A cache that
a test makes with a URL or settings is its own, and stays as it is.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial

from msgspec.structs import replace

from ..clock import Clock, monotonic
from ..config.settings import MAX_PREFIX
from ..engine.engine import FROM_ENV, ON_FROM_ENV, Engine
from .engine_override import EngineOverride
from .override import engine_like, memory_engine

__all__ = ["Layer", "as_they_are", "in_memory", "on_server"]

Make = Callable[[Engine], Engine]

_layers: "list[Layer]" = []


class Layer:
    """Stands in for engines from ``begin`` to ``end``.

    Args:
        make: Makes the engine that works in the place of one.
        lent: Whether what it makes is not to be ended.
    """

    def __init__(self, make: Make, *, lent: bool = False) -> None:
        self._make, self._lent = make, lent
        self._places: list[EngineOverride] = []

    def begin(self, made_before: Iterable[Engine]) -> None:
        """Stand in for the caches of the app.

        Args:
            made_before: Those that were made before the tests began.
        """
        if not _layers:
            ON_FROM_ENV.append(_born)
        _layers.append(self)
        for home in {*made_before, *FROM_ENV}:
            self.add(home)

    def add(self, home: Engine) -> None:
        """Stand in for one more."""
        is_stand_in = home.reopen is not None
        if not is_stand_in and all(place.home is not home for place in self._places):
            self._places.append(EngineOverride(home, self._make, lent=self._lent))

    def renew(self) -> None:
        """Be empty, as at the beginning."""
        for place in self._places.copy():
            if place.home is None:
                self._places.remove(place)
                place.leave()
            elif place.used:
                place.renew()

    def end(self) -> None:
        """Give the places back."""
        _layers.remove(self)
        if not _layers:
            ON_FROM_ENV.remove(_born)
        for place in self._places:
            place.leave()
        self._places.clear()


def _born(engine: Engine) -> None:
    for layer in _layers:
        layer.add(engine)


@contextmanager
def _in_force(layer: Layer, made_before: Iterable[Engine]) -> Iterator[None]:
    layer.begin(made_before)
    try:
        yield
    finally:
        layer.end()


def in_memory(made_before: Iterable[Engine], clock: Clock = monotonic) -> AbstractContextManager[None]:
    """A fresh cache in memory in the place of each."""
    return _in_force(Layer(partial(memory_engine, clock=clock)), made_before)


def as_they_are(made_before: Iterable[Engine]) -> AbstractContextManager[None]:
    """Each in its own place, whatever stands there."""
    return _in_force(Layer(lambda home: home, lent=True), made_before)


def on_server(made_before: Iterable[Engine], url: str, name: str) -> AbstractContextManager[None]:
    """A cache on that server in the place of each; those that would share entries share them there too.

    Args:
        made_before: As for ``Layer.begin``.
        url: The server.
        name: Goes before their prefixes, so that nothing that arrives late from an earlier test is seen.
    """

    def make(home: Engine) -> Engine:
        settings = home.settings
        prefix = f"{name}.{settings.prefix}".encode()[:MAX_PREFIX].decode(errors="ignore").rstrip(":")
        there = replace(settings, driver="redis", url=url, prefix=prefix, strict=True, credential_provider=None)
        return engine_like(home, there)

    return _in_force(Layer(make), made_before)
