"""Every credential of a request: a response made for one user is never given to another."""

import asyncio
from typing import Annotated, Any

import pytest
from fastapi import Depends, FastAPI, Request
from fastapi.security import APIKeyCookie, APIKeyHeader, APIKeyQuery, HTTPBearer
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.middleware.sessions import SessionMiddleware
from starlette.responses import JSONResponse

from fleetcache import Cache
from fleetcache.contrib.fastapi import cached_response
from tests.frameworks.asking import asking, did
from tests.support.run import run
from tests.support.servers import Server


class Keyed(APIKeyHeader):
    """A user's own security scheme."""


SCHEMES = (
    Keyed(name="X-Key"),
    APIKeyHeader(name="X-Key"),
    APIKeyQuery(name="key"),
    APIKeyCookie(name="key"),
    HTTPBearer(auto_error=False),
)


def echoing(**options: Any) -> FastAPI:
    """Return an app that echoes the credentials which its endpoint sees."""
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
    """Return the requests that got another user's answer, with the answer."""
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


def test_no_key_shows_a_secret(server: Server, prefix: str) -> None:
    async def scene() -> None:
        async with Cache(server.url, prefix=prefix, operation_timeout="5s") as cache:
            keyed = FastAPI()

            @keyed.get("/")
            @cached_response(cache, authorization="key", cookies="key")
            async def endpoint() -> None:
                pass

            async with asking(keyed) as client:
                assert await client.did("/", authorization="Bearer s3cret", cookie="a=s3cret") == "stored"
        with server.client() as raw:
            keys = raw("KEYS", f"{prefix}:*")
        assert any(b"endpoint" in key for key in keys)
        assert not [key for key in keys if b"s3cret" in key]

    run(scene())


def sent_by(scheme: Any, who: str) -> tuple[str, dict[str, str]]:
    """Return the path and the headers of a user's request."""
    if isinstance(scheme, HTTPBearer):
        return "/", {"authorization": f"Bearer {who}"}
    ways: dict[str, tuple[str, dict[str, str]]] = {
        "header": ("/", {"x_key": who}),
        "query": (f"/?key={who}", {}),
        "cookie": ("/", {"cookie": f"key={who}"}),
    }
    return ways[scheme.model.in_.value]


async def asked_by(scheme: Any, mode: Any) -> tuple[list[bool], str]:
    """Return the hits among requests of a, a and b, and the users whose answers they got."""
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


def test_the_same_text_in_another_place_is_somebody_else() -> None:
    async def scene() -> None:
        keyed = FastAPI()
        by_header, by_query = APIKeyHeader(name="X-Key", auto_error=False), APIKeyQuery(name="key", auto_error=False)

        @keyed.get("/")
        @cached_response(Cache("memory://"), authorization="key")
        async def who(one: Annotated[Any, Depends(by_header)], other: Annotated[Any, Depends(by_query)]) -> Any:
            return [one, other]

        async with asking(keyed) as client:
            asked = [
                await client.get("/", x_key="a"),
                await client.get("/?key=a"),
                await client.get("/", authorization="a"),
            ]
            assert [answer.json() for answer in asked] == [["a", None], [None, "a"], [None, None]]

    run(scene())


def test_named_cookies_decide_and_others_are_nothing() -> None:
    async def scene() -> None:
        named = FastAPI()

        @named.get("/")
        @cached_response(Cache("memory://"), cookies=("session", "theme"), max_age=5)
        async def who(request: Request) -> list[Any]:
            return [request.cookies.get("session"), request.cookies.get("theme")]

        async with asking(named) as client:
            first = await client.get("/", cookie="_ga=1")
            assert (did(first), first.headers["cache-control"], first.headers["vary"]) == (
                "stored",
                "max-age=5",
                "Authorization, Cookie",
            )
            assert [await client.did("/", **sent) for sent in ({}, {"cookie": "_ga=2"}, {"cookie": "a=b; _ga=1"})] == [
                "hit"
            ] * 3
            for sent, got in (("session=a", ["a", None]), ("session=b", ["b", None]), ("theme=b", [None, "b"])):
                answers = [await client.get("/", cookie=f"_ga={number}; {sent}") for number in range(2)]
                assert [answer.json() for answer in answers] == [got] * 2
                assert [did(answer) for answer in answers] == ["stored", "hit"]
                assert answers[1].headers["cache-control"] == "private, max-age=5"

    run(scene())


def test_a_session_that_holds_something_is_not_made_of_named_cookies_alone() -> None:
    async def scene() -> None:
        app = FastAPI()
        app.add_middleware(SessionMiddleware, secret_key="of this test")  # noqa: S106 - it is no secret

        @app.get("/login")
        async def login(request: Request) -> None:
            request.session["user"] = "a"

        @app.get("/")
        @cached_response(Cache("memory://"), cookies=("session",))
        async def who(request: Request) -> Any:
            return request.session.get("user")

        async with asking(app) as client:
            cookie = (await client.get("/login")).headers["set-cookie"].partition(";")[0]
            assert [await client.did("/", cookie=cookie) for _ in range(2)] == ["session"] * 2
            assert [await client.did("/") for _ in range(2)] == ["stored", "hit"]

    run(scene())
