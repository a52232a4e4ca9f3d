"""Django's sessions in an outage: which users can log in, how long the login lasts, and the cost of a request."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.contrib.sessions.backends.cache import KEY_PREFIX, SessionStore
from django.core.cache import cache
from django.test import override_settings

from fleetcache.contrib.django import FleetCache, cache_of
from tests.frameworks.django_site import caches_at
from tests.support.proxy import Proxy
from tests.support.run import run
from tests.support.servers import Server
from tests.support.waiting import wait_until

NOWHERE = "redis://127.0.0.1:1/0"


@contextmanager
def site(url: str, prefix: str, **options: Any) -> Iterator[None]:
    with override_settings(CACHES=caches_at(url, prefix, OPTIONS=options)):
        yield


def log_in(user: int = 1) -> str:
    session = SessionStore()
    session["user"] = user
    session.create()
    assert session.session_key is not None
    return session.session_key


def user_of(key: str) -> Any:
    return SessionStore(key).get("user")


def test_people_can_log_in_while_the_server_is_away_and_stay_so(prefix: str) -> None:
    with site(NOWHERE, prefix, offline_ttl="50ms"):
        key, other = log_in(1), log_in(2)
        time.sleep(0.1)
        assert (user_of(key), user_of(other)) == (1, 2)
        session = SessionStore(key)
        session["cart"] = ["pear"]
        session.save()
        session.cycle_key()
        time.sleep(0.1)
        again = SessionStore(session.session_key)
        assert dict(again.items()) == {"user": 1, "cart": ["pear"]}
        again.flush()
        assert user_of(session.session_key or "") is None
        cache.set("other", 1)
        time.sleep(0.1)
        assert cache.get("other") is None  # keys other than sessions follow the settings


def test_a_task_sees_a_session_as_long(prefix: str) -> None:
    with site(NOWHERE, prefix, offline_ttl="50ms"):
        key = log_in()

        async def main() -> Any:
            assert await cache.aadd(f"{KEY_PREFIX}by-a-task", {"user": 2}, 60)
            assert not await cache.aadd(f"{KEY_PREFIX}by-a-task", {"user": 3}, 60)
            time.sleep(0.1)  # noqa: ASYNC251 - nothing else runs
            return [await cache.aget(f"{KEY_PREFIX}{name}") for name in (key, "by-a-task")]

        assert run(main()) == [{"user": 1}, {"user": 2}]


def test_whoever_says_never_is_believed(prefix: str) -> None:
    with site(NOWHERE, prefix, offline_ttl=0):
        assert not cache.add(f"{KEY_PREFIX}k", 1)


def test_who_was_logged_in_before_stays_so(shared_servers: Callable[[str, str], Server], prefix: str) -> None:
    with (
        Proxy(shared_servers("valkey", "tcp")) as proxy,
        site(proxy.url, prefix, offline_ttl="50ms", operation_timeout="2s"),
    ):
        key = log_in()
        cache.set("other", 1)
        with proxy.away():
            wait_until(lambda: cache_of().stats().link == "offline")
            time.sleep(0.1)
            assert user_of(key) == 1
            assert cache.get("other") is None
            during = log_in(2)
            assert user_of(during) == 2
        wait_until(lambda: cache_of().stats().link == "online")
        assert user_of(key) == 1
        assert user_of(during) is None  # a login of the outage ends with it


def test_a_login_while_the_server_is_late_waits_instead_of_asking_thousands_of_times(
    shared_servers: Callable[[str, str], Server], prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    add = FleetCache.add

    def counted(self: FleetCache, *args: Any, **more: Any) -> bool:
        asked.append(args)
        return add(self, *args, **more)

    monkeypatch.setattr(FleetCache, "add", counted)
    options = {"operation_timeout": "100ms", "max_staleness": "500ms"}
    with Proxy(shared_servers("valkey", "tcp")) as proxy, site(proxy.url, prefix, **options):
        log_in()
        with proxy.frozen():
            key = log_in(2)
            assert user_of(key) == 2
            assert len(asked) < 50
            assert not cache.add("k", 1) or cache_of().stats().link != "suspect"


def test_a_stall_that_ends_soon_is_waited_for(shared_servers: Callable[[str, str], Server], prefix: str) -> None:
    options = {"operation_timeout": "800ms", "max_staleness": "30s"}
    with Proxy(shared_servers("valkey", "tcp")) as proxy, site(proxy.url, prefix, **options):
        cache.set("warm", 1)
        with proxy.frozen():
            cache.get("cold")
            assert cache_of().stats().link == "suspect"
            assert not cache.add("k", 1)
        assert cache.add("k", 2)

    async def main() -> bool:
        return await cache.aadd("other", 1)

    with site(NOWHERE, prefix):
        assert run(main())
