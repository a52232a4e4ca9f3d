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

from .keys import ResponseKeys
from .recording import recorded, recorder_of
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
        given: The request.
        keys: Of responses on its route.
        unseen: What may have been read of the request before it was recorded.
        args: What Starlette called it with: the request, perhaps behind ``self``.
        kwargs: What FastAPI called it with.
        shared: FastAPI's response of this request, on which the endpoint and its dependencies put headers.
    """

    def __init__(
        self,
        function: Function,
        given: Request,
        keys: ResponseKeys,
        unseen: frozenset[str],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        shared: Response | None,
    ) -> None:
        self._function, self._given, self.keys, self._unseen = function, given, keys, unseen
        self._args, self.kwargs = args, kwargs
        self.shared = shared
        self.given = [] if shared is None else list(shared.raw_headers)
        """What dependencies have put there: this request's own."""
        self.body = b""

    @property
    def request(self) -> Request:
        """The request, for those who are not to be recorded."""
        recorder = recorder_of(self._given)
        return self._given if recorder is None else recorder.plain

    @property
    def undeclared(self) -> list[str]:
        """What was read of the request until now that its key does not hold."""
        recorder = recorder_of(self._given)
        read = self._unseen if recorder is None else recorder.names | self._unseen
        return self.keys.undeclared(read, self.request)

    async def run(self) -> Any:
        """What the function returns. It is recorded what it reads."""
        recorded(self._given)
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

    async def again(self) -> tuple[Response, bool, list[str]]:
        """The same when the request is over; and what was read for it that its key does not hold."""
        if self.shared is not None:
            response, replayed = await replay(self.request, self.body, self._function.max_bytes)
            if not replayed.direct:
                response.raw_headers = _without(response.raw_headers, replayed.given)
            return response, replayed.direct, replayed.undeclared
        request = Request(over(self.request.scope), received(self.body))
        recorder = recorded(request)
        args = tuple(request if isinstance(arg, Request) else arg for arg in self._args)
        response = await self._function.run(args, self.kwargs)
        return response, True, self.keys.undeclared(recorder.names, recorder.plain)

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
        self.error: Exception | None = None
        self.undeclared: list[str] = []

    async def __call__(self) -> Keep[StoredResponse] | NoStore[StoredResponse]:
        """Make the response, and say how it is kept."""
        if self.over:
            return await self._behind()
        try:
            self.response, self.direct = await self._call.render()
        except Exception as error:
            self.undeclared = self._call.undeclared
            answers = isinstance(error, HTTPException) and error.status_code < _SERVER_ERROR
            if not answers and not self.undeclared:
                raise  # a failure, for all who wait
            self.error = error  # an answer like any other that is not kept: its caller's alone
            return NoStore(UNSTORED)
        self.undeclared = self._call.undeclared
        if self.undeclared:
            return NoStore(UNSTORED)
        return self._kept(self._call, self.response, self.direct) or NoStore(UNSTORED)

    async def _behind(self) -> Keep[StoredResponse] | NoStore[StoredResponse]:
        try:
            response, direct, undeclared = await self._call.again()
        except HTTPException as error:
            response, direct, undeclared = Response(status_code=error.status_code), True, list[str]()
        if response.status_code >= _SERVER_ERROR:
            raise HTTPException(response.status_code)  # whether raised or returned: the old response stays
        kept = None if undeclared else self._kept(self._call, response, direct)
        if kept is None:  # what is now may not be kept, so what was must go
            await self._forget()
        return kept or NoStore(UNSTORED)


def _without(headers: RawHeaders, others: RawHeaders) -> list[tuple[bytes, bytes]]:
    dropped = list(others)
    return [header for header in headers if header not in dropped]
