"""Statements of SECURITY.md that no other test checks: signed entries cannot move, types and sizes are checked."""

from typing import Any

from fleetcache import Cache
from tests.support.run import run
from tests.support.servers import Server

KEY = b"k" * 32


async def load() -> str:
    return "loaded"


async def role_after_moving(server: Server, prefix: str, **settings: Any) -> str:
    """Return a guest's role after an attacker copied the administrator's entry over it."""
    async with Cache(server.url, prefix=prefix, operation_timeout="5s", near_max_bytes=0, **settings) as cache:
        await cache.set("role:guest", "guest")
        await cache.set("role:admin", "admin")
        with server.client() as client:
            stolen = client("GET", cache._engine.layout.entry("role:admin"))
            client("SET", cache._engine.layout.entry("role:guest"), stolen, "PX", 60_000)
        return str(await cache.get_or_set("role:guest", load))


def test_a_signed_entry_is_good_under_its_own_key_only(server: Server, prefix: str) -> None:
    assert run(role_after_moving(server, prefix, signing_keys=(KEY,))) == "loaded"


def test_twin_an_entry_that_is_not_signed_is_good_wherever_it_is_put(server: Server, prefix: str) -> None:
    assert run(role_after_moving(server, prefix)) == "admin"


def test_a_value_of_another_type_than_declared_is_a_miss(server: Server, prefix: str) -> None:
    async def main() -> None:
        async with Cache(server.url, prefix=prefix, operation_timeout="5s", near_max_bytes=0) as cache:
            await cache.set("limit", "unlimited")
            assert await cache.get("limit", 10, type=int) == 10
            assert await cache.get("limit") == "unlimited"

    run(main())


def test_an_entry_over_the_limit_is_not_used(server: Server, prefix: str) -> None:
    async def main() -> None:
        async with (
            Cache(server.url, prefix=prefix, operation_timeout="5s") as generous,
            Cache(server.url, prefix=prefix, operation_timeout="5s", max_value_bytes=1000) as strict,
        ):
            await generous.set("large", "x" * 2000)
            assert await generous.get("large") == "x" * 2000
            assert await strict.get("large") is None
            assert strict.stats().unusable["size"] == 1

    run(main())
