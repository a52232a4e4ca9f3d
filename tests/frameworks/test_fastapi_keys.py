"""Two requests share a response only if the endpoint sees no difference between them."""

from typing import Annotated, Any
from uuid import UUID

import httpx
from fastapi import Body, Cookie, Depends, FastAPI, Header, Query, Request
from pydantic import BaseModel
from starlette.requests import HTTPConnection

from fleetcache import Cache
from fleetcache.contrib.fastapi import cached_response, get_cache
from tests.frameworks.asking import Asking, asking, did
from tests.support.run import run

JSON = {"content_type": "application/json"}
UUID_TEXT = "5b1d1b0e-6d9b-4a9c-8f57-0c2f0a4d8f6e"


class Filter(BaseModel):
    color: str = "red"
    sizes: list[int] = []


def paged(skip: int = 0, limit: Annotated[int, Query(alias="count")] = 10) -> tuple[int, int]:
    return skip, limit


def nested(page: Annotated[tuple[int, int], Depends(paged)], token: Annotated[str, Cookie()] = "") -> Any:
    return [*page, token]


def seeing(connection: HTTPConnection) -> str:
    return str(connection.url)


app, cache = FastAPI(), Cache("memory://")
cached = cached_response(cache, cookies="ignore", max_bytes=10_000)


@app.get("/plain/{user_id}")
@cached
async def plain(
    user_id: int, q: str = "a", at: UUID | None = None, ids: Annotated[set[int] | None, Query()] = None
) -> Any:
    return [user_id, q, at, sorted(ids or ())]


@app.get("/model")
@cached
async def model(wanted: Annotated[Filter, Query()]) -> Any:
    return wanted


@app.get("/nested/{skip}")  # noqa: FAST003 - a dependency reads it
@cached
async def with_dependencies(found: Annotated[Any, Depends(nested)], lang: Annotated[str, Header()] = "") -> Any:
    return [found, lang]


@app.get("/cache")
@cached
async def with_cache(of_app: Annotated[Cache, Depends(get_cache)]) -> str:
    return type(of_app).__name__


@app.get("/seen")
@cached
async def seen(request: Request, n: int = 0) -> Any:
    return [str(request.url), n]


@app.get("/below")
@cached
async def seen_below(url: Annotated[str, Depends(seeing)]) -> str:
    return url


@app.get("/some/{part}")  # noqa: FAST003 - it reads it from the request
@cached_response(cache, query=("page",), vary=("Accept-Language",))
async def some(request: Request) -> Any:
    return [request.path_params["part"], request.query_params.get("page"), request.headers.get("accept-language")]


@app.get("/roles")
@cached
async def roles(x_role: Annotated[list[str], Header()]) -> Any:
    return x_role


@app.api_route("/search", methods=["POST"])
@cached_response(cache, methods=("POST",))
async def search(words: Annotated[list[str], Body()]) -> str:
    return ascii(words)


async def alike(client: Asking, one: str, other: str, **headers: str) -> bool:
    """Return True if the second request gets the response to the first, with an empty cache before."""
    await cache.clear()
    await client.get(one)
    return await client.did(other, **headers) == "hit"


SHARED = [
    ("/plain/7", "/plain/07?q=a", True),
    ("/plain/7?ids=1&ids=2", "/plain/7?ids=2&ids=1&q=a", True),  # the endpoint takes a set
    ("/plain/7", "/plain/7?utm_source=mail", True),  # the endpoint does not see it
    (f"/plain/7?at={UUID_TEXT}", f"/plain/7?at={UUID_TEXT.upper()}", True),
    ("/plain/7", "/plain/8", False),
    ("/plain/7", "/plain/7?q=b", False),
    ("/plain/7?q=1,q=2", "/plain/7?q=1", False),
    ("/model", "/model?color=red", True),
    ("/model?sizes=1&sizes=2", "/model?sizes=2&sizes=1", False),  # the endpoint takes a list
    ("/nested/1", "/nested/1?utm_source=mail", True),
    ("/nested/1", "/nested/2", False),
    ("/nested/1", "/nested/1?count=5", False),
    ("/cache", "/cache?utm_source=mail", True),
    ("/seen?a=1&b=2", "/seen?b=2&a=1", True),
    ("/seen?a=1&a=2", "/seen?a=2&a=1", False),
    ("/seen", "/seen?utm_source=mail", False),
    ("http://shop/seen", "http://SHOP/seen", True),
    ("http://shop/seen", "http://shop.example/seen", False),
    ("http://shop/seen", "https://shop/seen", False),
    ("http://shop/plain/7", "https://shop.example/plain/7", True),
    ("/below", "/below?utm_source=mail", False),
    ("/some/a?page=1", "/some/a?utm_source=mail&page=1", True),
    ("/some/a?page=1", "/some/a?page=2", False),
    ("/some/a", "/some/b", False),
]


def test_requests_share_a_response_by_what_the_endpoint_can_see() -> None:
    async def scene() -> None:
        async with asking(app) as client:
            assert [(one, other, await alike(client, one, other)) for one, other, _ in SHARED] == SHARED

    app.state.fleetcache = cache
    run(scene())


DECLARED: list[tuple[str, dict[str, str], bool]] = [
    ("/nested/1", {"lang": "de"}, False),
    ("/nested/1", {"cookie": "token=a"}, False),
    ("/nested/1", {"cookie": "other=a"}, True),
    ("/nested/1", {"accept_language": "de"}, True),
    ("/some/a", {"accept_language": "de"}, False),
    ("/some/a", {"user_agent": "x"}, True),
]


def test_headers_and_cookies_decide_where_they_are_declared() -> None:
    async def scene() -> None:
        async with asking(app) as client:
            found = [(path, sent, await alike(client, path, path, **sent)) for path, sent, _ in DECLARED]
        assert found == DECLARED

    run(scene())


def test_a_header_that_is_sent_twice_is_not_the_first_of_its_fields() -> None:
    async def ask(http: httpx.AsyncClient, *sent: str) -> tuple[Any, str]:
        answer = await http.get("/roles", headers=[("x-role", role) for role in sent])
        return answer.json(), did(answer)

    async def scene() -> None:
        await cache.clear()
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://shop") as http:
            for sent in (("guest",), ("guest", "admin"), ("guest", "clerk"), ("clerk", "guest")):
                assert await ask(http, *sent) == ([*sent], "stored")
                assert await ask(http, *sent) == ([*sent], "hit")

    run(scene())


def test_vary_names_all_header_fields_that_decide() -> None:
    async def scene() -> None:
        async with asking(app) as client:
            vary = {path: (await client.get(path)).headers["vary"] for path in ("/plain/1", "/nested/1", "/some/1")}
            assert vary == {
                "/plain/1": "Authorization",
                "/nested/1": "Authorization, Cookie, Lang",
                "/some/1": "Accept-Language, Authorization, Cookie",
            }

    run(scene())


def test_a_body_decides_for_methods_that_have_one() -> None:
    async def scene() -> None:
        async with asking(app) as client:
            said = [await client.send("/search", "POST", body, JSON) for body in (b'["a"]', b'["b"]', b'["a"]')]
            assert [answer.json() for answer in said] == ["['a']", "['b']", "['a']"]
            assert "hit" in said[2].headers["cache-status"]

    run(scene())


def test_an_argument_without_a_text_is_no_error() -> None:
    async def scene() -> None:
        async with asking(app) as client:
            answer = await client.send("/search", "POST", b'["\\ud800"]', JSON)
            assert answer.json() == r"['\ud800']"
            assert answer.headers["cache-status"] == "fleetcache; fwd=bypass; detail=key"

    run(scene())


def test_one_app_below_two_paths_of_a_proxy_has_two_answers() -> None:
    linking = FastAPI()

    @linking.get("/link")
    @cached_response(Cache("memory://"))
    async def link(request: Request) -> str:
        return str(request.url_for("link"))

    class Prefixed:
        """A proxy strips the path, and a middleware puts it into the scope."""

        def __init__(self, below: str) -> None:
            self.below = below

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            await linking({**scope, "root_path": self.below}, receive, send)

    async def scene() -> None:
        got = []
        for below in ("", "/a", "/b", "/a"):
            async with asking(Prefixed(below)) as client:
                answer = await client.get("/link")
                got.append((answer.json(), did(answer)))
        links = ["http://shop/link", "http://shop/a/link", "http://shop/b/link", "http://shop/a/link"]
        assert got == list(zip(links, ["stored", "stored", "stored", "hit"], strict=True))

    run(scene())


def test_two_spellings_of_a_path_are_one_unless_the_endpoint_sees_them() -> None:
    async def scene() -> None:
        spelled = FastAPI()

        @spelled.get("/raw/{part:path}")
        @cached_response(Cache("memory://"))
        async def raw(request: Request, part: str) -> Any:
            return [part, request.scope["raw_path"].decode()]

        async with asking(spelled) as client:
            for path in ("/raw/a/b", "/raw/a%2Fb"):
                answer = await client.get(path)
                assert (answer.json(), did(answer)) == (["a/b", path], '"scope.raw_path"')

    run(scene())
