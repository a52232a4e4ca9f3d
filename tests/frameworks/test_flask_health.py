"""The health route of a Flask app: its answers to a probe."""

from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask

from fleetcache import ConfigError, SyncCache
from fleetcache.contrib.flask import FleetCache, health_blueprint
from tests.conftest import StartServer
from tests.support.flask_apps import closing_caches
from tests.support.servers import Server

BRIEF = {"status", "driver", "active", "reason", "since"}


@pytest.fixture(autouse=True)
def _nothing_stays_open() -> Iterator[None]:
    with closing_caches():
        yield


def app_with(**options: Any) -> Flask:
    app, cache = Flask("shop"), FleetCache()
    cache.init_app(app, **options)
    app.register_blueprint(health_blueprint(cache))
    app.register_blueprint(health_blueprint(cache, detail="full", path="/health/full"), name="operators")
    return app


def test_a_healthy_cache_is_200_and_the_answer_is_stored_nowhere(server: Server, prefix: str) -> None:
    app = app_with(url=server.url, prefix=prefix, operation_timeout="2s")
    answer = app.test_client().get("/healthz")
    assert (answer.status_code, answer.content_type) == (200, "application/json")
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.get_json().keys() == BRIEF
    assert (answer.get_json()["status"], answer.get_json()["reason"]) == ("healthy", None)
    assert app.test_client().head("/healthz").status_code == 200
    assert app.test_client().post("/healthz").status_code == 405


def test_the_full_detail_is_on_a_route_of_its_own_and_has_no_password(fresh_server: StartServer, prefix: str) -> None:
    password = "hunter2"  # noqa: S105 - of this test alone
    server = fresh_server(password=password)
    app = app_with(url=server.url, prefix=prefix, operation_timeout="2s")
    answer = app.test_client().get("/health/full")
    assert answer.get_json().keys() > BRIEF
    assert (answer.get_json()["active"], password in answer.text) == ("redis", False)


def test_without_its_server_it_is_degraded_and_200() -> None:
    app = app_with(url="redis://127.0.0.1:1", operation_timeout="2s")
    answer = app.test_client().get("/healthz")
    assert (answer.status_code, answer.get_json()["status"]) == (200, "degraded")
    assert (answer.get_json()["active"], answer.get_json()["reason"]) == ("memory", "refused")


def test_unhealthy_is_503() -> None:
    app = app_with(url="redis://127.0.0.1:1", operation_timeout="2s", required=True)
    answer = app.test_client().get("/healthz")
    assert (answer.status_code, answer.get_json()["status"]) == (503, "unhealthy")
    assert answer.headers["Cache-Control"] == "no-store"


def test_any_cache_for_threads_can_be_watched() -> None:
    app = Flask("shop")
    app.register_blueprint(health_blueprint(SyncCache("memory://"), path="/cache"), url_prefix="/ops")
    assert app.test_client().get("/ops/cache").get_json()["driver"] == "memory"


@pytest.mark.parametrize("detail", ["", "FULL", None, True])
def test_an_unknown_detail_is_refused(detail: Any) -> None:
    with pytest.raises(ConfigError, match=r"detail = .* is unknown; accepted: brief, full"):
        health_blueprint(SyncCache("memory://"), detail=detail)
