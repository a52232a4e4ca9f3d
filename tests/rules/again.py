"""A plugin of pytest: each test that a row names fails with the row's defect, and passes right after that without it.

``python -m pytest -p tests.rules.again --rows name,name tests/unit/near/test_store.py``. With ``--seek`` the
tests need not be named by any row: the summary shows the tests that find each defect.
"""

import gc
import time
from collections.abc import Iterator
from typing import Any

import pytest
from _pytest.runner import runtestprotocol

from tests.rules.breaking import mutated
from tests.rules.rule import Row
from tests.rules.table import ROWS

__all__: list[str] = []

FINDERS = pytest.StashKey["_Finders"]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--rows", default="", help="names of rows, separated by commas; none = all")
    parser.addoption("--seek", action="store_true", help="try these rows with every test")


def pytest_configure(config: pytest.Config) -> None:
    config.stash[FINDERS] = finders = _Finders(config)
    config.pluginmanager.register(finders)


class _Finders:
    """Runs the tests, and records the defects that each finds."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        names = [name for name in config.getoption("--rows").split(",") if name]
        self.seeks = bool(config.getoption("--seek"))
        chosen = [ROWS[name] for name in names] if names else list(ROWS.values())
        self.rows = [row for row in chosen if self.seeks or not row.simulated]
        self.found: dict[str, list[str]] = {row.name: [] for row in self.rows}
        self.ill: list[str] = []
        self.last = ""  # the text of the last failure

    def _of(self, item: pytest.Item) -> list[Row]:
        if self.seeks:
            return self.rows
        here = item.nodeid.partition("[")[0]
        return [row for row in self.rows if row.found_by in {item.nodeid, here}]

    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        kept = [item for item in items if self._of(item)]
        config.hook.pytest_deselected(items=[item for item in items if not self._of(item)])
        items[:] = kept

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item, nextitem: pytest.Item | None) -> bool:
        rows = [row for row in self._of(item) if self.seeks or not self.found[row.name]]
        for row in rows:
            began = time.monotonic()
            with mutated(row.name):
                failed = any(self._failures(item))
            gc.collect()
            if failed and not self._passes(item):  # a test that fails at each further run has found nothing
                self.ill.append(item.nodeid)
                break
            if failed:
                self.found[row.name].append(item.nodeid)
            if failed or not self.seeks:
                told = "found" if failed else "not found"
                self._say(f"{row.name}: {told} in {time.monotonic() - began:.1f} s by {item.nodeid}")
        self._end(item, nextitem)
        return True

    def _say(self, line: str) -> None:
        reporter: Any = self._config.pluginmanager.getplugin("terminalreporter")
        reporter.ensure_newline()
        reporter.write_line(line)

    def _passes(self, item: pytest.Item) -> bool:
        """Return True if the test passes on the real code; try twice, as an earlier defect's leftovers may fail it."""
        return not any(self._failures(item)) or not any(self._failures(item))

    def _failures(self, item: pytest.Item) -> Iterator[pytest.TestReport]:
        # The fixtures shared with its neighbours stay, and the test is set up again: else it would have no parameters
        # or fixtures the next time, and would fail with any defect.
        neighbour: Any = item.parent
        for report in runtestprotocol(item, nextitem=neighbour, log=False):
            if report.failed:
                self.last = report.longreprtext
                yield report

    def _end(self, item: pytest.Item, nextitem: pytest.Item | None) -> None:
        item.session._setupstate.teardown_exact(nextitem)

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if not self.seeks and (self.ill or not all(self.found.values())):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
        elif session.exitstatus == pytest.ExitCode.NO_TESTS_COLLECTED and not self.rows:
            session.exitstatus = pytest.ExitCode.OK

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        for row in self.rows:
            if not self.found[row.name]:
                by = "any of these" if self.seeks else row.found_by
                terminalreporter.write_line(f"{row.name}: NOT FOUND by {by}")
        for nodeid in self.ill:
            terminalreporter.write_line(f"{nodeid}: fails as the code is, or when it is run again\n{self.last}")
