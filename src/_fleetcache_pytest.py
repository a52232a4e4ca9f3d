"""The pytest plugin of fleetcache: ``fleetcache.testing`` as fixtures. docs/testing.md shows how to use it.

pytest imports this file wherever fleetcache is installed, even where no test uses it. So the file is outside the
package and imports nothing of it before a fixture is used: an import would cost every start of pytest some 50 ms.
"""

import itertools
import sys
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING
from weakref import WeakSet

import pytest

if TYPE_CHECKING:
    from fleetcache.engine.engine import Engine
    from fleetcache.testing import ManualClock, Proxy, Server

FRESH = "fleetcache_fresh"
REAL = "fleetcache_real"

# The caches that existed when all tests had been imported.
_made_before = pytest.StashKey["WeakSet[Engine]"]()
_numbers = itertools.count(1)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the one option, ``fleetcache_fresh``."""
    parser.addini(FRESH, "begin every test with empty caches in memory (fleetcache)", type="bool", default=False)


def pytest_configure(config: pytest.Config) -> None:
    """Add the one marker. With ``fleetcache_fresh``, also register the plugin that empties the caches for each test."""
    config.addinivalue_line(
        "markers", f"{REAL}: use the app's own caches, as the environment sets them up, in this test"
    )
    if config.getini(FRESH):
        from fleetcache.testing.fresh_caches import Autouse  # noqa: PLC0415 - only suites with the option pay for it

        config.pluginmanager.register(Autouse(), "fleetcache-autouse")


def pytest_collection_finish(session: pytest.Session) -> None:
    """Remember the caches that the import of the tests has made, and with them those of the app."""
    session.config.stash[_made_before] = WeakSet(_engines())


def _engines() -> "Iterable[Engine]":
    if "fleetcache.engine.engine" not in sys.modules:
        return ()
    from fleetcache.engine.engine import _ENGINES  # noqa: PLC0415 - already imported, so this costs nothing

    return _ENGINES


def _made_before_tests(request: pytest.FixtureRequest) -> "WeakSet[Engine]":
    return request.config.stash[_made_before]


@pytest.fixture
def fresh_caches(request: pytest.FixtureRequest) -> Iterator[None]:
    """Make every cache of the app an empty one in memory for this test. All tests: ``fleetcache_fresh = true``."""
    from fleetcache.testing.layers import in_memory  # noqa: PLC0415 - only tests that use the fixture pay for it

    with in_memory(_made_before_tests(request)):
        yield


@pytest.fixture
def cache_clock(request: pytest.FixtureRequest) -> "Iterator[ManualClock]":
    """Return a clock that the test moves.

    In this test every cache of the app is an empty one in memory and follows that clock.
    """
    from fleetcache.testing import ManualClock  # noqa: PLC0415 - as above
    from fleetcache.testing.layers import in_memory  # noqa: PLC0415 - as above

    if "cache_server" in request.fixturenames:
        pytest.fail(
            "cache_clock moves the time of caches in memory; the server of cache_server keeps its own time",
            pytrace=False,
        )
    clock = ManualClock()
    with in_memory(_made_before_tests(request), clock):
        yield clock


@pytest.fixture(scope="session")
def _fleetcache_server() -> "Iterator[Server]":
    from fleetcache.testing import Server  # noqa: PLC0415 - as above

    with Server() as server:
        yield server


@pytest.fixture
def cache_server(request: pytest.FixtureRequest, _fleetcache_server: "Server") -> "Iterator[Proxy]":
    """Put every cache of the app on a real, empty server for this test; return the ``Proxy`` that makes it fail."""
    from fleetcache.testing import Proxy  # noqa: PLC0415 - as above
    from fleetcache.testing.layers import on_server  # noqa: PLC0415 - as above

    server = _fleetcache_server
    if not server.alive:  # an earlier test may have ended it
        server.restart()
    server.thaw()
    server.flush()
    with Proxy(server) as proxy, on_server(_made_before_tests(request), proxy.url, f"t{next(_numbers)}"):
        yield proxy
