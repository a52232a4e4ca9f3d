"""``fleetcache doctor`` on the configuration: the source of each setting, wrong settings, names with a slip."""

from pathlib import Path
from typing import Any

import pytest

from fleetcache.cli.doctor.configuration import Limit, advise, memory_limit, near_misses, read, workers_from
from fleetcache.cli.doctor.findings import Code, Finding, Severity
from fleetcache.config.environment import VARIABLES
from fleetcache.config.settings import Settings
from tests.cli.examining import examined, found, one

MB = 10**6
KEY = "a-signing-key-that-nobody-must-ever-see!"
PASSWORD = "correct-horse"  # noqa: S105 - of nobody
URL = f"redis://app:{PASSWORD}@cache.example/1"


def row(environ: dict[str, str], variable: str) -> tuple[str, str]:
    return next((row.value, row.source) for row in read(environ).rows if row.variable == variable)


def test_every_setting_has_a_row_with_its_value_and_where_that_came_from() -> None:
    rows = read({}).rows
    assert [row.variable for row in rows] == [variable.env for variable in VARIABLES]
    assert {row.source for row in rows} == {"default"}


@pytest.mark.parametrize(
    ("environ", "variable", "expected"),
    [
        ({"CACHE_TTL": "90"}, "CACHE_TTL", ("1m30s", "environment")),
        ({"CACHE_TTL": " "}, "CACHE_TTL", ("5m", "default")),
        ({}, "CACHE_TTL", ("5m", "default")),
        ({"CACHE_NEAR_MAX_BYTES": "8MiB"}, "CACHE_NEAR_MAX_BYTES", ("8MiB", "environment")),
        ({"CACHE_STRICT": "yes"}, "CACHE_STRICT", ("true", "environment")),
        ({"CACHE_PREFIX": "shop"}, "CACHE_PREFIX", ("shop", "environment")),
        ({"REDIS_URL": URL}, "REDIS_URL", ("redis://app:***@cache.example/1", "environment")),
        ({"CACHE_REDIS_URL": URL, "REDIS_URL": URL}, "REDIS_URL", ("redis://app:***@cache.example/1", "unused")),
        ({"CACHE_DRIVER": "memory", "REDIS_URL": URL}, "REDIS_URL", ("redis://app:***@cache.example/1", "unused")),
        ({"CACHE_SIGNING_KEY": f"{KEY},{KEY}"}, "CACHE_SIGNING_KEY", ("*** (2 of them)", "environment")),
        ({"CACHE_TTL": "soon"}, "CACHE_TTL", ("***", "wrong")),
    ],
)
def test_a_row_says_what_a_cache_would_take(environ: dict[str, str], variable: str, expected: tuple[str, str]) -> None:
    assert row(environ, variable) == expected


def test_everything_that_is_wrong_is_named_at_once_and_the_status_is_2() -> None:
    report = examined({"CACHE_TTL": "soon", "CACHE_DRIVER": "dynamo", "CACHE_TTLS": "1m"})
    assert [finding.about for finding in found(report, Code.CONFIGURATION)] == ["CACHE_DRIVER", "CACHE_TTL"]
    assert "auto, redis, memory" in found(report, Code.CONFIGURATION)[0].message
    assert one(report, Code.NEAR_MISS).about == "CACHE_TTLS"
    assert report.exit_status == 2


def test_no_wrong_setting_hides_another() -> None:
    environ = {
        "CACHE_TTL": "soon",
        "CACHE_NEAR_MAX_BYTES": "big",
        "REDIS_URL": f"redis://u:{PASSWORD}@host:port",
        "CACHE_CODEC": "pickle",
    }
    report = examined(environ)
    wrong = found(report, Code.CONFIGURATION)
    assert [finding.about for finding in wrong] == ["CACHE_TTL", "CACHE_NEAR_MAX_BYTES", "REDIS_URL", "CACHE_CODEC"]
    assert {row.variable for row in report.configuration if row.source == "wrong"} == set(environ)
    assert PASSWORD not in str(report.as_dict())


def test_what_does_not_go_together_is_not_said_of_what_is_wrong_in_itself() -> None:
    report = examined({"CACHE_DRIVER": "dynamo", "CACHE_REQUIRED": "true", "CACHE_SIGNING_KEY": "short"})
    assert [finding.about for finding in found(report, Code.CONFIGURATION)] == ["CACHE_DRIVER", "CACHE_SIGNING_KEY"]


def test_the_url_that_is_used_is_the_wrong_one() -> None:
    report = examined({"CACHE_REDIS_URL": "http://h", "REDIS_URL": "ftp://h", "CACHE_TTL": "soon"})
    assert [finding.about for finding in found(report, Code.CONFIGURATION)] == ["CACHE_REDIS_URL", "CACHE_TTL"][::-1]


@pytest.mark.parametrize(
    "environ",
    [
        {"CACHE_DRIVER": "redis"},
        {"CACHE_REQUIRED": "true"},
        {"CACHE_CODEC": "pickle"},
        {"REDIS_URL": "redis://host:port"},
        {"REDIS_URL": f"redis://{PASSWORD}/with@two@signs"},
    ],
)
def test_settings_that_do_not_go_together_are_wrong_too(environ: dict[str, str]) -> None:
    report = examined(environ)
    assert report.exit_status == 2
    assert one(report, Code.CONFIGURATION).severity is Severity.PROBLEM
    assert PASSWORD not in str(report.as_dict())


def test_a_good_configuration_without_a_server_is_fine() -> None:
    for environ in ({}, {"CACHE_DRIVER": "memory"}, {"CACHE_DRIVER": "null"}):
        report = examined(environ)
        assert report.exit_status == 0
        assert one(report, Code.DRIVER).severity is Severity.NOTE
        assert report.health is not None
        assert report.server is None


def test_what_a_cache_would_warn_of_is_found() -> None:
    report = examined({"CACHE_NEAR_MAX_BYTES": "32", "CACHE_DRIVER": "memory"})
    finding = one(report, Code.DOUBTFUL)
    assert finding.severity is Severity.WARNING
    assert "is 32 bytes" in finding.message
    assert report.exit_status == 1


def test_memory_under_several_workers_says_that_each_has_its_own() -> None:
    assert "each of the 4 workers keeps its own copies" in one(examined({}, workers=4), Code.DRIVER).message
    assert "each process" in one(examined({}), Code.DRIVER).message


# -- near misses -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("CACHE_TTLS", "CACHE_TTL"),
        ("CACHE_REDIS_URI", "CACHE_REDIS_URL"),
        ("CACHE_URL", "CACHE_REDIS_URL"),
        ("CACHE_STALENESS", "CACHE_MAX_STALENESS"),
        ("CACHE_MAX_ITEMS", "CACHE_NEAR_MAX_ITEMS"),
        ("CACHE_KEY_PREFIX", "CACHE_PREFIX"),
        ("CACHE_SIGNING_KEYS", "CACHE_SIGNING_KEY"),
        ("cache_ttl", "CACHE_TTL"),
        ("FLEETCACHE_TTL", "CACHE_TTL"),
        ("REDIS_URI", "REDIS_URL"),
    ],
)
def test_a_name_that_is_nearly_ours_is_asked_about(name: str, meant: str) -> None:
    (finding,) = near_misses({name: URL})
    assert (finding.code, finding.severity, finding.about) == (Code.NEAR_MISS, Severity.WARNING, name)
    assert finding.action == f"did you mean {meant}?"
    assert PASSWORD not in str(finding)


@pytest.mark.parametrize("variable", VARIABLES)
def test_what_is_ours_is_no_near_miss(variable: object) -> None:
    assert near_misses({getattr(variable, "env", ""): "1"}) == []


def test_a_name_of_others_is_a_note_and_one_that_does_not_begin_like_ours_is_nothing() -> None:
    (finding,) = near_misses({"CACHE_DIR": "/tmp/x", "CACHE_LOCATION": URL, "DATABASE_URL": URL, "REDIS_HOST": "a"})  # noqa: S108 - no file
    assert (finding.code, finding.severity) == (Code.UNKNOWN_NAME, Severity.NOTE)
    assert finding.message.endswith("CACHE_DIR, CACHE_LOCATION")


def test_beside_the_right_name_a_near_miss_is_a_note() -> None:
    (finding,) = near_misses({"REDIS_TLS_URL": "rediss://x", "REDIS_URL": "redis://x"})
    assert finding.severity is Severity.NOTE


def test_a_near_miss_makes_the_status_1() -> None:
    assert examined({"CACHE_TTLS": "5m"}).exit_status == 1
    assert examined({"CACHE_DIR": "x"}).exit_status == 0


# -- advice on readable settings ---------------------------------------------------------------------------------------


def advice(code: Code, workers: int | None = None, limit: int | None = None, **settings: Any) -> list[Finding]:
    held = None if limit is None else Limit(limit, "cgroup v2")
    return [finding for finding in advise(Settings(**settings), {}, workers, held) if finding.code is code]


def severities(findings: list[Finding]) -> list[str]:
    return [finding.severity.value for finding in findings]


# -- advice: near and the limit --------------------------------------------------------------------------------------


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


# -- advice: the rest ------------------------------------------------------------------------------------------------


def test_the_default_prefix_on_a_server_should_be_changed() -> None:
    assert severities(advice(Code.PREFIX, url="redis://h")) == ["warning"]
    assert severities(advice(Code.PREFIX, url="redis://h", prefix="shop")) == ["ok"]
    # Other services of this user share the embedded server.
    assert severities(advice(Code.PREFIX, driver="embedded")) == ["warning"]
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
