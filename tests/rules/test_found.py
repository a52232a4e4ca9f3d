"""Each rule that is broken on purpose is found broken. ``make rules`` tries all; this file tries the quick ones."""

import os
from pathlib import Path

import pytest

from tests.rules.__main__ import found_by_seeds, run_tests
from tests.rules.rule import Row
from tests.rules.seeking import FOUND, known_seeds
from tests.rules.table import ROWS
from tests.simulation import workload
from tests.simulation.plan import read
from tests.simulation.run import play

SIMULATED = [row for row in ROWS.values() if row.simulated]
TESTED = [row for row in ROWS.values() if not row.simulated]
# Tests in these files need no server, and little time; all other rows are for ``make rules``.
QUICK = ("tests/unit/near/test_store.py", "tests/unit/near/test_s3fifo.py")


@pytest.fixture(scope="module")
def found() -> dict[str, int | None]:
    return found_by_seeds([row.name for row in SIMULATED], os.cpu_count() or 1)


@pytest.mark.parametrize("row", SIMULATED, ids=[row.name for row in SIMULATED])
def test_the_simulation_finds_the_defect(row: Row, found: dict[str, int | None]) -> None:
    assert found[row.name] is not None, f"{row.breaks} What kept it: python -m tests.rules {row.name}"


@pytest.mark.parametrize("row", SIMULATED, ids=[row.name for row in SIMULATED])
def test_without_the_defect_the_same_run_keeps_every_promise(row: Row) -> None:
    kind, _, kept = row.found_by.partition(" ")
    plan = read((FOUND / f"{kept}.json").read_bytes()) if kind == "plan" else workload.draw(known_seeds()[row.name])
    assert play(plan).violation is None


@pytest.mark.timeout(600)  # ten tests or so, each of them twice, on a machine that may be busy
def test_tests_find_the_defects_that_are_theirs() -> None:
    rows = [row for row in TESTED if row.found_by.startswith(QUICK)]
    assert run_tests(rows, sorted({row.found_by for row in rows})) == 0, "see above: NOT FOUND"


def test_a_defect_that_nothing_finds_is_told(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Nor does a test count that fails without the defect, too."""
    blind = tmp_path / "test_blind.py"
    blind.write_text(
        "def test_that_sees_nothing(tmp_path, monkeypatch) -> None:\n    assert tmp_path.exists()\n"
        "def test_that_always_fails(tmp_path) -> None:\n    assert not tmp_path.exists()\n"
    )
    run_tests([ROWS["no_fill_token"]], [str(blind)], seek=True)
    said = capfd.readouterr().out
    assert "no_fill_token: NOT FOUND by any of these" in said
    assert "test_that_always_fails: fails as the code is, or when it is run again" in said
    assert "test_that_sees_nothing: fails" not in said
