"""Replaces all caches of the app by one kind of cache, as the pytest fixtures need it.

The caches of the app are those made before the tests began, and each ``Cache.from_env()`` since. A cache that a test
makes with a URL or settings belongs to the test and is not replaced.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial

from msgspec.structs import replace

from ..clock import Clock, monotonic
from ..config.environment import MAX_PREFIX
from ..engine.engine import FROM_ENV, ON_FROM_ENV, Engine
from .engine_override import EngineOverride
from .override import engine_like, memory_engine

__all__ = ["Layer", "as_they_are", "in_memory", "on_server"]

Make = Callable[[Engine], Engine]

_layers: "list[Layer]" = []


class Layer:
    """Replaces engines from ``begin`` to ``end``.

    Args:
        make: Makes the replacement of an engine.
        lent: True if the replacements must not be ended.
    """

    def __init__(self, make: Make, *, lent: bool = False) -> None:
        self._make, self._lent = make, lent
        self._places: list[EngineOverride] = []

    def begin(self, made_before: Iterable[Engine]) -> None:
        """Replace the caches of the app.

        Args:
            made_before: The engines of the caches made before the tests began.
        """
        if not _layers:
            ON_FROM_ENV.append(_born)
        _layers.append(self)
        for home in {*made_before, *FROM_ENV}:
            self.add(home)

    def add(self, home: Engine) -> None:
        """Replace one more engine, unless it is a replacement itself or this layer has replaced it already."""
        is_stand_in = home.reopen is not None
        if not is_stand_in and all(place.home is not home for place in self._places):
            self._places.append(EngineOverride(home, self._make, lent=self._lent))

    def renew(self) -> None:
        """Replace all used replacements by empty ones."""
        for place in self._places.copy():
            if place.home is None:
                self._places.remove(place)
                place.leave()
            elif place.used:
                place.renew()

    def end(self) -> None:
        """Restore the replaced engines."""
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
    """Replace each cache by a fresh cache in memory."""
    return _in_force(Layer(partial(memory_engine, clock=clock)), made_before)


def as_they_are(made_before: Iterable[Engine]) -> AbstractContextManager[None]:
    """Use each cache's own engine, in place of all its replacements."""
    return _in_force(Layer(lambda home: home, lent=True), made_before)


def on_server(made_before: Iterable[Engine], url: str, name: str) -> AbstractContextManager[None]:
    """Replace each cache by a cache on that server. Caches that would share entries share them there too.

    Args:
        made_before: As for ``Layer.begin``.
        url: The server's URL.
        name: Put before the prefixes of the caches, so that a late write of an earlier test is never read.
    """

    def make(home: Engine) -> Engine:
        settings = home.settings
        prefix = f"{name}.{settings.prefix}".encode()[:MAX_PREFIX].decode(errors="ignore").rstrip(":")
        there = replace(
            settings, driver="redis", url=url, prefix=prefix, strict=True, ttl_jitter=0.0, credential_provider=None
        )
        return engine_like(home, there)

    return _in_force(Layer(make), made_before)
