"""The live screen and the last page of the demo: they show the numbers and findings of the story."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest
from rich.console import Console
from starlette.applications import Starlette

from examples.demo.lines import Lines
from examples.demo.numbers import InstanceNumbers, Numbers
from examples.demo.plan import MOST_INSTANCES, Plan
from examples.demo.result import LINES, Result, print_ending
from examples.demo.run import show_for
from examples.demo.screen import Screen
from examples.demo.stage import Finding
from examples.demo.traffic import Answer, milliseconds, percentile
from tests.support.run import run

HELD = Finding("the sky is up", "it was, 12 of 12 times", held=True)
BROKEN = Finding("the earth is flat", "a ship sank", held=False)


def terminal(width: int = 100, height: int = 40) -> Console:
    return Console(file=io.StringIO(), force_terminal=True, width=width, height=height, legacy_windows=False)


def text(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def numbers(*, alive: bool = True, left: int = 45, instances: Sequence[InstanceNumbers] = ()) -> Numbers:
    return Numbers(
        instances=tuple(instances) or (InstanceNumbers("a", "healthy", "redis", near=7_101, shared=202, loads=33),),
        server="Valkey 9.1.2",
        valkey_alive=alive,
        calls={"total": 345, "limit": 45, "left": left},
        separate=699,
        requests=12_345,
        refused=17,
        failed=0,
        rate=250.0,
        p50=0.0011,
        p95=0.012,
        p99=0.118,
        slowest=(0.1, 0.2, 0.118),
    )


def frame(told: Numbers | None, *findings: Finding, act: int = 0, width: int = 100, height: int = 40) -> list[str]:
    """Return one frame of the screen as lines of text, without colours."""
    screen = Screen(terminal(width, height), Plan(instances=3))
    screen.act(act)
    screen.say("the origin lifts its limit")
    for finding in findings:
        screen.found(finding)
    if told:
        screen.count(told)
    console = Console(file=io.StringIO(), width=width, height=height)
    console.print(screen.draw())
    return text(console).splitlines()


def line(lines: list[str], word: str) -> str:
    found = [line for line in lines if word in line]
    assert len(found) == 1, "\n".join(lines)
    return found[0]


def test_every_number_is_on_the_screen() -> None:
    lines = frame(numbers(), HELD)
    everything = "\n".join(lines)
    for number in ("12,345", "17", "1.1 12 118", "345", "699", "250/s", "7,101", "202", "33", "limit 45: 45 left"):
        assert number in everything, everything
    assert "the origin lifts its limit" in everything
    assert "✔ the sky is up" in everything
    assert "it was, 12 of 12 times" in everything
    assert "Valkey 9.1.2 ● up" in everything


def test_an_outage_is_on_the_screen() -> None:
    degraded = InstanceNumbers("a", "degraded", "memory", "refused", owed=2)
    lines = frame(numbers(alive=False, left=0, instances=[degraded, InstanceNumbers("b")]), HELD, BROKEN, act=3)
    assert line(lines, "● a").split()[2:6] == ["a", "degraded", "memory", "refused"]
    assert "no answer" in line(lines, "● b")
    assert "✖ dead" in line(lines, "Valkey 9.1.2")
    assert "0 left" in line(lines, "limit 45")
    assert "✖ the earth is flat" in "\n".join(lines)
    assert "1 of 2 held" in "\n".join(lines)
    assert "✔ cold start   ✔ warm   ✔ a change   ● outage   ○ old snapshot" in lines[1]


def test_before_there_are_numbers_it_says_that_it_starts() -> None:
    assert "starting" in "\n".join(frame(None, act=-1))


@pytest.mark.parametrize(("width", "height"), [(80, 24), (100, 30), (200, 60)])
def test_nothing_runs_over_the_edge_and_the_newest_is_shown(width: int, height: int) -> None:
    many = [Finding(f"promise number {number} is held", "yes " * 20, held=True) for number in range(30)]
    lines = frame(numbers(), *many, width=width, height=height)
    assert len(lines) == height
    assert {len(each) for each in lines} == {width}
    assert "promise number 29" in "\n".join(lines) or height == 24
    assert "promise number 0 " not in "\n".join(lines)


def test_the_screen_is_for_terminals_that_can_show_it() -> None:
    assert isinstance(show_for(terminal(), Plan()), Screen)
    assert isinstance(show_for(terminal(height=25), Plan(instances=MOST_INSTANCES)), Lines)
    assert isinstance(show_for(terminal(width=79), Plan()), Lines)
    assert isinstance(show_for(Console(file=io.StringIO()), Plan()), Lines)
    dumb = Console(file=io.StringIO(), force_terminal=True, _environ={"TERM": "dumb"}, width=100, height=40)
    assert isinstance(show_for(dumb, Plan()), Lines)
    ascii_only = Console(file=io.TextIOWrapper(io.BytesIO(), "ascii"), force_terminal=True, width=100, height=40)
    assert isinstance(show_for(ascii_only, Plan()), Lines)


def result(*findings: Finding) -> Result:
    timed = {"all cached": [Answer("a", "/locate/8.8.8.8", 200, {}, {}, 0.0, 0.002)]}
    words = {} if all(finding.held for finding in findings) else {"instance-a": "help me"}
    return Result(41.6, 7, None, findings, timed, [0.0015], numbers(), words)


def ending(of: Result, console: Console) -> str:
    print_ending(console, of)
    return text(console)


def test_the_last_page_has_the_promises_the_times_and_the_lines_to_paste() -> None:
    shown = ending(result(HELD), Console(file=io.StringIO(), width=120))
    assert "all 1 promises held" in shown
    assert shown.index("the sky is up") < shown.index("it was, 12 of 12 times")
    assert "12,345 requests, 345 origin calls" in shown
    assert "699 (Valkey 9.1.2, 42 s)" in shown
    assert "2.0" in shown
    for each in LINES.splitlines():
        assert f"\n{each}" in shown


@pytest.mark.parametrize("width", [80, 104, 200])
def test_no_verdict_is_cut_off_however_narrow_the_terminal_is(width: int) -> None:
    long = [Finding("promised " * 9, "seen " * 30, held=held) for held in (True, False)]
    rows = [
        line.split()[0]
        for line in ending(result(*long), Console(file=io.StringIO(), width=width)).splitlines()
        if line.strip()
    ]
    assert rows.count("ok") == rows.count("FAILED") == 1


def test_the_last_page_of_a_broken_promise_says_so_and_recommends_nothing() -> None:
    shown = ending(result(HELD, BROKEN), terminal())
    assert "1 of 2 promises FAILED" in shown
    assert "help me" in shown
    assert "OpsApp" not in shown


def test_on_a_terminal_the_lines_to_paste_have_colours_and_no_frame() -> None:
    coloured = ending(result(HELD), terminal())
    console = terminal()
    assert "\x1b[" in coloured.partition("Into your own app")[2]
    print_ending(console, result(HELD))
    assert "│" not in text(console).partition("Into your own app")[2]


def test_where_the_addresses_came_from_is_in_the_json() -> None:
    of = result(HELD)
    assert of.as_dict()["addresses"] == {"seed": 7}
    traced = Result(of.seconds, 7, Path("a.log"), of.findings, of.timed, of.changes, of.numbers, of.last_words)
    assert traced.as_dict()["addresses"] == {"trace": "a.log"}


def test_the_lines_to_paste_run_in_an_app() -> None:
    asked: list[str] = []

    async def ask_your_origin(ip: str) -> dict[str, str]:
        asked.append(ip)
        return {"ip": ip}

    async def main() -> None:
        app = Starlette()
        pasted: dict[str, Any] = {"app": app, "ask_your_origin": ask_your_origin}
        exec(LINES, pasted)  # noqa: S102 - our own lines, as a user would run them
        async with (
            pasted["cache"],
            httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://app") as http,
        ):
            assert await pasted["locate"]("8.8.8.8") == await pasted["locate"]("8.8.8.8") == {"ip": "8.8.8.8"}
            statuses = {
                (await http.get(f"/ops/{path}")).status_code for path in ("healthz", "readyz", "livez", "metrics")
            }
        assert statuses == {200}

    run(main())
    assert asked == ["8.8.8.8"]


def test_times_are_written_for_people() -> None:
    assert [milliseconds(seconds) for seconds in (None, 0.00123, 0.0123, 1.5)] == [
        "never",
        "1.2 ms",
        "12 ms",
        "1,500 ms",
    ]


def test_percentiles_are_values_that_were_measured() -> None:
    assert [percentile([3.0, 1.0, 2.0, 4.0], percent) for percent in (25, 50, 51, 99, 100)] == [1, 2, 3, 4, 4]
