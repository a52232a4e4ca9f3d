"""Django's users of the cache, on a real server: sessions, pages, fragments, views; health, and the checks."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.contrib.sessions.backends.cache import SessionStore
from django.core.checks import CheckMessage, run_checks
from django.test import AsyncClient, Client, override_settings

from fleetcache import ConfigError
from fleetcache.contrib.django import cache_of
from tests.frameworks.django_site import BACKEND, caches_at, database, loads
from tests.support.servers import Server

ENGINES = "django.contrib.sessions.backends"


@pytest.fixture
def server(shared_servers: Callable[[str, str], Server], prefix: str) -> Iterator[Server]:
    """A clean Valkey, and the site's default cache on it."""
    server = shared_servers("valkey", "tcp")
    loads.clear()
    with override_settings(CACHES=caches_at(server.url, prefix)):
        yield server


# -- Django's users of the cache -------------------------------------------------------------------------------------


@pytest.mark.usefixtures("server")
@pytest.mark.parametrize("engine", ["cache", "cached_db"])
def test_sessions(engine: str) -> None:
    database()
    with override_settings(SESSION_ENGINE=f"{ENGINES}.{engine}"):
        client = Client()
        assert [client.get("/visits").json()["visits"] for _ in range(3)] == [1, 2, 3]
        assert Client().get("/visits").json()["visits"] == 1
        cache_of().clear()
        assert client.get("/visits").json()["visits"] == (4 if engine == "cached_db" else 1)


@pytest.mark.usefixtures("server")
def test_a_session_is_read_on_the_event_loop() -> None:
    async def visit_twice() -> list[Any]:
        client = AsyncClient()
        return [(await client.get("/visits-async")).json()["visits"] for _ in range(2)]

    with override_settings(SESSION_ENGINE=f"{ENGINES}.cache"):
        assert async_to_sync(visit_twice)() == [1, 2]


@pytest.mark.usefixtures("server")
def test_a_session_that_ended_is_gone() -> None:
    session = SessionStore()
    session["user"] = 1
    session.create()
    key = session.session_key
    assert SessionStore(key)["user"] == 1
    session.flush()
    assert not SessionStore().exists(str(key))


@pytest.mark.usefixtures("server")
@pytest.mark.parametrize(("where", "what", "said"), [("/page", "page", "a page"), ("/fragment", "fragment", "a part")])
def test_pages_and_fragments_are_made_once(where: str, what: str, said: str) -> None:
    assert [Client().get(where).content.decode() for _ in range(3)] == [said] * 3
    assert loads == [what]
    cache_of().clear()
    assert Client().get(where).content.decode() == said
    assert loads == [what, what]


@pytest.mark.usefixtures("server")
def test_sync_and_async_views_see_each_others_values() -> None:
    async def story() -> list[Any]:
        client = AsyncClient()
        return [(await client.get(where)).json() for where in ("/async", "/sync", "/async")]

    assert async_to_sync(story)() == [
        {"by-a-thread": None},
        {"by-a-task": [1]},
        {"by-a-thread": [2]},
    ]


# -- health ----------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("server")
def test_health_is_brief_for_strangers_and_full_where_the_url_says_so() -> None:
    brief, full = Client().get("/healthz"), Client().get("/healthz/full")
    assert (brief.status_code, brief["Cache-Control"], brief.json()["status"]) == (200, "no-store", "healthy")
    assert set(brief.json()) == {"status", "driver", "active", "reason", "since"}
    assert full.json()["engine"] == "valkey"
    assert Client().head("/healthz").content == b""
    assert Client().post("/healthz").status_code == 405


def test_health_says_503_only_where_the_server_is_required(prefix: str) -> None:
    options = {"operation_timeout": "100ms"}
    for required, status in ((False, 200), (True, 503)):
        said = caches_at("redis://127.0.0.1:1/0", prefix, OPTIONS=options | {"required": required})
        with override_settings(CACHES=said):
            answer = Client().get("/healthz")
            assert answer.status_code == status
            assert answer.json()["status"] != "healthy"


def test_health_refuses_what_it_cannot_tell() -> None:
    with pytest.raises(ConfigError, match="detail = 'much' is unknown; accepted: brief, full"):
        Client().get("/healthz/wrong")
    with (
        override_settings(CACHES={"default": {"BACKEND": "django.core.cache.backends.dummy.DummyCache"}}),
        pytest.raises(ConfigError, match="is a DummyCache; accepted: an alias of FleetCache"),
    ):
        Client().get("/healthz")


# -- manage.py check -------------------------------------------------------------------------------------------------


def found(*, deploy: bool = False, **said: Any) -> list[CheckMessage]:
    """Return the messages of our checks about these settings."""
    caches = {"CACHES": said.pop("CACHES", {"default": {"BACKEND": BACKEND, "LOCATION": "memory://"}})}
    with override_settings(**caches, **said):
        messages = run_checks(tags=["caches"], include_deployment_checks=deploy)
    return [message for message in messages if str(message.id).startswith("fleetcache.")]


def test_good_settings_pass() -> None:
    assert found() == []
    assert found(deploy=True, CACHES=caches_at("redis://cache.example", "shop")) == []


def test_a_wrong_setting_is_an_error_that_names_the_alias() -> None:
    (message,) = found(CACHES=caches_at("redis://cache.example", "shop", OPTIONS={"near": 1}))
    assert message.id == "fleetcache.E001"
    assert message.msg.startswith("CACHES['default']: OPTIONS: 'near' is unknown; accepted: driver, prefix")


def test_a_password_is_never_shown() -> None:
    (message,) = found(CACHES=caches_at("redis://:hunter2@cache.example:port", "shop"))
    assert "hunter2" not in str(message)


def test_a_missing_secret_is_an_error() -> None:
    (message,) = found(SECRET_KEY="")
    assert (message.id, "SECRET_KEY" in message.msg) == ("fleetcache.E001", True)
    memory = {"default": {"BACKEND": BACKEND, "LOCATION": "memory://", "OPTIONS": {"codec": "json"}}}
    assert found(SECRET_KEY="", CACHES=memory) == []


@pytest.mark.parametrize(
    ("engine", "days", "warned"),
    [("cache", 31, True), ("cache", 30, False), ("cached_db", 31, False), ("db", 31, False)],
)
def test_sessions_that_outlive_the_cache_are_warned_about(engine: str, days: int, warned: bool) -> None:
    messages = found(SESSION_ENGINE=f"{ENGINES}.{engine}", SESSION_COOKIE_AGE=days * 86_400)
    assert [message.id for message in messages] == ["fleetcache.W001"] * warned


def test_a_cache_for_one_process_is_warned_about_before_a_deployment() -> None:
    (message,) = found(deploy=True)
    assert (message.id, "driver memory" in message.msg) == ("fleetcache.W002", True)


def test_a_prefix_that_nobody_chose_is_warned_about_before_a_deployment() -> None:
    said = {"default": {"BACKEND": BACKEND, "LOCATION": "redis://cache.example"}}
    assert [message.id for message in found(deploy=True, CACHES=said)] == ["fleetcache.W003"]


def test_other_backends_are_none_of_our_business() -> None:
    said = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
    assert found(deploy=True, CACHES=said, SESSION_ENGINE=f"{ENGINES}.cache", SESSION_COOKIE_AGE=10**8) == []
