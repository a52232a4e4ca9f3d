"""The table of rules is whole: each rule has a defect, and what the table names is there."""

import re
from pathlib import Path

import pytest

from tests.rules.breaking import altered
from tests.rules.design import DESIGN
from tests.rules.heads import numbered
from tests.rules.rule import SIMULATION, Row, place
from tests.rules.seeking import FOUND, known_seeds
from tests.rules.table import ROWS

ROOT = Path(__file__).parents[2]
# Rules that nobody has broken on purpose yet. It only ever gets shorter.
OPEN: set[str] = {
    "arguments.1",
    "arguments.2",
    "arguments.3",
    "batch.rights",
    "contrib.django.1",
    "contrib.django.2",
    "contrib.django.3",
    "embedded.folder.1",
    "embedded.folder.2",
    "embedded.seat.1",
    "embedded.seat.2",
    "eviction.1",
    "eviction.2",
    "eviction.3",
    "eviction.4",
    "eviction.5",
    "flight.joined",
    "flight.last",
    "fork.child",
    "journal.full",
    "life.kept",
    "life.offline",
    "life.sent",
    "life.server",
    "life.touch",
    "life.untracked",
    "loop.moved",
    "namespace.own",
    "near.1",
    "near.2",
    "near.4",
    "near.5",
    "ops.app.1",
    "ops.app.2",
    "ops.app.3",
    "ops.app.4",
    "ops.checks.1",
    "ops.checks.2",
    "ops.checks.3",
    "ops.checks.4",
    "promise.1",
    "promise.2",
    "promise.3",
    "promise.5",
    "promise.6",
    "promise.7",
    "promise.8",
    "promise.9",
    "refresh.early",
    "refresh.pause",
    "refresh.replaces",
    "resort.offline",
    "right.lease",
    "right.length",
    "script.full",
    "script.noscript",
    "shake.previous",
    "tag.last",
    "threads.handed",
    "threads.monitor",
    "threads.over",
    "threads.reset",
    "unbacked.bound",
    "wait.capped",
    "wait.load_timeout",
    "wait.watch",
    "wire.address.1",
    "wire.address.2",
    "wire.beat",
    "wire.errors",
    "wire.link.1",
    "wire.link.3",
    "wire.overdue",
    "wire.poll",
    "wire.reset",
    "wire.session.1",
    "wire.session.2",
    "wire.session.3",
}


def test_each_rule_has_a_defect_that_breaks_it() -> None:
    rules = {*numbered(), *DESIGN}
    broken = {row.rule for row in ROWS.values()}
    assert broken <= rules, "a row names a rule that is neither at the head of a module nor in tests/rules/design.py"
    assert rules - broken == OPEN, "give each a row in tests/rules/rows: see CONTRIBUTING.md"


def test_no_id_of_a_rule_is_used_twice() -> None:
    assert not set(numbered()) & set(DESIGN)


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
def test_what_a_row_names_is_there(row: Row) -> None:
    place(row.where)
    if isinstance(row.defect, tuple):
        altered(row)
    else:
        assert row.defect()
    file, _, test = row.found_by.partition("::")
    if test:
        name = re.escape(test.partition("[")[0].rpartition("::")[2])
        assert re.search(rf"^ *(async )?def {name}\(", (ROOT / file).read_text(encoding="utf-8"), re.MULTILINE)
    elif row.found_by != SIMULATION:
        assert (FOUND / f"{row.found_by.partition(' ')[2]}.json").exists()
    else:
        assert row.name in known_seeds(), f"python -m tests.rules {row.name} --seek simulation"
