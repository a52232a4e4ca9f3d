"""Litestar apps over our store, as instances of one fleet: cached responses, sessions, rate limits, the example."""

import importlib
import itertools
import os
from collections.abc import Iterator
from contextlib import ExitStack
from types import ModuleType
from typing import Any

import pytest
from litestar import Litestar, Request, Response, get
from litestar.config.response_cache import CACHE_FOREVER, default_cache_key_builder
from litestar.stores.base import Store
from litestar.stores.memory import MemoryStore
from litestar.stores.registry import StoreRegistry
from litestar.testing import TestClient

from examples.litestar import app as example
from fleetcache.contrib.litestar import FleetStore
from fleetcache.testing.server import free_port
from tests.conftest import GetServer
from tests.support.servers import Server
from tests.support.waiting import wait_until

Client = TestClient[Any]


@pytest.fixture
def server(shared_servers: GetServer) -> Server:
    """One engine is enough: the tests of the core run with all of them."""
    return shared_servers("valkey", "tcp")


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch, server: Server, prefix: str) -> pytest.MonkeyPatch:
    """The environment as an operator sets it up."""
    for name in os.environ:
        if name.startswith("CACHE_") or "REDIS" in name:
            monkeypatch.delenv(name)
    monkeypatch.setenv("REDIS_URL", server.url)
    monkeypatch.setenv("CACHE_PREFIX", prefix)
    monkeypatch.setenv("CACHE_OPERATION_TIMEOUT", "2s")
    return monkeypatch


def instance() -> ModuleType:
    """Import the example again, with its own store; the app of the earlier import lives on with its client."""
    return importlib.reload(example)


@pytest.fixture
def clients(environment: pytest.MonkeyPatch) -> Iterator[tuple[Client, Client]]:  # noqa: ARG001 - it is read at the import
    """Yield clients of two instances of the example."""
    with ExitStack() as stack:
        one, other = (stack.enter_context(TestClient(instance().app)) for _ in range(2))
        yield one, other


def test_instances_share_responses(clients: tuple[Client, Client], monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = clients
    assert one.get("/price/pear").json()["price"] == 3
    monkeypatch.setitem(example.PRICES, "pear", 4)  # the newer instance's database
    assert other.get("/price/pear").json()["price"] == 3
    assert one.post("/price/pear/changed").status_code == 204
    wait_until(lambda: other.get("/price/pear").json()["price"] == 4)
    assert one.get("/price/stone").status_code == 404


def test_instances_share_sessions(clients: tuple[Client, Client]) -> None:
    one, other = clients
    assert one.post("/cart/pear").json() == ["pear"]
    other.cookies = one.cookies
    assert other.post("/cart/plum").json() == ["pear", "plum"]


def test_instances_share_rate_limits(clients: tuple[Client, Client]) -> None:
    one, other = clients
    left = [client.post("/cart/pear").headers["RateLimit-Remaining"] for client in (one, other)]
    assert left == ["99", "98"]


def test_the_example_says_how_its_cache_does(environment: pytest.MonkeyPatch) -> None:
    with TestClient(instance().app) as client:
        answer = client.get("/readyz")
        assert (answer.status_code, answer.json()["active"]) == (200, "redis")
    environment.setenv("REDIS_URL", f"redis://127.0.0.1:{free_port()}")
    environment.setenv("CACHE_REQUIRED", "true")
    with TestClient(instance().app) as client:
        assert client.get("/price/pear").json()["price"] == 3  # this instance's memory still answers
        assert client.post("/cart/plum").json() == ["plum"]
        answer = client.get("/readyz")
        assert (answer.status_code, answer.json()["active"]) == (503, "memory")


# -- an app of one route ----------------------------------------------------------------------------------------------


def counting(store: Store, start: int) -> Litestar:
    """Return an app whose responses are numbered."""
    numbers = itertools.count(start)

    @get("/", cache=CACHE_FOREVER)
    async def number() -> int:
        return next(numbers)

    return Litestar([number], stores={"response_cache": store})


def answers(*apps: Litestar) -> list[str]:
    said = []
    for app in apps:
        with TestClient(app) as client:
            said += [client.get("/").text for _ in range(2)]
    return said


def test_what_is_cached_for_ever_has_no_end_here(server: Server, prefix: str) -> None:
    store = FleetStore(server.url, prefix=prefix, operation_timeout="2s")
    with TestClient(counting(store, 0)) as client:
        client.get("/")
        assert client.blocking_portal.call(store.expires_in, "GET/") == -1


def test_an_app_that_starts_again_finds_what_was_there(server: Server, prefix: str) -> None:
    app = counting(FleetStore(server.url, prefix=prefix, operation_timeout="2s"), 0)
    assert answers(app, app) == ["0"] * 4


def test_an_instance_finds_what_another_made(server: Server, prefix: str) -> None:
    apps = [counting(FleetStore(server.url, prefix=prefix, operation_timeout="2s"), start) for start in (0, 10)]
    assert answers(*apps) == ["0"] * 4


def test_with_litestars_own_memory_it_does_not() -> None:
    assert answers(counting(MemoryStore(), 0), counting(MemoryStore(), 10)) == ["0", "0", "10", "10"]


def test_stores_that_a_registry_makes_are_one_cache() -> None:
    store = FleetStore("memory://")
    registry = StoreRegistry(default_factory=store.with_namespace)
    sessions, limits = registry.get("sessions"), registry.get("rate_limit")
    assert isinstance(sessions, FleetStore)
    assert isinstance(limits, FleetStore)
    assert sessions.cache is limits.cache is store.cache


def test_a_header_decides_by_a_key_of_the_handlers_own() -> None:
    def by_tenant(request: Request[Any, Any, Any]) -> str:
        return f"{default_cache_key_builder(request)} {request.headers.get('x-tenant')}"

    @get("/by-path", cache=60)
    async def by_path(request: Request[Any, Any, Any]) -> str:
        return request.headers["x-tenant"]

    @get("/by-tenant", cache=60, cache_key_builder=by_tenant)
    async def of_tenant(request: Request[Any, Any, Any]) -> str:
        return request.headers["x-tenant"]

    @get("/login", cache=60)
    async def login(request: Request[Any, Any, Any]) -> Response[None]:
        return Response(None, cookies={"who": request.headers["x-tenant"]})

    store = FleetStore("memory://")
    app = Litestar([by_path, of_tenant, login], stores={"response_cache": store})
    with TestClient(app) as client:
        got = {
            path: [client.get(path, headers={"X-Tenant": who}) for who in "ab"]
            for path in ("/by-path", "/by-tenant", "/login")
        }
        assert [answer.text for answer in got["/by-path"]] == ["a", "a"]  # Litestar's own key
        assert [answer.text for answer in got["/by-tenant"]] == ["a", "b"]
        assert ["who=a" in answer.headers["set-cookie"] for answer in got["/login"]] == [True, True]
