"""Processes fork, with their threads in any state, and end, without a hang and without a message."""

import asyncio
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from fleetcache import Cache, SyncCache
from tests.conftest import StartServer
from tests.support.forking import in_a_child
from tests.support.servers import Server
from tests.support.waiting import wait_until

ROOT = Path(__file__).parents[2]


def test_a_child_starts_clean_whatever_the_parents_threads_held(server: Server, prefix: str) -> None:
    with SyncCache(server.url, prefix=prefix, operation_timeout="2s") as cache:
        cache.set("k", "value")
        go = threading.Event()
        loader = threading.Thread(target=cache.get_or_set, args=("held", lambda: go.wait(10) and "loaded"))
        loader.start()  # a flight, and a lease of the parent
        wait_until(lambda: cache.stats().loads == 1)
        inside, out = threading.Event(), threading.Event()
        holder = threading.Thread(target=_hold, args=(cache, inside, out))
        holder.start()  # holds every lock
        inside.wait()

        def child() -> dict[str, Any]:
            began = time.monotonic()
            said: dict[str, Any] = {"clean": cache.peek("k") is None and cache.stats().flights == 0}
            said["found"] = cache.get("k")
            cache.set("from the child", "hello")
            cache.delete("k")
            said["name"] = cache.status_now().instance
            cache.close()
            return said | {"took": time.monotonic() - began}

        try:
            said = in_a_child(child)
        finally:
            out.set()
            go.set()
            loader.join()
            holder.join()
        assert (said["clean"], said["found"]) == (True, "value")
        assert said["took"] < 10
        assert said["name"] != cache.status_now().instance
        assert cache.get("from the child") == "hello"
        assert cache.get("k") is None
        assert cache.get("held") == "loaded"
        assert cache.stats().epoch == 1  # no child used the parent's connection


def _hold(cache: SyncCache, inside: threading.Event, out: threading.Event) -> None:
    engine = cache._engine
    with engine.monitor.locked():  # type: ignore[attr-defined] # an engine of threads
        inside.set()
        out.wait(10)


def test_a_fork_that_python_is_not_told_of_starts_clean_too(
    server: Server, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with SyncCache(server.url, prefix=prefix, operation_timeout="2s") as cache:
        cache.set("k", "value")
        monkeypatch.setattr("fleetcache.engine.threads.engine.SyncEngine.after_fork", lambda _self: None)

        def child() -> Any:
            monkeypatch.undo()
            return cache.get("other", "nothing"), cache.get("k")

        assert in_a_child(child) == ["nothing", "value"]
        assert cache.stats().epoch == 1


def test_a_child_of_a_cache_in_use_by_a_loop_starts_clean(server: Server, prefix: str) -> None:
    """Another thread holds the near store's lock at the fork, and removals are under way."""

    async def main() -> Any:
        async with Cache(server.url, prefix=prefix, operation_timeout="2s") as cache:
            await cache.set("k", "value")

            async def again() -> Any:
                return await cache.get("k")

            def fork() -> Any:
                return in_a_child(lambda: asyncio.run(again()))

            removal = asyncio.create_task(cache.delete_many([]))
            forked = await asyncio.to_thread(fork)
            await removal
            return forked

    assert asyncio.run(main()) == "value"


STORIES = [
    "ends",
    "ends_with_a_load_in_a_daemon_thread",
    "ends_by_an_exit_in_the_middle",
    "ends_after_a_signal",
    "forks",
]


UNACKNOWLEDGED = (
    "removals lost: {} that the server has not acknowledged at close; other instances may answer these keys\n"
)


def start(story: str, url: str, prefix: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "tests.processes.site", story]
    environ = os.environ | {"REDIS_URL": url, "CACHE_PREFIX": prefix}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, cwd=ROOT, env=environ, text=True, **pipes)  # type: ignore[call-overload,no-any-return] # noqa: S603 - ours


@pytest.mark.parametrize("story", STORIES)
def test_a_process_ends_without_a_hang_and_without_a_word(server: Server, prefix: str, story: str) -> None:
    with start(story, server.url, prefix) as process:
        said = process.communicate(timeout=100)
    if story == "ends_after_a_signal" and said[1]:  # the signal struck a removal on its way
        said = said[0], said[1].replace(UNACKNOWLEDGED.format(1), "")
    assert (process.returncode, *said) == (0, "", "")
    if story == "ends_with_a_load_in_a_daemon_thread":  # its lease is released, so that no process waits for it
        with SyncCache(server.url, prefix=prefix, operation_timeout="2s") as cache:
            began = time.monotonic()
            assert cache.get_or_set("held", lambda: "ours") == "ours"
            assert time.monotonic() - began < 8  # a lease that stays lasts ten


def test_a_process_ends_while_the_server_is_frozen(fresh_server: StartServer, prefix: str) -> None:
    server = fresh_server()
    with start("ends_with_a_frozen_server", server.url, prefix) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "freeze\n"
        server.freeze()
        began = time.monotonic()
        _, complaints = process.communicate("go\n", timeout=100)
        took = time.monotonic() - began
        server.thaw()
    assert process.returncode == 0
    assert took < 20  # one timeout for the delete, one at the end, and the interpreter's own time
    assert "Traceback" not in complaints
    assert UNACKNOWLEDGED.format(1) in complaints
