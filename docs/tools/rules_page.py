"""Writes the table of rules into ``docs/simulation.md``: part of ``make docs``. A test compares the page with it."""

from pathlib import Path

from tests.rules.design import DESIGN
from tests.rules.heads import numbered
from tests.rules.rule import Row
from tests.rules.table import ROWS

PAGE = Path(__file__).parents[1] / "simulation.md"
BEGIN, END = "<!-- the table of rules: written by make docs -->\n", "<!-- end of the table -->\n"


def page(text: str) -> str:
    """Return the page with the current table."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return before + BEGIN + table() + END + after


def table() -> str:
    """Return the table: rules in the order of their ids, each defect with the test that finds it."""
    words = {**DESIGN, **numbered()}
    rows = sorted(ROWS.values(), key=lambda row: (_order(row.rule), row.name))
    lines = ["\n", "| rule | is | place | broken on purpose | found by |\n", "|---|---|---|---|---|\n"]
    last = ""
    for row in rows:
        said = "" if row.rule == last else _first_sentence(words[row.rule])
        lines.append(f"| `{row.rule}` | {said} | `{row.where}` | {_plain(row.breaks)} | {_finder(row)} |\n")
        last = row.rule
    return "".join([*lines, "\n"])


def _order(rule: str) -> tuple[str, int, str]:
    room, _, number = rule.rpartition(".")
    return (room, int(number), "") if number.isdigit() else (room, 0, number)


def _first_sentence(words: str) -> str:
    return _plain(words.partition(". ")[0].removesuffix(".") + ".")


def _plain(words: str) -> str:
    """Return the words for a cell of a table."""
    return words.replace("``", "`").replace("|", "\\|")


def _finder(row: Row) -> str:
    return row.found_by if row.simulated else f"`{row.found_by}`"


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
