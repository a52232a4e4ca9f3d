"""Runs the examples of a page as a reader does: from top to bottom, in one module and one event loop.

The output of a line ``print(...)  # expected`` must be the expected text; ``...`` at the end stands for any rest. A
block may ``await`` at its top, as in ``python -m asyncio``.
"""

import ast
import asyncio
import inspect
import re
import sys
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

from fleetcache import Cache
from fleetcache.engine.engine import _ENGINES
from fleetcache.engine.threads.engine import SyncEngine
from fleetcache.testing.closing import end
from tests.docs.pages import Block

__all__ = ["Example", "example"]

_EXPECTED = re.compile(r"^\s*print\(.*\)  # (?P<said>.+)$")


class Example:
    """The examples of one page; each continues the example before."""

    def __init__(self, name: str, runner: asyncio.Runner) -> None:
        self._name = name
        self._runner = runner
        self._printed: dict[int, list[str]] = defaultdict(list)
        self.module = ModuleType(f"example_of_{name}")
        self.module.__dict__["print"] = self._print
        self._before = set(_ENGINES)

    def _print(self, *values: object, **options: Any) -> None:
        caller = inspect.currentframe()
        assert caller is not None
        assert caller.f_back is not None
        said = str(options.get("sep", " ")).join(map(str, values))
        self._printed[caller.f_back.f_lineno].append(said)

    def run(self, block: Block) -> None:
        """Run one block and compare its output."""
        self._printed.clear()
        tree = ast.parse(block.code)
        ast.increment_lineno(tree, block.line - 1)  # errors and prints name the page's line
        flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
        code = compile(tree, self._name, "exec", flags=flags, dont_inherit=True)
        found = eval(code, self.module.__dict__)  # noqa: S307 - our own pages
        if inspect.iscoroutine(found):
            self._runner.run(found)
        for number, line in enumerate(block.code.splitlines(), start=block.line):
            if expected := _EXPECTED.match(line):
                self._compare(number, expected["said"])

    def _compare(self, number: int, expected: str) -> None:
        said = self._printed[number]
        fits = said and all(_fits(each, expected) for each in said)
        assert fits, f"{self._name}:{number} prints {said or 'nothing'}, the page says {expected!r}"

    def close(self) -> None:
        """Close the caches that the page left open."""
        for value in vars(self.module).copy().values():
            if isinstance(value, Cache) and not value.closed:
                self._runner.run(value.close())
        for engine in set(_ENGINES) - self._before:  # frameworks hold some engines
            if isinstance(engine, SyncEngine):
                end(engine)


def _fits(said: str, expected: str) -> bool:
    return said.startswith(expected[:-3]) if expected.endswith("...") else said == expected


@contextmanager
def example(name: str) -> Iterator[Example]:
    """Yield the examples of one page, with a module in which its types and pickles can be found."""
    with asyncio.Runner() as runner:
        page = Example(name, runner)
        sys.modules[page.module.__name__] = page.module
        try:
            yield page
        finally:
            del sys.modules[page.module.__name__]
            page.close()
