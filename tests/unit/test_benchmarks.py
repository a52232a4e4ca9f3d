"""The benchmarks report their findings, also if a peer is missing, a budget is missed or a row fails."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path

from benchmarks import table
from benchmarks.figures import PEERS, Effort, Figures, Result, Row
from benchmarks.peers import Peer, opened
from benchmarks.peers_sync import SyncPeer, opened_sync
from benchmarks.rounds import alternate, calling

ROOT = Path(__file__).parents[2]
RUN = ROOT / "benchmarks" / "run.py"


async def nothing(_url: str, _effort: Effort) -> Figures:
    raise AssertionError


def row(limit: float, *, at_least: bool = False, plain: bool = False, columns: tuple[str, ...] = PEERS) -> Row:
    return Row("get", "a hit", "a dict", "µs", limit, nothing, at_least=at_least, plain=plain, columns=columns)


def test_a_ratio_is_the_median_of_the_rounds_ratios() -> None:
    figures = Figures.of({"ours": [2.0, 30.0, 2.0], "base": [1.0, 10.0, 4.0], "cashews": [5.0, 6.0, 7.0]}, "base", {})
    assert (figures.ours, figures.base, figures.ratio, figures.peers) == (2.0, 4.0, 2.0, {"cashews": 6.0})


def test_a_budget_is_kept_or_missed_from_its_own_side() -> None:
    assert [Result(row(2), Figures(1, 1, ratio)).verdict for ratio in (1.9, 2, 2.1)] == ["ok", "ok", "MISSED"]
    faster = row(10, at_least=True)
    assert [Result(faster, Figures(1, 1, ratio)).verdict for ratio in (9.9, 10, 11)] == ["MISSED", "ok", "ok"]
    assert Result(row(2), None, "ValueError: no").verdict == "FAILED"


def test_a_peer_that_is_not_here_is_named_with_the_reason() -> None:
    figures = Figures(1, 2, 0.5, {"cashews": "cannot be imported: No module named 'cashews'", "aiocache": 27.44})
    shown = table.as_table([Result(row(1), figures)])
    assert "| not here | 27.4 µs |" in shown
    assert "- `get`, cashews: cannot be imported: No module named 'cashews'" in shown


def test_a_peer_that_cannot_be_opened_does_not_stop_the_others() -> None:
    async def absent(_url: str, _stack: object) -> Peer:
        raise ImportError("No module named 'absent'")

    async def present(_url: str, _stack: object) -> Peer:
        async def get(key: str) -> str:
            return key

        return Peer(get, lambda key, _value: get(key))

    async def main() -> None:
        async with opened({"cashews": absent, "aiocache": present}, "redis://nowhere") as peers:
            assert list(peers.running) == ["aiocache"]
            assert peers.missing == {"cashews": "cannot be imported: No module named 'absent'"}

    asyncio.run(main())


def test_a_peer_for_threads_that_cannot_be_opened_does_not_stop_the_others() -> None:
    def absent(_url: str, _stack: object) -> SyncPeer:
        raise ImportError("No module named 'absent'")

    def present(_url: str, _stack: object) -> SyncPeer:
        return SyncPeer(str, lambda *_: None)

    with opened_sync({"Django": absent, "cachebox": present}, "redis://nowhere") as peers:
        assert list(peers.running) == ["cachebox"]
        assert peers.missing == {"Django": "cannot be imported: No module named 'absent'"}


def test_rows_with_other_peers_are_in_a_table_of_their_own() -> None:
    figures = Figures(1, 2, 0.5, {"Django": 9.0, "cashews": 5.0})
    results = [Result(row(1, columns=columns), figures) for columns in (("cashews",), ("Django",), ("cashews",))]
    first, second = table.as_table(results).split("\n\n")
    assert ["Django" in first, "9 µs" in first, first.count("| 5 µs |")] == [False, False, 2]
    assert ["cashews" in second, "5 µs" in second, second.count("| 9 µs |")] == [False, False, 1]


def test_a_row_that_failed_is_in_the_table_with_its_error() -> None:
    shown = table.as_table([Result(row(1), None, "OSError: gone")])
    assert "**FAILED**" in shown
    assert "- `get` failed: OSError: gone" in shown


def test_the_page_gets_the_new_table_and_keeps_the_rest(tmp_path: Path) -> None:
    page = tmp_path / "benchmarks.md"
    page.write_text(f"before\n{table.BEGIN}\nold\n{table.END}\nafter\n")
    for _ in range(2):
        table.rewrite(page, [Result(row(1), Figures(1, 2, 0.5))])
    text = page.read_text()
    assert text.startswith(f"before\n{table.BEGIN}\n")
    assert text.endswith(f"{table.END}\nafter\n")
    assert "old" not in text
    assert text.count("| a hit (`get`) | 1 µs | a dict: 2 µs | 0.5 x | ≤ 1 x | ok |") == 1


def test_rounds_alternate() -> None:
    order: list[str] = []
    effort = Effort(quick=True, rounds=3, seconds=0.0)
    subjects = {name: calling(order.append, name) for name in ("ours", "base")}
    found = asyncio.run(alternate(subjects, effort, least=1))
    measured = order[-6:]  # the calls before are the calibration
    assert measured == ["ours", "base", "base", "ours", "ours", "base"]
    assert {name: len(values) for name, values in found.items()} == {"ours": 3, "base": 3}


def test_a_quick_run_of_one_row_prints_json() -> None:
    command = [sys.executable, str(RUN), "--quick", "--json", "--only", "get"]
    ran = subprocess.run(command, capture_output=True, text=True, check=True, timeout=100)  # noqa: S603 - ours
    told = json.loads(ran.stdout)
    (measured,) = told["rows"]
    assert measured["row"] == "get"
    assert measured["verdict"] in {"ok", "MISSED"}
    assert measured["ours"] > 0 < measured["base"]  # a run this short on a busy machine does not tell the faster one
    assert {"cashews", "aiocache"} <= measured["peers"].keys()


def test_a_quick_run_of_a_row_of_threads_has_its_own_peers() -> None:
    command = [sys.executable, str(RUN), "--quick", "--json", "--only", "sync-near"]
    ran = subprocess.run(command, capture_output=True, text=True, check=True, timeout=100)  # noqa: S603 - ours
    (measured,) = json.loads(ran.stdout)["rows"]
    assert measured["ours"] > 0 < measured["base"]  # a run this short on a busy machine does not tell the faster one
    assert {"Django", "dogpile.cache", "cachebox"} == measured["peers"].keys()
    assert measured["peers"]["Django"] > measured["base"]


def test_an_unknown_row_is_an_error_that_names_the_rows() -> None:
    ran = subprocess.run([sys.executable, str(RUN), "--only", "gte"], capture_output=True, text=True, check=False)  # noqa: S603 - ours
    assert ran.returncode == 2
    assert "shared-50" in ran.stderr
