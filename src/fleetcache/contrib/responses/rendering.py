"""Turns an endpoint's return value into the bytes of a response, by the framework itself.

1. FastAPI itself makes the response of a value: a private route, with the settings of the endpoint's route, returns
   the value.
2. A refresh in the background is a separate request: the route runs again with its own dependencies, because those of
   the request that started the refresh may be closed by then.
"""

import asyncio
import re
from collections.abc import Callable, Coroutine, MutableMapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp

__all__ = ["REPLAYED", "Renderer", "Replayed", "over", "received", "replay", "route_of"]

REPLAYED = "fleetcache.replayed"
"""Scope key of a request that is a refresh; its value is a ``Replayed``."""

_MADE = "fleetcache.made"
_SETTINGS = (
    "response_model",
    "status_code",
    "response_class",
    "response_model_include",
    "response_model_exclude",
    "response_model_by_alias",
    "response_model_exclude_unset",
    "response_model_exclude_defaults",
    "response_model_exclude_none",
)
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


class Replayed:
    """Facts about a refresh, set by the endpoint.

    Attributes:
        given: Headers that dependencies have put on the response.
        direct: Whether the function has made the response itself.
        undeclared: Parts of the request that were read and are not in its key.
    """

    def __init__(self) -> None:
        self.undeclared: list[str] = []
        self.given: list[tuple[bytes, bytes]] = []
        self.direct = False


def route_of(scope: MutableMapping[str, Any]) -> Any:
    """Return the request's route, or FastAPI's context for it if its router was included with separate settings."""
    route = scope.get("route")
    context = scope.get("fastapi", {}).get("effective_route_context")
    return context if context is not None and context.original_route is route else route


class Renderer:
    """Makes responses of the values of one function, on each route of the function.

    Args:
        name: The function's name, for FastAPI's errors.
        in_thread: Whether FastAPI would make the response in a thread, as for a ``def``.
    """

    def __init__(self, name: str, *, in_thread: bool) -> None:
        self._name, self._in_thread = name, in_thread
        self._routes: dict[int, tuple[Any, str, Callable[[Request], Coroutine[Any, Any, Response]]]] = {}

    def rendering(self, request: Request) -> str:
        """Return text that identifies how a route makes responses, the same in every process."""
        return self._route(request)[1]

    async def render(self, request: Request, value: Any, status: int | None) -> Response:
        """Return FastAPI's response for ``value``; ``status`` is the one that the endpoint set on its ``Response``."""
        _, _, handle = self._route(request)
        return await handle(Request({**request.scope, _MADE: (value, status)}, request.receive))

    def _route(self, request: Request) -> tuple[Any, str, Callable[[Request], Coroutine[Any, Any, Response]]]:
        route = route_of(request.scope)
        if id(route) not in self._routes:  # the route is kept, so that no other object gets its id
            settings = {name: getattr(route, name) for name in _SETTINGS}
            self._routes[id(route)] = (route, _written(settings), self._handler(settings))
        return self._routes[id(route)]

    def _handler(self, settings: dict[str, Any]) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        from fastapi.routing import APIRoute  # noqa: PLC0415 - FastAPI made the route, so it is installed

        def hand_over(request: Request, response: Response) -> Any:
            value, response.status_code = request.scope[_MADE]
            return value

        async def hand_over_at_once(request: Request, response: Response) -> Any:
            return hand_over(request, response)

        endpoint: Callable[..., Any] = hand_over if self._in_thread else hand_over_at_once
        endpoint.__name__ = self._name
        handler: Callable[[Request], Coroutine[Any, Any, Response]] = APIRoute(
            "/", endpoint, **settings
        ).get_route_handler()
        return handler


def _written(settings: dict[str, Any]) -> str:
    plain = {name: getattr(value, "value", value) for name, value in settings.items()}  # FastAPI wraps its own defaults
    return _ADDRESS.sub("", repr({name: value for name, value in plain.items() if value not in (None, False)}))


def over(scope: MutableMapping[str, Any]) -> dict[str, Any]:
    """Return a copy of the scope of a finished request, for a new request that must not change the original."""
    return {**scope, "state": dict(scope.get("state", {}))}


def received(body: bytes) -> Callable[[], Coroutine[Any, Any, dict[str, Any]]]:
    """Return an ASGI ``receive`` for a request with this body, whose client never disconnects."""
    given = False

    async def receive() -> dict[str, Any]:
        nonlocal given
        if given:
            await asyncio.Event().wait()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receive


async def replay(request: Request, body: bytes, most: int) -> tuple[Response, Replayed]:
    """Run the request's route once more, as a separate request.

    Args:
        request: The finished request.
        body: The request's body.
        most: Largest body of interest, in bytes. A larger body is cut, but stays larger than ``most``.

    Returns:
        The response, and the facts that the endpoint set about it.
    """
    replayed = Replayed()
    response, parts = Response(), list[bytes]()

    async def send(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            response.status_code = message["status"]
            response.raw_headers = list(message["headers"])
        elif message["type"] == "http.response.body" and sum(map(len, parts)) <= most:
            parts.append(message.get("body", b""))

    scope = {**over(request.scope), REPLAYED: replayed}
    await _closing(request.scope["route"].handle)(scope, received(body), send)
    response.body = b"".join(parts)
    return response, replayed


def _closing(app: ASGIApp) -> ASGIApp:
    """Wrap the route in the app's own middleware that closes the files of a request."""
    try:
        from fastapi.middleware.asyncexitstack import AsyncExitStackMiddleware  # noqa: PLC0415 - as above
    except ModuleNotFoundError:  # the routes of an older FastAPI close the files themselves
        return app
    return AsyncExitStackMiddleware(app)
