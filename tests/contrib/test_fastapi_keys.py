"""Two requests get one response only where nothing that the endpoint may see tells them apart."""

import asyncio
from typing import Annotated, Any
from uuid import UUID

import pytest
from fastapi import Body, Cookie, Depends, FastAPI, Header, Query, Request
from fastapi.security import APIKeyCookie, APIKeyHeader, APIKeyQuery, HTTPBearer
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel
from starlette.requests import HTTPConnection
from starlette.responses import JSONResponse

from fleetcache import Cache
from fleetcache.contrib.fastapi import cached_response, get_cache
from tests.contrib.asking import Asking, asking
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


@app.api_route("/search", methods=["POST"])
@cached_response(cache, methods=("POST",))
async def search(words: Annotated[list[str], Body()]) -> str:
    return ascii(words)


async def alike(client: Asking, one: str, other: str, **headers: str) -> bool:
    """Whether the second is answered with the response to the first, when nothing else is stored."""
    await cache.clear()
    await client.get(one)
    return await client.did(other, **headers) == "hit"


SHARED = [
    ("/plain/7", "/plain/07?q=a", True),
    ("/plain/7?ids=1&ids=2", "/plain/7?ids=2&ids=1&q=a", True),  # a set
    ("/plain/7", "/plain/7?utm_source=mail", True),  # nobody can see it
    (f"/plain/7?at={UUID_TEXT}", f"/plain/7?at={UUID_TEXT.upper()}", True),
    ("/plain/7", "/plain/8", False),
    ("/plain/7", "/plain/7?q=b", False),
    ("/plain/7?q=1,q=2", "/plain/7?q=1", False),
    ("/model", "/model?color=red", True),
    ("/model?sizes=1&sizes=2", "/model?sizes=2&sizes=1", False),  # a list
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


# -- who asks --------------------------------------------------------------------------------------------------------

SCHEMES = (APIKeyHeader(name="X-Key"), APIKeyQuery(name="key"), APIKeyCookie(name="key"), HTTPBearer(auto_error=False))


def echoing(**options: Any) -> FastAPI:
    """Says who asks, as the endpoint sees it."""
    echo = FastAPI()

    @echo.get("/")
    @cached_response(Cache("memory://"), **options)
    async def who(request: Request) -> JSONResponse:
        return JSONResponse([request.headers.get("authorization"), request.headers.get("cookie")])

    return echo


words = (
    st.none()
    | st.sampled_from(["", "a", "b", "Bearer a", "a=1", "a=1; b=2", "b=2; a=1"])
    | st.text("ab=; ", max_size=6)
)
asked = st.lists(
    st.tuples(words, words, st.sampled_from(["", "no-cache", "no-store", "max-age=0"])), min_size=2, max_size=8
)


async def mixed_up(echo: FastAPI, requests: list[tuple[str | None, str | None, str]]) -> list[tuple[Any, Any]]:
    """What somebody asked as, and got as somebody else."""
    found: list[tuple[Any, Any]] = []
    async with asking(echo) as client:
        for authorization, cookie, control in requests:
            named = {"authorization": authorization, "cookie": cookie, "cache_control": control or None}
            sent = {name: value.strip() for name, value in named.items() if value is not None}
            got = (await client.get("/", **sent)).json()
            if got != [sent.get("authorization"), sent.get("cookie")]:
                found.append((sent, got))
    return found


@settings(max_examples=60, deadline=None)
@given(asked, st.sampled_from(["bypass", "key"]), st.sampled_from(["bypass", "key"]), st.booleans())
def test_a_response_made_for_one_is_never_given_to_another(
    requests: list[Any], authorization: Any, cookies: Any, client_reload: bool
) -> None:
    echo = echoing(authorization=authorization, cookies=cookies, client_reload=client_reload)
    assert asyncio.run(mixed_up(echo, requests)) == []


def test_it_would_be_seen_if_it_were() -> None:
    echo = echoing(authorization="ignore", cookies="ignore")
    assert len(run(mixed_up(echo, [("a", None, ""), ("b", None, ""), (None, "a=1", "")]))) == 2


def test_with_the_key_each_has_his_own_for_himself_alone() -> None:
    async def scene() -> None:
        async with asking(echoing(authorization="key", cookies="key", max_age=5)) as client:
            for who in ({"authorization": "a"}, {"authorization": "b"}, {"cookie": "a=1"}, {}):
                assert [await client.did("/", **who) for _ in range(2)] == ["stored", "hit"]
            shown = {who: (await client.get("/", authorization=who)).headers["cache-control"] for who in "ab"}
            assert shown == dict.fromkeys("ab", "private, max-age=5")
            assert (await client.get("/")).headers["cache-control"] == "max-age=5"

    run(scene())


def sent_by(scheme: Any, who: str) -> tuple[str, dict[str, str]]:
    """Path and headers of a request by somebody."""
    if isinstance(scheme, HTTPBearer):
        return "/", {"authorization": f"Bearer {who}"}
    ways: dict[str, tuple[str, dict[str, str]]] = {
        "header": ("/", {"x_key": who}),
        "query": (f"/?key={who}", {}),
        "cookie": ("/", {"cookie": f"key={who}"}),
    }
    return ways[scheme.model.in_.value]


async def asked_by(scheme: Any, mode: Any) -> tuple[list[bool], str]:
    """Which of the requests of a, a and b were hits, and whose answers they got."""
    keyed = FastAPI()

    @keyed.get("/")
    @cached_response(Cache("memory://"), authorization=mode, cookies="ignore")
    async def endpoint(who: Annotated[Any, Depends(scheme)]) -> str:
        return getattr(who, "credentials", who) or ""

    async with asking(keyed) as client:
        answers = []
        for path, headers in (sent_by(scheme, who) for who in "aab"):
            answers.append(await client.get(path, **headers))
    return ["hit" in answer.headers["cache-status"] for answer in answers], "".join(each.json() for each in answers)


@pytest.mark.parametrize(
    ("mode", "hits", "got"),
    [
        ("bypass", [False, False, False], "aab"),
        ("key", [False, True, False], "aab"),
        ("ignore", [False, True, True], "aaa"),
    ],
)
def test_api_keys_of_security_schemes_are_as_authorization(mode: str, hits: list[bool], got: str) -> None:
    async def scene() -> None:
        assert {type(scheme): await asked_by(scheme, mode) for scheme in SCHEMES} == {
            type(scheme): (hits, got) for scheme in SCHEMES
        }

    run(scene())
