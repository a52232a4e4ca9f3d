"""The routes while a real server freezes, dies and returns, and the server's cost of a probe."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import httpx
import pytest

from fleetcache import Cache
from fleetcache.ops import OpsApp
from tests.conftest import StartServer
from tests.ops.probing import client
from tests.support.run import run
from tests.support.servers import Server, free_port
from tests.support.waiting import eventually

ROUTES = ("/livez", "/readyz", "/healthz", "/metrics")
PASSWORD = "hunter2-of-the-url"  # noqa: S105 - looked for in every answer


@asynccontextmanager
async def watched(url: str, *, detail: Any = "brief", **settings: Any) -> AsyncIterator[httpx.AsyncClient]:
    """Yield a client of the routes of a cache that no other code opens."""
    cache = Cache(url, prefix="ops", **{"operation_timeout": "5s"} | settings)
    try:
        async with client(OpsApp(cache, detail=detail)) as http:
            yield http
    finally:
        await cache.close()


async def told(http: httpx.AsyncClient, path: str = "/healthz") -> tuple[int, str, str, str | None]:
    answer = await http.get(path)
    body = answer.json()
    return answer.status_code, body["status"], body["active"], body["reason"]


async def until(http: httpx.AsyncClient, status: str) -> None:
    async def reached() -> bool:
        return (await told(http))[1] == status

    await eventually(reached)


def gets(server: Server) -> int:
    """Return how many GET commands the server has run."""
    with server.client() as raw:
        stats = bytes(raw("INFO", "commandstats")).decode()
    lines = [line for line in stats.splitlines() if line.startswith("cmdstat_get:")]
    return int(lines[0].split("calls=")[1].split(",")[0]) if lines else 0


def test_a_dead_server_is_degraded_and_ready_and_its_return_is_healthy(fresh_server: StartServer) -> None:
    async def scene() -> None:
        server = fresh_server()
        async with watched(server.url) as http:
            assert await told(http) == (200, "healthy", "redis", None)
            assert await told(http, "/readyz") == (200, "healthy", "redis", None)
            server.kill()
            await until(http, "degraded")
            code, status, active, reason = await told(http)
            assert (code, status, active) == (200, "degraded", "memory")
            assert reason in {"reset", "refused"}
            assert (await told(http, "/readyz"))[0] == 200
            server.restart()
            await until(http, "healthy")
            assert await told(http) == (200, "healthy", "redis", None)

    run(scene())


def test_a_required_server_that_is_dead_is_unhealthy_and_not_ready_but_alive(fresh_server: StartServer) -> None:
    async def scene() -> None:
        server = fresh_server()
        async with watched(server.url, required=True) as http:
            assert (await told(http, "/readyz"))[0] == 200
            server.kill()
            await until(http, "unhealthy")
            assert (await told(http))[0] == 503
            ready = await http.get("/readyz")
            assert (ready.status_code, ready.json()["because"]) == (503, "unhealthy")
            assert (await http.get("/livez")).status_code == 200
            server.restart()
            await until(http, "healthy")
            assert (await told(http, "/readyz"))[0] == 200

    run(scene())


def test_a_server_that_was_never_there_is_degraded_and_ready() -> None:
    async def scene() -> None:
        async with watched(f"redis://127.0.0.1:{free_port()}") as http:
            assert await told(http, "/readyz") == (200, "degraded", "memory", "refused")

    run(scene())


def test_ready_waits_for_the_first_attempt_to_end_either_way(fresh_server: StartServer) -> None:
    async def scene() -> None:
        server = fresh_server("tls")
        server.freeze()  # its kernel accepts the connection, but no greeting comes
        async with watched(server.url, operation_timeout="50ms", connect_timeout="2s") as http:
            ready = await http.get("/readyz")
            assert (ready.status_code, ready.json()["because"]) == (503, "connecting")
            assert (await told(http))[0] == 200

            async def is_ready() -> bool:
                return (await http.get("/readyz")).status_code == 200

            await eventually(is_ready)
            assert (await told(http))[1:3] == ("degraded", "memory")
        server.thaw()

    run(scene())


def test_a_frozen_server_delays_live_and_metrics_not_at_all_and_health_by_one_timeout(
    fresh_server: StartServer,
) -> None:
    async def scene() -> None:
        server = fresh_server()
        async with watched(server.url, operation_timeout="2s") as http:
            await until(http, "healthy")
            await asyncio.sleep(1)  # so that the next probe sends its own command
            server.freeze()
            began = time.monotonic()
            asking = asyncio.gather(*(http.get("/healthz") for _ in range(20)))
            for _ in range(10):
                assert (await http.get("/livez")).status_code == 200
                assert (await http.get("/metrics")).status_code == 200
            assert not asking.done()
            assert {answer.status_code for answer in await asking} == {200}
            assert 1.8 < time.monotonic() - began < 3.8  # not two timeouts
            await until(http, "degraded")
            assert (await told(http))[3] == "timeout"
            server.thaw()
            await until(http, "healthy")

    run(scene())


def test_probes_cost_the_server_one_command_a_second_however_many_ask(fresh_server: StartServer) -> None:
    async def scene() -> None:
        server = fresh_server()
        # The heartbeat is the same command. At this bound it comes every 20 s, and so not in this scene.
        async with watched(server.url, max_staleness="1m") as http:
            await until(http, "healthy")
            before, began, probes = gets(server), time.monotonic(), 0
            while time.monotonic() - began < 2.2:
                answers = await asyncio.gather(*(http.get(path) for path in ("/healthz", "/readyz") * 100))
                assert {answer.status_code for answer in answers} == {200}
                probes += len(answers)
            took = time.monotonic() - began
            assert probes >= 400
            # At least one command shows that the probe is real; further ones depend on the time of a round here.
            assert 1 <= gets(server) - before <= took + 1

    run(scene())


@pytest.mark.parametrize("detail", ["brief", "full"])
def test_no_answer_shows_the_password(fresh_server: StartServer, detail: str) -> None:
    async def scene() -> None:
        server = fresh_server(user="app", password=PASSWORD)
        async with watched(server.url, detail=detail) as http:
            await until(http, "healthy")
            await keeps_the_secret(http)
            server.kill()
            await until(http, "degraded")
            await keeps_the_secret(http)
        server.restart()
        wrong = server.url.replace(PASSWORD, f"{PASSWORD}-wrong")
        async with watched(wrong, detail=detail) as http:
            assert (await told(http))[3] == "auth"
            await keeps_the_secret(http)

    run(scene())


def test_no_answer_shows_the_password_that_a_server_repeats() -> None:
    """Old servers and proxies quote the arguments of a command that they do not know."""

    async def repeats(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionResetError):  # the client drops a server that it cannot use
            while await reader.read(4096):
                writer.write(f"-ERR unknown command `X`, with args beginning with: `{PASSWORD}`, \r\n".encode())
        writer.close()
        with suppress(OSError):  # else the garbage collector may report the reset as an error that no code fetched
            await writer.wait_closed()

    async def scene() -> None:
        async with await asyncio.start_server(repeats, "127.0.0.1", 0) as listening:
            port = listening.sockets[0].getsockname()[1]
            async with watched(f"redis://:{PASSWORD}@127.0.0.1:{port}", detail="full") as http:
                assert (await told(http))[1] == "degraded"
                await keeps_the_secret(http)

    run(scene())


async def keeps_the_secret(http: httpx.AsyncClient) -> None:
    for path in ROUTES:
        answer = await http.get(path)
        assert PASSWORD not in answer.text + str(answer.headers)
