"""Stale responses, renewed in the background by a request of their own; and the directives of clients' requests."""

from collections.abc import AsyncIterator, Callable
from itertools import chain, count, repeat
from typing import Annotated, Any

import pytest
from fastapi import Depends, FastAPI, HTTPException, Response
from starlette.applications import Starlette
from starlette.endpoints import HTTPEndpoint
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from fleetcache import Cache
from fleetcache.contrib.fastapi import cached_response
from fleetcache.contrib.responses.rules import StoredResponse
from fleetcache.testing import ManualClock, eventually, memory_cache
from tests.frameworks.asking import Asking, asking, did
from tests.support.run import run
from tests.support.servers import Server


class Session:
    """Like a database's session: closed at the end of its request."""

    open = True

    def read(self, calls: int) -> int:
        if not self.open:
            raise RuntimeError("this session is closed")
        return calls


async def session(response: Response) -> AsyncIterator[Session]:
    response.headers["X-Dependency"] = "here"
    opened = Session()
    yield opened
    opened.open = False


def shop(cache: Cache, says: Callable[[int], int] = lambda call: call, **options: Any) -> FastAPI:
    """Return an app that counts its calls, or fails if ``says`` fails."""
    app, calls = FastAPI(), count(1)

    @app.get("/")
    @cached_response(cache, ttl="1m", stale="1h", name="shop", **options)
    async def endpoint(db: Annotated[Session, Depends(session)], response: Response) -> int:
        said = says(next(calls))
        response.headers["X-Mine"] = "yes"
        if said >= 400:
            raise HTTPException(said)
        return db.read(said)

    return app


async def until(client: Asking, body: str) -> None:
    async def reached() -> bool:
        return (await client.get("/")).text == body

    await eventually(reached)


def test_a_stale_response_is_answered_at_once_and_made_anew_by_a_request_of_its_own() -> None:
    async def scene() -> None:
        clock = ManualClock()
        async with memory_cache(clock=clock) as cache, asking(shop(cache, clock=clock)) as client:
            assert (await client.get("/")).text == "1"
            clock.advance(61)
            old = await client.get("/")
            assert (old.text, old.headers["age"]) == ("1", "61")
            assert old.headers["cache-status"] == "fleetcache; hit; ttl=-1"
            await until(client, "2")  # with an open session
            new = await client.get("/")
            assert (did(new), new.headers["x-mine"], new.headers.get_list("x-dependency")) == ("hit", "yes", ["here"])
            assert cache.stats().load_failures == 0

    run(scene())


def test_so_it_is_where_another_instance_has_stored_it(server: Server, prefix: str) -> None:
    async def scene() -> None:
        async with (
            Cache(server.url, prefix=prefix, operation_timeout="5s") as one,
            Cache(server.url, prefix=prefix, operation_timeout="5s") as other,
        ):
            async with asking(short(one)) as client:
                assert (await client.get("/")).text == "1"

                async def stale() -> bool:
                    return await one.get(SHORT, type=StoredResponse) is None

                await eventually(stale)
            async with asking(short(other, first=2)) as client:
                answer = await client.get("/")
                assert answer.text == "1"
                assert "hit; ttl=-" in answer.headers["cache-status"]
                await until(client, "2")
            assert other.stats().load_failures == 0

    run(scene())


SHORT = "response:short()"


def short(cache: Cache, first: int = 1) -> FastAPI:
    """Return an app whose response is stale soon, and then for long."""
    app, calls = FastAPI(), count(first)

    @app.get("/")
    @cached_response(cache, ttl="100ms", stale="1h", name="short")
    async def endpoint(db: Annotated[Session, Depends(session)]) -> int:
        return db.read(next(calls))

    return app


@pytest.mark.parametrize("status", [500, 503])
def test_when_that_fails_the_old_one_stays(status: int) -> None:
    async def scene() -> None:
        clock = ManualClock()
        cache = memory_cache(clock=clock)
        async with cache, asking(shop(cache, lambda call: 1 if call == 1 else status, clock=clock)) as client:
            await client.get("/")
            clock.advance(61)
            await client.get("/")
            await eventually(lambda: cache.stats().load_failures == 1)
            assert (await client.get("/")).text == "1"

    run(scene())


def test_when_it_may_not_be_kept_any_more_the_old_one_goes() -> None:
    async def scene() -> None:
        clock = ManualClock()
        cache = memory_cache(clock=clock)
        async with cache, asking(shop(cache, lambda call: 1 if call == 1 else 404, clock=clock)) as client:
            await client.get("/")
            clock.advance(61)
            assert (await client.get("/")).text == "1"

            async def gone() -> bool:
                return (await client.get("/")).status_code == 404

            await eventually(gone)
            assert cache.stats().near_items == 0

    run(scene())


def test_when_it_has_grown_too_large_the_old_one_goes() -> None:
    async def scene() -> None:
        clock, sizes = ManualClock(), chain([10], repeat(1000))
        cache, app = memory_cache(clock=clock), FastAPI()

        @app.get("/")
        @cached_response(cache, ttl="1m", stale="1h", max_bytes=100, clock=clock)
        async def endpoint() -> str:
            return "x" * next(sizes)

        async with cache, asking(app) as client:
            await client.get("/")
            clock.advance(61)
            assert len((await client.get("/")).json()) == 10

            async def gone() -> bool:
                return len((await client.get("/")).json()) == 1000

            await eventually(gone)

    run(scene())


def test_what_must_be_asked_for_again_is_never_stale() -> None:
    async def scene() -> None:
        clock, calls = ManualClock(), count(1)
        async with memory_cache(clock=clock) as cache:
            app = FastAPI()

            @app.get("/")
            @cached_response(cache, ttl="1h", stale="1h", clock=clock)
            async def endpoint(response: Response) -> int:
                response.headers["Cache-Control"] = "max-age=10, must-revalidate"
                return next(calls)

            async with asking(app) as client:
                assert [await client.did("/") for _ in range(2)] == ["stored", "hit"]
                clock.advance(11)
                answer = await client.get("/")
                assert (did(answer), answer.text) == ("stored", "2")
                assert answer.headers["cache-control"] == "max-age=10, must-revalidate"

    run(scene())


def test_plain_starlette_endpoints_refresh_too() -> None:
    async def scene() -> None:
        clock, calls = ManualClock(), count(1)
        async with memory_cache(clock=clock) as cache:
            kept = cached_response(cache, ttl="1m", stale="1h", clock=clock)

            class Page(HTTPEndpoint):
                @kept
                def get(self, request: Request) -> JSONResponse:
                    return JSONResponse([next(calls), request.path_params])

            async with asking(Starlette(routes=[Route("/{slug}", Page)])) as client:
                assert [(await client.get("/a")).json() for _ in range(2)] == [[1, {"slug": "a"}]] * 2
                clock.advance(61)
                assert (await client.get("/a")).json()[0] == 1

                async def anew() -> bool:
                    return bool((await client.get("/a")).json()[0] == 2)

                await eventually(anew)

    run(scene())


# -- clients' directives ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("control", "reload", "says"),
    [
        ("no-cache", False, ["stored", "hit", "hit"]),
        ("max-age=0", False, ["stored", "hit", "hit"]),
        ("no-cache", True, ["stored", "stored", "hit"]),
        ("max-age=0", True, ["stored", "stored", "hit"]),
        ("max-age=1", True, ["stored", "hit", "hit"]),
        ("no-store", True, ["stored", "hit", "hit"]),
        ("no-store, no-cache", True, ["stored", "request", "hit"]),
    ],
)
def test_a_client_makes_us_load_anew_only_where_it_may(control: str, reload: bool, says: list[str]) -> None:
    async def scene() -> None:
        async with memory_cache() as cache, asking(shop(cache, client_reload=reload)) as client:
            found = [await client.did("/"), await client.did("/", cache_control=control), await client.did("/")]
            assert found == says

    run(scene())


def test_what_a_client_wants_not_stored_is_not() -> None:
    async def scene() -> None:
        async with memory_cache() as cache, asking(shop(cache)) as client:
            assert [await client.did("/", cache_control="no-store") for _ in range(2)] == ["miss", "miss"]
            assert cache.stats().near_items == 0

    run(scene())
