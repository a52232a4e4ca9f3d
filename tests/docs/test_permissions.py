"""The permissions that docs/server.md names are enough for every verb, and none of those it needs can be left out."""

import re
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from fleetcache import Cache
from tests.support.run import run
from tests.support.servers import Server

PAGE = (Path(__file__).parents[2] / "docs" / "server.md").read_text(encoding="utf-8")
LINE = next(line for line in PAGE.splitlines() if line.startswith("ACL SETUSER"))
RULES = LINE.split()[2:]
OPTIONAL = {"+client|kill", "+info"}


def as_user(server: Server, rules: list[str], prefix: str) -> str:
    name, *rest = rules
    with server.client() as client:
        client("ACL", "SETUSER", name, "reset", *(rule.replace("fleetcache", prefix) for rule in rest))
    place = urlsplit(server.url)
    return f"redis://{name}:PASSWORD@{place.hostname}:{place.port}"


async def load() -> str:
    return "loaded"


async def every_verb(cache: Cache) -> None:
    await cache.set("k", "v", tags=("t",), strict=True)
    assert await cache.get_or_set("loaded", load, tags=("t",)) == "loaded"
    assert await cache.refresh("loaded", load) == "loaded"
    assert await cache.add("new", 1)
    assert await cache.incr("counter", 2) == 2
    assert await cache.touch("k", "1m")
    assert await cache.delete("k", strict=True)
    await cache.invalidate_tags("t", strict=True)
    await cache.clear(strict=True)


def test_the_documented_permissions_are_enough(server: Server, prefix: str) -> None:
    async def body() -> None:
        async with Cache(as_user(server, RULES, prefix), prefix=prefix) as cache:
            await every_verb(cache)
            health = await cache.health()
            assert (health.status, health.reason, health.coherence) == ("healthy", None, "tracking")

    run(body())


@pytest.mark.parametrize("left_out", sorted(OPTIONAL))
def test_what_is_optional_may_be_left_out(server: Server, prefix: str, left_out: str) -> None:
    async def body() -> None:
        rules = [rule for rule in RULES if rule != left_out]
        async with Cache(as_user(server, rules, prefix), prefix=prefix) as cache:
            await every_verb(cache)
            assert (await cache.health()).status == "healthy"

    run(body())


def test_a_command_missing_inside_a_script_is_a_missing_permission(server: Server, prefix: str) -> None:
    """Every version has other words for it, and none begins them with NOPERM."""

    async def body() -> None:
        rules = [rule for rule in RULES if rule not in {"+exists", "+set"}]
        async with Cache(as_user(server, rules, prefix), prefix=prefix) as cache:
            await cache.set("k", "v")
            assert cache.stats().errors.keys() == {"noperm"}

    run(body())


def test_the_line_names_commands() -> None:
    assert re.fullmatch(r"ACL SETUSER \S+ on >PASSWORD ~fleetcache:\* resetchannels -@all( \+[a-z|]+)+", LINE)
