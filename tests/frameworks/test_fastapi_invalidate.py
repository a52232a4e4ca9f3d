"""A removed response is removed everywhere, with all its variants; a response that cannot be removed is an error."""

from functools import partial
from typing import Annotated, Any

import pytest
from fastapi import Depends, FastAPI, Header, Query, Request
from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from fleetcache import Cache, ConfigError
from fleetcache.contrib.fastapi import cached_response
from tests.frameworks.asking import asking, did
from tests.support.run import run
from tests.support.servers import Server
from tests.support.waiting import eventually


class Filter(BaseModel):
    color: str = "red"


def paged(skip: int = 0) -> int:
    return skip


async def user(user_id: int, q: str = "a", limit: int = Query(10), lang: Annotated[str, Header()] = "") -> Any:
    return [user_id, q, limit, lang]


async def plain(user_id: int, wanted: Annotated[Filter, Query()], page: int = Query(1, alias="p")) -> Any:
    return [user_id, wanted, page]


async def seen(request: Request, n: int = 0) -> Any:
    return [str(request.url), n]


async def below(skip: Annotated[int, Depends(paged)], n: int = 0) -> Any:
    return [skip, n]


def cached(cache: Cache, function: Any, **options: Any) -> Any:
    return cached_response(cache, **options)(function)


def test_another_instance_forgets_what_one_removes(server: Server, prefix: str) -> None:
    async def scene() -> None:
        async with (
            Cache(server.url, prefix=prefix, operation_timeout="5s") as one,
            Cache(server.url, prefix=prefix, operation_timeout="5s") as other,
        ):
            app, endpoint = FastAPI(), cached(one, plain, tags=("users",))
            app.get("/{user_id}")(endpoint)
            elsewhere = cached(other, plain)
            async with asking(app) as client:

                async def stored_anew(path: str) -> bool:
                    return await client.did(path) == "stored"

                paths = ("/1?p=2", "/1?p=1", "/2?p=2")
                assert [await client.did(path) for path in paths] == ["stored"] * 3
                await elsewhere.invalidate(1, Filter(), page=2)
                await eventually(partial(stored_anew, "/1?p=2"))  # the push takes a moment
                assert [await client.did(path) for path in paths] == ["hit"] * 3
                await other.invalidate_tags("users")
                for path in paths:
                    await eventually(partial(stored_anew, path))

    run(scene())


def test_all_variants_go_where_responses_carry_a_tag() -> None:
    async def scene() -> None:
        app, endpoint = FastAPI(), cached(Cache("memory://"), user, clearable=True)
        app.get("/{user_id}")(endpoint)
        async with asking(app) as client:

            async def stored() -> list[str]:
                paths = ("/1", "/01?q=a&limit=10", "/1?q=b", "/2")
                return [await client.did(path, lang=lang) for path in paths for lang in ("de", "en")]

            await stored()
            assert await stored() == ["hit"] * 8
            await endpoint.invalidate(1)
            assert await stored() == ["stored"] * 2 + ["hit"] * 6
            await endpoint.invalidate(q="b", user_id=1)
            assert await stored() == ["hit"] * 4 + ["stored"] * 2 + ["hit"] * 2
            await endpoint.invalidate_all()
            assert await stored() == ["stored", "stored", "hit", "hit", *["stored"] * 4]

    run(scene())


def test_endpoints_that_take_the_request_are_named_by_their_path() -> None:
    async def page(request: Request) -> PlainTextResponse:
        return PlainTextResponse(request.path_params["slug"])

    async def scene() -> None:
        endpoint = cached(Cache("memory://"), page, clearable=True, name="page")
        async with asking(Starlette(routes=[Route("/{slug}", endpoint)])) as client:
            for path in ("/a", "/a?x=1", "/b"):
                assert await client.did(path) == "stored"
            await endpoint.invalidate(slug="a")
            assert [await client.did(path) for path in ("/a", "/a?x=1", "/b")] == ["stored", "stored", "hit"]
            assert endpoint.key(slug="a") == 'response:page(slug="a")'

    run(scene())


@pytest.mark.parametrize(
    ("function", "options", "why"),
    [
        (user, {}, "of headers"),
        (seen, {}, "it takes the Request"),
        (below, {}, "of what its dependencies read"),
        (plain, {"vary": ["Accept"]}, "of headers"),
        (plain, {"authorization": "key"}, "of the option authorization or cookies"),
        (plain, {"methods": ["GET", "POST"]}, "of methods other than GET"),
        (lambda: None, {}, "it is defined inside a function"),
    ],
)
def test_where_one_key_is_not_all_it_says_what_to_do(function: Any, options: dict[str, Any], why: str) -> None:
    async def scene() -> None:
        endpoint = cached(Cache("memory://"), function, **options)
        arguments = {plain: (1, Filter()), user: (1,)}.get(function, ())
        with pytest.raises(ConfigError, match=rf"because {why}.*clearable=True"):
            await endpoint.invalidate(*arguments)
        with pytest.raises(ConfigError, match="clearable=True"):
            await endpoint.invalidate_all()

    run(scene())


def test_wrong_arguments_are_told() -> None:
    endpoint = cached(Cache("memory://"), user)
    assert endpoint.key(1, limit=10) == endpoint.key(user_id=1) != endpoint.key("1")
    for args, kwargs, said in (
        ((), {}, "missing user_id"),
        ((1, "a", 10, "de"), {}, "4 arguments by position"),
        ((1,), {"user_id": 1}, "'user_id' is unknown or given twice"),
        ((1,), {"lang": "de"}, r"'lang' is unknown.*\['user_id', 'q', 'limit'\]"),
    ):
        with pytest.raises(TypeError, match=said):
            endpoint.key(*args, **kwargs)


def test_long_arguments_and_names_end_in_a_digest_and_differ() -> None:
    endpoints = [cached(Cache("memory://"), user, name=name) for name in ("short", "n" * 300, "n" * 299 + "m")]
    keys = {endpoint.key(1, letter * 300) for endpoint in endpoints for letter in "ab"}
    assert len(keys) == 6
    assert all(len(key.encode()) <= 255 for key in keys)


def test_a_function_of_a_long_name_is_clearable() -> None:
    async def scene() -> None:
        app, endpoint = FastAPI(), cached(Cache("memory://"), user, name="n" * 300, clearable=True)
        app.get("/{user_id}")(endpoint)
        async with asking(app) as client:
            assert [await client.did("/1") for _ in range(2)] == ["stored", "hit"]
            await endpoint.invalidate_all()
            assert await client.did("/1") == "stored"

    run(scene())


def test_functions_of_one_name_made_by_a_factory_are_told_apart_by_their_path() -> None:
    def listing(what: str) -> Any:
        async def endpoint() -> str:
            return what

        return cached(cache, endpoint)

    async def scene() -> None:
        app = FastAPI()
        for what in ("users", "orders"):
            app.get(f"/{what}")(listing(what))
        async with asking(app) as client:
            for _ in range(2):
                answers = [await client.get(path) for path in ("/users", "/orders")]
                assert [answer.json() for answer in answers] == ["users", "orders"]
            assert [did(answer) for answer in answers] == ["hit", "hit"]

    cache = Cache("memory://")
    run(scene())


class Shelf:
    def __init__(self, what: str) -> None:
        self._what = what

    def show(self) -> str:
        return self._what


def test_methods_of_objects_are_told_apart_and_a_namespace_is_cleared_alone() -> None:
    async def scene() -> None:
        app, cache = FastAPI(), Cache("memory://")
        shelves = cache.namespace("shelves", ttl="1m")
        for what in ("books", "maps"):
            app.get(f"/{what}")(cached_response(shelves)(Shelf(what).show))
        app.get("/{user_id}")(cached(cache, plain))
        async with asking(app) as client:
            for _ in range(2):
                answers = [await client.get(path) for path in ("/books", "/maps", "/1")]
            assert [answer.text for answer in answers[:2]] == ['"books"', '"maps"']
            assert [did(answer) for answer in answers] == ["hit"] * 3
            await shelves.clear()
            assert [await client.did(path) for path in ("/books", "/maps", "/1")] == ["stored", "stored", "hit"]

    run(scene())
