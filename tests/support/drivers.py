"""One test body for every driver: memory, each real server, and a real server without near."""

from collections.abc import Awaitable, Callable
from typing import Any

from fleetcache import Cache
from tests.support.client import Client
from tests.support.engines import engines
from tests.support.servers import Server
from tests.support.tasked import tasked
from tests.support.threaded import threaded

__all__ = ["VARIANTS", "Driver", "On", "commands_of"]

On = Callable[[Callable[[Cache], Awaitable[None]]], None]
"""Runs an async test body with one open cache."""

# The last variant reads every answer from the server, so that near's answers are compared with the server's. It uses
# the other engine if there is one: each body runs on each engine, and with and without near.
VARIANTS = ("memory", "valkey", f"{'redis' if 'redis' in engines() else 'valkey'} without near")


class Driver:
    """Opens caches of one kind; caches of a shared kind share their entries.

    Args:
        variant: One of ``VARIANTS``; or one that ends in "on threads": ``SyncCache``, and the same tests; or
            in "on aio": ``SyncCache.aio``.
        server: A clean server, if the variant needs one.
        prefix: The prefix of this test only.
    """

    def __init__(self, variant: str, server: Server | None, prefix: str) -> None:
        self.variant, self.server, self.prefix = variant, server, prefix
        self.has_near = not variant.endswith("without near")

    @property
    def url(self) -> str:
        return self.server.url if self.server is not None else "memory://"

    def cache(self, **settings: Any) -> Cache:
        """Return a new cache. Two caches share their entries only if there is a server.

        Timeouts are long, because a machine that is busy with other tests must not look like a dead server.
        """
        unhurried = {"operation_timeout": "5s", "connect_timeout": "10s", "max_staleness": "30s"}
        near = {} if self.has_near else {"near_max_bytes": 0}
        make = threaded if self.variant.endswith("on threads") else tasked if self.variant.endswith("on aio") else Cache
        return make(self.url, **{"prefix": self.prefix, **unhurried, **near, **settings})


def commands_of(client: Client) -> dict[str, int]:
    """Return how often each command was called so far, without the commands of this function."""
    lines = client("INFO", "commandstats").decode().splitlines()
    calls = (line.removeprefix("cmdstat_").split(":calls=") for line in lines if line.startswith("cmdstat_"))
    return {name: int(rest.split(",")[0]) for name, rest in calls if name not in {"info", "hello"}}
