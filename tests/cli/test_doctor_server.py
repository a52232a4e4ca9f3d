"""``fleetcache doctor`` against real servers: what they are, what they lack, and servers that cannot be used."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from fleetcache.cli.doctor.finding import Code, Severity
from fleetcache.cli.doctor.report import Report
from tests.cli.examining import examined, found, one
from tests.conftest import GetServer, StartServer
from tests.support.proxy import Proxy
from tests.support.servers import Server, free_port

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

        def clock() -> float:  # the first thing that is measured is the last thing that is heard
            if not cut.is_set():
                cut.set()
                proxy.cut()
            return 0.0

        report = examined({"REDIS_URL": proxy.url, "CACHE_PREFIX": prefix}, clock=clock)
    lost = found(report, Code.SERVER)[-1]
    assert (lost.severity, lost.reason) == (Severity.PROBLEM, "reset")
    assert report.permissions


# -- what a server lacks ---------------------------------------------------------------------------------------------


def test_a_cluster_is_not_supported_and_a_replica_is_the_wrong_server(fresh_server: StartServer, prefix: str) -> None:
    with fresh_server("tcp", "--cluster-enabled", "yes") as server:
        report = on(server, prefix)
        assert one(report, Code.CLUSTER).severity is Severity.PROBLEM
        assert one(report, Code.SERVER).reason == "cluster_mode"
    with fresh_server() as primary, fresh_server("tcp", "--replicaof", f"127.0.0.1 {primary.address.port}") as replica:
        assert one(on(replica, prefix), Code.SERVER).reason == "readonly"


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
