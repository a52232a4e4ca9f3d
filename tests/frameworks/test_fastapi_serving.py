"""FastAPI endpoints with cached responses: the responses that are stored, those that are not, and the client's view."""

import asyncio
from collections.abc import Callable
from itertools import count
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI, HTTPException, Response
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse, StreamingResponse
from pydantic import BaseModel

from fleetcache import Cache
from fleetcache.contrib.fastapi import cached_response
from tests.frameworks.asking import asking, did
from tests.support.run import run


class User(BaseModel):
    id: int
    calls: int


def counting(**options: Any) -> tuple[FastAPI, Cache]:
    """Return an app whose endpoints count their calls."""
    app, cache, calls = FastAPI(), Cache("memory://"), count(1)

    @app.api_route("/users/{user_id}", methods=["GET", "HEAD", "PUT"])
    @cached_response(cache, **options)
    async def user(user_id: int) -> User:
        return User(id=user_id, calls=next(calls))

    return app, cache


@pytest.mark.parametrize("kind", ["async def", "def"])
def test_the_second_request_gets_the_response_of_the_first(kind: str) -> None:
    async def scene() -> None:
        app, cache, calls = FastAPI(), Cache("memory://"), count(1)

        async def later(user_id: int, response: Response) -> dict[str, int]:
            response.headers["X-Calls"] = "mine"
            return {"id": user_id, "calls": next(calls), "secret": 1}

        def at_once(user_id: int, response: Response) -> dict[str, int]:
            response.headers["X-Calls"] = "mine"
            return {"id": user_id, "calls": next(calls), "secret": 1}

        function: Callable[..., Any] = later if kind == "async def" else at_once
        app.get("/users/{user_id}", response_model=User)(cached_response(cache, ttl="5m", max_age=60)(function))
        async with asking(app) as client:
            first, second = [await client.get("/users/7") for _ in range(2)]
            assert (did(first), did(second)) == ("stored", "hit")
            assert first.content == second.content == b'{"id":7,"calls":1}'
            ours = {"cache-status", "age"}
            assert {k: v for k, v in first.headers.items() if k not in ours} == {
                k: v for k, v in second.headers.items() if k not in ours
            }
            assert second.headers["cache-control"] == "max-age=60"
            assert second.headers["x-calls"] == "mine"
            assert second.headers["age"] == "0"
            assert "age" not in first.headers
            assert (await client.get("/users/8")).json()["calls"] == 2

    run(scene())


def test_without_max_age_clients_ask_each_time_and_get_a_304() -> None:
    async def scene() -> None:
        async with asking(counting()[0]) as client:
            first = await client.get("/users/1")
            assert first.headers["cache-control"] == "no-cache"
            again = await client.get("/users/1", if_none_match=first.headers["etag"])
            assert (again.status_code, again.content, did(again)) == (304, b"", "hit")

    run(scene())


def test_head_is_answered_from_what_get_has_stored_and_stores_nothing() -> None:
    async def scene() -> None:
        async with asking(counting()[0]) as client:
            assert await client.did("/users/1", "HEAD") == "miss"
            assert await client.did("/users/1") == "stored"
            head, whole = await client.get("/users/1", "HEAD"), await client.get("/users/1")
            assert (did(head), head.content) == ("hit", b"")
            assert head.headers["content-length"] == whole.headers["content-length"]

    run(scene())


def test_other_methods_are_for_the_endpoint_unless_told() -> None:
    async def scene() -> None:
        async with asking(counting()[0]) as client:
            assert [await client.did("/users/1", "PUT") for _ in range(2)] == ["method"] * 2
        async with asking(counting(methods=("PUT",))[0]) as client:
            assert [await client.did("/users/1", "PUT") for _ in range(2)] == ["stored", "hit"]
            assert did(await client.send("/users/1", "PUT", b"{}", {})) == "stored"  # another body
            assert await client.did("/users/1") == "method"

    run(scene())


RETURNS: dict[str, tuple[Callable[[], Response], bool]] = {
    "a status": (lambda: JSONResponse({}, 201), False),
    "an error": (lambda: JSONResponse({}, 503), False),
    "a cookie": (lambda: JSONResponse({}, headers={"Set-Cookie": "a=b"}), False),
    "no-store": (lambda: JSONResponse({}, headers={"Cache-Control": "no-store"}), False),
    "private": (lambda: JSONResponse({}, headers={"Cache-Control": "private"}), False),
    "an end that is past": (lambda: JSONResponse({}, headers={"Expires": "0"}), False),
    "a language unknown": (lambda: JSONResponse({}, headers={"Vary": "Accept-Language"}), False),
    "a stream": (lambda: StreamingResponse(iter([b"a"])), False),
    "a file": (lambda: FileResponse(__file__), False),
    "too much": (lambda: Response(b"x" * 1001), False),
    "as much as may be": (lambda: Response(b"x" * 1000), True),
    "a page": (lambda: HTMLResponse("<p>", headers={"Cache-Control": "public, max-age=9"}), True),
}


def test_what_is_not_for_everybody_is_answered_and_not_stored() -> None:
    async def scene() -> None:
        app, calls = FastAPI(), count(1)

        @app.get("/{name}", response_model=None)
        @cached_response(Cache("memory://"), max_bytes=1000)
        async def endpoint(name: str) -> Response:
            response = RETURNS[name][0]()
            response.headers["X-Calls"] = str(next(calls))
            return response

        async with asking(app) as client:
            for name, (_, kept) in RETURNS.items():
                answers = [await client.get(f"/{name}") for _ in range(2)]
                assert len({answer.headers["x-calls"] for answer in answers}) == (1 if kept else 2), name
                assert [did(answer) for answer in answers] == (["stored", "hit"] if kept else ["miss", "unstorable"])
                assert answers[0].content == answers[1].content

    run(scene())


def test_statuses_and_responses_with_cookies_may_be_allowed_and_the_cookie_stays_with_the_first() -> None:
    async def scene() -> None:
        app = FastAPI()

        @app.get("/", status_code=404)
        @cached_response(Cache("memory://"), statuses=(404,), set_cookie="strip", max_age=60)
        async def endpoint(response: Response) -> str:
            response.set_cookie("session", "of-the-first")
            return "not here"

        async with asking(app) as client:
            first, second = [await client.get("/") for _ in range(2)]
            assert (first.status_code, second.status_code, did(second)) == (404, 404, "hit")
            assert "of-the-first" in first.headers["set-cookie"]
            assert first.headers["cache-control"] == "private, max-age=60"
            assert "set-cookie" not in second.headers
            assert second.headers["cache-control"] == "max-age=60"

    run(scene())


def test_failures_are_never_stored_and_reach_the_client_as_they_are() -> None:
    async def scene() -> None:
        app, cache, calls = FastAPI(), Cache("memory://"), count(1)

        @app.get("/{status}")
        @cached_response(cache)
        async def endpoint(status: int) -> None:
            raise HTTPException(status, f"call {next(calls)}", {"X-Mine": "yes"})

        async with asking(app) as client:
            for status in (404, 503):
                answers = [await client.get(f"/{status}") for _ in range(2)]
                assert [answer.status_code for answer in answers] == [status] * 2
                assert answers[0].json() != answers[1].json()
                assert answers[0].headers["x-mine"] == "yes"
        assert cache.stats().near_items == 0

    run(scene())


def test_who_waited_for_a_response_that_was_anothers_alone_gets_one_of_his_own() -> None:
    async def scene() -> None:
        app, calls = FastAPI(), count(1)

        @app.get("/{kind}")
        @cached_response(Cache("memory://"))
        async def endpoint(kind: str, response: Response) -> int:
            call = next(calls)
            await asyncio.sleep(0.2)  # until the others have asked, on a busy machine too
            if kind == "missing":
                raise HTTPException(404, str(call))
            if kind == "cookie":
                response.set_cookie("session", str(call))
            return call

        async with asking(app) as client:
            for kind in ("cookie", "missing"):
                answers = await asyncio.gather(*(client.get(f"/{kind}") for _ in range(5)))
                assert len({answer.content for answer in answers}) == 5
            answers = await asyncio.gather(*(client.get("/shared") for _ in range(5)))
            assert {answer.content for answer in answers} == {b"11"}
            assert sorted(map(did, answers)) == [*["collapsed"] * 4, "stored"]

    run(scene())


def test_a_failure_reaches_all_who_waited() -> None:
    async def scene() -> None:
        app, calls = FastAPI(), count(1)

        @app.get("/")
        @cached_response(Cache("memory://"))
        async def endpoint() -> None:
            call = next(calls)
            await asyncio.sleep(0.3)  # until the others have asked
            raise HTTPException(503, str(call))

        async with asking(app) as client:
            answers = await asyncio.gather(*(client.get("/") for _ in range(5)))
            assert [answer.status_code for answer in answers] == [503] * 5
            assert {answer.json()["detail"] for answer in answers} == {"1"}

    run(scene())


def test_one_function_on_two_routes_that_render_differently_is_never_answered_with_the_others_bytes() -> None:
    async def scene() -> None:
        app, router = FastAPI(), APIRouter()

        @app.get("/json", response_model=dict[str, int])
        @router.get("/page")
        @app.get("/short", response_model=User, response_model_exclude={"calls"})
        @cached_response(Cache("memory://"), name="both")
        async def endpoint() -> Any:
            return {"id": 1, "calls": 2}

        class Shown(HTMLResponse):
            def render(self, content: Any) -> bytes:
                return f"<p>{content}".encode()

        app.include_router(router, prefix="/in", default_response_class=Shown)
        async with asking(app) as client:
            for _ in range(2):
                assert (await client.get("/json")).content == b'{"id":1,"calls":2}'
                assert (await client.get("/short")).content == b'{"id":1}'
                page = await client.get("/in/page")
                assert (page.text, page.headers["content-type"]) == (
                    "<p>{'id': 1, 'calls': 2}",
                    "text/html; charset=utf-8",
                )
                assert await client.did("/in/page") == "hit"

    run(scene())


def test_one_response_returned_each_time_is_told_of_once() -> None:
    async def scene() -> None:
        app, always = FastAPI(), Response("ok")

        @app.get("/")
        @cached_response(Cache("memory://"))
        async def endpoint() -> Response:
            return always

        async with asking(app) as client:
            for _ in range(3):
                answer = await client.get("/", cookie="a=b")
                assert answer.headers["cache-status"] == "fleetcache; fwd=bypass; detail=cookie"

    run(scene())
