"""A call inside another call of its thread: near answers, its changes are applied after, and it waits for nothing."""

import logging
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import cast

import pytest

from fleetcache import Closed, CodecError, SyncCache, Unavailable
from fleetcache.engine.threads.engine import SyncEngine
from fleetcache.engine.threads.monitor import begin
from tests.support.servers import Server
from tests.support.waiting import wait_until


@contextmanager
def amid(cache: SyncCache) -> Iterator[None]:
    """Run the block between two steps of a rule, as a signal handler or a finalizer may run."""
    with cast("SyncEngine", cache._engine).monitor.locked():
        yield


@pytest.fixture(params=["memory", "valkey"])
def cache(request: pytest.FixtureRequest, prefix: str) -> Iterator[SyncCache]:
    url = "memory://" if request.param == "memory" else request.getfixturevalue("server").url
    with SyncCache(url, prefix=prefix, operation_timeout="5s") as cache:
        cache.set_many({"a": 1, "b": 2, "tagged": 3}, tags=("t",))
        yield cache


def elsewhere(call: Callable[[], object]) -> list[object]:
    """Return the result of a call in another thread."""
    said: list[object] = []
    thread = threading.Thread(target=lambda: said.append(call()))
    thread.start()
    thread.join(10)
    return said


REMOVALS: dict[str, Callable[[SyncCache], object]] = {
    "delete": lambda cache: cache.delete("a"),
    "delete_many": lambda cache: cache.delete_many(["a", "b"]),
    "invalidate_tags": lambda cache: cache.invalidate_tags("t"),
    "clear": lambda cache: cache.clear(),
}


@pytest.mark.parametrize("remove", REMOVALS.values(), ids=REMOVALS)
def test_what_it_removes_is_gone_at_once_and_everywhere_after(
    cache: SyncCache, remove: Callable[[SyncCache], object]
) -> None:
    with amid(cache):
        assert (cache.get("a"), cache.peek("b"), cache.lookup("a") is None) == (1, 2, False)
        assert not remove(cache)  # no removal is acknowledged
        assert (cache.get("a"), cache.peek("a"), cache.lookup("a"), cache.get_many(["a"])) == (None, None, None, {})
        assert elsewhere(lambda: cache.peek("a")) == [None]  # for every thread
    assert cache.get("a") is None
    with SyncCache(settings=cache.settings) as other:
        assert other.get("a") is None
    wait_until(lambda: cache.stats().journal == 0)


def test_what_it_sets_is_there_after_in_the_order_it_asked(cache: SyncCache) -> None:
    with amid(cache):
        cache.set("a", "new")
        assert cache.get("a") is None  # the old value is not true any more
        cache.set("b", "new")
        cache.delete("b")
        cache.delete("c")
        cache.set("c", "new")
        cache.set_many({"d": "new", "e": "new"}, tags=("a tag that is not known here",))
    assert cache.get_many(["a", "b", "c", "d", "e"]) == {"a": "new", "c": "new", "d": "new", "e": "new"}
    with pytest.raises(CodecError), amid(cache):
        cache.set("a", object())
    assert cache.get("a") == "new"


def test_it_loads_for_itself_and_stores_nothing(cache: SyncCache) -> None:
    @cache.cached(key="function:{n}")
    def function(n: int) -> int:
        return n + 1

    with amid(cache):
        assert cache.get_or_set("a", load) == 1
        assert cache.get_or_set("x", lambda: "loaded") == "loaded"
        assert cache.refresh("a", lambda: "loaded") == "loaded"
        assert cache.get_or_set_many(["a", "x"], lambda keys: dict.fromkeys(keys, "loaded")) == {"a": 1, "x": "loaded"}
        assert function(1) == 2
        with cache.bypass():
            assert cache.get_or_set("a", lambda: "loaded") == "loaded"
        with pytest.raises(LookupError):
            cache.get_or_set("x", fails)
        with pytest.raises(KeyboardInterrupt):
            cache.get_or_set("x", interrupted)
    assert cache.get_many(["a", "x", "function:1"]) == {"a": 1}
    assert cache.stats().flights == 0


def load() -> object:
    return "loaded"


def fails() -> str:
    raise LookupError("the origin is down")


def interrupted() -> str:
    raise KeyboardInterrupt


def test_what_only_the_server_knows_is_refused(cache: SyncCache) -> None:
    with amid(cache):
        assert (cache.add("a", 1), cache.add("x", 1), cache.touch("a", 5)) == (False, False, False)
        assert cache.claim("a") is None
        assert cache.explain("a").key == "a"
        assert cache.health().status == "healthy"
        cache.open()
        refused: list[Callable[[], object]] = [
            lambda: cache.incr("n"),
            lambda: cache.add("x", 1, strict=True),
            lambda: cache.delete("a", strict=True),
            lambda: cache.set("b", "new", strict=True),
        ]
        for call in refused:
            with pytest.raises(Unavailable, match="in the middle of another call"):
                call()
    # The refused removals happen all the same: refused means not acknowledged.
    assert cache.get_many(["a", "b", "n", "x"]) == {"b": "new"}


def test_it_gives_a_claim_back(cache: SyncCache) -> None:
    claim = cache.claim("report")
    assert claim is not None
    with amid(cache):
        assert cache.is_claimed("report")
        assert claim.release()
    assert not cache.is_claimed("report")
    assert not claim.release()


def test_it_closes_the_cache_when_the_call_is_over() -> None:
    cache = SyncCache("memory://")
    cache.set("a", 1)
    with amid(cache):
        cache.close()
        assert cache.get("a") == 1
    assert not cache.closed
    cache.delete("b")  # the next turn that ends
    assert cache.closed
    with pytest.raises(Closed):
        cache.get("a")


def test_the_link_thread_closes_it_too(server: Server, prefix: str) -> None:
    with SyncCache(server.url, prefix=prefix, max_staleness="300ms") as cache:
        cache.set("a", 1)
        with amid(cache):
            cache.close()
        wait_until(lambda: cache.closed)  # no further call comes


def test_a_thread_that_waits_for_another_removes_at_once(cache: SyncCache) -> None:
    """The thread is inside a call, but it has released the monitor for other threads."""
    begun, go, removed = threading.Event(), threading.Event(), threading.Event()

    def load() -> str:
        begun.set()
        go.wait(10)
        return "loaded"

    loading = threading.Thread(target=lambda: cache.get_or_set("k", load))
    joining = threading.Thread(target=lambda: cache.get_or_set("k", load))
    loading.start()
    assert begun.wait(10)
    monitor = cast("SyncEngine", cache._engine).monitor
    sleeps = monitor.released

    def left() -> object:
        if threading.current_thread() is joining and not removed.is_set():
            with sleeps():
                cache.delete("a")  # as a signal handler does in the middle of the wait
                wait_until(lambda: not monitor.notes)
                removed.set()
        return sleeps()

    monitor.released = left  # type: ignore[method-assign, assignment]
    joining.start()
    assert removed.wait(10)
    assert cache.get("a") is None
    go.set()
    loading.join(10)
    joining.join(10)


def test_what_a_signal_throws_into_a_wait_leaves_nothing_half_done(cache: SyncCache) -> None:
    """The thread had released the monitor: near and the connection are as good as before."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    def kill() -> None:
        def waits() -> bool:
            with amid(cache):  # then the waiting thread has released the monitor
                turn = cache._engine.claims._turns["report"]
                if turn.queue:
                    os.kill(os.getpid(), signal.SIGUSR1)
                return bool(turn.queue)

        wait_until(waits)

    claim = cache.claim("report")
    assert claim is not None
    epoch = cache.stats().epoch
    before = signal.signal(signal.SIGUSR1, interrupt)
    killer = threading.Thread(target=kill)
    try:
        killer.start()
        with pytest.raises(KeyboardInterrupt):
            cache.claim("report", wait="30s")
    finally:
        killer.join(10)
        signal.signal(signal.SIGUSR1, before)
    assert cache.peek("a") == 1
    assert cache.set("c", 1) is None
    assert (cache.stats().epoch, cache.stats().journal) == (epoch, 0)
    assert claim.release()


def test_the_log_is_written_when_the_rule_is_left(cache: SyncCache) -> None:
    """Log handlers have locks, which may be held by a thread that waits for the monitor."""
    owned: list[bool] = []
    monitor = cast("SyncEngine", cache._engine).monitor

    class Handler(logging.Handler):
        def emit(self, _record: logging.LogRecord) -> None:
            owned.append(monitor._lock._is_owned())

    handler = Handler()
    logging.getLogger("fleetcache").addHandler(handler)
    try:
        assert isinstance(cache.get_or_set("strange", object), object)  # a value that cannot be kept is reported once
        cache.peek("strange")
    finally:
        logging.getLogger("fleetcache").removeHandler(handler)
    assert owned == [False]


def test_to_start_a_thread_is_not_to_wait_for_it() -> None:
    """A finalizer that runs in the new thread before it reports its start may need the monitor."""
    go, done = threading.Event(), threading.Event()

    class Slow(threading.Thread):
        def start(self) -> None:
            go.wait(2)
            super().start()

    begin(Slow(target=done.set))
    assert not done.wait(0.01)
    go.set()
    assert done.wait(10)


def test_what_is_noted_is_not_put_back_meanwhile(cache: SyncCache) -> None:
    """The next steps of the interrupted rule, before its end, do not store it again."""
    with amid(cache):
        cache.delete("a")
        near = cache._engine.near
        held = near.items.get("b")
        assert held is not None
        assert not near.put("a", held)
    assert cache.get("a") is None
