"""The server: where is this IP address? One of several instances, all behind one cache.

The environment alone sets it up, the cache too (``REDIS_URL`` and the ``CACHE_*`` variables); the app's own variables:

==================  ==========================  =====================================================
``GEO_ORIGIN_URL``  ``http://127.0.0.1:9000``   the origin, see ``origin.py``
``GEO_PAUSE``       ``60``                      seconds that a busy origin is left alone for at most
``GEO_DATABASE``    ``geo.sqlite3``             the database of settings, shared by all instances
``GEO_TTL``         ``10m``                     how long an answer of the origin is fresh
``GEO_STALE``       ``1h``                      how long after that it may still answer
``GEO_INSTANCE``    host name and process id    in the header ``X-Instance`` of every response
==================  ==========================  =====================================================

Run it: ``uvicorn examples.geo.app:app``.
"""

import ipaddress
import os
import re
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route

from fleetcache import Cache
from fleetcache.ops import OpsApp

from .countries import Countries
from .instance_header import InstanceHeader
from .origin_client import Location, OriginClient, OriginError

INSTANCE = os.environ.get("GEO_INSTANCE") or f"{socket.gethostname()}-{os.getpid()}"
TTL = os.environ.get("GEO_TTL") or "10m"  # networks change hands rarely
STALE = os.environ.get("GEO_STALE") or "1h"  # an old answer is better than none when the origin has no calls left

_ORG = re.compile(r"[\w.-]{1,100}")
_COUNTRY_CODE = re.compile(r"[A-Z]{2}")

cache = Cache.from_env()
origin = OriginClient(
    os.environ.get("GEO_ORIGIN_URL") or "http://127.0.0.1:9000",
    float(os.environ.get("GEO_PAUSE") or 60),  # its minute: it never asks for more
)
settings = Countries(Path(os.environ.get("GEO_DATABASE") or "geo.sqlite3"))


@cache.cached(ttl=TTL, stale=STALE, key="geo:{ip}", tags=("geo",))
async def locate(ip: str) -> Location:
    """Ask the origin; the cache lets one instance ask, once."""
    return await origin.locate(ip)


@cache.cached(ttl="1h", key="countries:{org}")
async def countries(org: str) -> list[str] | None:
    """Read a setting; the absence of a setting is cached as well."""
    return await settings.read(org)


async def get_location(request: Request) -> JSONResponse:
    """``GET /locate/{ip}``: a fresh answer, else a stale one, else the reason."""
    try:
        ip = str(ipaddress.ip_address(request.path_params["ip"]))  # one spelling, one key
    except ValueError as error:
        raise HTTPException(400, str(error)) from None
    return JSONResponse(asdict(await locate(ip)))


async def get_countries(request: Request) -> JSONResponse:
    """``GET /countries/{org}``: a setting that every instance keeps in its memory."""
    org = _org(request)
    codes = await countries(org)
    if codes is None:
        raise HTTPException(404, f"{org} has no countries: PUT a list of country codes here first")
    return JSONResponse({"org": org, "countries": codes})


async def put_countries(request: Request) -> JSONResponse:
    """``PUT /countries/{org}`` with ``["DE", "AT"]``: change the source first, then let all instances forget it."""
    org = _org(request)
    codes = await _codes(request)
    await settings.write(org, codes)
    await countries.invalidate(org)
    return JSONResponse({"org": org, "countries": codes})


def _org(request: Request) -> str:
    org = str(request.path_params["org"])
    if not _ORG.fullmatch(org):
        raise HTTPException(
            400, f"{org!r} is not an organisation: up to 100 letters, digits, dots, dashes, underscores"
        )
    return org


async def _codes(request: Request) -> list[str]:
    try:
        codes = await request.json()
    except ValueError:
        codes = None
    if not isinstance(codes, list) or not all(
        isinstance(code, str) and _COUNTRY_CODE.fullmatch(code) for code in codes
    ):
        raise HTTPException(400, 'the body should be a JSON list of country codes, such as ["DE", "AT"]')
    return codes


async def _no_answer(_: Request, error: Exception) -> Response:
    """Without a cached value and an answer of the origin: say so, and when to come back."""
    # The parameter's type, which Starlette wants, is wider than the errors it passes.
    if not isinstance(error, OriginError):
        raise error
    body = {"error": error.code, "detail": str(error), "retry_after": error.retry_after}
    return JSONResponse(body, 503, {"Retry-After": str(error.retry_after)})


async def _refusal(_: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):  # as above
        raise error
    return JSONResponse({"error": error.detail}, error.status_code, error.headers)


@asynccontextmanager
async def _lifespan(_: Starlette) -> AsyncIterator[None]:
    async with cache:
        yield
    await origin.close()


app = Starlette(
    routes=[
        Route("/locate/{ip}", get_location),
        Route("/countries/{org}", get_countries),
        Route("/countries/{org}", put_countries, methods=["PUT"]),
        Mount("/", OpsApp(cache)),  # /livez /readyz /healthz /metrics
    ],
    middleware=[Middleware(InstanceHeader, name=INSTANCE)],
    exception_handlers={OriginError: _no_answer, HTTPException: _refusal},
    lifespan=_lifespan,
)
