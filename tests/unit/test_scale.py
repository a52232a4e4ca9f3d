"""The scenes of `make scale` report their figures, also if a bound is missed, a figure is missing or a scene fails."""

import asyncio
import json
import math
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from benchmarks.scale import __main__ as scale
from benchmarks.scale import table
from benchmarks.scale.bare import Crowds
from benchmarks.scale.calibrate import Point
from benchmarks.scale.lab import Lab
from benchmarks.scale.model import REFERENCE, Demand, predict
from benchmarks.scale.scene import Bound, Result, Scene
from tests.support.waiting import wait_until

ROOT = Path(__file__).parents[2]


def nothing(_lab: Lab) -> Mapping[str, float]:
    raise AssertionError


def scene(*bounds: Bound) -> Scene:
    return Scene("storm", "all come back at once", bounds or (Bound("loads", 1),), nothing)


def test_a_bound_holds_from_its_own_side() -> None:
    assert [Bound("loads", 2).holds(value) for value in (1.9, 2, 2.1, math.nan)] == [True, True, False, False]
    ratio = Bound("hits", 0.9, at_least=True)
    assert [ratio.holds(value) for value in (0.89, 0.9, 1, math.nan)] == [False, True, True, False]


def test_a_scene_holds_only_if_each_of_its_figures_does() -> None:
    both = scene(Bound("loads", 1), Bound("CPU", 2, "s"))
    assert Result(both, "valkey", {"loads": 1, "CPU": 2}).holds
    assert not Result(both, "valkey", {"loads": 1, "CPU": 2.1}).holds
    assert not Result(both, "valkey", {"loads": 1}).holds
    assert not Result(both, "valkey", {}, "OSError").holds


def test_the_table_has_a_line_for_each_bound_and_a_column_for_each_server() -> None:
    both = scene(Bound("loads", 1), Bound("CPU", 2, "s"))
    results = [
        Result(both, "valkey", {"loads": 1, "CPU": 1.5, "pushes": 7}),
        Result(both, "redis", {"loads": 3, "CPU": 1.25}),
    ]
    lines = table.as_table(results).splitlines()
    assert lines[0] == "| scene | figure | must be | valkey | redis |  |"
    assert lines[2] == "| all come back at once (`storm`) | loads | ≤ 1 | 1 | 3 | **MISSED** |"
    assert lines[3] == "|  | CPU | ≤ 2 s | 1.5 s | 1.25 s | ok |"
    assert lines[5] == "- `storm`, valkey: pushes 7"


def test_the_page_gets_the_lines_of_scenes_that_were_played_and_keeps_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def result(name: str, engine: str, loads: float) -> Result:
        return Result(
            Scene(name, f"the {name}", (Bound("loads", 1), Bound("CPU", 2)), nothing),
            engine,
            {"loads": loads, "CPU": 1, "pushes": loads},
        )

    page = tmp_path / "scale.md"
    page.write_text(f"before\n{table.BEGIN}\n{table.END}\nafter\n")
    monkeypatch.setattr(table, "scenes", lambda: {"storm": None, "stall": None})
    for name, loads in (("stall", 5), ("gone", 1), ("storm", 0.5), ("stall", 1)):
        table.rewrite(page, [result(name, engine, loads) for engine in ("valkey", "redis")])
    assert page.read_text().splitlines() == [
        "before",
        table.BEGIN,
        "",
        "| scene | figure | must be | valkey | redis |  |",
        "| --- | --- | --- | --- | --- | --- |",
        "| the storm (`storm`) | loads | ≤ 1 | 0.5 | 0.5 | ok |",
        "|  | CPU | ≤ 2 | 1 | 1 | ok |",
        "| the stall (`stall`) | loads | ≤ 1 | 1 | 1 | ok |",
        "|  | CPU | ≤ 2 | 1 | 1 | ok |",
        "",
        "- `storm`, valkey: pushes 0.5",
        "- `storm`, redis: pushes 0.5",
        "- `stall`, valkey: pushes 1",
        "- `stall`, redis: pushes 1",
        "",
        table.END,
        "after",
    ]


def test_the_model_is_linear_and_names_the_costs() -> None:
    idle = predict(Demand(instances=1000))
    assert predict(Demand(instances=2000)).cpu == pytest.approx(2 * idle.cpu)
    hot = Demand(instances=1000, writes=2, holders=1000)
    costs = REFERENCE
    assert predict(hot).cpu - idle.cpu == pytest.approx(
        2 * 1000 * (costs.push + costs.read + costs.kilobyte / 10) / 1e6
    )
    assert predict(replace(hot, writes=predict(hot).most_writes)).cpu - idle.cpu == pytest.approx(1.0)
    assert predict(replace(hot, loaded=True)).cpu > predict(hot).cpu
    assert predict(replace(hot, again=0.0)).cpu < predict(hot).cpu
    assert predict(Demand(instances=10)).recovery == 1.0
    assert predict(Demand(instances=100_000)).recovery == pytest.approx((costs.restart + 1e5 * costs.handshake) / 1e6)


def test_a_point_tells_by_how_much_the_model_is_wrong() -> None:
    demand = Demand(instances=1000)
    said = predict(demand)
    assert Point("", demand, said.cpu, said.sent).errors(REFERENCE) == (0, 0)
    assert Point("", demand, said.cpu * 2, said.sent / 2).errors(REFERENCE) == pytest.approx((0.5, 1.0))
    back = Point("", demand, said.recovery_cpu, 1000 * REFERENCE.handshake_bytes, took=1.0)
    assert back.errors(REFERENCE) == (0, 0)


def test_a_scene_that_failed_is_in_the_table_with_its_error() -> None:
    shown = table.as_table([Result(scene(), "valkey", {}, "no figures within 9 s")])
    assert "**FAILED**" in shown
    assert "- `storm`, valkey, failed: no figures within 9 s" in shown


def test_each_file_of_the_folder_brings_its_scenes() -> None:
    found = table.scenes()
    files = [path.stem for path in table.FOLDER.glob("*.py")]
    assert {measure.measure.__module__.rpartition(".")[2] for measure in found.values()} == set(files)


@pytest.mark.parametrize(("code", "figures", "error"), [
    ("print('a word'); print('{\"loads\": 2}')", {"loads": 2}, ""),
    ("raise SystemExit(3)", {}, "the scene ended with 3; its error is above"),
    ("import time; time.sleep(60)", {}, "no figures within 0.5 s"),
])  # fmt: skip
def test_a_scene_ends_with_figures_or_an_error(
    monkeypatch: pytest.MonkeyPatch, code: str, figures: dict[str, float], error: str
) -> None:
    real = subprocess.run
    monkeypatch.setattr(subprocess, "run", lambda _, **options: real([sys.executable, "-c", code], **options))
    short = Scene("storm", "", (Bound("loads", 1),), nothing, patience=0.5 if "60" in code else 30)
    assert scale.played(short, "valkey") == Result(short, "valkey", figures, error)


def test_a_missed_bound_ends_the_run_with_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for loads, status in ((1, 0), (2, 1)):
        monkeypatch.setattr(scale, "scenes", lambda: {"storm": scene()})
        monkeypatch.setattr(scale, "played", lambda played, engine, n=loads: Result(played, engine, {"loads": n}))
        assert scale.main(["--server", "valkey", "--json"]) == status
        (told,) = json.loads(capsys.readouterr().out)
        assert told["bounds"] == {"loads": ["≤ 1", ["ok", "MISSED"][status]]}


def test_an_unknown_scene_is_an_error_that_names_the_scenes() -> None:
    command = [sys.executable, "-m", "benchmarks.scale", "--only", "maxclient"]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S603 - ours
    assert ran.returncode == 2
    assert "maxclients" in ran.stderr


def test_a_server_counts_its_own_work_commands_of_scripts_too() -> None:
    with Lab("valkey") as lab:
        server = lab.server()
        with lab.spent(server) as idle:
            pass
        with lab.spent(server) as spent, server.client() as client:
            for number in range(3):
                client("EVAL", "return redis.call('SET', KEYS[1], 'x')", 1, f"k{number}")
        assert (idle.calls, idle.connections) == (0, 0)
        assert spent.commands == {"hello": 1, "eval": 3, "set": 3}
        assert (spent.connections, spent.refused) == (1, 0)
        assert spent.cpu > 0 < spent.sent


def test_a_server_that_restarts_counts_from_its_start() -> None:
    with Lab("valkey") as lab:
        server = lab.server()
        with server.client() as client:
            client("SET", "k", "v")
        with lab.spent(server) as spent:
            server.restart()
            with server.client() as client:
                client("GET", "k")
        assert (spent.commands["get"], spent.commands["set"], spent.commands["hello"]) == (1, 0, 1)


def test_a_fleet_is_online_and_shares_its_keys() -> None:
    async def main() -> None:
        with Lab("valkey") as lab:
            server = lab.server()
            async with lab.fleet(server, 3, ttl="1h") as (first, *others):
                await first.set("k", "v")
                assert [await cache.get("k") for cache in others] == ["v", "v"]

    asyncio.run(main())


def double(pipe: Connection, factor: int) -> None:
    while True:
        pipe.send(pipe.recv() * factor)


def test_a_worker_answers_until_its_lab_ends() -> None:
    with Lab("valkey") as lab:
        worker = lab.worker(double, 3)
        worker.send(4)
        assert worker.receive() == 12
        with pytest.raises(TimeoutError):
            worker.receive(0.05)


def test_bare_clients_speak_as_a_cache_does_and_come_back() -> None:
    with Lab("valkey") as lab:
        server = lab.server()
        crowd = Crowds(lab, server.url, 20, max_staleness="900ms")
        with lab.spent(server) as shaken:
            crowd.begin(10)
            crowd.until_online(10)
            crowd.begin(10)
            crowd.until_online()
        assert shaken.connections == 20
        assert shaken.commands["hello"] == shaken.commands["client|tracking"] == 20
        with lab.spent(server) as idle:
            time.sleep(1)
        assert idle.commands["get"] >= 20, "heartbeats, of each client every 0.3 s"
        with lab.spent(server) as again:
            server.kill()
            wait_until(lambda: crowd.online == 0)
            server.restart()
            crowd.until_online()
        assert again.commands["hello"] >= 20
