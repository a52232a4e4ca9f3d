"""Fixtures for tests against real servers.

``valkey`` comes with the dev dependencies and is always there. The tests use ``redis`` if ``redis-server`` is on PATH;
with FLEETCACHE_REQUIRE_REDIS=1 it must be there. With FLEETCACHE_EVENT_LOOP=uvloop all event loops are uvloop's.
"""

import gc
import itertools
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any, Protocol

import pytest
from hypothesis import HealthCheck, settings

from fleetcache.testing import server as testing_server
from tests.support.certs import Certificates
from tests.support.driving import driver, on, play, remote
from tests.support.engines import engines, version
from tests.support.loops import use_loop
from tests.support.servers import TRANSPORTS, Server, Transport
from tests.support.waiting import wait_until

__all__ = ["driver", "on", "play", "remote"]

_numbers = itertools.count(1)

PORT_SHARES = 8  # thousands of ports in each share, and hardly any run has more processes

# The time of an example depends more on the machine's load than on the code.
settings.register_profile("busy", settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")


def pytest_configure() -> None:
    use_loop()
    _keep_to_own_ports()
    if os.environ.get("FLEETCACHE_REQUIRE_REDIS") == "1" and "redis" not in engines():
        raise pytest.UsageError("FLEETCACHE_REQUIRE_REDIS is 1, but there is no redis-server on PATH")


def pytest_collection_finish() -> None:
    """Leave all that is imported and collected by now out of later collections of garbage.

    Most tests collect garbage to find what they left. The heap of the whole suite makes each time take tenths of a
    second; what a test makes itself takes microseconds.
    """
    gc.collect()
    gc.freeze()


def _keep_to_own_ports() -> None:
    """Give each process of xdist ports of its own: no other one may start a server at the port of one that is down."""
    number = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    ports = testing_server._PORTS
    vars(testing_server)["_PORTS"] = ports[number % PORT_SHARES :: PORT_SHARES]


def pytest_report_header() -> str:
    used = ", ".join(f"{engine} {version(binary)}" for engine, binary in engines().items())
    return f"servers: {used}" + (
        "" if "redis" in engines() else " (no redis-server on PATH: tested against valkey only)"
    )


class StartServer(Protocol):
    """The type of ``fresh_server``: ``Server(...)`` for the current engine, stopped when the test ends."""

    def __call__(
        self,
        transport: Transport = "tcp",
        *config: str,
        save: str = "",
        user: str | None = None,
        password: str | None = None,
        certs: Certificates | None = None,
    ) -> Server: ...


GetServer = Callable[[str, Transport], Server]


@pytest.fixture(scope="session")
def shared_servers() -> Iterator[GetServer]:
    """One server for each engine and transport, started at the first request, clean at each request."""
    started: dict[tuple[str, Transport], Server] = {}
    with ExitStack() as stack:

        def get(engine: str, transport: Transport) -> Server:
            if (engine, transport) not in started:
                started[engine, transport] = stack.enter_context(Server(engine, transport))
            server = started[engine, transport]
            server.reset()
            return server

        yield get


@pytest.fixture(params=[f"{engine}-tcp" for engine in engines()])
def server(request: pytest.FixtureRequest, shared_servers: GetServer) -> Server:
    """A clean server of each engine, by TCP. A test must not kill or freeze it: see ``fresh_server``."""
    return shared_servers(request.param.partition("-")[0], "tcp")


@pytest.fixture(params=[(engine, transport) for engine in engines() for transport in TRANSPORTS], ids="-".join)
def any_server(request: pytest.FixtureRequest, shared_servers: GetServer) -> Server:
    """A clean server of each engine by each transport. A test must not kill or freeze it."""
    return shared_servers(*request.param)


@pytest.fixture(params=list(engines()))
def fresh_server(request: pytest.FixtureRequest) -> Iterator[StartServer]:
    """Starts servers of each engine that a test may kill or freeze; they end with the test."""
    with ExitStack() as stack:

        def start(*arguments: Any, **options: Any) -> Server:
            return stack.enter_context(Server(request.param, *arguments, **options))

        yield start


@pytest.fixture
def one_server(shared_servers: GetServer) -> Server:
    """A clean Valkey, by TCP. A test must not kill or freeze it."""
    return shared_servers("valkey", "tcp")


@pytest.fixture
def one_fresh_server() -> Iterator[StartServer]:
    """Starts Valkey servers that a test may kill or freeze."""
    with ExitStack() as stack:
        yield lambda *arguments, **options: stack.enter_context(Server("valkey", *arguments, **options))


@pytest.fixture(autouse=True, scope="module")
def _nothing_is_left() -> Iterator[None]:
    """Check that a test leaves no cache open: it would go on reconnecting to the shared servers.

    Its commands would disturb tests that count commands. A forgotten socket would fail a later file, in which it is
    collected.
    """
    before = _links()
    yield
    gc.collect()
    wait_until(lambda: _links() <= before)


def _links() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name == "fleetcache-link"}


@pytest.fixture
def prefix() -> str:
    """Return a CACHE_PREFIX that no other test uses."""
    return f"test{next(_numbers)}"
