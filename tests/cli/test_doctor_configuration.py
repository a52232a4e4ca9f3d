"""``fleetcache doctor`` on the configuration: where each setting comes from, what is wrong, what is nearly right."""

import pytest

from fleetcache.cli.doctor.configuration import read
from fleetcache.cli.doctor.finding import Code, Severity
from fleetcache.cli.doctor.near_misses import near_misses
from fleetcache.config.settings import VARIABLES
from tests.cli.examining import examined, found, one

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
