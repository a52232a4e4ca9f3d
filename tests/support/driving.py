"""Fixtures of ``tests/conftest.py``: the drivers on which tests run the verbs."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from fleetcache import Cache
from tests.support.drivers import VARIANTS, Driver, On
from tests.support.run import run
from tests.support.scene import Body, Scene
from tests.support.servers import Server, Transport

__all__ = ["driver", "on", "play", "remote"]


@pytest.fixture(params=VARIANTS)
def driver(request: pytest.FixtureRequest, shared_servers: Callable[[str, Transport], Server], prefix: str) -> Driver:
    """Memory, a server, and a server without near, one after the other."""
    variant: str = request.param
    server = None if variant.startswith("memory") else shared_servers(variant.split(maxsplit=1)[0], "tcp")
    return Driver(variant, server, prefix)


@pytest.fixture
def on(driver: Driver) -> On:
    """Runs an async test body with one open cache of each driver."""

    def run_on(body: Callable[[Cache], Awaitable[None]]) -> None:
        async def main() -> None:
            async with driver.cache() as cache:
                await body(cache)

        run(main())

    return run_on


@pytest.fixture
def remote(server: Server, prefix: str) -> Driver:
    """Each server."""
    return Driver(server.engine, server, prefix)


@pytest.fixture
def play(remote: Driver) -> Callable[..., None]:
    """Acts a scene, on each server."""

    def run_on(body: Body, **settings: Any) -> None:
        async def main() -> None:
            assert remote.server is not None
            async with remote.cache(**settings) as cache, remote.cache() as other:
                with remote.server.client() as raw:
                    await body(Scene(cache, other, raw, remote.prefix))

        run(main())

    return run_on
