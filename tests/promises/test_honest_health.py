"""Promise 6: health reports the configured and the active driver, reason, time and impact, and shows no secret."""

import asyncio
import json
from collections.abc import Callable
from contextlib import ExitStack, suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from fleetcache import Cache
from fleetcache.telemetry.health import Health, Status, impact
from tests.conftest import StartServer
from tests.promises.faults import FAULTS, as_user
from tests.promises.variants import Variant, ours, replace
from tests.support.certs import certificates
from tests.support.proxy import Proxy
from tests.support.run import run
from tests.support.servers import Server
from tests.support.waiting import eventually

SECRET = "s3cret-in-the-url"  # noqa: S105 - nothing is behind it

# For each fault that lasts, the report that is due: status, active driver, impact.
STATES = {
    "killed": ("degraded", "memory", "offline"),
    "frozen": ("degraded", "memory", "offline"),
    "full": ("degraded", "redis", "store"),
    "replica": ("degraded", "memory", "offline"),
    "without replicas": ("degraded", "redis", "store"),
    "disk failed": ("degraded", "redis", "store"),
    "rights taken": ("degraded", "memory", "offline"),
    "no rights": ("degraded", "memory", "offline"),
    "wrong password": ("degraded", "memory", "offline"),
    "too many clients": ("degraded", "memory", "offline"),
}


def says_all_is_well(url: str, **settings: Any) -> Cache:
    """A report made of the settings, as most reports are: the client object exists, so the cache is well."""
    cache = Cache(url, **settings)
    engine = cache._engine
    honest: Callable[[], Health] = engine.reporter.report

    def status_now() -> Health:
        said = honest().as_dict()
        return Health(**said | {"status": Status.HEALTHY, "active": said["driver"], "shared": True, "server": url})

    replace(engine.reporter, report=status_now, _judge=lambda: (Status.HEALTHY, None, engine.clock(), "none", None))
    return cache


def wrong_in(report: Health, expected: dict[str, Any], stake: str, begun: datetime, secret: str = SECRET) -> list[str]:
    """Return the wrong statements of a report."""
    said = report.as_dict()
    wrong = [f"{name} is {said[name]!r}, not {value!r}" for name, value in expected.items() if said[name] != value]
    if said["impact"] != impact(stake):
        wrong.append(f"at stake: {said['impact']}")
    if (
        not begun.timestamp() - 0.01
        <= datetime.fromisoformat(said["since"]).timestamp()
        <= datetime.now(UTC).timestamp()
    ):
        wrong.append(f"since {said['since']}, but it began after {begun.isoformat()}")
    if secret in json.dumps(said) + repr(report):
        wrong.append("it shows a secret")
    return wrong


async def until_told(cache: Cache, reason: str | None) -> Health:
    """Return the first report with the reason; after a while, the current one."""
    await asyncio.gather(cache.set("key", "value"), cache.delete("other"), cache.get("nothing"))
    with suppress(AssertionError):
        await eventually(lambda: cache.status_now().reason == reason, timeout=3)
    return await cache.health()


def wrongly_reported(variant: Variant, server: Server, prefix: str, name: str) -> list[str]:
    """Return health's wrong statements before, during and after a fault."""
    fault = FAULTS[name]
    status, active, stake = STATES[name]
    good = {"status": "healthy", "driver": "redis", "active": "redis", "shared": True, "reason": None}
    bad = {"status": status, "driver": "redis", "active": active, "shared": active == "redis", "reason": fault.reason}

    async def main(begin: Callable[[], None]) -> list[str]:
        url = as_user(server.url, fault.user.replace("wrong", SECRET) or f"default:{SECRET}")
        begun = datetime.now(UTC)
        wrong = []
        cache = variant(url, prefix=prefix, operation_timeout=0.2, max_staleness=0.3)
        if not fault.from_start:
            await cache.open()
            await eventually(lambda: cache.status_now().shared or variant is not ours)
            wrong += wrong_in(await cache.health(), good, "none", begun)
            begun = datetime.now(UTC)
            begin()
        first = await until_told(cache, fault.reason)
        wrong += wrong_in(first, bad, stake, begun)
        # Long enough for the link to go from suspect to offline, or to try again a few times.
        await asyncio.sleep(0.4 if fault.silent else 0.1)
        later = await cache.health()
        if (later.since, later.reason) != (first.since, first.reason):
            wrong.append("it began anew though nothing changed")
        await cache.close()
        return wrong + wrong_in(cache.status_now(), {"status": "unhealthy", "reason": "closed"}, "closed", begun)

    with Proxy(server) as proxy, ExitStack() as stack:

        def begin() -> None:
            client = fault.begin(server, proxy)
            if client is not None:
                stack.enter_context(client)

        if fault.from_start:
            begin()
        return run(main(begin))


@pytest.mark.parametrize("fault", STATES)
def test_health_says_what_is_wrong(fresh_server: StartServer, prefix: str, fault: str) -> None:
    assert wrongly_reported(ours, fresh_server(), prefix, fault) == []


@pytest.mark.parametrize("fault", ["killed", "no rights"])
def test_a_report_made_of_settings_does_not(one_fresh_server: StartServer, prefix: str, fault: str) -> None:
    wrong = wrongly_reported(says_all_is_well, one_fresh_server(), prefix, fault)
    assert any("status" in what for what in wrong), wrong
    assert any("reason" in what for what in wrong), wrong
    assert "it shows a secret" in wrong or fault == "no rights", wrong


def report_of(cache: Cache, reason: str | None) -> Health:
    async def main() -> Health:
        async with cache:
            return await until_told(cache, reason)

    return run(main())


def test_a_certificate_that_is_not_trusted(fresh_server: StartServer, prefix: str) -> None:
    begun = datetime.now(UTC)
    server = fresh_server("tls")
    report = report_of(Cache(server.url_for(ssl_ca_certs=certificates("other_ca").ca), prefix=prefix), "tls")
    assert wrong_in(report, {"status": "degraded", "active": "memory", "reason": "tls"}, "offline", begun) == []


def test_a_cluster_behind_a_plain_url(fresh_server: StartServer, prefix: str) -> None:
    begun = datetime.now(UTC)
    report = report_of(Cache(fresh_server("tcp", "--cluster-enabled", "yes").url, prefix=prefix), "cluster_mode")
    assert (
        wrong_in(report, {"status": "degraded", "active": "memory", "reason": "cluster_mode"}, "offline", begun) == []
    )


def test_a_server_that_may_not_push(server: Server, prefix: str) -> None:
    begun = datetime.now(UTC)
    with server.client() as client:
        client("ACL", "SETUSER", "app", "on", ">pass", "~*", "&*", "+@all", "-client|tracking")
    report = report_of(Cache(as_user(server.url, "app:pass"), prefix=prefix), "no_tracking")
    expected = {"status": "degraded", "active": "redis", "coherence": "ttl", "reason": "no_tracking"}
    assert wrong_in(report, expected, "ttl", begun) == []


def test_a_server_that_is_required(prefix: str) -> None:
    report = report_of(Cache("redis://127.0.0.1:1", prefix=prefix, required=True), "refused")
    assert (report.status, report.active, report.reason) == ("unhealthy", "memory", "refused")


def test_no_server_by_choice() -> None:
    begun = datetime.now(UTC)
    expected = {"status": "healthy", "driver": "memory", "active": "memory", "shared": False, "reason": "no_redis_url"}
    assert wrong_in(report_of(Cache.from_env({}), "no_redis_url"), expected, "memory", begun) == []


def test_a_refusal_that_goes_on_has_gone_on_since_its_first(server: Server, prefix: str) -> None:
    async def main() -> None:
        async with Cache(server.url, prefix=prefix, operation_timeout="5s") as cache:
            with server.client() as client:
                client("CONFIG", "SET", "maxmemory", 1)
                first = await until_told(cache, "oom")
                await asyncio.sleep(0.05)
                await cache.set("key", "value")
                later = cache.status_now()
                client("CONFIG", "SET", "maxmemory", 0)
            assert (later.reason, later.since) == ("oom", first.since)

    run(main())


def test_since_and_reason_go_when_the_server_takes_values_again(server: Server, prefix: str) -> None:
    async def main() -> None:
        async with Cache(server.url, prefix=prefix, operation_timeout="5s") as cache:
            before = cache.status_now()
            with server.client() as client:
                client("CONFIG", "SET", "maxmemory", 1)
                assert (await until_told(cache, "oom")).reason == "oom"
                client("CONFIG", "SET", "maxmemory", 0)
            await cache.set("key", "value", strict=True)
            after = cache.status_now()
            assert (after.status, after.reason) == ("healthy", None)
            assert abs(datetime.fromisoformat(after.since) - datetime.fromisoformat(before.since)) < timedelta(
                seconds=0.1
            )

    run(main())


def test_however_many_ask_one_command_a_second_is_sent(server: Server, prefix: str) -> None:
    def asked(text: bytes) -> int:
        (line,) = [line for line in text.splitlines() if line.startswith(b"cmdstat_get:")]
        return int(line.split(b"calls=")[1].split(b",")[0])

    async def main() -> int:
        async with Cache(server.url, prefix=prefix, operation_timeout="5s", max_staleness="1m") as cache:
            with server.client() as client:
                before = asked(client("INFO", "commandstats"))
                reports = await asyncio.gather(*(cache.health() for _ in range(200)))
                assert all(report.latency_ms for report in reports)
                return asked(client("INFO", "commandstats")) - before

    assert run(main()) <= 1
