"""Flask-Caching and Flask-Session on our backend, as their users set them up."""

from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask, session
from flask_caching import Cache
from flask_session import Session

from fleetcache import ConfigError
from fleetcache.contrib.flask import cachelib
from tests.conftest import GetServer
from tests.support.flask_apps import closing_caches
from tests.support.proxy import Proxy
from tests.support.servers import Server
from tests.support.waiting import wait_until

SECRET = "from the vault"  # noqa: S105 - of these tests alone


@pytest.fixture(autouse=True)
def _nothing_stays_open() -> Iterator[None]:
    with closing_caches():
        yield


@pytest.fixture(params=["memory", "server"])
def url(request: pytest.FixtureRequest, shared_servers: GetServer) -> str:
    return "memory://" if request.param == "memory" else shared_servers("valkey", "tcp").url


def app_with(url: str, prefix: str, **config: Any) -> Flask:
    app = Flask("shop")
    app.config.update(SECRET_KEY=SECRET, FLEETCACHE_URL=url, FLEETCACHE_PREFIX=prefix)
    app.config.update(FLEETCACHE_OPERATION_TIMEOUT="1s", **config)
    return app


# -- Flask-Caching -----------------------------------------------------------------------------------------------------


def caching_app(url: str, prefix: str, **config: Any) -> tuple[Flask, Cache]:
    app = app_with(url, prefix, CACHE_TYPE="fleetcache.contrib.flask.caching", CACHE_DEFAULT_TIMEOUT=60, **config)
    return app, Cache(app)


def test_memoized_functions_and_their_removal(url: str, prefix: str) -> None:
    app, cache = caching_app(url, prefix)
    calls: list[int] = []

    @cache.memoize(timeout=0)
    def double(n: int) -> dict[int, tuple[int]]:
        calls.append(n)
        return {n: (2 * n,)}

    with app.app_context():
        assert [double(1), double(1), double(2)] == [{1: (2,)}, {1: (2,)}, {2: (4,)}]
        assert calls == [1, 2]
        cache.delete_memoized(double, 1)
        double(1), double(2)
        assert calls == [1, 2, 1]
        cache.delete_memoized(double)
        double(1), double(2)
        assert calls == [1, 2, 1, 1, 2]


def test_cached_views_are_shared_by_instances(server: Server, prefix: str) -> None:
    served: list[str] = []

    def instance(name: str) -> Flask:
        app, cache = caching_app(server.url, prefix, FLEETCACHE_NEAR_MAX_ITEMS=100 + len(name))

        @app.get("/page")
        @cache.cached(query_string=True)
        def page() -> tuple[str, int, dict[str, str]]:
            served.append(name)
            return f"by {name}", 200, {"X-From": name}

        return app

    one, other = instance("one").test_client(), instance("the other").test_client()
    answers = [client.get(path) for path in ("/page?a=1&b=2", "/page?b=2&a=1") for client in (one, other)]
    assert {(answer.text, answer.headers["X-From"]) for answer in answers} == {("by one", "one")}
    assert other.get("/page").text == "by the other"
    assert served == ["one", "the other"]


def test_clear_leaves_sessions_alone(url: str, prefix: str) -> None:
    app, cache = caching_app(url, prefix)
    sessions = cachelib(app, "sessions")
    sessions.set("k", "session")
    with app.app_context():
        cache.set("k", "page")
        assert cache.clear() is True
        assert [cache.get("k"), sessions.get("k")] == [None, "session"]


def test_the_class_itself_is_a_cache_type_of_releases_that_take_those_of_cachelib(url: str, prefix: str) -> None:
    app = Flask("shop")
    app.config["CACHE_TYPE"] = "fleetcache.contrib.cachelib.FleetCache"
    app.config["CACHE_OPTIONS"] = {"server": url, "secret_key": SECRET, "prefix": prefix}
    cache = Cache(app)
    with app.app_context():
        cache.set("k", (1, 2))
        assert cache.get("k") == (1, 2)
        cache.cache.cache.close()  # type: ignore[attr-defined] # it says SimpleCache of every backend


def test_its_own_words_for_what_is_the_same_are_understood(prefix: str) -> None:
    app = Flask("shop")
    app.config.update(
        SECRET_KEY=SECRET,
        CACHE_TYPE="fleetcache.contrib.flask.caching",
        CACHE_REDIS_URL="redis://of.flask.caching",
        CACHE_KEY_PREFIX="pages:",
        CACHE_OPTIONS={"prefix": prefix, "max_value_bytes": "1MB"},
    )
    cache = Cache(app)
    backend: Any = app.extensions["cache"][cache]
    settings = backend.cache.settings
    assert (settings.url, settings.prefix) == ("redis://of.flask.caching", f"{prefix}:pages")
    assert (settings.max_value_bytes, backend.default_timeout) == (10**6, 300)
    with pytest.raises(ConfigError, match="CACHE_ARGS"):
        Cache(app, config={"CACHE_ARGS": ["redis://"]})


def test_without_a_secret_key_nothing_is_pickled() -> None:
    app = Flask("shop")
    app.config["CACHE_TYPE"] = "fleetcache.contrib.flask.caching"
    with pytest.raises(ConfigError, match="SECRET_KEY"):
        Cache(app)


# -- Flask-Session -----------------------------------------------------------------------------------------------------


def session_app(url: str, prefix: str, **options: Any) -> Flask:
    app = app_with(url, prefix)
    app.config.update(SESSION_TYPE="cachelib", SESSION_CACHELIB=cachelib(app, "sessions", near=False, **options))
    Session(app)

    @app.post("/cart/<item>")
    def put(item: str) -> list[str]:
        cart: list[str] = [*session.get("cart", ()), item]
        session.update(cart=cart, seen={("any", "type"): {1}})
        return cart

    @app.get("/cart")
    def cart() -> list[str]:
        return list(session.get("cart", ()))

    @app.post("/logout")
    def logout() -> str:
        session.clear()
        return ""

    return app


def test_a_session_is_known_to_every_instance(server: Server, prefix: str) -> None:
    apps = [session_app(server.url, prefix, near_max_items=size) for size in (100, 101)]
    one, other = (app.test_client() for app in apps)
    one.post("/cart/pear")
    other.set_cookie("session", one.get_cookie("session").value)  # type: ignore[union-attr] # it is there
    assert other.get("/cart").get_json() == ["pear"]
    assert other.post("/cart/plum").get_json() == ["pear", "plum"]
    assert one.get("/cart").get_json() == ["pear", "plum"]
    one.post("/logout")
    assert other.get("/cart").get_json() == []


def test_sessions_survive_an_outage_and_are_there_when_it_is_over(server: Server, prefix: str) -> None:
    with Proxy(server) as proxy, closing_caches():
        app = session_app(proxy.url, prefix, offline_ttl="1h")
        link = app.config["SESSION_CACHELIB"].cache.stats
        reader, buyer = app.test_client(), app.test_client()
        for client in (reader, buyer):
            client.post("/cart/pear")
            assert client.get("/cart").get_json() == ["pear"]
        with proxy.away():
            wait_until(lambda: link().link == "offline")
            assert reader.get("/cart").get_json() == ["pear"]
            assert buyer.post("/cart/plum").get_json() == ["pear", "plum"]
            assert buyer.get("/cart").get_json() == ["pear", "plum"]
        wait_until(lambda: link().link == "online")
        assert reader.get("/cart").get_json() == ["pear"]  # although each request has stored the old cart again
        # Changes made in the outage are gone, and the old cart never comes back.
        assert buyer.get("/cart").get_json() == []


def test_cookies_of_strangers_are_no_errors(url: str, prefix: str) -> None:
    client = session_app(url, prefix).test_client()
    for cookie in ("x" * 20_000, "", "ü", "%00", "../../etc/passwd"):
        assert client.get("/cart", headers={"Cookie": f"session={cookie}"}).status_code == 200


def test_the_oldest_secret_still_opens_sessions(server: Server, prefix: str) -> None:
    before = session_app(server.url, prefix).test_client()
    before.post("/cart/pear")
    app = app_with(server.url, prefix, FLEETCACHE_LOAD_WAIT="29s")
    app.config.update(SECRET_KEY=SECRET[::-1], SECRET_KEY_FALLBACKS=[SECRET])
    sid = before.get_cookie("session").value  # type: ignore[union-attr] # it is there
    assert cachelib(app, "sessions").get(f"session:{sid}")["cart"] == ["pear"]
    app.config.update(SECRET_KEY_FALLBACKS=[])
    assert cachelib(app, "sessions").get(f"session:{sid}") is None
