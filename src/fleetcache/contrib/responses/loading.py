"""One request to an endpoint whose parameters are solved, and the load that the request may cause.

A load makes a response and decides how it is stored. A load in the background runs the request again, because resources
of the request that started it, such as a database session, may be closed by then.
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
"""Given a call, its response and whether the function itself made the response: how to store it; ``None``: do not."""


class Function(Protocol):
    """The interface of an endpoint that a call uses."""

    renderer: Renderer
    max_bytes: int

    def run(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Coroutine[Any, Any, Any]:
        """Call the endpoint's function as the framework would."""
        ...


class Call:
    """One request to an endpoint.

    Args:
        function: The endpoint.
        given: The request.
        keys: Keys of the responses on the request's route.
        unseen: Parts of the request that may have been read before it was recorded.
        args: Starlette's arguments: the request, perhaps after ``self``.
        kwargs: FastAPI's arguments.
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
        """Headers that dependencies have set, for this request only."""
        self.body = b""

    @property
    def request(self) -> Request:
        """The request for fleetcache's own reads, which are not recorded."""
        recorder = recorder_of(self._given)
        return self._given if recorder is None else recorder.plain

    @property
    def undeclared(self) -> list[str]:
        """Parts of the request that were read until now and are not in its key."""
        recorder = recorder_of(self._given)
        read = self._unseen if recorder is None else recorder.names | self._unseen
        return self.keys.undeclared(read, self.request)

    async def run(self) -> Any:
        """Run the function and return its result. The function's reads of the request are recorded."""
        recorded(self._given)
        return await self._function.run(self._args, self.kwargs)

    async def render(self) -> tuple[Response, bool]:
        """Return the response without headers of dependencies, and whether the function itself made it.

        FastAPI adds no headers of dependencies to a response that the function made.
        """
        value = await self.run()
        if isinstance(value, Response) or self.shared is None:
            return value, True
        response = await self._function.renderer.render(self.request, value, self.shared.status_code)
        response.raw_headers += _without(self.shared.raw_headers, self.given)
        return response, False

    async def again(self) -> tuple[Response, bool, list[str]]:
        """Return the same once the request is over, and the parts of the request that were read but not in its key."""
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
        """Identifies how this route makes responses of values, and behind which dependencies."""
        if self.shared is None:
            return ""
        return " behind ".join(filter(None, (self._function.renderer.rendering(self.request), self.keys.behind)))


class Load:
    """The loader of one call.

    Args:
        call: The request.
        kept: Decides how the response is stored.
        forget: Removes the stored response.
        family: A name common to all loads of the endpoint. They take a similar time, from which leases are sized.
    """

    def __init__(self, call: Call, kept: Kept, forget: Callable[[], Coroutine[Any, Any, Any]], family: str) -> None:
        self._call, self._kept, self._forget = call, kept, forget
        self.__qualname__ = family
        self.over = False  # the caller has its answer: a later call is a refresh in the background
        self.response: Response | None = None
        self.direct = False
        self.error: Exception | None = None
        self.undeclared: list[str] = []

    async def __call__(self) -> Keep[StoredResponse] | NoStore[StoredResponse]:
        """Make the response, and return how it is stored."""
        if self.over:
            return await self._behind()
        try:
            self.response, self.direct = await self._call.render()
        except Exception as error:
            self.undeclared = self._call.undeclared
            answers = isinstance(error, HTTPException) and error.status_code < _SERVER_ERROR
            if not answers and not self.undeclared:
                raise  # a failure, raised to all joined and waiting callers
            self.error = error  # an answer that is not stored: raised to its own caller only
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
            raise HTTPException(response.status_code)  # raised or returned, a 5xx leaves the old response in place
        kept = None if undeclared else self._kept(self._call, response, direct)
        if kept is None:  # the new response may not be stored, so the outdated one is removed
            await self._forget()
        return kept or NoStore(UNSTORED)


def _without(headers: RawHeaders, others: RawHeaders) -> list[tuple[bytes, bytes]]:
    dropped = list(others)
    return [header for header in headers if header not in dropped]
