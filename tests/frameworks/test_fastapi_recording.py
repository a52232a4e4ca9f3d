"""Each way in which an endpoint reads the request: no user gets another's response, and the rest is cached."""

import asyncio
import copy
import json
from collections.abc import Callable
from contextlib import asynccontextmanager
from itertools import count
from typing import Annotated, Any

import pytest
from fastapi import Cookie, Depends, FastAPI, Header, HTTPException, Request
from fastapi.security import APIKeyHeader
from pydantic import AliasChoices, BaseModel, ConfigDict
from starlette.authentication import AuthCredentials, AuthenticationBackend, SimpleUser
from starlette.datastructures import Headers
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.responses import JSONResponse

from fleetcache import Cache
from fleetcache.contrib.fastapi import cached_response, get_cache, lifespan
from fleetcache.testing import ManualClock, eventually, memory_cache
from tests.frameworks.asking import Asking, asking, did
from tests.frameworks.fastapi_styles import EARLY, STYLES, MyRoute, in_the_endpoint, looking_first, page
from tests.support.run import run


def named(look: Any) -> str:
    return str(look.__name__)


def who(request: Any) -> Any:
    return request.headers.get("x-who")


def where(request: Any) -> Any:
    """Read the parts of the request that are in every key."""
    return [request.url.path, request.method, request["path"], request.query_params.get("n"), request.app is not None]


def cached(**options: Any) -> Any:
    return cached_response(Cache("memory://"), **options)


async def answers(app: Any, *asked: str, **more: str) -> list[tuple[Any, str]]:
    """Return each user's answer, with the cache's part in it."""
    async with asking(app) as client:
        found = [await client.get("/page", **{"x_who": name, **more}) for name in asked]
    assert all(answer.status_code == 200 for answer in found)
    return [(answer.json(), did(answer)) for answer in found]


# -- twelve styles -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("style", STYLES, ids=named)
def test_nobody_gets_what_was_made_for_another(style: Any) -> None:
    got = run(answers(style(who, cached()), "a", "b", "a"))
    assert got == [(name, '"header x-who"') for name in "aba"]


@pytest.mark.parametrize("style", STYLES, ids=named)
def test_what_looks_at_nothing_of_anybodys_is_cached(style: Any) -> None:
    got = run(answers(style(where, cached()), "a", "b", "a"))
    assert [what for _, what in got] == ["stored", "hit", "hit"]


@pytest.mark.parametrize("style", STYLES, ids=named)
def test_what_is_declared_decides(style: Any) -> None:
    got = run(answers(style(who, cached(vary=["X-Who"])), "a", "b", "a", "b"))
    assert got == [("a", "stored"), ("b", "stored"), ("a", "hit"), ("b", "hit")]


@pytest.mark.parametrize("style", STYLES, ids=named)
def test_what_is_to_be_ignored_decides_nothing(style: Any) -> None:
    got = run(answers(style(who, cached(ignore=["X-Who"])), "a", "b"))
    assert got == [("a", "stored"), ("a", "hit")]


@pytest.mark.parametrize("style", STYLES, ids=named)
def test_the_tests_above_would_see_a_leak(style: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fleetcache.contrib.responses.keys.ResponseKeys.undeclared", lambda *_: [])
    assert run(answers(style(who, cached()), "a", "b")) == [("a", "stored"), ("a", "hit")]


@pytest.mark.parametrize("style", EARLY, ids=named)
def test_who_looks_before_they_can_be_seen_may_have_seen_everything(style: Any) -> None:
    name = "depends.looking_first.<locals>.look_first"
    got = run(answers(style(looking_first(who), cached()), "a", "b", "a"))
    assert got == [(each, f'"{name}"') for each in "aba"]
    got = run(answers(style(looking_first(where), cached(ignore=[name])), "a", "b"))
    assert [what for _, what in got] == ["stored", "hit"]


# -- twelve looks ------------------------------------------------------------------------------------------------------

LOOKS: list[tuple[Callable[[Any], Any], str]] = [
    (lambda r: r.headers["X-Who"], "header x-who"),
    (lambda r: r.headers.getlist("x-who"), "header x-who"),
    (lambda r: "x-nobody" in r.headers, "header x-nobody"),
    (lambda r: r.headers.get("x-nobody"), "header x-nobody"),
    (lambda r: dict(r.headers), "headers"),
    (lambda r: [*r.headers], "headers"),
    (lambda r: r.headers.raw[0][0].decode(), "headers"),
    (lambda r: len(r.headers), "headers"),
    (lambda r: repr(r.headers), "headers"),
    (lambda r: r.headers == Headers(), "headers"),
    (lambda r: r.headers.mutablecopy().get("x-who"), "headers"),
    (lambda r: len(r.scope["headers"]), "headers"),
    (lambda r: len(r["headers"]), "headers"),
    (lambda r: who(Request(r.scope)), "headers"),
    (lambda r: r.client.host, "client"),
    (lambda r: r.scope.get("client"), "client"),
    (lambda r: hasattr(r.state, "tenant"), "state.tenant"),
    (lambda r: getattr(r.state, "tenant", None), "state.tenant"),
    (lambda r: len(r.state._state), "state"),
    (lambda r: len(r.scope["state"]), "state"),
    (lambda r: r.scope.get("aws.event"), "scope.aws.event"),
    (lambda r: "user" in r.scope, "user"),
    (lambda r: "extensions" in r.scope, "scope.extensions"),
    (lambda r: len(str(r.scope)), "scope"),
    (lambda r: len(r.scope.copy()), "scope"),
    (sorted, "scope"),
    (lambda r: who(Request({**r.scope})), "client, headers"),
]


@pytest.mark.parametrize(("look", "name"), LOOKS)
def test_each_look_has_a_name(look: Any, name: str) -> None:
    ((_, what),) = run(answers(in_the_endpoint(look, cached()), "a"))
    assert name in what
    names = [*name.split(", "), "headers", "client", "state", "scope", "scope.raw_path"]
    names += ["scope.http_version", "scope.extensions"]
    ((_, what),) = run(answers(in_the_endpoint(look, cached(ignore=names)), "a"))
    assert what == "stored"


COOKIES: list[tuple[Callable[[Any], Any], str]] = [
    (lambda r: r.cookies.get("theme"), "cookie theme"),
    (lambda r: r.cookies["theme"], "cookie theme"),
    (lambda r: "theme" in r.cookies, "cookie theme"),
    (lambda r: dict(r.cookies), "cookies"),
    (lambda r: {**r.cookies}, "cookies"),
    (lambda r: bool(r.cookies), "cookies"),
    (lambda r: json.dumps(r.cookies), "cookies"),
    (lambda r: copy.copy(r.cookies).get("theme"), "cookies"),
    (lambda r: Theme.model_validate(r.cookies).theme, "cookie theme"),  # an older pydantic counts all cookies
    (lambda r: r.headers.get("cookie"), "header cookie"),
]


class Theme(BaseModel):
    theme: str = ""


@pytest.mark.parametrize(("look", "name"), COOKIES)
def test_where_cookies_are_named_each_look_at_another_counts(look: Any, name: str) -> None:
    sent = {"cookie": "theme=dark; lang=de"}
    ((_, what),) = run(answers(in_the_endpoint(look, cached(cookies=["lang"])), "a", **sent))
    assert what.strip('"') in {name, "cookies"}
    got = run(answers(in_the_endpoint(look, cached(cookies="key")), "a", "b", **sent))
    assert [what for _, what in got] == ["stored", "hit"]
    if name == "cookie theme":
        got = run(answers(in_the_endpoint(look, cached(cookies=["theme"])), "a", "b", **sent))
        assert got == [(got[0][0], "stored"), (got[0][0], "hit")]


def test_a_view_shows_what_is_there() -> None:
    def look(request: Request) -> Any:
        headers, cookies = request.headers, request.cookies
        request.scope["mine"] = 1
        request.scope.update(more=2)
        request.scope.setdefault("most", 3)
        del request.scope["more"]
        request.state.mine, request.state["yours"] = 1, 2
        del request.state.yours
        return [
            headers.get("x-who"),
            headers.getlist("X-WHO"),
            "x-who" in headers,
            headers.get("x-nobody", "?"),
            ("x-who", "a") in headers.items(),
            cookies,
            cookies.get("b", "?"),
            request.scope.pop("mine"),
            "more" in request.scope,
            request.scope["most"],
            request.state.mine,
            getattr(request.state, "yours", "?"),
            request.base_url.hostname,
            str(request.url_for("endpoint")),
            isinstance(request, Request),
            type(request).__name__,
        ]

    got, _ = run(answers(in_the_endpoint(look, cached(cookies="ignore")), "a", cookie="c=d"))[0]
    assert got == [
        "a",
        ["a"],
        True,
        "?",
        True,
        {"c": "d"},
        "?",
        1,
        False,
        3,
        1,
        "?",
        "shop",
        "http://shop/page",
        True,
        "Request",
    ]


# -- the answer's header, and the cost of recording -------------------------------------------------------------------


def test_those_who_ask_at_once_do_not_queue_after_the_first() -> None:
    async def scene() -> None:
        app, running, most = FastAPI(), 0, 0

        @app.get("/page")
        @cached()  # type: ignore[untyped-decorator] # of any options
        async def endpoint(request: Request) -> Any:
            nonlocal running, most
            running, most = running + 1, max(most, running + 1)
            await asyncio.sleep(0.3)  # until the others have asked, on a busy machine too
            running -= 1
            return who(request)

        async with asking(app) as client:
            for _ in range(2):
                found = await asyncio.gather(*(client.get("/page", x_who=str(n)) for n in range(5)))
                assert [answer.json() for answer in found] == [str(n) for n in range(5)]
            assert {answer.headers["cache-status"] for answer in found} == {
                'fleetcache; fwd=miss; detail="header x-who"'
            }
        assert most == 5

    run(scene())


def test_an_error_made_of_it_is_its_callers_alone() -> None:
    async def scene() -> None:
        app = FastAPI()

        @app.exception_handler(ValueError)
        async def shown(_: Request, error: Exception) -> JSONResponse:
            return JSONResponse(str(error), 500)

        @app.get("/page")
        @cached()  # type: ignore[untyped-decorator] # of any options
        async def endpoint(request: Request) -> Any:
            await asyncio.sleep(0.2)  # until the others have asked
            if request.headers["x-who"] == "c":
                raise HTTPException(503, "c")
            raise ValueError(request.headers["x-who"])

        async with asking(app) as client:
            found = await asyncio.gather(*(client.get("/page", x_who=name) for name in "abc"))
            assert [answer.json() for answer in found] == ["a", "b", {"detail": "c"}]

    run(scene())


def test_a_refresh_that_comes_to_look_at_somebody_is_not_stored() -> None:
    async def until_gone(client: Asking) -> None:
        async def gone() -> bool:
            return (await client.get("/page", x_who="b")).text == '"b"'

        await eventually(gone)

    async def scene(style: Any) -> None:
        clock, calls = ManualClock(), count()
        async with memory_cache(clock=clock) as cache:
            app = style(
                lambda request: who(request) if next(calls) else "first",
                cached_response(cache, ttl="1m", stale="1h", clock=clock),
            )
            async with asking(app) as client:
                assert (await client.get("/page", x_who="a")).json() == "first"
                clock.advance(61)
                assert (await client.get("/page", x_who="a")).json() == "first"
                await until_gone(client)
                assert cache.stats().near_items == 0

    run(scene(in_the_endpoint))
    run(scene(STYLES[-1]))


# -- state that belongs to no user -------------------------------------------------------------------------------------


def test_state_of_the_lifespan_is_everybodys_and_that_of_middleware_is_not() -> None:
    pool = object()

    @asynccontextmanager
    async def own(_: FastAPI) -> Any:
        yield {"pool": pool, "tenant": "nobody"}

    def look(request: Request) -> Any:
        return [request.state.pool is pool, request.state.tenant if request.query_params.get("n") else 0]

    async def scene() -> None:
        cache = Cache("memory://")
        app = in_the_endpoint(look, cached_response(cache))
        app.router.lifespan_context = lifespan(cache, own)

        async def served(scope: Any, receive: Any, send: Any) -> None:
            """Add state to the scope, as a server and a middleware do."""
            tenant = dict(scope["headers"]).get(b"x-who", b"").decode()
            await app({**scope, "state": {"pool": pool, "tenant": tenant}}, receive, send)

        async with app.router.lifespan_context(app), asking(served) as client:
            assert [await client.did("/page", x_who=name) for name in "ab"] == ["stored", "hit"]
            for name in "ab":
                answer = await client.get("/page?n=1", x_who=name)
                assert (answer.json(), did(answer)) == ([True, name], '"state.tenant"')

    run(scene())


class ByHeader(AuthenticationBackend):
    async def authenticate(self, conn: Any) -> Any:
        name = conn.headers.get("x-who")
        return None if name is None else (AuthCredentials(["in"]), SimpleUser(name))


def test_a_user_whom_middleware_has_found_counts() -> None:
    app = in_the_endpoint(lambda request: request.user.display_name, cached())
    app.add_middleware(AuthenticationMiddleware, backend=ByHeader())
    assert run(answers(app, "a", "b")) == [("a", '"user"'), ("b", '"user"')]


def test_the_cache_of_the_app_and_known_schemes_are_looked_at_by_nobody() -> None:
    async def scene() -> None:
        cache = Cache("memory://")
        app = FastAPI(dependencies=[Depends(get_cache), Depends(APIKeyHeader(name="X-Key", auto_error=False))])
        app.state.fleetcache = cache

        def of_app(cache: Annotated[Cache, Depends(get_cache)]) -> str:
            return type(cache).__name__

        page(app, of_app, cached_response(cache))
        async with asking(app) as client:
            assert [await client.did("/page", x_who=name) for name in "ab"] == ["stored", "hit"]
            # A key belongs to a user, whether a scheme of the app or a scheme of the endpoint reads it.
            assert [await client.did("/page", x_key=name) for name in "ab"] == ["authorization"] * 2

    run(scene())


def test_what_is_declared_is_read_by_the_framework_on_its_own_account() -> None:
    class Fields(BaseModel):
        x_who: str = ""

    def declared(
        x_who: Annotated[str, Header()], lang: Annotated[str, Cookie()] = "", host: Annotated[str, Header()] = ""
    ) -> Any:
        return [x_who, lang, host]

    def modelled(fields: Annotated[Fields, Header()]) -> Any:
        return fields.x_who

    for dependency in (declared, modelled):
        got = run(answers(page(FastAPI(), dependency, cached()), "a", "b", "a"))
        assert [what for _, what in got] == ["stored", "stored", "hit"]
        assert got[0][0] == got[2][0] != got[1][0]


def test_names_of_a_parameter_are_all_in_the_key() -> None:
    # An older FastAPI ignores these names: all users then look alike to the endpoint, and none gets another's response.
    def chosen(who: Annotated[str, Header(validation_alias=AliasChoices("x-other", "x-who"))] = "") -> Any:
        return who

    def plain(who: Annotated[str, Header(validation_alias="x-who")] = "") -> Any:
        return who

    class Fields(BaseModel):
        model_config = ConfigDict(populate_by_name=True)
        x_who: str = Header("", alias="x-other")

    def by_name(fields: Annotated[Fields, Header()]) -> Any:
        return fields.x_who

    for dependency in (chosen, plain, by_name):
        got = run(answers(page(FastAPI(), dependency, cached()), "a", "b"))
        assert [name for name, _ in got] in (["a", "b"], ["", ""])


def test_a_model_that_takes_whatever_there_is_reads_everything() -> None:
    class Open(BaseModel):
        model_config = ConfigDict(extra="allow")

    def fields(found: Annotated[Open, Header()]) -> Any:
        return (found.model_extra or {}).get("x-who")

    def crumbs(found: Annotated[Open, Cookie()]) -> Any:
        return found.model_extra

    got = run(answers(page(FastAPI(), fields, cached()), "a", "b"))
    assert got == [("a", '"headers"'), ("b", '"headers"')]
    got = run(answers(page(FastAPI(), crumbs, cached(cookies=["a"])), "a", cookie="c=d"))
    assert got == [({"c": "d"}, '"cookies"')]


def test_a_body_of_a_get_counts() -> None:
    async def scene() -> None:
        app = FastAPI()

        @app.get("/page")
        @cached()  # type: ignore[untyped-decorator] # of any options
        async def endpoint(request: Request) -> Any:
            return (await request.body()).decode()

        @app.post("/page")
        @cached(methods=["POST"])  # type: ignore[untyped-decorator] # as above
        async def search(request: Request) -> Any:
            return [(await request.json()), request.headers["content-type"]]

        async with asking(app) as client:
            found = [await client.send("/page", "GET", body, {}) for body in (b"a", b"b")]
            assert [(answer.json(), did(answer)) for answer in found] == [("a", '"body"'), ("b", '"body"')]
            sent = {"content_type": "application/json"}
            found = [await client.send("/page", "POST", body, sent) for body in (b"1", b"2", b"1")]
            assert [(answer.json()[0], did(answer)) for answer in found] == [(1, "stored"), (2, "stored"), (1, "hit")]

    run(scene())


def test_a_request_that_answers_in_its_own_way_may_have_shown_everything() -> None:
    assert run(answers(in_the_endpoint(who, cached(), MyRoute), "a", "b")) == [("a", '"scope"'), ("b", '"scope"')]


def test_what_an_app_puts_in_place_of_a_dependency_is_what_reads() -> None:
    def stands_for() -> Any:
        raise AssertionError("the app has put another dependency in its place")

    def declares(x_who: Annotated[str, Header()]) -> Any:
        return x_who

    def looks(request: Request) -> Any:
        return who(request)

    def asks(key: Annotated[str, Depends(APIKeyHeader(name="X-Who"))]) -> Any:
        return key

    app = page(FastAPI(), stands_for, cached())
    for override, expected in (
        (declares, ["stored", "stored", "hit"]),
        (looks, ['"header x-who"'] * 3),
        (asks, ["authorization"] * 3),
    ):
        app.dependency_overrides = {stands_for: override}
        got = run(answers(app, "a", "b", "a"))
        assert got == list(zip("aba", expected, strict=True))
    first = page(FastAPI(dependencies=[Depends(stands_for)]), lambda: None, cached())
    first.dependency_overrides = {stands_for: looks}
    ((_, what),) = run(answers(first, "a"))
    assert what.endswith('<locals>.looks"')
