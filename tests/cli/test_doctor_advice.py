"""``fleetcache doctor`` on settings that are readable but unwise, and on the memory that near may take."""

from pathlib import Path
from typing import Any

import pytest

from fleetcache.cli.doctor.advice import advise, workers_from
from fleetcache.cli.doctor.container import Limit, memory_limit
from fleetcache.cli.doctor.finding import Code, Finding, Severity
from fleetcache.config.settings import Settings

MB = 10**6


def advice(code: Code, workers: int | None = None, limit: int | None = None, **settings: Any) -> list[Finding]:
    held = None if limit is None else Limit(limit, "cgroup v2")
    return [finding for finding in advise(Settings(**settings), {}, workers, held) if finding.code is code]


def severities(findings: list[Finding]) -> list[str]:
    return [finding.severity.value for finding in findings]


# -- near and the limit ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("workers", "limit", "expected"),
    [
        (4, 512 * MB, "ok"),
        (5, 512 * MB, "warning"),
        (8, 512 * MB, "warning"),
        (9, 512 * MB, "problem"),
        (1, 64 * MB, "warning"),
        (100, None, "ok"),
    ],
)
def test_near_times_workers_is_held_against_the_limit(workers: int, limit: int | None, expected: str) -> None:
    assert severities(advice(Code.NEAR_MEMORY, workers, limit)) == [expected]


def test_what_is_too_much_says_what_would_fit() -> None:
    (finding,) = advice(Code.NEAR_MEMORY, 8, 256 * MB)
    assert "8 workers times 32 MB, 256 MB in all: 100% of 256 MB (cgroup v2)" in finding.message
    assert "CACHE_NEAR_MAX_BYTES=8MB" in finding.action
    assert severities(advice(Code.NEAR_MEMORY, 8, 256 * MB, near_max_bytes="8MB")) == ["ok"]


def test_without_a_number_of_workers_one_is_assumed_and_that_is_said() -> None:
    (finding,) = advice(Code.NEAR_MEMORY, None, 512 * MB)
    assert "1 worker times" in finding.message
    assert "--workers" in finding.message


def test_the_embedded_servers_memory_counts_once() -> None:
    (finding,) = advice(Code.NEAR_MEMORY, 2, 512 * MB, driver="embedded", embedded_max_bytes="128MB")
    assert "192 MB in all" in finding.message
    assert finding.severity is Severity.WARNING


def test_no_near_takes_no_memory() -> None:
    assert advice(Code.NEAR_MEMORY, 4, 64 * MB, near_max_bytes=0) == []
    assert advice(Code.NEAR_MEMORY, 4, 64 * MB, driver="null") == []


@pytest.mark.parametrize(
    ("environ", "option", "expected"),
    [
        ({}, None, None),
        ({"WEB_CONCURRENCY": "4"}, None, 4),
        ({"WEB_CONCURRENCY": "4"}, 2, 2),
        ({"WEB_CONCURRENCY": "many"}, None, None),
        ({"WEB_CONCURRENCY": "0"}, None, None),
    ],
)
def test_workers_come_from_the_option_or_the_environment(
    environ: dict[str, str], option: int | None, expected: int | None
) -> None:
    assert workers_from(environ, option) == expected


def machine(root: Path, groups: str, **files: str) -> Path:
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text(groups)
    for name, text in files.items():
        path = root / "sys/fs/cgroup" / name.replace("__", "/").replace("_DOT_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


V1 = "4:cpu,cpuacct:/docker/ab\n7:memory:/docker/ab\n1:name=systemd:/x\n"


@pytest.mark.parametrize(
    ("groups", "files", "expected"),
    [
        ("0::/\n", {"memory_DOT_max": "536870912\n"}, Limit(536870912, "cgroup v2")),
        ("0::/\n", {"memory_DOT_max": "max\n"}, None),
        ("0::/a/b\n", {"memory_DOT_max": "max", "a__memory_DOT_max": "100", "a__b__memory_DOT_max": "200"}, 100),
        ("0::/a/b\n", {"memory_DOT_max": "max", "a__b__memory_DOT_max": "50"}, 50),
        ("0::/../outside\n", {"memory_DOT_max": "70"}, 70),
        (V1, {"memory__memory_DOT_limit_in_bytes": "268435456\n"}, Limit(268435456, "cgroup v1")),
        (V1, {"memory__docker__ab__memory_DOT_limit_in_bytes": "99\n"}, 99),
        (V1, {"memory__memory_DOT_limit_in_bytes": "9223372036854771712\n"}, None),
        ("4:cpu:/\n", {}, None),
        ("nonsense", {}, None),
    ],
)
def test_the_limit_is_the_smallest_of_the_groups(
    tmp_path: Path, groups: str, files: dict[str, str], expected: Limit | int | None
) -> None:
    limit = memory_limit(machine(tmp_path, groups, **files))
    assert (limit and limit.bytes if isinstance(expected, int) else limit) == expected


def test_this_machine_has_a_limit() -> None:
    limit = memory_limit()
    assert limit is not None
    assert limit.bytes > 100 * MB


# -- the rest --------------------------------------------------------------------------------------------------------


def test_the_default_prefix_on_a_server_should_be_changed() -> None:
    assert severities(advice(Code.PREFIX, url="redis://h")) == ["warning"]
    assert severities(advice(Code.PREFIX, url="redis://h", prefix="shop")) == ["ok"]
    assert severities(advice(Code.PREFIX, driver="embedded")) == ["warning"]  # other services of this user have it too
    assert advice(Code.PREFIX) == []


def test_another_database_than_0_should_be_changed() -> None:
    assert severities(advice(Code.DATABASE, url="redis://h/3")) == ["warning"]
    assert severities(advice(Code.DATABASE, url="redis://h")) == ["ok"]


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("rediss://h?ssl_cert_reqs=none", ["warning"]),
        ("rediss://h", []),
        ("redis://cache.example", ["note"]),
        ("redis://localhost", []),
        ("unix:///run/redis", []),
    ],
)
def test_who_can_listen_on_the_way_is_told(url: str, expected: list[str]) -> None:
    assert severities(advice(Code.TLS, url=url)) == expected


def test_pickle_and_a_url_that_is_not_used_are_notes() -> None:
    assert severities(advice(Code.PICKLE, codec="pickle", signing_keys=(b"k" * 32,))) == ["note"]
    unused = advise(Settings(driver="memory"), {"REDIS_URL": "redis://h"}, None, None)
    assert [finding.about for finding in unused if finding.code is Code.UNUSED_URL] == ["REDIS_URL"]
    assert advice(Code.PICKLE) == advice(Code.UNUSED_URL) == []
