"""Measures every line of the performance budget beside the peers, in one run: ``make bench``.

    python benchmarks/run.py                    # all of it; some minutes
    python benchmarks/run.py --only get         # one row; may be given several times
    python benchmarks/run.py --quick            # seconds; shows that everything runs, the figures mean little
    python benchmarks/run.py --json             # the same for machines
    python benchmarks/run.py --write            # and put the table into docs/benchmarks.md

Ends with 1 when a row missed its budget or failed; with ``--quick`` only when one failed.
"""

import argparse
import asyncio
import logging
import sys
import traceback
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[0] = str(ROOT)  # the folder of this file is no place to import from, its parent is

from benchmarks import table  # noqa: E402 - needs the line above
from benchmarks.figures import Effort, Result, Row  # noqa: E402 - as above
from benchmarks.rows import imports, loads, memory, near, outage, removal, shared, threads  # noqa: E402 - as above
from tests.support.servers import Server  # noqa: E402 - as above

PAGE = ROOT / "docs" / "benchmarks.md"
ROWS: dict[str, Row] = {
    row.name: row for part in (near, shared, threads, loads, removal, outage, memory, imports) for row in part.ROWS
}


def measured(row: Row, effort: Effort) -> Result:
    """Run one row on its own server and event loop. An error in it is its result."""
    try:
        with Server("valkey") as server:
            return Result(row, asyncio.run(row.measure(server.url, effort)))
    except Exception as error:  # noqa: BLE001 - the other rows are still worth something
        traceback.print_exc()
        return Result(row, None, f"{type(error).__name__}: {error}")


def main(arguments: list[str] | None = None) -> int:
    """Run the rows of the command line."""
    parser = argparse.ArgumentParser(description="The performance budget, measured beside the peers.")
    parser.add_argument("--quick", action="store_true", help="a few seconds; the figures mean little")
    parser.add_argument("--json", action="store_true", help="JSON instead of a table")
    parser.add_argument("--only", action="append", choices=ROWS, metavar="ROW", help=f"one of {', '.join(ROWS)}")
    parser.add_argument("--write", action="store_true", help="also put the table into docs/benchmarks.md")
    options = parser.parse_args(arguments)
    if options.write and (options.quick or options.only):
        parser.error("--write is for a whole run: without --quick and --only")
    logging.getLogger().addHandler(logging.NullHandler())  # outages are announced, and expected here
    effort = Effort.of(quick=options.quick)
    results = []
    for name in options.only or ROWS:
        print(f"{name} ...", file=sys.stderr, flush=True)
        results.append(measured(ROWS[name], effort))
    print(table.as_json(results) if options.json else table.as_table(results))
    if options.write:
        table.rewrite(PAGE, results)
    bad = {"FAILED"} if options.quick else {"FAILED", "MISSED"}
    return int(any(result.verdict in bad for result in results))


if __name__ == "__main__":
    raise SystemExit(main())
