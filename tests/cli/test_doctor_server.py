"""``fleetcache doctor`` against real servers: their kind, their missing features, and servers that cannot be used."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fleetcache.cli.doctor import server as doctor_server
from fleetcache.cli.doctor.findings import REASONS, Code, Finding, Severity
from fleetcache.cli.doctor.report import Report
from fleetcache.cli.doctor.server import Latency, findings_on, judge_latency
from fleetcache.config.settings import Settings
from fleetcache.ops.metrics import REASONS as REPORTED
from fleetcache.wire.handshake import ServerInfo
from tests.cli.examining import examined, found, one
from tests.conftest import GetServer, StartServer
from tests.support.engines import engines
from tests.support.proxy import Proxy
from tests.support.servers import Server, free_port
from tests.support.waiting import wait_until

MB = 10**6
BOUNDED = ("--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru")


def on(server: Server, prefix: str, **more: Any) -> Report:
    return examined({"REDIS_URL": server.url, "CACHE_PREFIX": prefix, **more})


def setting(server: Server, *config: str) -> None:
    with server.client() as client:
        client("CONFIG", "SET", *config)


def test_a_server_as_it_should_be_leaves_nothing_to_do(any_server: Server, prefix: str) -> None:
    setting(any_server, "maxmemory", "100mb", "maxmemory-policy", "allkeys-lru")
    report = on(any_server, prefix)
    assert {finding.severity for finding in report.findings} == {Severity.OK}, report.findings
    assert report.exit_status == 0
    assert report.server is not None
    assert report.server["engine"] == any_server.engine
    assert report.server["tracking"] is True
    assert any_server.engine in one(report, Code.VERSION).message
    assert (report.health or {})["status"] == "healthy"
    assert report.latency is not None
    assert 0 < report.latency.p50 <= report.latency.p99 <= report.latency.most
    with any_server.client() as client:
        assert client("KEYS", "*doctor*") == []


@pytest.mark.parametrize(
    ("prepare", "reason"),
    [
        (lambda _: f"redis://127.0.0.1:{free_port()}", "refused"),
        (lambda server: server.url.replace("redis://", "redis://nobody:wrong-horse@"), "auth"),
        (lambda _: "unix:///nowhere/at/all", "refused"),
    ],
)
def test_a_server_that_cannot_be_used_says_why_and_what_to_do(
    server: Server, prefix: str, prepare: Callable[[Server], str], reason: str
) -> None:
    report = examined({"REDIS_URL": prepare(server), "CACHE_PREFIX": prefix, "CACHE_CONNECT_TIMEOUT": "2s"})
    finding = one(report, Code.SERVER)
    assert (finding.severity, finding.reason) == (Severity.PROBLEM, reason)
    assert finding.action
    assert (report.exit_status, report.server, report.latency) == (1, None, None)
    assert "wrong-horse" not in str(report.as_dict())


def test_tls_at_one_end_alone_is_thought_of(shared_servers: GetServer, prefix: str) -> None:
    plain, encrypted = (shared_servers("valkey", transport).url.partition("?")[0] for transport in ("tcp", "tls"))
    for url, meant in (
        (plain.replace("redis:", "rediss:"), "or redis:// in the URL"),
        (encrypted.replace("rediss:", "redis:"), "or rediss:// in the URL"),
    ):
        report = examined({"REDIS_URL": url, "CACHE_PREFIX": prefix, "CACHE_CONNECT_TIMEOUT": "300ms"})
        assert meant in one(report, Code.SERVER).action
    report = examined({"REDIS_URL": encrypted, "CACHE_PREFIX": prefix})
    assert one(report, Code.SERVER).reason == "tls"
    assert "ssl_ca_certs" in one(report, Code.SERVER).action


def test_a_frozen_server_is_waited_for_no_longer_than_the_timeouts(fresh_server: StartServer, prefix: str) -> None:
    with fresh_server() as server:
        server.freeze()
        report = on(server, prefix, CACHE_CONNECT_TIMEOUT="200ms")
        assert one(report, Code.SERVER).reason == "timeout"
        assert report.exit_status == 1


def test_what_is_no_server_of_the_kind_is_told(prefix: str) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()
        writer.close()

    async def main() -> Report:
        listening = await asyncio.start_server(answer, "127.0.0.1", 0)
        async with listening:
            port = listening.sockets[0].getsockname()[1]
            return await asyncio.to_thread(examined, {"REDIS_URL": f"redis://127.0.0.1:{port}", "CACHE_PREFIX": prefix})

    assert one(asyncio.run(main()), Code.SERVER).reason == "protocol"


def test_a_connection_that_is_cut_in_the_middle_is_a_finding(server: Server, prefix: str) -> None:
    setting(server, "maxmemory", "100mb", "maxmemory-policy", "allkeys-lru")
    with Proxy(server) as proxy:
        cut = asyncio.Event()

        def clock() -> float:  # the first measurement is the server's last answer
            if not cut.is_set():
                cut.set()
                proxy.cut()
            return 0.0

        report = examined({"REDIS_URL": proxy.url, "CACHE_PREFIX": prefix}, clock=clock)
    lost = found(report, Code.SERVER)[-1]
    assert (lost.severity, lost.reason) == (Severity.PROBLEM, "reset")
    assert report.permissions


# -- missing features of a server --------------------------------------------------------------------------------------


def test_a_cluster_is_not_supported_and_a_replica_is_the_wrong_server(fresh_server: StartServer, prefix: str) -> None:
    with fresh_server("tcp", "--cluster-enabled", "yes") as server:
        report = on(server, prefix)
        assert one(report, Code.CLUSTER).severity is Severity.PROBLEM
        assert one(report, Code.SERVER).reason == "cluster_mode"
    with fresh_server() as primary, fresh_server("tcp", "--replicaof", f"127.0.0.1 {primary.address.port}") as replica:
        assert one(on(replica, prefix), Code.SERVER).reason == "readonly"


def test_a_server_whose_open_files_are_few_admits_fewer_clients(tmp_path: Path, prefix: str) -> None:
    script = tmp_path / "server"
    script.write_text(f'#!/bin/sh\nulimit -n 1024\nexec {engines()["valkey"]} "$@"\n')
    script.chmod(0o700)
    with Server(str(script), "tcp", *BOUNDED) as server:
        finding = one(on(server, prefix), Code.CONNECTIONS)
    assert finding.severity is Severity.NOTE
    assert "of 992 connections (maxclients) in use" in finding.message
    assert "ulimit -n 1024" in finding.message


def test_a_server_that_admits_no_more_clients_is_named(fresh_server: StartServer, prefix: str) -> None:
    with fresh_server("tcp", "--maxclients", "3", *BOUNDED) as server, server.client() as alone:

        def is_alone() -> bool:  # the server frees a closed connection a moment later
            return b"connected_clients:1\r\n" in alone("INFO", "clients")

        wait_until(is_alone)
        finding = one(on(server, prefix), Code.CONNECTIONS)
        assert (finding.severity, "3 of 3" in finding.message) == (Severity.WARNING, True)
        wait_until(is_alone)
        with server.client(), server.client():
            finding = one(on(server, prefix), Code.SERVER)
            assert (finding.severity, finding.reason) == (Severity.PROBLEM, "maxclients")
            assert "ulimit -n" in finding.action


def test_a_full_server_is_found_out_by_storing(fresh_server: StartServer, prefix: str) -> None:
    with fresh_server("tcp", "--maxmemory", "1mb") as server:
        report = on(server, prefix)
        assert one(report, Code.SERVER).reason == "oom"
        assert one(report, Code.MAXMEMORY).severity is Severity.PROBLEM
        assert report.exit_status == 1


def test_a_server_that_grows_without_a_bound_or_never_evicts_should_be_changed(server: Server, prefix: str) -> None:
    assert "maxmemory is not set" in one(on(server, prefix), Code.MAXMEMORY).message
    setting(server, "maxmemory", "100mb", "maxmemory-policy", "noeviction")
    assert "nothing is stored any more" in one(on(server, prefix), Code.MAXMEMORY).message
    assert on(server, prefix).exit_status == 1


def test_what_persistence_means_is_told(fresh_server: StartServer, prefix: str) -> None:
    with fresh_server("tcp", *BOUNDED, "--appendonly", "yes", save="3600 1") as server:
        report = on(server, prefix)
        assert "a log (AOF) and snapshots (RDB)" in one(report, Code.PERSISTENCE).message
        assert report.exit_status == 0
        setting(server, "appendonly", "no")
        trusting = on(server, prefix, CACHE_TRUST_RESTART="true")
        assert one(trusting, Code.PERSISTENCE).severity is Severity.WARNING
        assert trusting.exit_status == 1


def test_a_server_that_does_not_push_changes_works_with_less(server: Server, prefix: str) -> None:
    with server.client() as client:
        client("ACL", "SETUSER", "plain", "on", ">secret", "~*", "+@all", "-client|tracking")
    report = examined({"REDIS_URL": server.url.replace("//", "//plain:secret@"), "CACHE_PREFIX": prefix})
    assert one(report, Code.TRACKING).severity is Severity.WARNING
    assert one(report, Code.SERVER).reason == "no_tracking"
    assert [finding.about for finding in found(report, Code.PERMISSION) if finding.about] == ["+client|tracking"]


def test_what_may_not_be_looked_at_is_said(server: Server, prefix: str) -> None:
    with server.client() as client:
        client("ACL", "SETUSER", "plain", "on", ">secret", "~*", "+@all", "-info", "-config")
    report = examined({"REDIS_URL": server.url.replace("//", "//plain:secret@"), "CACHE_PREFIX": prefix})
    assert one(report, Code.INFO).severity is Severity.NOTE
    assert found(report, Code.MAXMEMORY) == found(report, Code.PERSISTENCE) == []
    assert (report.health or {})["status"] == "healthy"


def test_another_database_is_looked_at_and_told(server: Server, prefix: str) -> None:
    report = examined({"REDIS_URL": server.url.removesuffix("/0") + "/3", "CACHE_PREFIX": prefix})
    assert one(report, Code.DATABASE).severity is Severity.WARNING
    assert one(report, Code.SERVER).severity is Severity.OK


# -- answers of servers that the test machine does not have -----------------------------------------------------------


def judged(code: Code, *, info: dict[str, str] | None = None, save: str | None = "", **more: Any) -> Finding:
    greeting = ServerInfo(engine=more.pop("engine", "redis"), version=more.pop("version", "7.2.4"), tracking=True)
    found = {"maxmemory": "0"} if info is None else info
    answers = doctor_server.Server(greeting, found, save, more.pop("table_limit", None))
    settings = Settings(**({"url": "redis://h"} | more))
    (finding,) = (each for each in findings_on(answers, settings) if each.code is code)
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
    ("there", "most", "expected", "said"),
    [
        (3, 10_000, "ok", "3 of 10,000"),
        (8_999, 10_000, "ok", "8,999"),
        (9_000, 10_000, "warning", "clients beyond it are refused"),
        (10_000, 10_000, "warning", "clients beyond it are refused"),
        (3, 992, "note", "ulimit -n 1024"),
        (900, 992, "warning", "ulimit -n 1024"),
        (3, 1000, "ok", "3 of 1,000"),
    ],
)
def test_connections_are_held_against_what_the_server_admits(there: int, most: int, expected: str, said: str) -> None:
    finding = judged(Code.CONNECTIONS, info={"connected_clients": str(there), "maxclients": str(most)})
    assert finding.severity == expected
    assert said in finding.message
    assert ("ulimit" in finding.action) == ("ulimit" in finding.message)


def test_a_server_that_does_not_tell_its_places_is_not_judged_by_them() -> None:
    with pytest.raises(ValueError, match="not enough values"):
        judged(Code.CONNECTIONS, info={"connected_clients": "3"})


@pytest.mark.parametrize(
    ("keys", "readers", "limit", "most", "expected"),
    [
        (100, 5, 1_000_000, 100, "ok"),
        (799_999, 1, 1_000_000, 0, "ok"),
        (800_000, 1, 1_000_000, 0, "warning"),
        (799_999, 1, None, 0, "ok"),  # the default limit counts where CONFIG is not permitted
        (800_000, 1, None, 0, "warning"),
        (5_000_000, 1, 0, 0, "ok"),  # no limit
        (100_000, 1, 1_000_000, 100, "ok"),  # 16 MB of 100
        (100_000, 3, 1_000_000, 100, "warning"),  # 29 MB
        (100_000, 30, 1_000_000, 0, "ok"),  # no bound of the memory that it could take from entries
    ],
)
def test_the_tracking_table_is_held_against_its_limit_and_the_memory(
    keys: int, readers: int, limit: int | None, most: int, expected: str
) -> None:
    info = {"maxmemory": str(most * MB), "maxmemory_policy": "allkeys-lru"}
    info |= {"tracking_total_keys": str(keys), "tracking_total_items": str(keys * readers)}
    finding = judged(Code.TRACKING_TABLE, info=info, table_limit=limit)
    assert finding.severity == expected
    assert f"{keys:,} keys are tracked" in finding.message


@pytest.mark.parametrize(("readers", "expected"), [(30, "ok"), (64, "warning")])
def test_the_tracking_table_of_an_embedded_server_has_as_much_memory_as_the_entries(
    readers: int, expected: str
) -> None:
    info = {"maxmemory": str(256 * MB), "maxmemory_policy": "allkeys-lru"}
    info |= {"tracking_total_keys": "40000", "tracking_total_items": str(40_000 * readers)}
    finding = judged(Code.TRACKING_TABLE, info=info, table_limit=1_000_000, driver="embedded", url=None)
    assert finding.severity == expected
    assert ("CACHE_EMBEDDED_MAX_BYTES" in finding.action) == (expected == "warning")


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
    finding = judge_latency(Latency(100, 0.001, p99, p99), 0.25)
    assert finding.severity == expected
    assert "CACHE_OPERATION_TIMEOUT is 250ms" in finding.message


def test_percentiles_are_those_of_what_was_measured() -> None:
    took = [number / 1000 for number in range(1, 101)]
    assert Latency.of(took[::-1]) == Latency(100, 0.05, 0.099, 0.1)
    assert Latency.of([0.5]) == Latency(1, 0.5, 0.5, 0.5)


def test_every_reason_of_the_health_report_says_what_to_do() -> None:
    assert set(REPORTED) - set(REASONS) == set()
    assert all(what and action for what, action in REASONS.values())
