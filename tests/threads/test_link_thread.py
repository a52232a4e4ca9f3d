"""The thread engine: which thread waits for which other one, and for how long."""

import multiprocessing
import os
import random
import signal
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import pytest

from fleetcache import LoadCycle, LoadTimeout, SyncCache, Unavailable
from fleetcache.engine.threads.monitor import Monitor, finish
from fleetcache.wire.session import Call
from tests.conftest import GetServer, StartServer
from tests.support.proxy import Proxy
from tests.support.servers import Server
from tests.support.waiting import wait_until

TIMEOUT = 0.25


def link_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "fleetcache-link"]


def test_nothing_runs_before_the_first_use(server: Server, prefix: str) -> None:
    cache = SyncCache(server.url, prefix=prefix)
    assert link_threads() == []
    cache.get("k")
    (link,) = link_threads()
    assert link.daemon
    cache.close()
    assert link_threads() == []


def test_without_a_server_there_is_no_thread(prefix: str) -> None:
    with SyncCache("memory://", prefix=prefix) as cache:
        cache.set("k", "value")
        assert cache.get("k") == "value"
        assert link_threads() == []


def test_a_frozen_server_under_a_large_write_keeps_nobody_longer_than_the_timeout(
    fresh_server: StartServer, prefix: str
) -> None:
    server = fresh_server()
    with SyncCache(server.url, prefix=prefix, operation_timeout=TIMEOUT, max_value_bytes="32MB") as cache:
        large = os.urandom(16_000_000)
        began = time.monotonic()
        cache._engine.entries.encode(large, bytes)
        Call([("SET", "large", large)])
        computing = time.monotonic() - began  # seconds without the GIL for another thread; many on a busy machine
        server.freeze()
        over = threading.Event()
        took: list[float] = []

        def write() -> None:
            began = time.monotonic()
            cache.set("large", large)
            took.append(time.monotonic() - began)
            over.set()

        def others(number: int) -> None:
            while not over.is_set():
                began = time.monotonic()
                cache.get(f"other{number}")
                cache.delete(f"other{number}")
                took.append((time.monotonic() - began) / 2)

        threads = [threading.Thread(target=write), *(threading.Thread(target=others, args=(n,)) for n in range(4))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)
        server.thaw()
        assert over.is_set()
        assert max(took) < TIMEOUT + 1.0 + 3 * computing  # one that waits for the server waits ten seconds
        wait_until(lambda: cache.status_now().shared, 10)


def test_a_large_value_goes_through_in_pieces(server: Server, prefix: str) -> None:
    with SyncCache(
        server.url, prefix=prefix, operation_timeout="5s", max_value_bytes="32MB", near_max_bytes=0
    ) as cache:
        large = os.urandom(16_000_000)
        small = [threading.Thread(target=cache.set, args=(f"small{n}", n)) for n in range(8)]
        for thread in small:
            thread.start()
        cache.set("large", large)
        for thread in small:
            thread.join()
        assert cache.get("large") == large
        assert cache.get_many([f"small{n}" for n in range(8)]) == {f"small{n}": n for n in range(8)}
        assert cache.stats().epoch == 1


def test_an_interrupted_send_gives_the_connection_up(server: Server, prefix: str) -> None:
    with SyncCache(server.url, prefix=prefix, operation_timeout="2s") as cache:
        cache.set("k", "value")
        wire: Any = cache._engine.wire
        send = wire.socket._send

        def interrupted(sock: Any, data: memoryview) -> None:
            send(sock, data[: len(data) // 2])
            raise KeyboardInterrupt

        wire.socket._send = interrupted
        with pytest.raises(KeyboardInterrupt):
            cache.get("other")
        wire.socket._send = send
        wait_until(lambda: cache.stats().epoch == 2 and cache.status_now().shared)
        assert cache.get("k") == "value"
        assert cache.get("other") is None


def test_an_interrupted_rule_leaves_nobody_waiting(server: Server, prefix: str) -> None:
    """A signal may interrupt any line: here, one between a flight's start and its first question."""
    with SyncCache(server.url, prefix=prefix, operation_timeout="2s") as cache:
        cache.get("k")
        take = cache._engine.coherence.open_fill

        def interrupted(*_: Any) -> Any:
            raise KeyboardInterrupt

        cache._engine.coherence.open_fill = interrupted  # type: ignore[method-assign, assignment]
        with pytest.raises(KeyboardInterrupt):
            cache.get_or_set("k", lambda: 1)
        cache._engine.coherence.open_fill = take  # type: ignore[method-assign]
        began = time.monotonic()
        assert cache.get_or_set("k", lambda: 2) == 2
        assert time.monotonic() - began < 5
        assert cache.stats().flights == 0


def test_an_interrupted_wait_disturbs_nobody(server: Server, prefix: str) -> None:
    """Ctrl-C interrupts the main thread while it waits for another thread's load."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell ignores SIGINT in background jobs
    with SyncCache(server.url, prefix=prefix, operation_timeout="2s") as cache:
        go = threading.Event()
        values: list[Any] = []
        others = [
            threading.Thread(target=lambda: values.append(cache.get_or_set("k", lambda: go.wait(10)))) for _ in range(3)
        ]
        for thread in others:
            thread.start()
        wait_until(lambda: cache.stats().joins == 2)
        threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()  # by then this thread waits
        with pytest.raises(KeyboardInterrupt):
            cache.get_or_set("k", lambda: "mine")
        go.set()
        for thread in others:
            thread.join(10)
        assert values == [True] * 3
        assert cache.get("k") is True
        assert cache.stats().epoch == 1


def test_an_interrupted_loader_hands_over(server: Server, prefix: str) -> None:
    with SyncCache(server.url, prefix=prefix, operation_timeout="2s") as cache:
        values: list[Any] = []
        other = threading.Thread(target=lambda: values.append(cache.get_or_set("k", lambda: "theirs")))

        def load() -> str:
            other.start()
            wait_until(lambda: cache.stats().joins == 1)
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            cache.get_or_set("k", load)
        other.join(5)
        assert values == ["theirs"]


def test_who_waits_for_another_gives_up_in_time(server: Server, prefix: str) -> None:
    with SyncCache(server.url, prefix=prefix, operation_timeout="2s") as cache:
        go = threading.Event()
        loader = threading.Thread(target=cache.get_or_set, args=("k", lambda: go.wait(10)))
        loader.start()
        wait_until(lambda: cache.stats().loads == 1)
        with pytest.raises(LoadTimeout):
            cache.get_or_set("k", lambda: "mine", load_timeout="50ms")
        go.set()
        loader.join()
        assert cache.get("k") is True


def test_two_loaders_that_wait_for_each_other_are_an_error(prefix: str) -> None:
    with SyncCache("memory://", prefix=prefix) as cache:
        both = threading.Barrier(2)
        errors: list[BaseException] = []

        def load(other: str) -> Any:
            both.wait(5)
            return cache.get_or_set(other, lambda: 1)

        def ask(mine: str, other: str) -> None:
            try:
                cache.get_or_set(mine, lambda: load(other))
            except LoadCycle as error:
                errors.append(error)

        threads = [threading.Thread(target=ask, args=pair) for pair in (("a", "b"), ("b", "a"))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)
        assert errors


def test_the_lease_of_a_long_load_is_renewed(server: Server, prefix: str) -> None:
    _quick.takes = 0.0  # type: ignore[attr-defined]
    settings: dict[str, Any] = {"prefix": prefix, "operation_timeout": "5s"}
    with SyncCache(server.url, **settings) as cache, SyncCache(server.url, **settings) as other:
        for one in (cache, other):  # each cache learns that the loader is quick, so that its lease is a second
            one.get_or_set(f"quick{id(one)}", _quick)
        loader = threading.Thread(target=cache.get_or_set, args=("k", _quick), kwargs={"ttl": "1m"})
        _quick.takes = 2.5  # type: ignore[attr-defined]
        loader.start()
        wait_until(lambda: cache.stats().leases == 2)
        began = time.monotonic()
        assert other.get_or_set("k", _quick) == 2.5
        assert time.monotonic() - began > 1.0
        assert other.stats().loads == 1
        loader.join()


def _quick() -> float:
    takes: float = getattr(_quick, "takes", 0.0)
    time.sleep(takes)
    return takes


def test_tls(shared_servers: GetServer, prefix: str) -> None:
    server = shared_servers("valkey", "tls")
    with SyncCache(
        server.url, prefix=prefix, operation_timeout="5s", max_value_bytes="32MB", near_max_bytes=0
    ) as cache:
        large = os.urandom(5_000_000)
        cache.set("large", large)
        assert cache.get("large") == large
        assert cache.status_now().shared


def test_it_is_back_after_the_connection_was_cut(server: Server, prefix: str) -> None:
    with Proxy(server) as proxy, SyncCache(proxy.url, prefix=prefix, operation_timeout="2s") as cache:
        cache.set("k", "value")
        proxy.cut()
        wait_until(lambda: cache.stats().epoch == 2 and cache.status_now().shared)
        assert cache.get("k") == "value"


def test_a_port_that_suspends_is_an_error_at_once() -> None:
    class Suspending:
        def __await__(self) -> Any:
            yield

    async def wrong() -> None:
        await Suspending()

    with pytest.raises(RuntimeError, match="every port must block"):
        Monitor().run(wrong())
    with pytest.raises(RuntimeError, match="every port must block"):
        finish(wrong())


def test_pushes_come_while_callers_read_for_themselves(server: Server, prefix: str) -> None:
    """And right after the callers have stopped: only the link thread reads then."""
    with (
        SyncCache(server.url, prefix=prefix, operation_timeout="2s") as cache,
        SyncCache(server.url, prefix=prefix, operation_timeout="2s") as other,
    ):
        for busy in (True, False):
            over = threading.Event()
            threads = [threading.Thread(target=_ask_until, args=(cache, over, n)) for n in range(4 if busy else 0)]
            for thread in threads:
                thread.start()
            for number in range(20):
                cache.set("k", number)
                assert cache.peek("k", type=int) is None or cache.get("k", type=int) == number
                assert cache.get("k", type=int) == number
                other.delete("k")
                wait_until(lambda: cache.peek("k", type=int) is None)
            over.set()
            for thread in threads:
                thread.join()


def _ask_until(cache: SyncCache, over: threading.Event, number: int) -> None:
    while not over.is_set():
        assert cache.get(f"nothing{number}", "none") == "none"


def test_many_threads_lose_no_reply_while_connections_are_cut(server: Server, prefix: str) -> None:
    with Proxy(server) as proxy, SyncCache(proxy.url, prefix=prefix, operation_timeout="1s") as cache:
        over = threading.Event()
        slow: list[float] = []

        def work(number: int) -> None:
            while not over.is_set():
                began = time.monotonic()
                cache.get(f"k{number}")
                cache.set(f"k{number}", number)
                slow.append(time.monotonic() - began)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(12)]
        for thread in threads:
            thread.start()
        for _ in range(6):
            wait_until(lambda: cache.status_now().shared, 5)
            time.sleep(0.05)
            proxy.reset()
        over.set()
        for thread in threads:
            thread.join(5)
        assert not any(thread.is_alive() for thread in threads)
        assert max(slow) < 2 * 1 + 3
        wait_until(lambda: cache.status_now().shared, 5)
        assert cache.stats().waiters == 0


def test_anybody_may_look_and_make_namespaces_while_others_work(server: Server, prefix: str) -> None:
    with SyncCache(server.url, prefix=prefix, operation_timeout="5s") as cache:
        end = time.monotonic() + 0.5
        errors: list[BaseException] = []

        def work(number: int) -> None:
            turn = 0
            while time.monotonic() < end:
                turn += 1
                try:
                    ours = cache.namespace(f"n{turn % 50}")
                    with ours.bypass():
                        ours.get("k")
                    ours.get_or_set(f"{number}.{turn}", lambda: 1)
                    cache.stats()
                    cache.status_now()
                except Exception as error:  # noqa: BLE001 - told below
                    errors.append(error)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert errors == []


def test_signals_at_any_moment_lose_nothing_for_good(server: Server, prefix: str) -> None:
    """As soft time limits of workers: signals interrupt any line of the main thread, in a process of their own."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        pool.submit(_struck, server.url, prefix).result(100)


def _struck(url: str, prefix: str) -> None:
    order = random.Random(7)

    def strike(*_: object) -> None:
        raise KeyboardInterrupt

    main = threading.main_thread().ident
    assert main is not None

    # A function: 3.13 does not catch every signal that strikes a loop.
    def work(number: int, timer: threading.Timer) -> None:
        end = time.monotonic() + 0.25
        timer.start()
        while time.monotonic() < end:
            cache.get_or_set(f"k{number % 7}", lambda: 1)
            cache.delete(f"k{number % 7}")

    before = signal.signal(signal.SIGUSR1, strike)
    try:
        with SyncCache(url, prefix=prefix, operation_timeout="2s") as cache:
            struck = 0
            for number in range(150):
                timer = threading.Timer(order.uniform(0.0001, 0.003), signal.pthread_kill, (main, signal.SIGUSR1))
                try:
                    work(number, timer)
                except KeyboardInterrupt:
                    struck += 1
                timer.join()
            wait_until(lambda: _acknowledged(cache), 10)
            assert cache.get("k") == "value"
            assert struck > 75, "one that strikes in a finaliser is dropped by Python"
            assert cache.stats().flights == 0
    finally:
        signal.signal(signal.SIGUSR1, before)


def _acknowledged(cache: SyncCache) -> bool:
    try:
        cache.set("k", "value", strict=True)
    except Unavailable:  # the last signal struck a call in the middle: the connection is made again
        return False
    return True


def test_a_loader_holds_up_nobody(server: Server, prefix: str) -> None:
    with SyncCache(server.url, prefix=prefix, operation_timeout="5s") as cache:
        cache.set("k", "value")
        begun, go_on = threading.Event(), threading.Event()

        def load() -> str:
            begun.set()
            assert go_on.wait(20)
            return "loaded"

        thread = threading.Thread(target=cache.get_or_set, args=("slow", load))
        thread.start()
        assert begun.wait(20)
        found: list[str] = []
        other = threading.Thread(target=lambda: found.extend(cache.get_many(["k"]).values()), daemon=True)
        other.start()
        other.join(10)
        held_up = other.is_alive()
        go_on.set()
        thread.join(20)
        other.join(20)
        assert not held_up
        assert found == ["value"]


def test_a_thread_that_asks_for_it_is_told_what_was_not_acknowledged(prefix: str) -> None:
    with SyncCache("unix:///nobody/listens/here", prefix=prefix) as cache:
        assert cache.delete("k") is False
        with pytest.raises(Unavailable):
            cache.delete("k", strict=True)
        with pytest.raises(Unavailable):
            cache.set("k", "value", strict=True)
