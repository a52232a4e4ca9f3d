"""A site for servers with worker processes: one ``SyncCache``, made at import.

``python -m tests.processes.site STORY URL PREFIX`` plays a story of a process that ends; it writes nothing to
standard error if all is well.
"""

import asyncio
import json
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

from fleetcache import SyncCache

cache = SyncCache(os.environ["REDIS_URL"], prefix=os.environ["CACHE_PREFIX"], operation_timeout="2s")


def load() -> dict[str, int]:
    """Load so slowly that every worker asks before the end."""
    time.sleep(0.1)
    return {"pid": os.getpid(), "times": cache.incr("loads")}


if os.environ.get("WARM"):  # before the server forks its workers
    cache.set("warm", "by the master")


def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """A WSGI app that returns its process id and the value that the fleet loaded once."""
    start_response("200 OK", [("Content-Type", "application/json")])
    found = cache.get_or_set(environ["PATH_INFO"], load)
    return [json.dumps({"pid": os.getpid(), "found": found, "warm": cache.get("warm")}).encode()]


async def asgi(scope: dict[str, Any], _receive: Any, send: Any) -> None:
    """An ASGI app that works in threads, as frameworks do for a ``def``."""
    if scope["type"] != "http":
        return
    found = await asyncio.to_thread(cache.get_or_set, scope["path"], load)
    body = json.dumps({"pid": os.getpid(), "found": found, "warm": None}).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})


# -- how processes end -------------------------------------------------------------------------------------------------


def ends() -> None:
    """End at the end of the script, without a close()."""
    assert cache.get_or_set("k", lambda: 1) == 1


def ends_with_a_load_in_a_daemon_thread() -> None:
    """End during a load in a daemon thread; its lease must not hold up other processes."""
    loading = threading.Event()

    def load_for_ever() -> None:
        loading.set()
        time.sleep(60)

    threading.Thread(target=lambda: cache.get_or_set("held", load_for_ever), daemon=True).start()
    loading.wait()


def ends_by_an_exit_in_the_middle() -> None:
    """Exit from the main thread, while other threads work."""
    for number in range(4):
        threading.Thread(target=_work, args=(number,), daemon=True).start()
    time.sleep(0.1)
    sys.exit(0)


def ends_with_a_frozen_server() -> None:
    """End while the server is frozen: the process waits for one operation timeout, not longer."""
    cache.set("k", 1)
    sys.stdout.write("freeze\n")
    sys.stdout.flush()
    sys.stdin.readline()
    cache.delete("k")


def ends_after_a_signal() -> None:
    """End by the signal that stops workers."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    cache.set("k", 1)
    threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGTERM)).start()
    while True:
        cache.get_or_set("k", lambda: 1)
        cache.delete("k")


def forks() -> None:
    """Fork and spawn with ``multiprocessing``."""
    cache.set("k", "value")
    contexts: list[Any] = [multiprocessing.get_context("fork"), multiprocessing.get_context("spawn")]
    for context in contexts:
        queue = context.Queue()
        child = context.Process(target=_child, args=(queue,))
        child.start()
        assert queue.get(timeout=20) == "value"
        child.join(10)
        assert child.exitcode == 0
    assert cache.get("from the child") == "hello"
    with multiprocessing.get_context("fork").Pool(2) as pool:  # as Celery's prefork: a signal ends its children
        assert pool.map(_double, range(8)) == [2 * n for n in range(8)]


def _child(queue: Any) -> None:
    cache.set("from the child", "hello")
    queue.put(cache.get("k"))


def _double(n: int) -> int:
    return int(cache.get_or_set(f"double{n}", lambda: 2 * n))


def _work(number: int) -> None:
    while True:
        cache.get_or_set(f"{number}", lambda: 1)
        cache.delete(f"{number}")


if __name__ == "__main__":
    globals()[sys.argv[1]]()
