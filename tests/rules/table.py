"""The table of rules: all rows of the files in ``rows``, by name."""

import importlib
from pathlib import Path

from tests.rules.rule import Row

__all__ = ["ROWS", "SEEDS_FILE"]

ROOMS = Path(__file__).parent / "rows"
SEEDS_FILE = Path(__file__).parent / "seeds.json"


def _rows() -> dict[str, Row]:
    rows: dict[str, Row] = {}
    for path in sorted(ROOMS.glob("*.py")):
        for row in importlib.import_module(f"tests.rules.rows.{path.stem}").ROWS:
            if row.name in rows:
                raise ValueError(f"two rows of the table of rules have the name {row.name}")
            rows[row.name] = row
    return rows


ROWS = _rows()
