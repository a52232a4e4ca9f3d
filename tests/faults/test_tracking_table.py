"""A server whose tracking table is nearly full, or full: the warning before, and what near keeps after."""

import logging
from collections.abc import Callable
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from fleetcache import Cache, Status
from fleetcache.cli.doctor.findings import Code, Severity
from fleetcache.ops import collector
from tests.cli.examining import examined, one
from tests.conftest import StartServer
from tests.support.run import run
from tests.support.servers import Server
from tests.support.threaded import threaded
from tests.support.waiting import eventually

FACES: dict[str, Callable[..., Cache]] = {"tasks": Cache, "threads": threaded}
UNHURRIED: dict[str, Any] = {"operation_timeout": "5s", "connect_timeout": "20s", "max_staleness": "30s"}
LIMIT = 100


def limited(start: StartServer, *config: str) -> Server:
    return start("tcp", "--tracking-table-max-keys", str(LIMIT), *config)


async def look_for_absent_keys(cache: Cache, count: int) -> None:
    for number in range(count):
        assert await cache.get(f"absent {number}") is None


def read(cache: Cache, name: str) -> float | None:
    registry = CollectorRegistry()
    registry.register(collector(cache))
    return registry.get_sample_value(name)


@pytest.mark.parametrize("face", FACES)
def test_health_metrics_log_and_doctor_warn_at_80_percent(
    fresh_server: StartServer, prefix: str, face: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        async with FACES[face](server.url, prefix=prefix, **UNHURRIED) as cache:
            await look_for_absent_keys(cache, LIMIT * 8 // 10 - 10)
        async with FACES[face](server.url, prefix=prefix, **UNHURRIED) as cache:
            await cache.get("key")
            assert (await cache.health()).reason is None
            assert (read(cache, "fleetcache_tracking_table") or 1) < 0.8
            await look_for_absent_keys(cache, LIMIT * 8 // 10)
        assert not caplog.records
        async with FACES[face](server.url, prefix=prefix, **UNHURRIED) as cache:
            await cache.get("key")
            health = await cache.health()
            assert (health.status, health.reason) == (Status.HEALTHY, "tracking_table")
            assert (health.tracking_max_keys, health.tracking_keys) == (LIMIT, read(cache, "fleetcache_tracking_keys"))
            assert health.tracking_table == read(cache, "fleetcache_tracking_table")
            assert health.tracking_table is not None
            assert 0.8 <= health.tracking_table < 1
            assert read(cache, "fleetcache_tracking_max_keys") == LIMIT
        assert [vars(record)["event"] for record in caplog.records] == ["tracking_table"]

    server = limited(fresh_server)
    with caplog.at_level(logging.WARNING, "fleetcache"):
        run(main())
    finding = one(examined({"REDIS_URL": server.url, "CACHE_PREFIX": prefix}), Code.TRACKING_TABLE)
    assert finding.severity is Severity.WARNING
    assert f"tracking-table-max-keys is {LIMIT}" in finding.message


def test_a_server_that_does_not_tell_its_limit_works_without_a_warning(fresh_server: StartServer, prefix: str) -> None:
    async def main() -> None:
        async with Cache(server.url, prefix=prefix, **UNHURRIED) as cache:
            await look_for_absent_keys(cache, LIMIT)
        async with Cache(server.url, prefix=prefix, **UNHURRIED) as cache:
            await cache.set("key", "value")
            assert await cache.get("key") == "value"
            health = await cache.health()
            assert (health.status, health.reason, health.coherence) == (Status.HEALTHY, None, "tracking")
            assert (health.tracking_max_keys, health.tracking_table) == (None, 0.0)
            assert health.tracking_keys is not None
            assert health.tracking_keys >= LIMIT * 8 // 10

    server = limited(fresh_server)
    with server.client() as client:
        client("ACL", "SETUSER", "default", "-config")
    run(main())


async def kept_after_the_push_of_every_tag(cache: Cache, server: Server, *, asks: bool) -> int:
    """Let another client read keys until the server forgets ``*``; return how many of 40 entries near has then."""
    await cache.set_many({f"key {number}": number for number in range(40)})
    coherence, pushed = cache._engine.coherence, []
    ask = coherence.doubts.ask

    def noted(tag: str) -> bool:
        pushed.append(tag)
        return asks and ask(tag)

    coherence.doubts.ask = noted
    with server.client() as client:
        client.pipeline(("HELLO", 3), ("CLIENT", "TRACKING", "ON"))
        for number in range(10_000):
            client.pipeline(*(("GET", f"other {number} {each}") for each in range(3)))
            assert await cache.get("absent") is None  # after this reply, all earlier pushes were handled
            if "*" in pushed:
                break
    await eventually(lambda: not coherence.doubts)
    return len(cache._engine.near)


@pytest.mark.parametrize("face", FACES)
def test_a_full_table_that_forgets_the_tag_of_every_entry_leaves_near_full(
    fresh_server: StartServer, prefix: str, face: str
) -> None:
    async def main(*, asks: bool) -> int:
        async with FACES[face](server.url, prefix=prefix, **UNHURRIED) as cache:
            return await kept_after_the_push_of_every_tag(cache, server, asks=asks)

    server = limited(fresh_server)
    assert run(main(asks=True)) > 5
    assert run(main(asks=False)) == 0, "the twin keeps them, too: the test sees nothing"
