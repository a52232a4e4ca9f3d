"""The Flask extension: one object, made at import, that works on the cache of each app."""

import asyncio
import inspect
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask, g

from fleetcache import ConfigError, Keep, KeyRuleError, SyncCache
from fleetcache.contrib.flask import FleetCache
from fleetcache.testing import ManualClock, override
from tests.support.flask_apps import closing_caches
from tests.support.servers import Server
from tests.support.waiting import wait_until

extension = FleetCache()
users = extension.namespace("users", ttl="1h")
calls: list[int] = []


@extension.cached(ttl="10m", key="double:{n}")
def double(n: int) -> int:
    """Twice as much."""
    calls.append(n)
    return 2 * n


@users.cached
def name_of(user_id: int) -> str:
    return f"user {user_id}"


class Shelf:
    name = "top"

    @extension.cached(key="shelf:{self.name}:{n}")
    def book(self, n: int) -> str:
        return f"{self.name} {n}"


@pytest.fixture(autouse=True)
def _nothing_stays_open() -> Iterator[None]:
    with closing_caches():
        yield


def app_with(cache: FleetCache = extension, name: str = "shop", **config: Any) -> Flask:
    app = Flask(name)
    app.config.update({f"FLEETCACHE_{key.upper()}": value for key, value in config.items()})
    cache.init_app(app)
    return app


@pytest.fixture
def app() -> Iterator[Flask]:
    calls.clear()
    app = app_with(url="memory://")
    with app.app_context():
        yield app


@pytest.mark.usefixtures("app")
def test_functions_methods_and_namespaces_of_the_import_work_on_the_apps_cache() -> None:
    assert [double(2), double(2), calls] == [4, 4, [2]]
    assert (double.key(2), double.peek(2), extension.get("double:2")) == ("double:2", 4, 4)
    assert [double.invalidate(2), double.refresh(2), double.uncached(2), calls] == [True, 4, 4, [2, 2, 2]]
    assert name_of(1) == "user 1"
    assert (name_of.key(1), users.get_many([name_of.key(1)])) == (name_of.key(1), {name_of.key(1): "user 1"})
    assert Shelf().book(1) == extension.get("shelf:top:1") == "top 1"
    assert Shelf().book.invalidate(1) is True
    users.clear()
    assert name_of.peek(1) is None
    assert extension.get_or_set("k", lambda: Keep("value", ttl="1m")) == "value"


def test_a_function_is_what_it_was() -> None:
    assert (getattr(double, "__name__", ""), double.__doc__, inspect.unwrap(double)(3)) == (
        "double",
        "Twice as much.",
        6,
    )


@pytest.mark.usefixtures("app")
def test_a_cached_function_can_be_a_view(app: Flask) -> None:
    served: list[int] = []

    @app.get("/page/<int:number>")
    @extension.cached(key="page:{number}")
    def page(number: int) -> str:
        served.append(number)
        return f"page {number}"

    client = app.test_client()
    assert [client.get("/page/7").text, client.get("/page/7").text, served] == ["page 7", "page 7", [7]]


def test_each_app_has_the_cache_that_its_config_describes(server: Server, prefix: str) -> None:
    ours, theirs = app_with(url="memory://", ttl="1h"), app_with(url=server.url, prefix=prefix, name="theirs")
    with ours.app_context():
        extension.set("k", "ours")
        assert (double(4), extension.settings.ttl) == (8, 3600)
    with theirs.app_context():
        assert extension.get("k") is None
        assert double.peek(4) is None
        assert extension.health().driver == "redis"
        extension.set("k", "theirs")
    with ours.app_context():
        assert (extension.get("k"), double.peek(4)) == ("ours", 8)


def test_apps_that_are_set_up_alike_share_one_connection_to_their_server(server: Server, prefix: str) -> None:
    one, two = (app_with(url=server.url, prefix=prefix) for _ in range(2))
    assert extension.of(one) is extension.of(two)
    extension.of(one).close()
    three = app_with(url=server.url, prefix=prefix)
    assert not extension.of(three).closed


def test_in_memory_every_app_is_alone() -> None:
    assert extension.of(app_with(url="memory://")) is not extension.of(app_with(url="memory://"))


def test_what_the_config_does_not_say_the_environment_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://of.the.environment")
    monkeypatch.setenv("CACHE_PREFIX", "env")
    monkeypatch.setenv("CACHE_TTL", "7m")
    settings = extension.of(app_with()).settings
    assert (settings.url, settings.prefix, settings.ttl) == ("redis://of.the.environment", "env", 420)
    settings = extension.of(app_with(url="redis://of.the.config", ttl=60)).settings
    assert (settings.url, settings.prefix, settings.ttl) == ("redis://of.the.config", "env", 60)
    assert extension.of(app_with(url="memory://")).settings.resolved_driver == "memory"
    assert extension.of(app_with(driver="memory")).settings.resolved_driver == "memory"
    assert extension.of(app_with(url="", ttl=None)).settings.url == "redis://of.the.environment"
    app = Flask("shop")
    extension.init_app(app, url="redis://of.the.call", prefix="call")
    assert (extension.of(app).settings.url, extension.of(app).settings.prefix) == ("redis://of.the.call", "call")


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"ttl": "soon"}, r"CACHE_TTL \(ttl, FLEETCACHE_TTL in Flask's config\) = 'soon' .*accepted"),
        ({"driver": "memcached"}, r"FLEETCACHE_DRIVER in Flask's config\) = 'memcached' .*auto, redis, memory"),
        ({"url": "http://cache"}, r"^FLEETCACHE_URL \(url\) = 'http://cache' .*accepted: redis://"),
        ({"urls": "redis://cache"}, r"FLEETCACHE_URLS is not a setting; accepted: FLEETCACHE_DRIVER, FLEETCACHE_URL"),
    ],
)
def test_a_wrong_setting_is_told_when_the_app_is_made(config: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        app_with(**config)


def test_a_password_is_not_told() -> None:
    with pytest.raises(ConfigError) as told:
        app_with(url="redis://:hunter2@cache:port")
    assert "hunter2" not in str(told.value)


def test_a_wrong_option_is_told_where_it_is_written() -> None:
    with pytest.raises(ConfigError, match="soon"):
        extension.cached(ttl="soon")(lambda: 1)
    with pytest.raises(KeyRuleError, match="a lambda has no unique name"):
        extension.cached(lambda: 1)
    with pytest.raises(KeyRuleError, match="all calls would share one result"):
        users.cached(key="fixed")(name_of.__wrapped__)  # type: ignore[attr-defined]  # the function below
    with pytest.raises(ConfigError, match="needs a `def`"):

        @extension.cached
        async def load() -> int:
            return 1


def test_without_a_context_the_only_app_answers() -> None:
    cache = FleetCache()
    with pytest.raises(RuntimeError, match="no app yet"):
        cache.get("k")
    first = app_with(cache, url="memory://")
    cache.set("k", "value")
    cache.init_app(first)  # once more: a new start
    assert cache.get("k") is None
    app_with(cache, url="memory://")
    with pytest.raises(RuntimeError, match="several apps"):
        cache.get("k")
    assert repr(cache) == "<FleetCache apps=several>"


def test_an_app_that_it_does_not_know_is_told() -> None:
    with Flask("stranger").app_context(), pytest.raises(RuntimeError, match=r"'stranger'.*init_app"):
        extension.get("k")


def test_nobody_mistakes_it_for_something_it_is_not() -> None:
    assert not hasattr(FleetCache(), "__html__")
    assert not hasattr(double, "methods")  # Flask asks views for it


def test_a_refresh_in_the_background_has_an_app_context_of_its_own(app: Flask) -> None:
    seen: list[tuple[str, bool]] = []

    @extension.cached(ttl="1m", stale="1h", key="report")
    def report() -> int:
        seen.append((extension.of().settings.driver, "request's" in g))
        return len(seen)

    clock = ManualClock()
    with override(extension.of(app), clock=clock), app.test_request_context():
        g.setdefault("request's", "session")
        assert report() == 1
        clock.advance("2m")
        assert report() == 1  # the old one, at once
        wait_until(lambda: len(seen) == 2)
    assert seen == [("memory", True), ("memory", False)]


def test_a_test_of_the_app_moves_its_time(app: Flask) -> None:
    clock = ManualClock()
    with override(extension.of(app), clock=clock):
        assert [double(5), double.peek(5)] == [10, 10]
        clock.advance("11m")
        assert double.peek(5) is None


def test_async_views_use_the_same_verbs(app: Flask) -> None:
    @app.get("/double/<int:n>")
    async def show(n: int) -> str:
        here = double(n)
        there = await asyncio.to_thread(extension.get, f"double:{n}")
        return f"{here} {there}"

    assert app.test_client().get("/double/4").text == "8 8"
    assert calls == [4]


def test_many_requests_at_once_load_once(app: Flask) -> None:
    loads: list[int] = []

    def load() -> int:
        loads.append(1)
        return 7

    @app.get("/")
    def show() -> str:
        return str(extension.get_or_set("seven", load))

    async def main() -> list[str]:
        async def ask() -> str:
            return (await asyncio.to_thread(app.test_client().get, "/")).text

        return await asyncio.gather(*(ask() for _ in range(20)))

    assert asyncio.run(main()) == ["7"] * 20
    assert len(loads) == 1


def test_a_dead_server_is_not_the_apps_business(prefix: str) -> None:
    app = app_with(url="redis://127.0.0.1:1", prefix=prefix)
    with app.app_context():
        assert [double(6), double(6)] == [12, 12]
        assert extension.health().as_dict()["active"] == "memory"


def test_without_flask_the_error_says_what_to_install() -> None:
    code = "import sys; sys.modules['flask'] = None; import fleetcache.contrib.flask"
    ended = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)  # noqa: S603 - our own code
    assert ended.returncode == 1
    assert "pip install fleetcache[flask]" in ended.stderr.splitlines()[-1]


def test_the_extension_is_typed_as_the_cache_it_stands_for() -> None:
    cache: SyncCache = extension  # mypy's to hold
    assert not isinstance(cache, SyncCache)  # in truth it has one for each app
