"""``fleetcache doctor``: what is made of what a server says, for the servers that a test machine does not have."""

from typing import Any

import pytest

from fleetcache.cli.doctor.finding import Code, Finding
from fleetcache.cli.doctor.latency import Latency, finding_on
from fleetcache.cli.doctor.reasons import REASONS
from fleetcache.cli.doctor.server import Server, findings_on
from fleetcache.config.settings import Settings
from fleetcache.ops.metrics import REASONS as REPORTED
from fleetcache.wire.handshake import ServerInfo

MB = 10**6


def judged(code: Code, *, info: dict[str, str] | None = None, save: str | None = "", **more: Any) -> Finding:
    greeting = ServerInfo(engine=more.pop("engine", "redis"), version=more.pop("version", "7.2.4"), tracking=True)
    server = Server(greeting, {"maxmemory": "0"} if info is None else info, save)
    (finding,) = (each for each in findings_on(server, Settings(url="redis://h", **more)) if each.code is code)
    return finding


@pytest.mark.parametrize(
    ("engine", "version", "expected"),
    [
        ("redis", "6.0.16", "problem"),
        ("redis", "6.2.10", "problem"),
        ("redis", "6.2.11", "ok"),
        ("redis", "7.0.8", "problem"),
        ("redis", "7.0.9", "ok"),
        ("redis", "7.2.0", "ok"),
        ("redis", "8.0.1", "ok"),
        ("redis", "5.0.14", "problem"),
        ("valkey", "7.2.5", "ok"),
        ("valkey", "9.1.0", "ok"),
        ("keydb", "6.3.4", "note"),
        ("redis", "", "note"),
        ("redis", "unstable", "note"),
    ],
)
def test_versions_that_lose_invalidations_are_problems(engine: str, version: str, expected: str) -> None:
    assert judged(Code.VERSION, engine=engine, version=version).severity == expected


@pytest.mark.parametrize(
    ("most", "used", "policy", "expected"),
    [
        (0, 5, "noeviction", "warning"),
        (100, 5, "noeviction", "warning"),
        (100, 95, "noeviction", "problem"),
        (100, 95, "allkeys-lru", "ok"),
        (100, 95, "volatile-lru", "ok"),
        (100, 5, "allkeys-lfu", "ok"),
        (100, 5, "allkeys-random", "note"),
    ],
)
def test_memory_without_a_bound_or_without_eviction_is_to_be_changed(
    most: int, used: int, policy: str, expected: str
) -> None:
    info = {"maxmemory": str(most * MB), "used_memory": str(used * MB), "maxmemory_policy": policy}
    assert judged(Code.MAXMEMORY, info=info).severity == expected


@pytest.mark.parametrize(
    ("info", "save", "trusted", "expected"),
    [
        ({"aof_enabled": "0"}, "", False, "ok"),
        ({"aof_enabled": "0"}, None, False, "ok"),
        ({"aof_enabled": "1"}, "", False, "note"),
        ({"aof_enabled": "0"}, "3600 1", False, "note"),
        ({"aof_enabled": "0"}, "3600 1", True, "warning"),
        ({"aof_enabled": "1"}, "3600 1", True, "note"),
        ({"rdb_last_bgsave_status": "err"}, "", False, "problem"),
        ({"aof_last_write_status": "err"}, "", True, "problem"),
    ],
)
def test_persistence_is_judged_by_what_a_restart_would_do(
    info: dict[str, str], save: str | None, *, trusted: bool, expected: str
) -> None:
    assert judged(Code.PERSISTENCE, info=info, save=save, trust_restart=trusted).severity == expected


@pytest.mark.parametrize(("p99", "expected"), [(0.01, "ok"), (0.124, "ok"), (0.125, "warning"), (0.25, "problem")])
def test_latency_is_held_against_the_operation_timeout(p99: float, expected: str) -> None:
    finding = finding_on(Latency(100, 0.001, p99, p99), 0.25)
    assert finding.severity == expected
    assert "CACHE_OPERATION_TIMEOUT is 250ms" in finding.message


def test_percentiles_are_those_of_what_was_measured() -> None:
    took = [number / 1000 for number in range(1, 101)]
    assert Latency.of(took[::-1]) == Latency(100, 0.05, 0.099, 0.1)
    assert Latency.of([0.5]) == Latency(1, 0.5, 0.5, 0.5)


def test_every_reason_of_the_health_report_says_what_to_do() -> None:
    assert set(REPORTED) - set(REASONS) == set()
    assert all(what and action for what, action in REASONS.values())
