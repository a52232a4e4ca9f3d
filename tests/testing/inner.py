"""An app as users write them, for the pytest runs inside our tests: one cache made at import, used everywhere."""

import warnings

with warnings.catch_warnings():  # the client that it prefers does not matter here
    warnings.simplefilter("ignore")
    import starlette.testclient  # noqa: F401 - once here, and not again in each inner run

__all__ = ["APP", "INI"]

APP = """
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

from fleetcache import Cache

cache = Cache.from_env()
prices = cache.namespace("prices")
asked = []


@prices.cached(ttl="10m")
async def price(item: str) -> int:
    asked.append(item)
    return len(asked)


async def show(request):
    return JSONResponse(await price(request.path_params["item"]))


async def health(_request):
    report = await cache.health()
    return JSONResponse([report.status, report.driver])


@asynccontextmanager
async def lifespan(_app):
    async with cache:
        yield


app = Starlette(routes=[Route("/health", health), Route("/{item}", show)], lifespan=lifespan)
"""

INI = """
[pytest]
fleetcache_fresh = {fresh}
addopts = --strict-markers -p no:cacheprovider -p no:hypothesispytest -p no:timeout
filterwarnings =
    error
    ignore:Using .httpx. with:
"""
