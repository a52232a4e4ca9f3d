"""Puts the instance's name on every response, to show which one answered behind a load balancer."""

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class InstanceHeader:
    """Plain ASGI middleware.

    Args:
        app: The app to wrap.
        name: The value of ``X-Instance``.
    """

    def __init__(self, app: ASGIApp, name: str) -> None:
        self._app = app
        self._name = name

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the call on, with the header in its response."""

        async def named(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)["X-Instance"] = self._name
            await send(message)

        await self._app(scope, receive, named if scope["type"] == "http" else send)
