"""Fixtures for tests against real servers.

``valkey`` comes with the dev dependencies and is always there. ``redis`` is used where a ``redis-server`` is on PATH,
and must be there when FLEETCACHE_REQUIRE_REDIS is 1. With FLEETCACHE_EVENT_LOOP=uvloop all event loops are uvloop's.
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

from tests.support.certs import Certificates
from tests.support.driving import driver, on, play, remote
from tests.support.engines import engines, version
from tests.support.loops import use_loop
from tests.support.servers import TRANSPORTS, Server, Transport
from tests.support.waiting import wait_until

__all__ = ["driver", "on", "play", "remote"]

_numbers = itertools.count(1)

# How long an example takes says more of what else the machine does than of ours.
settings.register_profile("busy", settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")


def pytest_configure() -> None:
    use_loop()
    if os.environ.get("FLEETCACHE_REQUIRE_REDIS") == "1" and "redis" not in engines():
        raise pytest.UsageError("FLEETCACHE_REQUIRE_REDIS is 1, but there is no redis-server on PATH")


def pytest_report_header() -> str:
    used = ", ".join(f"{engine} {version(binary)}" for engine, binary in engines().items())
    return f"servers: {used}" + (
        "" if "redis" in engines() else " (no redis-server on PATH: tested against valkey only)"
    )


class StartServer(Protocol):
    """What ``fresh_server`` is: ``Server(...)`` for the engine at hand, stopped when the test ends."""

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
    """One server for each engine and transport, started when first asked for, clean at each asking."""
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
    """A clean server of each engine, by TCP. Not to be killed or frozen: see ``fresh_server``."""
    return shared_servers(request.param.partition("-")[0], "tcp")


@pytest.fixture(params=[(engine, transport) for engine in engines() for transport in TRANSPORTS], ids="-".join)
def any_server(request: pytest.FixtureRequest, shared_servers: GetServer) -> Server:
    """A clean server of each engine by each transport. Not to be killed or frozen."""
    return shared_servers(*request.param)


@pytest.fixture(params=list(engines()))
def fresh_server(request: pytest.FixtureRequest) -> Iterator[StartServer]:
    """Starts servers of each engine that a test may treat as it likes; they end with it."""
    with ExitStack() as stack:

        def start(*arguments: Any, **options: Any) -> Server:
            return stack.enter_context(Server(request.param, *arguments, **options))

        yield start


@pytest.fixture
def one_server(shared_servers: GetServer) -> Server:
    """A clean Valkey, by TCP. Not to be killed or frozen."""
    return shared_servers("valkey", "tcp")


@pytest.fixture
def one_fresh_server() -> Iterator[StartServer]:
    """Starts Valkey servers that a test may treat as it likes."""
    with ExitStack() as stack:
        yield lambda *arguments, **options: stack.enter_context(Server("valkey", *arguments, **options))


@pytest.fixture(autouse=True, scope="module")
def _nothing_is_left() -> Iterator[None]:
    """A cache that a test forgot would go on knocking at the shared servers, and disturb tests that count there.

    A socket that it forgot would be held against the file that runs next, when it is collected.
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
