"""The pytest plugin of fleetcache: ``fleetcache.testing`` as fixtures. docs/testing.md tells how to use it.

pytest imports this file wherever fleetcache is installed, also where no test uses it. So it stands beside the package
and imports nothing of it before a fixture is used: that would cost every start of pytest some 50 ms.
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

# The caches that were there when all tests had been imported.
_made_before = pytest.StashKey["WeakSet[Engine]"]()
_numbers = itertools.count(1)


def pytest_addoption(parser: pytest.Parser) -> None:
    """The one option."""
    parser.addini(FRESH, "begin every test with empty caches in memory (fleetcache)", type="bool", default=False)


def pytest_configure(config: pytest.Config) -> None:
    """The one marker; and where every test is to begin fresh, what sees to that."""
    config.addinivalue_line("markers", f"{REAL}: let the app's caches be as the environment says in this test")
    if config.getini(FRESH):
        from fleetcache.testing.fresh_caches import Autouse  # noqa: PLC0415 - only who asks for it pays for it

        config.pluginmanager.register(Autouse(), "fleetcache-autouse")


def pytest_collection_finish(session: pytest.Session) -> None:
    """Take note of the caches that were made by importing the tests, and with them the app."""
    session.config.stash[_made_before] = WeakSet(_engines())


def _engines() -> "Iterable[Engine]":
    if "fleetcache.engine.engine" not in sys.modules:
        return ()
    from fleetcache.engine.engine import _ENGINES  # noqa: PLC0415 - it is there, so this costs nothing

    return _ENGINES


def _made_before_tests(request: pytest.FixtureRequest) -> "WeakSet[Engine]":
    return request.config.stash[_made_before]


@pytest.fixture
def fresh_caches(request: pytest.FixtureRequest) -> Iterator[None]:
    """Let every cache of the app be an empty one in memory, for this test. All tests: ``fleetcache_fresh = true``."""
    from fleetcache.testing.layers import in_memory  # noqa: PLC0415 - only who uses it pays for it

    with in_memory(_made_before_tests(request)):
        yield


@pytest.fixture
def cache_clock(request: pytest.FixtureRequest) -> "Iterator[ManualClock]":
    """A clock to move, by which every cache of the app goes in this test, all of them fresh ones in memory."""
    from fleetcache.testing import ManualClock  # noqa: PLC0415 - as above
    from fleetcache.testing.layers import in_memory  # noqa: PLC0415 - as above

    if "cache_server" in request.fixturenames:
        pytest.fail(
            "cache_clock moves the time of caches in memory; the server of cache_server goes by its own", pytrace=False
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
    """A real server, empty, and every cache of the app on it in this test: by a ``Proxy`` that makes it fail."""
    from fleetcache.testing import Proxy  # noqa: PLC0415 - as above
    from fleetcache.testing.layers import on_server  # noqa: PLC0415 - as above

    server = _fleetcache_server
    if not server.alive:  # what the test before left of it
        server.restart()
    server.thaw()
    server.flush()
    with Proxy(server) as proxy, on_server(_made_before_tests(request), proxy.url, f"t{next(_numbers)}"):
        yield proxy
