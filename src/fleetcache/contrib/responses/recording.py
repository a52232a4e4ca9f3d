"""Records which parts of a request are read, by name, so that only requests with an equal answer share a response.

1. The framework passes the same request object to all dependencies and to the endpoint. That object gets a class that
   records each read and returns unchanged values. A request whose own class overrides one of these reads counts as
   read in full.
2. Header fields, cookies, the client's address, the body, and entries that middleware put into the scope or into
   ``request.state`` are recorded by name: see ``views``.
3. These reads are not recorded: parts that the key holds (method, URL, path, query), app and router, the framework's
   own reads for declared parameters, a session (see ``keys``), state that the app's lifespan put there, and state that
   dependencies or the endpoint put there, because the reads that they made it of were recorded.
"""

import sys
from collections.abc import AsyncIterator, MutableMapping
from typing import Any, cast

from starlette.datastructures import URL, Headers
from starlette.requests import Request

from ..lifespan import lifespan_state
from .views import ALL_COOKIES, ALL_SCOPE, Cookies, NamedState, RequestHeaders, Scope

__all__ = ["BODY", "Recorder", "record", "recorded", "recorder_of"]

BODY = "body"

# Modules of the framework that read a request for declared parameters and for a form.
_FRAMEWORK = frozenset({"fastapi.dependencies.utils", "starlette.requests"})
# The recorded attributes of a request. A class that overrides one of them cannot be recorded.
_ANSWERS = ("headers", "cookies", "state", "url", "base_url", "receive", "stream", "body", "__getitem__")
_ATTRIBUTE = "fleetcache_recorder"

_classes: dict[type[Request], type[Request]] = {}


class Recorder:
    """The recorded reads of one request.

    Attributes:
        plain: The same request, for reads that are not recorded.
    """

    def __init__(self, request: Request) -> None:
        scope: MutableMapping[str, Any] = request.scope
        scope.setdefault("state", {})  # before two views of the scope exist
        self.plain = _Plain(request)
        self._names: set[str] = set()
        self._opened: list[Cookies] = []
        self._own: set[str] = set()

    @property
    def names(self) -> set[str]:
        """Names of all parts that were read, such as ``header x-tenant``, ``state.db``, ``client``."""
        return self._names | ({ALL_COOKIES} if any(not cookies.asked for cookies in self._opened) else set())

    def note(self, name: str) -> None:
        """Record that a part was read, or looked for and not found."""
        self._names.add(name)

    def note_state(self, name: str) -> None:
        """Record that an entry of ``request.state`` was read, unless the lifespan or recorded code put it there."""
        if name in self._own:
            return
        here, of_lifespan = self.plain.scope["state"], lifespan_state(self.plain.scope)
        if name not in here or name not in of_lifespan or here[name] is not of_lifespan[name]:
            self.note(f"state.{name}")

    def headers(self) -> Headers:
        """Return a view of the header fields."""
        return RequestHeaders(self.note, self.plain.headers)

    def cookies(self) -> Cookies:
        """Return a view of the cookies."""
        self._opened.append(Cookies(self.note, self.plain.cookies))
        return self._opened[-1]

    def state(self) -> NamedState:
        """Return a view of the state."""
        return NamedState(self.note, self.note_state, self._own, self.plain.scope["state"])


def recorder_of(request: Request) -> Recorder | None:
    """Return the recorder of a request; ``None`` if the request is not recorded."""
    found: Recorder | None = getattr(request, _ATTRIBUTE, None)
    return found


def recorded(request: Request) -> Recorder:
    """Record all reads of the request from now on, and return its recorder. A second call returns the same recorder."""
    recorder = recorder_of(request)
    if recorder is not None:
        return recorder
    recorder, kind = Recorder(request), type(request)
    setattr(request, _ATTRIBUTE, recorder)
    if any(getattr(kind, name) is not getattr(Request, name) for name in _ANSWERS):
        recorder.note(ALL_SCOPE)
        return recorder
    if kind not in _classes:
        names = {"__module__": kind.__module__, "__qualname__": kind.__qualname__}
        _classes[kind] = cast("Any", type(kind))(kind.__name__, (_Recorded, kind), names)
    request.scope = Scope(recorder.note, request.scope)
    request.__class__ = _classes[kind]
    return recorder


async def record(request: Request) -> None:
    """Start recording.

    This is the first dependency of an endpoint, so that the reads of later dependencies are recorded.
    """
    recorded(request)


def _asks_for_itself() -> bool:
    """Return True if the framework itself reads the property that calls this function."""
    return sys._getframe(2).f_globals.get("__name__") in _FRAMEWORK  # noqa: SLF001 - the documented way to a caller


class _Plain(Request):
    """The same request for unrecorded reads. The body can be read once, so it comes from the recorded request."""

    def __init__(self, request: Request) -> None:
        vars(self).update(vars(request))  # includes the parts that are parsed already
        self._request = request

    async def body(self) -> bytes:
        return await self._request.body()


class _Recorded(Request):
    """Mixed into the class of a recorded request."""

    fleetcache_recorder: Recorder

    @property
    def headers(self) -> Headers:
        recorder = self.fleetcache_recorder
        return recorder.plain.headers if _asks_for_itself() else recorder.headers()

    @property
    def cookies(self) -> dict[str, str]:
        recorder = self.fleetcache_recorder
        return recorder.plain.cookies if _asks_for_itself() else recorder.cookies()

    @property
    def state(self) -> Any:
        return self.fleetcache_recorder.state()

    @property
    def url(self) -> URL:
        return self.fleetcache_recorder.plain.url

    @property
    def base_url(self) -> URL:
        return self.fleetcache_recorder.plain.base_url

    @property
    def receive(self) -> Any:
        self.fleetcache_recorder.note(BODY)
        return super().receive

    async def stream(self) -> Any:
        self.fleetcache_recorder.note(BODY)
        parts: AsyncIterator[bytes] = super().stream()
        async for part in parts:
            yield part

    async def body(self) -> bytes:
        self.fleetcache_recorder.note(BODY)
        return await super().body()
