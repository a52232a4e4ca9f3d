"""``fleetcache doctor`` as a user types it: its output, its JSON, its exit status; it never shows a secret."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from fleetcache.cli.app import app
from fleetcache.cli.doctor.report import SCHEMA
from fleetcache.config.environment import VARIABLES
from tests.conftest import GetServer
from tests.support.servers import Server, free_port

PASSWORD = "correct-horse-battery"  # noqa: S105 - of nobody
KEY = "a-signing-key-that-nobody-must-ever-see!"

Doctor = Callable[..., Result]


@pytest.fixture
def doctor(monkeypatch: pytest.MonkeyPatch, prefix: str) -> Doctor:
    """Yield a function that runs the command with these variables and no others of the cache's names."""
    for name in os.environ:
        if "CACHE" in name or "REDIS" in name or name == "WEB_CONCURRENCY":
            monkeypatch.delenv(name)

    def typed(*arguments: str, **environ: str) -> Result:
        for name, value in ({"CACHE_PREFIX": prefix, "CACHE_OPERATION_TIMEOUT": "5s"} | environ).items():
            monkeypatch.setenv(name, value)
        return CliRunner().invoke(app, ["doctor", *arguments])

    return typed


def bounded(server: Server, user: str = "") -> str:
    """Return the URL of a server that needs no change."""
    with server.client() as client:
        client("CONFIG", "SET", "maxmemory", "100mb", "maxmemory-policy", "allkeys-lru")
    return server.url.replace("//", f"//{user}")


def test_with_nothing_to_do_the_status_is_0(doctor: Doctor, server: Server) -> None:
    result = doctor(REDIS_URL=bounded(server))
    assert result.exit_code == 0, result.output
    assert "nothing to do (exit status 0)" in result.output
    for variable in VARIABLES:
        assert f"{variable.env} " in result.output
    assert "ok       tracking: the self-test passed" in result.output
    assert "+client|tracking  yes      ACL SETUSER default +client|tracking" in result.output


def test_with_something_to_do_the_status_is_1_and_says_what(doctor: Doctor) -> None:
    result = doctor(REDIS_URL=f"redis://127.0.0.1:{free_port()}", CACHE_TTLS="5m")
    assert result.exit_code == 1
    assert "warning  near_miss: CACHE_TTLS is set" in result.output
    assert "-> did you mean CACHE_TTL?" in result.output
    assert "problem  server: redis://127.0.0.1:" in result.output
    assert "start the server" in result.output


def test_what_is_ignored_is_shown_and_does_not_count(doctor: Doctor) -> None:
    slips = {"CACHE_TTLS": "5m", "CACHE_NEAR_MAX_BYTES": "32"}
    assert doctor("--ignore", "near_miss", **slips).exit_code == 1
    result = doctor("--ignore", "near_miss", "--ignore", "doubtful", **slips)
    assert result.exit_code == 0, result.output
    assert "warning  near_miss (ignored): CACHE_TTLS is set" in result.output
    told = json.loads(doctor("--ignore", "near_miss", "--ignore", "doubtful", "--json", **slips).output)
    assert (told["exit_status"], told["ignored"]) == (0, ["doubtful", "near_miss"])


def test_what_is_no_check_cannot_be_ignored(doctor: Doctor) -> None:
    result = doctor("--ignore", "maxmemroy")
    assert result.exit_code == 2
    assert "maxmemory" in result.output


@pytest.mark.parametrize(
    ("arguments", "environ"),
    [
        ((), {"CACHE_TTL": "soon"}),
        (("--ignore", "configuration"), {"CACHE_TTL": "soon"}),
        (("--key", ""), {}),
        (("--workers", "0"), {}),
        (("--workers", "many"), {}),
        (("--nonsense",), {}),
        (("argument",), {}),
    ],
)
def test_with_wrong_configuration_or_usage_the_status_is_2(
    doctor: Doctor, arguments: tuple[str, ...], environ: dict[str, str]
) -> None:
    result = doctor(*arguments, **environ)
    assert result.exit_code == 2
    assert "Traceback" not in result.output


def test_the_json_is_one_document_of_a_known_shape(doctor: Doctor, server: Server) -> None:
    result = doctor("--json", "--key", "k", "--workers", "3", REDIS_URL=bounded(server))
    told: dict[str, Any] = json.loads(result.output)
    assert (told["schema"], told["exit_status"], result.exit_code) == (SCHEMA, 0, 0)
    assert {row["variable"] for row in told["configuration"]} == {variable.env for variable in VARIABLES}
    assert {frozenset(finding) for finding in told["findings"]} == {
        frozenset({"code", "severity", "message", "action", "about", "reason"})
    }
    assert told["health"]["status"] == "healthy"
    assert told["server"]["engine"] == server.engine
    assert {row["granted"] for row in told["permissions"]} == {True}
    assert told["latency"]["trips"] > 0
    assert told["key"]["state"] == "none"
    memory = next(finding for finding in told["findings"] if finding["code"] == "near_memory")
    assert "3 workers" in memory["message"]


@pytest.mark.parametrize("arguments", [(), ("--json",)])
@pytest.mark.parametrize(
    "environ",
    [
        {"REDIS_URL": "redis://app:{}@127.0.0.1:1/0"},
        {"REDIS_URL": "redis://:{}@127.0.0.1:1/0"},
        {"REDIS_URL": "redis://{}@127.0.0.1:1/0"},
        {"REDIS_URL": "redis://app:{}@127.0.0.1:nonsense"},
        {"REDIS_URL": "redis://app:{}@@127.0.0.1"},
        {"REDIS_URL": "https://app:{}@127.0.0.1"},
        {"REDIS_URL": "redis://app:{}@127.0.0.1?password={}"},
        {"CACHE_REDIS_URI": "redis://app:{}@127.0.0.1"},
        {"CACHE_REDIS_URL": "redis://app:{}@127.0.0.1:1", "REDIS_URL": "redis://app:{}@127.0.0.1:2"},
        {"CACHE_DRIVER": "memory", "REDIS_URL": "redis://app:{}@127.0.0.1"},
        {"CACHE_DRIVER": "redis://app:{}@127.0.0.1"},
        {"CACHE_PREFIX": "redis://app:{}@127.0.0.1", "REDIS_URL": "redis://127.0.0.1:1"},
        {"CACHE_SIGNING_KEY": KEY},
        {"CACHE_SIGNING_KEY": f"{KEY},short-key"},
    ],
)
def test_no_secret_is_shown(doctor: Doctor, arguments: tuple[str, ...], environ: dict[str, str]) -> None:
    result = doctor(*arguments, **{name: value.replace("{}", PASSWORD) for name, value in environ.items()})
    for secret in (PASSWORD, KEY, "short-key"):
        assert secret not in result.output
    assert result.exit_code in {0, 1, 2}
    assert result.exception is None or isinstance(result.exception, SystemExit)


def test_a_good_and_a_wrong_password_are_not_shown_either(doctor: Doctor, server: Server) -> None:
    with server.client() as client:
        client("ACL", "SETUSER", "app", "on", f">{PASSWORD}", "~*", "+@all")
    for password, status in ((PASSWORD, 0), (f"{PASSWORD}-wrong", 1)):
        for arguments in ((), ("--json",)):
            result = doctor(*arguments, REDIS_URL=bounded(server, f"app:{password}@"))
            assert result.exit_code == status
            assert PASSWORD not in result.output


def test_what_others_wrote_is_shown_without_what_a_terminal_would_obey(doctor: Doctor, server: Server) -> None:
    key = "a:star:\x1b[2J[bold]"
    result = doctor("--key", key, REDIS_URL=bounded(server))
    assert r"key a:star:\x1b[2J[bold]" in result.output
    assert "\x1b" not in result.output


def test_as_a_process_of_its_own_it_logs_nothing(shared_servers: GetServer) -> None:
    clean = {name: value for name, value in os.environ.items() if "REDIS" not in name and "CACHE_" not in name}
    command = [sys.executable, "-W", "error", "-c", "from fleetcache.cli import main; main()", "doctor", "--json"]
    environ = clean | {"REDIS_URL": bounded(shared_servers("valkey", "tcp")), "CACHE_OPERATION_TIMEOUT": "5s"}
    ended = subprocess.run(command, check=False, capture_output=True, text=True, env=environ)  # noqa: S603 - our own
    assert ended.stderr == ""
    told = json.loads(ended.stdout)
    assert ended.returncode == 1
    assert [finding["code"] for finding in told["findings"] if finding["severity"] == "warning"] == ["prefix"]
