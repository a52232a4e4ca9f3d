"""The cache of an app: its lifespan, its dependency, its health routes, and an app without a cache."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from typing import Annotated, Any

import pytest
from fastapi import Depends, FastAPI
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route

from fleetcache import Cache, ConfigError, SyncCache
from fleetcache.contrib.fastapi import cached_response, get_cache, lifespan
from fleetcache.ops import OpsApp
from tests.conftest import StartServer
from tests.frameworks.asking import asking, did
from tests.support.run import run

OfApp = Annotated[Cache, Depends(get_cache)]


def test_the_cache_lives_as_long_as_the_app_and_around_its_own_lifespan() -> None:
    async def scene() -> None:
        cache, seen = Cache("memory://"), list[Any]()

        @asynccontextmanager
        async def own(_: FastAPI) -> AsyncIterator[dict[str, str]]:
            await cache.set("warm", "up")
            yield {"greeting": "hello"}
            seen.append((cache.closed, await cache.get("warm")))

        app = FastAPI(lifespan=lifespan(cache, own))
        app.mount("/ops", OpsApp(cache))

        @app.get("/")
        async def endpoint(of_app: OfApp) -> Any:
            return await of_app.get("warm")

        @app.get("/thread")
        def in_thread(of_app: OfApp) -> str:
            return of_app.sync.get_or_set("thread", lambda: "made in a thread")

        async with app.router.lifespan_context(app) as state, asking(app) as client:
            assert state == {"greeting": "hello"}
            assert (await client.get("/")).json() == "up"
            assert (await client.get("/thread")).json() == "made in a thread"
            assert (await client.get("/ops/readyz")).status_code == 200
        assert cache.closed
        assert seen == [(False, "up")]

    run(scene())


def test_endpoints_find_the_cache_of_their_app_and_of_the_app_around_it() -> None:
    async def scene() -> None:
        caches = [Cache("memory://") for _ in range(2)]
        one, two = [FastAPI(lifespan=lifespan(cache)) for cache in caches]
        inner, calls = FastAPI(), count(1)

        @inner.get("/{item}")
        @cached_response(ttl="5m", name="item")
        async def endpoint(item: str) -> str:
            return f"{item} {next(calls)}"

        @inner.put("/{item}")
        async def change(item: str) -> None:
            await endpoint.invalidate(item)

        for app in (one, two):
            app.mount("/inner", inner)
            app.get("/{item}")(endpoint)

        async with (
            one.router.lifespan_context(one),
            two.router.lifespan_context(two),
            asking(one) as first,
            asking(two) as second,
        ):
            assert [(await second.get("/a")).json() for _ in range(2)] == ["a 1"] * 2
            assert (await second.get("/inner/a")).json() == "a 1"  # the app begun last is the outer one
            assert [(await first.get("/a")).json() for _ in range(2)] == ["a 2"] * 2
            assert (await second.get("/inner/a", "PUT")).status_code == 200
            assert (await second.get("/a")).json() == "a 3"
            assert (await first.get("/a")).json() == "a 2"

    run(scene())


def test_without_a_cache_it_says_what_is_missing() -> None:
    app = FastAPI()

    @app.get("/")
    @cached_response(ttl="5m")
    async def endpoint() -> str:
        return ""

    @app.get("/dependency")
    async def with_dependency(of_app: OfApp) -> str:
        return repr(of_app)

    async def scene() -> None:
        async with asking(app) as client:
            for path in ("/", "/dependency"):
                with pytest.raises(ConfigError, match=r"FastAPI\(lifespan=lifespan\(cache\)\)"):
                    await client.get(path)

    run(scene())
    with pytest.raises(ConfigError, match="is not an async cache"):
        cached_response(SyncCache("memory://"))  # type: ignore[arg-type] # the mistake


def test_plain_starlette_endpoints_and_sessions() -> None:
    async def scene() -> None:
        cache, calls = Cache("memory://"), count(1)

        @cached_response(cache, max_age="1m")
        async def page(request: Request) -> Response:
            return PlainTextResponse(f"{request.url.path} {next(calls)}")

        @cached_response(cache, cookies="key")
        def login(request: Request) -> Response:
            request.session["user"] = next(calls)
            return JSONResponse(request.session["user"])

        routes = [Route("/{slug}", page), Mount("/in", routes=[Route("/login", login), Route("/{slug}", page)])]
        app = Starlette(routes=routes, middleware=[Middleware(SessionMiddleware, secret_key="s")])  # noqa: S106 - of a test
        async with asking(app) as client:
            answers = [await client.get(path) for path in ("/a", "/a", "/b", "/in/a", "/in/a", "/in/a")]
            assert [answer.text for answer in answers] == ["/a 1", "/a 1", "/b 2", "/in/a 3", "/in/a 3", "/in/a 3"]
            assert did(await client.get("/a", "HEAD")) == "hit"
            assert [(await client.get("/in/login")).json() for _ in range(2)] == [4, 5]

    run(scene())


def test_a_dead_server_costs_an_app_nothing(fresh_server: StartServer, prefix: str) -> None:
    async def scene() -> None:
        server, calls = fresh_server(), count(1)
        async with Cache(server.url, prefix=prefix, operation_timeout="5s") as cache:
            app = FastAPI()

            @app.get("/{item}")
            @cached_response(cache)
            async def endpoint(item: str) -> str:
                return f"{item} {next(calls)}"

            async with asking(app) as client:
                assert await client.did("/a") == "stored"
                server.kill()
                assert (await client.get("/a")).json() == "a 1"
                answers = await asyncio.gather(*(client.get("/b") for _ in range(5)))
                assert {(answer.status_code, answer.json()) for answer in answers} == {(200, "b 2")}

    run(scene())


def test_a_context_that_bypasses_the_cache_is_answered_by_the_endpoint() -> None:
    async def scene() -> None:
        app, cache, calls = FastAPI(), Cache("memory://"), count(1)

        @app.get("/")
        @cached_response(cache)
        async def endpoint() -> int:
            return next(calls)

        async with asking(app) as client:
            await client.get("/")
            with cache.bypass():
                assert [(await client.get("/")).json() for _ in range(2)] == [2, 3]
            assert (await client.get("/")).json() == 1

    run(scene())


@pytest.mark.parametrize("missing", ["starlette", "fastapi"])
def test_starlette_is_all_that_it_needs_and_the_error_names_the_extra(missing: str) -> None:
    lines = [
        "import sys",
        f"sys.modules[{missing!r}] = None",
        "import fleetcache.contrib.fastapi as adapter",
        "from fleetcache import Cache",
        "@adapter.cached_response(Cache('memory://'))",
        "async def page(request): ...",
        "print(page.key())",
    ]
    done = subprocess.run([sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True, check=False)  # noqa: S603 - ours
    if missing == "fastapi":
        assert done.stdout == "response:__main__.page()\n", done.stderr
    else:
        assert "ModuleNotFoundError: fleetcache.contrib.fastapi needs starlette" in done.stderr
        assert "pip install fleetcache[fastapi]" in done.stderr
