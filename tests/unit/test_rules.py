"""The table of rules is whole: each rule has a defect, and the names in the table exist."""

import re
from pathlib import Path

import pytest

from tests.rules.breaking import mutated
from tests.rules.design import DESIGN
from tests.rules.heads import numbered
from tests.rules.rule import SIMULATION, Row, place
from tests.rules.seeking import FOUND, known_seeds
from tests.rules.table import ROWS

ROOT = Path(__file__).parents[2]


def test_each_rule_has_a_defect_that_breaks_it() -> None:
    rules = {*numbered(), *DESIGN}
    broken = {row.rule for row in ROWS.values()}
    assert broken <= rules, "a row names a rule that is neither at the head of a module nor in tests/rules/design.py"
    assert rules - broken == set(), "give each a row in tests/rules/rows: see CONTRIBUTING.md"


def test_no_id_of_a_rule_is_used_twice() -> None:
    assert not set(numbered()) & set(DESIGN)


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
def test_what_a_row_names_is_there(row: Row) -> None:
    place(row.where)
    with mutated(row.name):
        pass
    file, _, test = row.found_by.partition("::")
    if test:
        name = re.escape(test.partition("[")[0].rpartition("::")[2])
        assert re.search(rf"^ *(async )?def {name}\(", (ROOT / file).read_text(encoding="utf-8"), re.MULTILINE)
    elif row.found_by != SIMULATION:
        assert (FOUND / f"{row.found_by.partition(' ')[2]}.json").exists()
    else:
        assert row.name in known_seeds(), f"python -m tests.rules {row.name} --seek simulation"
