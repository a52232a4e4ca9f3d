"""A user without rights: the cache is never online, not even for a moment, on any of its attempts."""

from typing import Any

import pytest

from fleetcache import Cache
from tests.conftest import StartServer
from tests.support.run import run
from tests.support.servers import Server
from tests.support.waiting import eventually


@pytest.mark.parametrize("options", [(), ("--rename-command", "HELLO", "")], ids=["RESP3", "RESP2"])
def test_who_may_not_read_is_never_online(fresh_server: StartServer, prefix: str, options: tuple[str, ...]) -> None:
    config = ("--user", "guest", "on", ">pass", "~*", "&*", "-@all", "+hello", "+auth", "+ping")
    run(_wake(fresh_server("tcp", *config, *options), prefix))


async def _wake(server: Server, prefix: str) -> None:
    url = server.url.replace("redis://", "redis://guest:pass@")
    cache = Cache(url, prefix=prefix, operation_timeout="1s")
    link: Any = cache._engine.link
    link.BACKOFF_DOOMED = 0.05
    async with cache:
        await eventually(lambda: link.attempts > 2)
        health = await cache.health()
        assert (health.link, health.reason, health.epoch) == ("offline", "noperm", 0)
