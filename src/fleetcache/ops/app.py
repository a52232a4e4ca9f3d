"""The routes: live, ready, health and metrics, as one ASGI app to be mounted or run alone.

Rules:

1. *Live* is about the process: the route checks nothing, so it answers as long as the event loop runs.
2. *Ready* is about new requests: the app is not ready before the first attempt to connect has ended, while shutting
   down, or when unhealthy.
3. *Health* is the report, with the HTTP status of its ``Status``.
4. Every answer forbids caches on the way to store it (``Cache-Control: no-store``), whatever its status.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Message, Receive, Scope, Send

from ..telemetry.health import Status
from .checks import Check, CheckFunction, Checks
from .metrics import collector
from .report import Detail, check_detail, joined
from .watched import Watched, health_of

__all__ = ["OpsApp"]

# The oldest text format: every scraper reads it, and the route need not parse an Accept header from outside.
_EXPOSITION = "text/plain; version=0.0.4; charset=utf-8"


class OpsApp:
    """Health, readiness, liveness and metrics of one cache.

    ``GET`` and ``HEAD`` on ``/livez /readyz /healthz`` (also ``/live /ready /health``) and ``/metrics``.

    Args:
        cache: The cache to watch.
        checks: The user's own checks, by name: async functions or ``Check``. They are part of health and ready, never
            of live.
        detail: ``brief`` shows status, driver, active, reason, since and each check's status: safe for the public.
            ``full`` shows all fields of the report, for a port that only operators reach. Neither shows a secret.

    Raises:
        ConfigError: An unknown ``detail``, or a value of ``checks`` that is not a check.

    Example:
        >>> from fleetcache import Cache
        >>> from starlette.applications import Starlette
        >>> from starlette.routing import Mount
        >>> app = Starlette(routes=[Mount("/ops", OpsApp(Cache("memory://")))])
    """

    def __init__(
        self,
        cache: Watched,
        checks: Mapping[str, Check | CheckFunction] | None = None,
        detail: Detail = "brief",
    ) -> None:
        self._cache = cache
        self._checks = Checks(checks)
        self._full = check_detail(detail)
        self._closing = False
        self._registry = CollectorRegistry()
        self._registry.register(collector(cache))
        endpoints = {
            self._live: ("/livez", "/live"),
            self._ready: ("/readyz", "/ready"),
            self._health: ("/healthz", "/health"),
            self._metrics: ("/metrics",),
        }
        routes = [Route(path, endpoint) for endpoint, paths in endpoints.items() for path in paths]
        self._app = Starlette(routes=routes, lifespan=self._lifespan)

    def shutting_down(self) -> None:
        """Answer "not ready" from now on. Call this when the process is told to end, before it stops listening.

        An ``OpsApp`` run alone does this at the end of its ASGI lifespan as well. Mounted apps get no lifespan events.

        Example:
            >>> from fleetcache import Cache
            >>> ops = OpsApp(Cache("memory://"))
            >>> ops.shutting_down()  # from now on the answer to a readiness probe is 503
        """
        self._closing = True

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI app."""
        if scope["type"] == "http":
            send = _unstored(send, head=scope["method"] == "HEAD")
        await self._app(scope, receive, send)

    @asynccontextmanager
    async def _lifespan(self, _app: Starlette) -> AsyncIterator[None]:
        self._closing = False
        yield
        self.shutting_down()

    async def _live(self, _request: Request) -> Response:
        return _answer({"status": "alive"})

    async def _ready(self, _request: Request) -> Response:
        # While the app shuts down, the resources that the checks use may be closed already, so no check runs.
        body = joined(self._cache.status_now(), {}, full=self._full) if self._ending else await self._report()
        because = self._not_ready(body["status"])
        return _answer({"ready": because is None, "because": because} | body, 200 if because is None else 503)

    async def _health(self, _request: Request) -> Response:
        body = await self._report()
        return _answer(body, body["status"].http_status)

    async def _metrics(self, _request: Request) -> Response:
        return Response(generate_latest(self._registry), headers={"Content-Type": _EXPOSITION})

    async def _report(self) -> dict[str, Any]:
        # Concurrent, so that a probe waits for the slower of the two and not for their sum.
        health, results = await asyncio.gather(health_of(self._cache), self._checks.results())
        return joined(health, results, full=self._full)

    @property
    def _ending(self) -> bool:
        return self._closing or self._cache.closed

    def _not_ready(self, status: Status) -> str | None:
        if self._ending:
            return "shutting_down"
        if not self._cache.tried:
            return "connecting"
        return "unhealthy" if status is Status.UNHEALTHY else None


def _answer(body: dict[str, Any], status: int = 200) -> Response:
    # ASCII escapes, so that any text of the system or of a check can be written, even half a surrogate pair.
    return Response(json.dumps(body), status_code=status, media_type="application/json")


def _unstored(send: Send, *, head: bool) -> Send:
    """Forbid every cache on the way to store the answer, and drop the body of an answer to HEAD."""

    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            MutableHeaders(scope=message)["Cache-Control"] = "no-store"
        elif head and message["type"] == "http.response.body":
            message = {**message, "body": b""}
        await send(message)

    return sent
