"""Two uvicorn processes with one cache, over a real connection: one load, one removal."""

import asyncio
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import pytest

from tests.conftest import GetServer
from tests.frameworks.asking import did
from tests.frameworks.uvicorning import client_of, uvicorns
from tests.support.run import run
from tests.support.servers import Server

SITE = "tests.frameworks.fastapi_site:app"
EACH = 10
UNHURRIED = {"CACHE_OPERATION_TIMEOUT": "2s"}  # the machine may be busy


async def at_once(clients: list[httpx.AsyncClient], path: str) -> list[httpx.Response]:
    return await asyncio.gather(*(client.get(path) for client in clients for _ in range(EACH)))


async def forgotten_by(client: httpx.AsyncClient, path: str, old: bytes, tries: int = 200) -> None:
    """Wait for the push; an old response is never given for longer than ``max_staleness``."""
    for _ in range(tries):
        if (await client.get(path)).content != old:
            return
        await asyncio.sleep(0.01)
    raise AssertionError("the old response is still answered")


def test_one_load_and_one_removal_for_all(server: Server, prefix: str, tmp_path: Path) -> None:
    async def scene(sockets: list[Path]) -> None:
        async with AsyncExitStack() as stack:
            clients = [await stack.enter_async_context(client_of(where)) for where in sockets]
            answers = await at_once(clients, "/slow/a")
            assert len({answer.content for answer in answers}) == 1
            assert Counter(map(did, answers))["stored"] == 1

            head = await clients[1].head("/slow/a")
            again = await clients[1].get("/slow/a", headers={"If-None-Match": head.headers["etag"]})
            assert (head.status_code, head.content, did(head)) == (200, b"", "hit")
            assert head.headers["content-length"] == str(len(answers[0].content))
            assert (again.status_code, again.content, did(again)) == (304, b"", "hit")

            await clients[1].delete("/slow/a")
            await forgotten_by(clients[0], "/slow/a", answers[0].content)

    with uvicorns(SITE, 2, tmp_path, REDIS_URL=server.url, CACHE_PREFIX=prefix, **UNHURRIED) as sockets:
        run(scene(sockets))


def test_without_a_server_each_loads_for_itself_and_the_test_above_would_see_it(tmp_path: Path) -> None:
    async def scene(sockets: list[Path]) -> None:
        async with AsyncExitStack() as stack:
            clients = [await stack.enter_async_context(client_of(where)) for where in sockets]
            answers = await at_once(clients, "/slow/a")
            assert len({answer.content for answer in answers}) == 2
            await clients[1].delete("/slow/a")
            with pytest.raises(AssertionError, match="still answered"):
                await forgotten_by(clients[0], "/slow/a", answers[0].content, tries=20)

    with uvicorns(SITE, 2, tmp_path, CACHE_DRIVER="memory") as sockets:
        run(scene(sockets))


def test_the_example_runs(shared_servers: GetServer, prefix: str, tmp_path: Path) -> None:
    async def scene(sockets: list[Path]) -> None:
        async with client_of(sockets[0]) as one, client_of(sockets[1]) as other:
            assert (await one.get("/products/1")).json() == {"id": 1, "name": "tea", "cents": 450}
            second = await other.get("/products/1")
            assert (second.json()["name"], did(second)) == ("tea", "hit")
            parts = [(await each.get("/products?limit=1&skip=1")).json()[0]["id"] for each in (one, other)]
            assert parts == [2, 2]
            assert (await one.get("/products?skip=2&limit=1")).json()[0]["id"] == 3
            lists = [await each.get("/products") for each in (one, other)]
            await one.put("/products/1/price", params={"cents": 500})
            assert (await one.get("/products/1")).json()["cents"] == 500
            await forgotten_by(other, "/products/1", second.content)
            await forgotten_by(other, "/products", lists[1].content)
            assert (await one.get("/products/9")).status_code == 404
            assert (await one.get("/ops/healthz")).json()["status"] == "healthy"

    environ = {
        "REDIS_URL": shared_servers("valkey", "tcp").url,
        "CACHE_PREFIX": prefix,
        **UNHURRIED,
        "SHOP_DATABASE": str(tmp_path / "shop.sqlite3"),
    }
    with uvicorns("examples.fastapi.app:app", 2, tmp_path, **environ) as sockets:
        run(scene(sockets))
