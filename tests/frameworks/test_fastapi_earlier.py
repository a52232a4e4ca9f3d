"""Dependencies of the app, a router or the route declare parts of a request: these decide as the endpoint's own do."""

from collections.abc import AsyncIterator
from functools import partial
from itertools import count
from typing import Annotated, Any

import pytest
from fastapi import APIRouter, Body, Cookie, Depends, FastAPI, Header, Path, Query, Request
from fastapi.security import HTTPBearer
from pydantic import BaseModel
from starlette.responses import PlainTextResponse

from fleetcache import Cache, ConfigError
from fleetcache.contrib.fastapi import cached_response
from fleetcache.testing import ManualClock, eventually, memory_cache
from tests.frameworks.asking import Asking, asking, did
from tests.frameworks.fastapi_styles import EARLY, found, in_context, page
from tests.support.run import run
from tests.support.servers import Server


class InHeaders(BaseModel):
    x_who: str = ""


class InQuery(BaseModel):
    who: str = ""


async def header(x_who: Annotated[str, Header()]) -> None:
    found.set(x_who)


async def all_headers(fields: Annotated[InHeaders, Header()]) -> None:
    found.set(fields.x_who)


async def query(who: str) -> None:
    found.set(who)


async def repeated(who: Annotated[list[str], Query()]) -> None:
    found.set("".join(who))


async def all_queries(fields: Annotated[InQuery, Query()]) -> None:
    found.set(fields.who)


async def cookie(who: Annotated[str, Cookie()]) -> None:
    found.set(who)


async def below(who: Annotated[str, Header(alias="x-who")]) -> str:
    return who


async def nested(who: Annotated[str, Depends(below)]) -> None:
    found.set(who)


async def yielding(x_who: Annotated[str, Header()]) -> AsyncIterator[None]:
    found.set(x_who)
    yield


async def body(who: Annotated[str, Body(embed=True)]) -> None:
    found.set(who)


class Gateway(HTTPBearer):
    """A security scheme that declares its header, and so does not take the request."""

    async def __call__(self, x_who: Annotated[str, Header()]) -> None:  # type: ignore[override] # see above
        found.set(x_who)


class Holder:
    """A class as a dependency."""

    def __init__(self, x_who: Annotated[str, Header()]) -> None:
        found.set(x_who)


async def holding(_: Annotated[Holder, Depends()], x_who: Annotated[str, Header()]) -> None:
    found.set(x_who)


IN_HEADERS: list[Any] = [header, all_headers, nested, yielding, Gateway(), holding]
COOKIE = [Depends(cookie)]
IN_QUERY: list[Any] = [query, repeated, all_queries]


def named(each: Any) -> str:
    return getattr(each, "__name__", type(each).__name__)


def cached(**options: Any) -> Any:
    return cached_response(Cache("memory://"), **options)


async def answers(app: Any, sent: list[tuple[str, dict[str, str]]]) -> tuple[list[Any], list[str]]:
    async with asking(app) as client:
        got = [await client.get(path, **headers) for path, headers in sent]
    assert {answer.status_code for answer in got} == {200}
    return [answer.json() for answer in got], [did(answer) for answer in got]


DIFFER = ([*"aba"], ["stored", "stored", "hit"])


@pytest.mark.parametrize("place", EARLY, ids=named)
@pytest.mark.parametrize("first", IN_HEADERS, ids=named)
def test_a_declared_header_decides(place: Any, first: Any) -> None:
    assert run(answers(place(first, cached()), [("/page", {"x_who": who}) for who in "aba"])) == DIFFER


@pytest.mark.parametrize("place", EARLY, ids=named)
@pytest.mark.parametrize("first", IN_QUERY, ids=named)
def test_a_declared_query_parameter_decides(place: Any, first: Any) -> None:
    assert run(answers(place(first, cached()), [(f"/page?who={who}", {}) for who in "aba"])) == DIFFER


@pytest.mark.parametrize("place", EARLY, ids=named)
def test_a_declared_cookie_decides(place: Any) -> None:
    for cookies in ("ignore", ["theme"]):
        app = place(cookie, cached(cookies=cookies))
        assert run(answers(app, [("/page", {"cookie": f"who={who}; x=y"}) for who in "aba"])) == DIFFER


@pytest.mark.parametrize("place", EARLY, ids=named)
def test_a_declared_body_decides_for_a_get_too(place: Any) -> None:
    async def scene() -> list[tuple[Any, str]]:
        async with asking(place(body, cached())) as client:
            sent = {"content_type": "application/json"}
            got = [await client.send("/page", "GET", b'{"who": "%b"}' % who, sent) for who in (b"a", b"b", b"a")]
        return [(answer.json(), did(answer)) for answer in got]

    assert run(scene()) == list(zip(*DIFFER, strict=True))


def test_a_parameter_of_a_routers_path_decides() -> None:
    async def tenant(who: Annotated[str, Path()]) -> None:
        found.set(who)

    app, router = FastAPI(), APIRouter(prefix="/{who}", dependencies=[Depends(tenant)])
    page(router, in_context, cached())
    app.include_router(router)
    assert run(answers(app, [(f"/{who}/page", {}) for who in "aba"])) == DIFFER


@pytest.mark.parametrize("place", EARLY, ids=named)
def test_an_endpoint_that_takes_the_request_alone_is_no_exception(place: Any) -> None:
    made = place(header, cached())  # its dependencies; the page below has none of its own

    async def endpoint(request: Request) -> PlainTextResponse:  # noqa: ARG001 - an endpoint of Starlette
        return PlainTextResponse(f'"{found.get()}"')

    made.get("/plain", dependencies=[Depends(header)])(cached(query=())(endpoint))
    assert run(answers(made, [("/plain", {"x_who": who}) for who in "aba"])) == DIFFER


def test_an_endpoint_that_declares_nothing_is_no_exception() -> None:
    app = FastAPI(dependencies=[Depends(header)])

    @app.get("/page")
    @cached()  # type: ignore[untyped-decorator] # of any options
    async def endpoint() -> Any:
        return found.get()

    assert run(answers(app, [("/page", {"x_who": who}) for who in "aba"])) == DIFFER


def test_what_an_app_puts_in_place_of_such_a_dependency_decides() -> None:
    async def stands_for() -> None:
        raise AssertionError("the app has put another dependency in its place")

    app = page(FastAPI(dependencies=[Depends(stands_for)]), in_context, cached())
    app.dependency_overrides = {stands_for: header}
    assert run(answers(app, [("/page", {"x_who": who}) for who in "aba"])) == DIFFER


def test_vary_names_the_declared_fields() -> None:
    async def scene() -> str:
        app = page(FastAPI(dependencies=[Depends(nested)]), in_context, cached(cookies="ignore"), dependencies=COOKIE)
        async with asking(app) as client:
            return (await client.get("/page", x_who="a", cookie="who=b")).headers["vary"]

    assert run(scene()) == "Authorization, Cookie, X-Who"


def test_what_is_ignored_does_not_decide() -> None:
    async def scene() -> None:
        sent = [("/page?who=1", {"x_who": "a", "cookie": "who=c"}), ("/page?who=2", {"x_who": "b", "cookie": "who=d"})]
        first = [Depends(each) for each in (query, header, cookie)]
        one = FastAPI(dependencies=first)
        page(one, in_context, cached(cookies="ignore", ignore=["X-Who", "cookie who", "query who"]))
        assert await answers(one, sent) == (["c", "c"], ["stored", "hit"])
        async with asking(one) as client:
            assert (await client.get(sent[0][0], **sent[0][1])).headers["vary"] == "Authorization"
        for part in ("X-Who", "cookie who", "query who"):
            others = [each for each in ("X-Who", "cookie who", "query who") if each != part]
            app = page(FastAPI(dependencies=first), in_context, cached(cookies="ignore", ignore=others))
            assert (await answers(app, sent))[1] == ["stored", "stored"], part

    run(scene())


# -- invalidation ------------------------------------------------------------------------------------------------------


async def dids(client: Asking) -> list[str]:
    return [await client.did("/page/1", x_who=who) for who in "ab"]


@pytest.mark.parametrize("clearable", [False, True])
def test_a_removal_by_an_instance_that_never_saw_the_route_finds_every_variant(
    clearable: bool, server: Server, prefix: str
) -> None:
    def made(cache: Cache) -> tuple[FastAPI, Any]:
        app = FastAPI(dependencies=[Depends(header)])

        @app.get("/page/{number}")
        @cached_response(cache, clearable=clearable, name="page")
        async def endpoint(number: int) -> Any:
            return [number, found.get()]

        return app, endpoint

    async def scene() -> None:
        async with (
            Cache(server.url, prefix=prefix, operation_timeout="5s") as one,
            Cache(server.url, prefix=prefix, operation_timeout="5s") as other,
        ):
            (app, endpoint), (_, elsewhere) = made(one), made(other)
            async with asking(app) as client:
                assert await dids(client) == ["stored"] * 2
                assert await dids(client) == ["hit"] * 2
                await endpoint.invalidate(2)
                assert await dids(client) == ["hit"] * 2
                await endpoint.invalidate(1)
                assert await dids(client) == ["stored"] * 2
                await elsewhere.invalidate(1)
                await one.invalidate_tags("of nobody")  # the pushes of both have arrived when this has
                assert await dids(client) == ["stored"] * 2

    run(scene())


def test_only_the_responses_of_such_a_route_have_that_tag(one_server: Server, prefix: str) -> None:
    async def scene() -> None:
        async with Cache(one_server.url, prefix=prefix, operation_timeout="5s") as cache:
            with one_server.client() as raw:
                for first, more in (([], 1), ([Depends(header)], 2)):
                    app = FastAPI(dependencies=first)
                    page(app, in_context, cached_response(cache, name=f"page{more}"))
                    before = len(raw("KEYS", f"{prefix}:*"))
                    async with asking(app) as client:
                        assert await client.did("/page", x_who="a") == "stored"
                    if before:
                        assert len(raw("KEYS", f"{prefix}:*")) == before + more

    run(scene())


def test_what_the_endpoint_itself_declares_still_needs_a_tag() -> None:
    async def scene() -> None:
        @cached()  # type: ignore[untyped-decorator] # of any options
        async def endpoint(x_lang: Annotated[str, Header()] = "") -> Any:
            return x_lang

        with pytest.raises(ConfigError, match="vary because of headers; decorate it with cached_response"):
            await endpoint.invalidate()

    run(scene())


# -- one function on two routes ----------------------------------------------------------------------------------------


async def of_a() -> None:
    found.set("a")


async def of_b() -> None:
    found.set("b")


class Of:
    """A dependency that is an object: several have its name."""

    def __init__(self, who: str) -> None:
        self.who = who

    async def __call__(self) -> None:
        found.set(self.who)

    async def method(self) -> None:
        found.set(self.who)


@pytest.mark.parametrize(
    ("first", "second"),
    [(of_a, of_b), (Of("a"), Of("b")), (Of("a").method, Of("b").method), (partial(Of.method, Of("a")), of_b)],
    ids=["functions", "objects", "methods", "partial"],
)
def test_two_routes_behind_different_dependencies_never_share_an_answer(first: Any, second: Any) -> None:
    app, router = FastAPI(), APIRouter()
    page(router, in_context, cached(name="page"))
    app.include_router(router, prefix="/a", dependencies=[Depends(first)])
    app.include_router(router, prefix="/b", dependencies=[Depends(second)])
    got = run(answers(app, [(path, {}) for path in ("/a/page", "/a/page", "/b/page", "/b/page", "/a/page")]))
    assert got == ([*"aabba"], ["stored", "hit", "stored", "hit", "stored"])


def test_two_routes_behind_the_same_dependency_share() -> None:
    app, router = FastAPI(dependencies=[Depends(of_a)]), APIRouter()
    page(router, in_context, cached(name="page"))
    app.include_router(router, prefix="/a")
    app.include_router(router, prefix="/b")
    assert run(answers(app, [("/a/page", {}), ("/b/page", {})])) == (["a", "a"], ["stored", "hit"])


# -- a refresh in the background ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", EARLY, ids=named)
def test_a_refresh_in_the_background_runs_these_dependencies_too(place: Any) -> None:
    async def scene() -> None:
        clock, runs = ManualClock(), count()

        async def counted(x_who: Annotated[str, Header()]) -> None:
            found.set(f"{x_who}{next(runs)}")

        async with memory_cache(clock=clock) as cache:
            app = place(counted, cached_response(cache, ttl="1m", stale="1h", clock=clock))
            async with asking(app) as client:
                old = {who: (await client.get("/page", x_who=who)).json() for who in "ab"}
                clock.advance(61)
                for who in "ab":
                    assert (await client.get("/page", x_who=who)).json() == old[who]

                async def is_new(who: str) -> bool:
                    return bool((await client.get("/page", x_who=who)).json() != old[who])

                for who in "ab":
                    await eventually(partial(is_new, who))
                    assert (await client.get("/page", x_who=who)).json().startswith(who)

    run(scene())
