"""The origin: a geo-IP service as the public ones are, slow and stingy, with a real database behind it.

It answers 45 calls a minute and 429 beyond that, takes 50-150 ms, and counts every call, which the demo is
about. Run it: ``python -m examples.geo.origin --port 9000``; the demo runs it with its own small database.
"""

import argparse
import asyncio
import ipaddress
import math
import os
import random
import time
from collections import Counter, deque
from collections.abc import Callable
from typing import Protocol, TypedDict

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

LIMIT = 45  # calls a minute, as a well-known free geo-IP service allows
WINDOW = 60.0  # seconds
DELAY = (0.050, 0.150)  # seconds: a call over the internet and a look-up


class Record(TypedDict):
    """The origin's answer. The texts are empty for an address that no network in the database holds."""

    ip: str
    country_code: str
    country: str
    network: str
    org: str


class Database(Protocol):
    """The origin's source."""

    def lookup(self, ip: str) -> Record:
        """Return the record of a valid address."""

    def addresses(self, count: int, seed: int) -> list[str]:
        """Draw different addresses that the database knows; equal ones for equal seeds."""


class Window:
    """A rate limit over the last minute at each moment.

    Args:
        limit: Calls that a window holds; may be changed at any time.
        clock: Seconds that only grow.
    """

    def __init__(self, limit: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.limit = limit
        self._clock = clock
        self._taken: deque[float] = deque()

    def take(self) -> float:
        """Take a place for a call: return 0 if there is one, else the seconds until there will be."""
        if self.left:
            self._taken.append(self._clock())
            return 0.0
        now = self._clock()
        # A lowered limit may have several calls to wait for.
        last_in_the_way = self._taken[len(self._taken) - self.limit] if self.limit else now
        return last_in_the_way + WINDOW - now

    @property
    def left(self) -> int:
        """Return the calls that are left now."""
        while self._taken and self._taken[0] <= self._clock() - WINDOW:
            self._taken.popleft()
        return max(0, self.limit - len(self._taken))

    def clear(self) -> None:
        """Free all places."""
        self._taken.clear()


class Origin:
    """The service: its database, its limit and its count.

    Args:
        database: The places of addresses.
        limit: Calls a minute.
        seed: Seed of the times that calls take.
    """

    def __init__(self, database: Database, limit: int, seed: int) -> None:
        self._database = database
        self._window = Window(limit)
        self._rng = random.Random(seed)
        self._answered: Counter[str] = Counter()
        self._refused: Counter[str] = Counter()

    async def json(self, request: Request) -> JSONResponse:
        """``GET /json/{ip}``: the place of an address."""
        try:
            ip = str(ipaddress.ip_address(request.path_params["ip"]))
        except ValueError as error:
            return JSONResponse({"error": str(error)}, 400)
        if wait := self._window.take():
            self._refused[ip] += 1
            return JSONResponse({"error": "too many calls"}, 429, {"Retry-After": str(math.ceil(wait))})
        self._answered[ip] += 1
        await asyncio.sleep(self._rng.uniform(*DELAY))
        return JSONResponse(self._database.lookup(ip))

    async def calls(self, request: Request) -> JSONResponse:
        """``GET /calls``: the calls so far, and the calls left. ``DELETE`` counts from zero again."""
        if request.method == "DELETE":
            self._answered.clear()
            self._refused.clear()
        return JSONResponse(
            {
                "total": self._answered.total(),
                "by_address": self._answered,
                "refused": self._refused.total(),
                "limit": self._window.limit,
                "left": self._window.left,
            }
        )

    async def limit(self, request: Request) -> JSONResponse:
        """``PUT /limit/{n}``: allow that many calls a minute from now on; the minute begins now."""
        self._window.limit = request.path_params["n"]
        self._window.clear()
        return JSONResponse({"limit": self._window.limit})

    async def addresses(self, request: Request) -> JSONResponse:
        """``GET /addresses/{count}/{seed}``: addresses from the networks that the database knows. Not counted."""
        return JSONResponse(self._database.addresses(**request.path_params))

    def app(self) -> Starlette:
        """Return the ASGI app."""
        return Starlette(
            routes=[
                Route("/json/{ip}", self.json),
                Route("/calls", self.calls, methods=["GET", "DELETE"]),
                Route("/limit/{n:int}", self.limit, methods=["PUT"]),
                Route("/addresses/{count:int}/{seed:int}", self.addresses),
            ]
        )


def serve(database: Database) -> None:
    """Serve until told to stop. Each option of the command line can come from the environment instead."""
    parser = argparse.ArgumentParser(description="A geo-IP service that allows few calls and counts them.")
    parser.add_argument("--port", type=int, default=os.environ.get("GEO_ORIGIN_PORT", "9000"))
    parser.add_argument("--limit", type=int, default=os.environ.get("GEO_ORIGIN_LIMIT", str(LIMIT)))
    parser.add_argument("--seed", type=int, default=os.environ.get("GEO_ORIGIN_SEED", "1"))
    options = parser.parse_args()
    app = Origin(database, options.limit, options.seed).app()
    uvicorn.run(app, host="127.0.0.1", port=options.port, log_level="warning", access_log=False)


if __name__ == "__main__":
    from .database import GeoIP

    serve(GeoIP())
