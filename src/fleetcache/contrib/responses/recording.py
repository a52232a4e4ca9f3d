"""What is read of a request, name by name, so that a response is shared only with who would have got the same.

1. The framework hands one and the same request to all dependencies and to the endpoint. That object gets a class that
   notes what it is asked for; everything it answers stays as it was. One of a class that answers in its own way counts
   as read all over.
2. Header fields, cookies, the client's address, the body, and what middleware put into the scope or into
   ``request.state`` are noted by name: see ``views``.
3. Not noted: what the key holds (method, URL, path, query), app and router, what the framework itself reads for
   declared parameters, a session (see ``keys``), state that the app's lifespan put there, and state that dependencies
   or the endpoint put there: what they made it of was noted.
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

# They read for declared parameters, and for a form, on the framework's own account.
_FRAMEWORK = frozenset({"fastapi.dependencies.utils", "starlette.requests"})
# What is recorded of a request; who answers one of these in his own way cannot be.
_ANSWERS = ("headers", "cookies", "state", "url", "base_url", "receive", "stream", "body", "__getitem__")
_ATTRIBUTE = "fleetcache_recorder"

_classes: dict[type[Request], type[Request]] = {}


class Recorder:
    """What was read of one request.

    Attributes:
        plain: The same request, for those who are not to be recorded.
    """

    def __init__(self, request: Request) -> None:
        scope: MutableMapping[str, Any] = request.scope
        scope.setdefault("state", {})  # before there are two views of it
        self.plain = _Plain(request)
        self._names: set[str] = set()
        self._opened: list[Cookies] = []
        self._own: set[str] = set()

    @property
    def names(self) -> set[str]:
        """Of all that was read, such as ``header x-tenant``, ``state.db``, ``client``."""
        return self._names | ({ALL_COOKIES} if any(not cookies.asked for cookies in self._opened) else set())

    def note(self, name: str) -> None:
        """It was read, or asked for in vain."""
        self._names.add(name)

    def note_state(self, name: str) -> None:
        """So was something in ``request.state``."""
        if name in self._own:
            return
        here, of_lifespan = self.plain.scope["state"], lifespan_state(self.plain.scope)
        if name not in here or name not in of_lifespan or here[name] is not of_lifespan[name]:
            self.note(f"state.{name}")

    def headers(self) -> Headers:
        """A view of the header fields."""
        return RequestHeaders(self.note, self.plain.headers)

    def cookies(self) -> Cookies:
        """A view of the cookies."""
        self._opened.append(Cookies(self.note, self.plain.cookies))
        return self._opened[-1]

    def state(self) -> NamedState:
        """A view of the state."""
        return NamedState(self.note, self.note_state, self._own, self.plain.scope["state"])


def recorder_of(request: Request) -> Recorder | None:
    """That of a request, if it is recorded."""
    found: Recorder | None = getattr(request, _ATTRIBUTE, None)
    return found


def recorded(request: Request) -> Recorder:
    """Record what is read of the request from now on, if it is not yet."""
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
    """The first dependency of an endpoint: those after it are recorded."""
    recorded(request)


def _asks_for_itself() -> bool:
    """Whether it is the framework that reads the property which calls this."""
    return sys._getframe(2).f_globals.get("__name__") in _FRAMEWORK  # noqa: SLF001 - the documented way to a caller


class _Plain(Request):
    """The same request for those who are not recorded; the body, which can be read once, is the other's."""

    def __init__(self, request: Request) -> None:
        vars(self).update(vars(request))  # with what was parsed already
        self._request = request

    async def body(self) -> bytes:
        return await self._request.body()


class _Recorded(Request):
    """What a request becomes."""

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
