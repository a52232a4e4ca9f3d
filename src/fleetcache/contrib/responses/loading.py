"""One request to an endpoint whose parameters are solved, and the load that it may cause.

A load makes a response and says how it is kept. Run in the background, it makes the request anew: what the one that
started it was given, such as a database session, may be closed by then.
"""

from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from fleetcache import Keep, NoStore

from .rendering import Renderer, over, received, replay
from .rules import UNSTORED, RawHeaders, StoredResponse

__all__ = ["Call", "Function", "Load"]

_SERVER_ERROR = 500

Kept = Callable[["Call", Response, bool], Keep[StoredResponse] | None]
"""How a response of a call is kept, told whether the function made it itself; ``None``: it is its own caller's."""


class Function(Protocol):
    """An endpoint, as a call needs it."""

    renderer: Renderer
    max_bytes: int

    def run(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Coroutine[Any, Any, Any]:
        """Call it as the framework would."""
        ...


class Call:
    """One request to an endpoint.

    Args:
        function: The endpoint.
        request: The request.
        args: What Starlette called it with: the request, perhaps behind ``self``.
        kwargs: What FastAPI called it with.
        shared: FastAPI's response of this request, on which the endpoint and its dependencies put headers.
    """

    def __init__(
        self,
        function: Function,
        request: Request,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        shared: Response | None,
    ) -> None:
        self._function, self.request, self._args, self.kwargs = function, request, args, kwargs
        self.shared = shared
        self.given = [] if shared is None else list(shared.raw_headers)
        """What dependencies have put there: this request's own."""
        self.body = b""

    async def run(self) -> Any:
        """What the function returns."""
        return await self._function.run(self._args, self.kwargs)

    async def render(self) -> tuple[Response, bool]:
        """The response, without what dependencies add; and whether the function made it itself.

        To such a response FastAPI adds no headers of dependencies.
        """
        value = await self.run()
        if isinstance(value, Response) or self.shared is None:
            return value, True
        response = await self._function.renderer.render(self.request, value, self.shared.status_code)
        response.raw_headers += _without(self.shared.raw_headers, self.given)
        return response, False

    async def again(self) -> tuple[Response, bool]:
        """The same when the request is over."""
        if self.shared is not None:
            response, replayed = await replay(self.request, self.body, self._function.max_bytes)
            if not replayed.direct:
                response.raw_headers = _without(response.raw_headers, replayed.given)
            return response, replayed.direct
        request = Request(over(self.request.scope), received(self.body))
        args = tuple(request if arg is self.request else arg for arg in self._args)
        return await self._function.run(args, self.kwargs), True

    @property
    def rendering(self) -> str:
        """Which way of making responses this route has."""
        return "" if self.shared is None else self._function.renderer.rendering(self.request)


class Load:
    """The loader of one call.

    Args:
        call: The request.
        kept: How its response is kept.
        forget: Removes what was kept.
        family: What all loads of the endpoint have in common: they take alike long, and leases learn by it.
    """

    def __init__(self, call: Call, kept: Kept, forget: Callable[[], Coroutine[Any, Any, Any]], family: str) -> None:
        self._call, self._kept, self._forget = call, kept, forget
        self.__qualname__ = family
        self.over = False  # its caller has gone: what follows is a refresh in the background
        self.response: Response | None = None
        self.direct = False
        self.error: HTTPException | None = None

    async def __call__(self) -> Keep[StoredResponse] | NoStore[StoredResponse]:
        """Make the response, and say how it is kept."""
        if self.over:
            return await self._behind()
        try:
            self.response, self.direct = await self._call.render()
        except HTTPException as error:
            if error.status_code >= _SERVER_ERROR:
                raise  # a failure, for all who wait
            self.error = error  # an answer like any other that is not kept: its caller's alone
            return NoStore(UNSTORED)
        return self._kept(self._call, self.response, self.direct) or NoStore(UNSTORED)

    async def _behind(self) -> Keep[StoredResponse] | NoStore[StoredResponse]:
        try:
            response, direct = await self._call.again()
        except HTTPException as error:
            response, direct = Response(status_code=error.status_code), True
        if response.status_code >= _SERVER_ERROR:
            raise HTTPException(response.status_code)  # whether raised or returned: the old response stays
        kept = self._kept(self._call, response, direct)
        if kept is None:  # what is now may not be kept, so what was must go
            await self._forget()
        return kept or NoStore(UNSTORED)


def _without(headers: RawHeaders, others: RawHeaders) -> list[tuple[bytes, bytes]]:
    dropped = list(others)
    return [header for header in headers if header not in dropped]
