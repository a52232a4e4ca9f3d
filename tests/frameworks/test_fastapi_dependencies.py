"""Dependencies of an endpoint: their headers belong to each request alone, and their caching headers count."""

from itertools import count
from typing import Annotated

from fastapi import BackgroundTasks, Depends, FastAPI, Response

from fleetcache import Cache
from fleetcache.contrib.fastapi import cached_response
from tests.frameworks.asking import asking, did
from tests.support.run import run


def test_what_dependencies_put_on_a_response_is_each_requests_own() -> None:
    async def scene() -> None:
        app, requests = FastAPI(), count(1)

        def numbered(response: Response) -> None:
            response.headers["X-Request"] = str(next(requests))

        def greeting(response: Response) -> None:
            response.set_cookie("seen", "yes")

        @app.get("/", dependencies=[Depends(numbered)])
        @cached_response(Cache("memory://"))
        async def endpoint(tasks: BackgroundTasks) -> str:
            tasks.add_task(done.append, "task")
            return "hello"

        @app.get("/cookie", dependencies=[Depends(greeting)])
        @cached_response(Cache("memory://"))
        async def with_cookie() -> str:
            return "hello"

        done: list[str] = []
        async with asking(app) as client:
            answers = [await client.get("/") for _ in range(3)]
            assert [answer.headers.get_list("x-request") for answer in answers] == [["1"], ["2"], ["3"]]
            assert [did(answer) for answer in answers] == ["stored", "hit", "hit"]
            assert done == ["task"]
            answers = [await client.get("/cookie") for _ in range(2)]
            assert [did(answer) for answer in answers] == ["dependency"] * 2
            assert all("seen" in answer.headers["set-cookie"] for answer in answers)

    run(scene())


def test_what_dependencies_say_of_caching_counts() -> None:
    async def scene() -> None:
        app = FastAPI()

        def said(response: Response, control: str = "", vary: str = "") -> None:
            if control:
                response.headers["Cache-Control"] = control
            if vary:
                response.headers["Vary"] = vary

        @app.get("/")
        @cached_response(Cache("memory://"), max_age=60)
        async def endpoint(_: Annotated[None, Depends(said)]) -> str:
            return "hello"

        async with asking(app) as client:
            for query in ("control=no-store", "control=private", "vary=X-Tenant", "vary=*"):
                assert [await client.did(f"/?{query}") for _ in range(2)] == ["dependency"] * 2
            for query in ("control=max-age%3D5", "vary=Cookie"):
                assert [await client.did(f"/?{query}") for _ in range(2)] == ["stored", "hit"]
            answer = await client.get("/?control=max-age%3D5")
            assert answer.headers.get_list("cache-control") == ["max-age=5"]

    run(scene())
