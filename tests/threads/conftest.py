"""The drivers of the verbs, on threads."""

from collections.abc import Callable

import pytest

from fleetcache.engine.threads import connection as threads
from tests.promises.conftest import one_fresh_server
from tests.support.drivers import Driver
from tests.support.servers import Server, Transport

__all__ = ["one_fresh_server"]


@pytest.fixture(params=["memory on threads", "valkey on threads", "memory on aio", "valkey on aio"])
def driver(request: pytest.FixtureRequest, shared_servers: Callable[[str, Transport], Server], prefix: str) -> Driver:
    """Memory and a server, each asked by threads and by tasks."""
    variant: str = request.param
    return Driver(variant, None if variant.startswith("memory") else shared_servers("valkey", "tcp"), prefix)


@pytest.fixture
def server(shared_servers: Callable[[str, Transport], Server]) -> Server:
    """A clean Valkey, by TCP. Not to be killed or frozen."""
    return shared_servers("valkey", "tcp")


@pytest.fixture(params=["valkey on threads", "valkey on aio"])
def remote(request: pytest.FixtureRequest, server: Server, prefix: str) -> Driver:
    """That server, asked by threads and by tasks."""
    return Driver(request.param, server, prefix)


@pytest.fixture
def pushes_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """For tests that look right after the server was asked to push: no pause after a caller has read for itself."""
    monkeypatch.setattr(threads, "READ_BY_OTHERS", 0.0001)
