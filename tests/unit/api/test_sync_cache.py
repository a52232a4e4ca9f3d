"""``SyncCache``: made as ``Cache`` is, for threads; no thread and no connection before the first use."""

import threading
from typing import Any

import pytest

from fleetcache import Cache, Closed, ConfigError, Settings, SyncCache
from tests.support.servers import Server
from tests.support.waiting import wait_until


def links() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "fleetcache-link"]


def test_a_thread_of_its_own_begins_with_the_first_use_and_ends_with_the_close(one_server: Server, prefix: str) -> None:
    before = len(links())
    cache = SyncCache(one_server.url, prefix=prefix)
    assert len(links()) == before
    cache.set("k", 1)
    assert len(links()) == before + 1
    cache.close()
    wait_until(lambda: len(links()) == before)


def test_in_memory_it_needs_no_thread() -> None:
    before = threading.active_count()
    with SyncCache("memory://") as cache:
        assert cache.get_or_set("k", lambda: 1) == 1
        assert threading.active_count() <= before  # a thread of an earlier test may end now


@pytest.mark.parametrize(
    ("arguments", "options"),
    [
        ((), {}),
        (("memory://",), {"settings": Settings.from_url("memory://")}),
        ((), {"settings": Settings.from_url("memory://"), "prefix": "x"}),
    ],
    ids=["neither", "both", "overrides beside settings"],
)
def test_it_takes_a_url_or_settings(arguments: tuple[Any, ...], options: dict[str, Any]) -> None:
    for face in (SyncCache, Cache):
        with pytest.raises(ConfigError, match=face.__name__):
            face(*arguments, **options)


def test_the_environment_decides_as_for_tasks() -> None:
    environ = {"CACHE_DRIVER": "memory", "CACHE_TTL": "7s"}
    cache = SyncCache.from_env(environ, prefix="shop")
    assert (cache.settings.ttl, cache.settings.prefix) == (7.0, "shop")
    assert cache.settings == Cache.from_env(environ, prefix="shop").settings


def test_after_its_block_it_is_closed() -> None:
    with SyncCache("memory://") as cache:
        assert not cache.closed
    assert cache.closed
    with pytest.raises(Closed):
        cache.get("k")
    cache.close()


def test_many_threads_share_one_connection(one_server: Server, prefix: str) -> None:
    with (
        SyncCache(one_server.url, prefix=prefix, operation_timeout="5s") as cache,
        one_server.client() as raw,
    ):
        cache.set("k", 1)
        threads = [threading.Thread(target=cache.set, args=(f"k{number}", number)) for number in range(10)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        names = [
            line
            for line in raw("CLIENT", "LIST").decode().splitlines()
            if f"name=fleetcache-{cache._engine.instance}" in line
        ]
        assert len(names) == 1
        assert cache.get_many([f"k{number}" for number in range(10)]) == {f"k{n}": n for n in range(10)}
