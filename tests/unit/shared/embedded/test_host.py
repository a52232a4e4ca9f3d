"""The embedded server as one cache sees it: a seat for each connection, and one reason where there is no server."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from fleetcache.shared.embedded import attach
from fleetcache.shared.embedded.host import Host
from fleetcache.wire.handshake import HandshakeError
from tests.embedded.home import SOON, Home
from tests.support.waiting import wait_until

SIZE = 64 * 1024 * 1024


def off_the_loop(host: Host) -> None:
    asyncio.run(host.ready())


WAYS = pytest.mark.parametrize("ready", [off_the_loop, Host.ready_here], ids=["tasks", "threads"])


@WAYS
def test_a_server_is_there_for_as_long_as_the_host_has_a_seat(home: Home, ready: Callable[[Host], None]) -> None:
    host = Host(str(home.base), SIZE)
    assert host.address.path == str(home.folder.socket)
    ready(host)
    with home.raw() as raw:
        assert raw("PING") == b"PONG" or raw("PING") == "PONG"
    ready(host)  # the next connection: a new seat, and the same server
    assert len(home.supervisors) == 1
    host.leave()
    host.leave()
    wait_until(home.is_left, SOON)


@WAYS
def test_where_there_is_no_server_the_reason_is_told(home: Home, ready: Callable[[Host], None]) -> None:
    (home.base / "file").touch()
    host = Host(str(home.base / "file"), SIZE)
    with pytest.raises(HandshakeError) as caught:
        ready(host)
    assert caught.value.reason == "embedded_folder"


def test_without_a_free_thread_it_is_given_up_in_time(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fleetcache.shared.embedded.host.TIMEOUT", -0.95)
    assert attach.TIMEOUT > 0

    async def main() -> None:
        loop = asyncio.get_running_loop()
        release = asyncio.Event()

        def busy() -> None:
            asyncio.run_coroutine_threadsafe(release.wait(), loop).result(30)

        loop.set_default_executor(ThreadPoolExecutor(1))
        running = loop.run_in_executor(None, busy)
        with pytest.raises(HandshakeError) as caught:
            await Host(str(home.base), SIZE).ready()
        assert caught.value.reason == "timeout"
        release.set()
        await running

    asyncio.run(main())
    assert not home.supervisors
