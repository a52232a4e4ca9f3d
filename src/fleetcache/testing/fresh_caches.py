"""The part of the pytest plugin that begins every test with empty caches in memory: ``fleetcache_fresh = true``.

It replaces the app's caches at all times, between tests too. So a conftest or a session fixture that uses these caches
never reaches a server of the environment.
"""

from collections.abc import Iterator

import pytest

from ..engine.engine import _ENGINES
from .layers import Layer, as_they_are
from .override import memory_engine

__all__ = ["Autouse"]


class Autouse:
    """Registered as a plugin when the ini option is set."""

    def __init__(self) -> None:
        self._layer = Layer(memory_engine)
        self._layer.begin(_ENGINES)  # the caches of a conftest

    @pytest.hookimpl(trylast=True)
    def pytest_collection_finish(self) -> None:
        """Replace the caches that test modules made on import."""
        for engine in list(_ENGINES):
            self._layer.add(engine)

    def pytest_unconfigure(self) -> None:
        """Restore the app's own caches."""
        self._layer.end()

    @pytest.fixture(autouse=True)
    def _fleetcache_fresh(self, request: pytest.FixtureRequest) -> Iterator[None]:
        if request.node.get_closest_marker("fleetcache_real") is not None:
            with as_they_are(_ENGINES):
                yield
            return
        self._layer.renew()
        yield
        self._layer.renew()
