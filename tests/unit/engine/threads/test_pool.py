"""Refreshes in the background: their threads, their context, their number, and their end."""

import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import pytest

from fleetcache import Closed, SyncCache
from fleetcache.engine.threads import pool as sync_pool
from fleetcache.engine.threads.pool import MAX_THREADS, RefreshPool
from tests.support.servers import Server
from tests.support.waiting import wait_until


@pytest.fixture(params=["memory", "valkey"])
def cache(request: pytest.FixtureRequest, prefix: str) -> Iterator[SyncCache]:
    """In memory and with a server."""
    url = "memory://" if request.param == "memory" else request.getfixturevalue("server").url
    with SyncCache(url, prefix=prefix, operation_timeout="2s") as cache:
        yield cache


def stale(cache: SyncCache, key: str, load: Any) -> Any:
    """Ask for a key whose value is fresh for a moment only."""
    return cache.get_or_set(key, load, ttl=0.05, stale="1m")


def test_a_stale_hit_answers_at_once_and_is_refreshed_in_the_pool(cache: SyncCache) -> None:
    threads: list[threading.Thread] = []
    request: ContextVar[str] = ContextVar("request", default="none")
    seen: list[str] = []

    def load() -> int:
        threads.append(threading.current_thread())
        seen.append(request.get())
        return len(threads)

    request.set("ours")
    assert stale(cache, "k", load) == 1
    time.sleep(0.06)
    assert stale(cache, "k", load) == 1
    wait_until(lambda: cache.stats().refreshes == 1 and len(threads) == 2)
    assert threads[0] is threading.current_thread()
    assert (threads[1].name, threads[1].daemon) == ("fleetcache-refresh", True)
    assert seen == ["ours", "ours"]
    wait_until(lambda: cache.get("k", allow_stale=True) == 2)


def wait_for(go: threading.Event) -> None:
    assert go.wait(10)


def test_nothing_runs_in_the_background_unless_told(cache: SyncCache) -> None:
    assert cache.get_or_set("k", lambda: 1, ttl=0.05) == 1
    time.sleep(0.06)
    assert cache.get_or_set("k", lambda: threading.current_thread().name) == threading.current_thread().name
    assert cache.stats().refreshes == 0


def test_a_refresh_runs_within_what_it_was_told(cache: SyncCache) -> None:
    told: list[str] = []

    def around(name: str) -> Any:
        @contextmanager
        def within() -> Iterator[None]:
            told.append(f"before {name}")
            try:
                yield
            finally:
                told.append(f"after {name}")

        return within

    cache.around_refresh(around("one"))
    cache.around_refresh(around("two"))

    def load() -> int:
        told.append("load")
        return 1

    stale(cache, "k", load)
    assert told == ["load"]  # a caller's own load has the caller's context around it
    time.sleep(0.06)
    stale(cache, "k", load)
    wait_until(lambda: len(told) == 6)
    assert told[1:] == ["before one", "before two", "load", "after two", "after one"]


def test_a_hook_that_raises_leaves_the_stale_value(cache: SyncCache, caplog: pytest.LogCaptureFixture) -> None:
    @contextmanager
    def broken() -> Iterator[None]:
        raise RuntimeError("no connection for you")
        yield

    cache.around_refresh(broken)
    assert stale(cache, "k", lambda: 1) == 1
    time.sleep(0.06)
    assert stale(cache, "k", lambda: 2) == 1
    wait_until(lambda: "could not run" in caplog.text)
    wait_until(lambda: cache.stats().flights == 0)
    assert stale(cache, "k", lambda: 2) == 1


def test_the_pool_is_bounded_and_takes_more_when_it_has_room() -> None:
    pool, go = RefreshPool([]), threading.Event()
    over: list[int] = []
    started = [pool.start(lambda: wait_for(go), lambda: over.append(1)) for _ in range(MAX_THREADS + 1)]
    assert started == [True] * MAX_THREADS + [False]
    go.set()
    wait_until(lambda: len(over) == MAX_THREADS)
    wait_until(lambda: pool.start(lambda: None, lambda: over.append(2)))
    wait_until(lambda: over[-1] == 2)
    pool.close(1)
    assert not pool.start(lambda: None, lambda: None)


def test_a_refresh_that_comes_as_a_thread_is_about_to_end_runs_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else its key would have an endless refresh, and never another one."""
    monkeypatch.setattr(sync_pool, "IDLE", 0.01)
    pool = RefreshPool([])
    over: list[str] = []

    class Idle(deque[Any]):
        def remove(self, thread: Any) -> None:  # its wait was in vain, and a request comes at this very moment
            if over == ["first"]:
                assert pool.start(lambda: None, lambda: over.append("second"))
            super().remove(thread)

    pool._idle = Idle()
    assert pool.start(lambda: None, lambda: over.append("first"))
    wait_until(lambda: over == ["first", "second"])
    wait_until(lambda: not pool._places)  # and then the thread ends


def test_close_waits_for_no_loader_longer_than_an_operation_timeout(server: Server, prefix: str) -> None:
    cache = SyncCache(server.url, prefix=prefix, operation_timeout="200ms")
    go = threading.Event()
    assert stale(cache, "k", lambda: 1) == 1
    time.sleep(0.06)
    assert stale(cache, "k", lambda: go.wait(10)) == 1
    wait_until(lambda: cache.stats().loads == 2)
    began = time.monotonic()
    cache.close()
    assert time.monotonic() - began < 5  # the loader takes ten
    go.set()
    for call in (lambda: cache.get("k"), lambda: cache.set("k", 1), lambda: stale(cache, "k", lambda: 1)):
        with pytest.raises(Closed):
            call()
    cache.close()
    with SyncCache(server.url, prefix=prefix, operation_timeout="2s") as other:  # the claim was released
        assert other.refresh("k", lambda: 3) == 3
