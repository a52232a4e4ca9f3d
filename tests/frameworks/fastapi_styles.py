"""The ways in which a FastAPI endpoint can read the request, each as an app with one page."""

from collections.abc import AsyncIterator, Callable
from contextvars import ContextVar
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, Request, Security
from fastapi.routing import APIRoute
from fastapi.security import HTTPBearer
from fastapi.security.base import SecurityBase
from starlette.applications import Starlette
from starlette.requests import HTTPConnection
from starlette.responses import JSONResponse
from starlette.routing import Route

__all__ = ["EARLY", "STYLES", "Look", "MyRoute", "found", "in_context", "in_the_endpoint", "looking_first", "page"]

Look = Callable[[Any], Any]
"""What is looked at in a request."""


def page(app: Any, look: Any, cached: Any, **route: Any) -> Any:
    """Add a page that returns the result of the dependency ``look``."""

    @app.get("/page", **route)  # type: ignore[untyped-decorator] # of any app
    @cached  # type: ignore[untyped-decorator] # of any options
    async def endpoint(found: Annotated[Any, Depends(look)]) -> Any:
        return found

    return app


def in_the_endpoint(look: Look, cached: Any, route: type[APIRoute] = APIRoute) -> Any:
    app = FastAPI()
    app.router.route_class = route

    @app.get("/page")
    @cached  # type: ignore[untyped-decorator] # of any options
    async def endpoint(request: Request) -> Any:
        return look(request)

    return app


def in_a_thread(look: Look, cached: Any) -> Any:
    app = FastAPI()

    @app.get("/page")
    @cached  # type: ignore[untyped-decorator] # of any options
    def endpoint(request: Request, n: int = 1) -> Any:  # noqa: ARG001 - it is no endpoint of Starlette's
        return look(request)

    return app


def by_an_async_dependency(look: Look, cached: Any) -> Any:
    async def dependency(request: Request) -> Any:
        return look(request)

    return page(FastAPI(), dependency, cached)


def by_a_dependency_in_a_thread(look: Look, cached: Any) -> Any:
    def dependency(connection: HTTPConnection) -> Any:
        return look(connection)

    return page(FastAPI(), dependency, cached)


def by_a_nested_dependency(look: Look, cached: Any) -> Any:
    def inner(request: Request) -> Any:
        return look(request)

    def outer(found: Annotated[Any, Depends(inner)]) -> Any:
        return found

    return page(FastAPI(), outer, cached)


def by_a_dependency_that_yields(look: Look, cached: Any) -> Any:
    async def dependency(request: Request) -> AsyncIterator[Any]:
        yield look(request)

    return page(FastAPI(), dependency, cached)


def by_a_class(look: Look, cached: Any) -> Any:
    class Found:
        def __init__(self, request: Request) -> None:
            self.found = look(request)

    def dependency(found: Annotated[Found, Depends()]) -> Any:
        return found.found

    return page(FastAPI(), dependency, cached)


def by_an_object(look: Look, cached: Any) -> Any:
    class Looking:
        async def __call__(self, request: Request) -> Any:
            return look(request)

    return page(FastAPI(), Looking(), cached)


def by_a_scheme_of_ones_own(look: Look, cached: Any) -> Any:
    class Gateway(HTTPBearer):
        async def __call__(self, request: Request) -> Any:  # type: ignore[override] # of late any connection
            return look(request)

    return page(FastAPI(), Gateway(auto_error=False), cached)


def by_a_scheme_with_scopes(look: Look, cached: Any) -> Any:
    class Scheme(SecurityBase):
        model: Any = None
        scheme_name = "mine"

        def __call__(self, request: Request) -> Any:
            return look(request)

    app, scheme = FastAPI(openapi_url=None), Scheme()

    @app.get("/page")
    @cached  # type: ignore[untyped-decorator] # of any options
    async def endpoint(found: Annotated[Any, Security(scheme, scopes=["read"])]) -> Any:
        return found

    return app


def by_state_that_a_dependency_puts_there(look: Look, cached: Any) -> Any:
    async def dependency(request: Request) -> None:
        request.state.found = look(request)

    app = FastAPI()

    @app.get("/page")
    @cached  # type: ignore[untyped-decorator] # of any options
    async def endpoint(request: Request, _: Annotated[None, Depends(dependency)]) -> Any:
        return request.state.found

    return app


def in_starlette(look: Look, cached: Any) -> Any:
    async def endpoint(request: Request) -> JSONResponse:
        return JSONResponse(look(request))

    return Starlette(routes=[Route("/page", cached(endpoint))])


STYLES = [
    in_the_endpoint,
    in_a_thread,
    by_an_async_dependency,
    by_a_dependency_in_a_thread,
    by_a_nested_dependency,
    by_a_dependency_that_yields,
    by_a_class,
    by_an_object,
    by_a_scheme_of_ones_own,
    by_a_scheme_with_scopes,
    by_state_that_a_dependency_puts_there,
    in_starlette,
]


# -- before anything of the endpoint's own -----------------------------------------------------------------------------


found: ContextVar[Any] = ContextVar("found", default=None)


def looking_first(look: Look) -> Any:
    """Return a dependency that takes the request and puts the result of ``look`` into a context variable."""

    async def look_first(request: Request) -> None:
        found.set(look(request))

    return look_first


async def in_context() -> Any:
    """Return such a dependency's result; the endpoint does not show where it comes from."""
    return found.get()


def of_the_app(first: Any, cached: Any) -> Any:
    return page(FastAPI(dependencies=[Depends(first)]), in_context, cached)


def of_a_router(first: Any, cached: Any) -> Any:
    app, router = FastAPI(), APIRouter(dependencies=[Depends(first)])
    page(router, in_context, cached)
    app.include_router(router)
    return app


def of_an_inclusion(first: Any, cached: Any) -> Any:
    app, router = FastAPI(), APIRouter()
    page(router, in_context, cached)
    app.include_router(router, dependencies=[Depends(first)])
    return app


def of_the_route(first: Any, cached: Any) -> Any:
    return page(FastAPI(), in_context, cached, dependencies=[Security(first)])


# -- a request of a user's own -----------------------------------------------------------------------------------------


class Mine(Request):
    """A request class of a user, with its own ``headers``."""

    @property
    def headers(self) -> Any:
        return super().headers


class MyRoute(APIRoute):
    """Hands the endpoint a ``Mine``."""

    def get_route_handler(self) -> Any:
        handler = super().get_route_handler()

        async def handle(request: Request) -> Any:
            return await handler(Mine(request.scope, request.receive))

        return handle


EARLY = [of_the_app, of_a_router, of_an_inclusion, of_the_route]
