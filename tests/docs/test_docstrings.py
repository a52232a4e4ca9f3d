"""Every example in a docstring of the package runs and prints the output shown.

An example may ``await`` at its top, as in ``python -m asyncio``; its lines run on one event loop.
"""

import ast
import asyncio
import doctest
import importlib
import inspect
import pkgutil
from collections.abc import Awaitable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from contextvars import copy_context
from functools import cache, partial
from types import ModuleType
from typing import Any

import pytest

import fleetcache

MODULES = ["fleetcache", *(module.name for module in pkgutil.walk_packages(fleetcache.__path__, "fleetcache."))]


@cache
def classes(module: ModuleType) -> frozenset[str]:
    """Return the names of the classes that the module's file defines."""
    tree = ast.parse(inspect.getsource(module))
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, ast.ClassDef))


class Awaits(ast.NodeTransformer):
    """Turns each ``await`` and ``async with`` at the top of an example into plain code that ``run_`` carries out."""

    def visit_Await(self, node: ast.Await) -> ast.AST:
        return ast.Call(ast.Name("run_", ast.Load()), [self.visit(node.value)], [])

    def visit_AsyncWith(self, node: ast.AsyncWith) -> ast.AST:
        name = ast.Name("block_", ast.Load())
        items = [ast.withitem(ast.Call(name, [item.context_expr], []), item.optional_vars) for item in node.items]
        return self.generic_visit(ast.With(items, node.body))

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        return node


@contextmanager
def block(runner: asyncio.Runner, entered: AbstractAsyncContextManager[Any]) -> Iterator[Any]:
    value = runner.run(_awaited(entered.__aenter__()))
    try:
        yield value
    finally:
        runner.run(_awaited(entered.__aexit__(None, None, None)))


async def _awaited(awaitable: Awaitable[Any]) -> Any:
    return await awaitable


def run_example(test: doctest.DocTest) -> str:
    """Run one example; return the report of a difference, or an empty text."""
    for example in test.examples:
        if "await " in example.source or "async with " in example.source:
            example.source = ast.unparse(ast.fix_missing_locations(Awaits().visit(ast.parse(example.source)))) + "\n"
    said: list[str] = []
    with asyncio.Runner() as runner:
        test.globs["run_"] = lambda awaitable: runner.run(_awaited(awaitable), context=copy_context())
        test.globs["block_"] = partial(block, runner)
        result = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(test, out=said.append)
    return "".join(said) if result.failed else ""


class Finder(doctest.DocTestFinder):
    """Runs a class's examples with the names of its file, because public classes have the module ``fleetcache``."""

    def _from_module(self, module: ModuleType, found: object) -> bool:
        if inspect.isclass(found):
            return found.__name__ in classes(module)
        return bool(super()._from_module(module, found))  # type: ignore[misc] # typeshed does not know it


def examples(name: str) -> list[doctest.DocTest]:
    return [test for test in Finder().find(importlib.import_module(name)) if test.examples]


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_run(name: str) -> None:
    for test in examples(name):
        assert run_example(test) == ""


def test_twin_an_example_that_awaits_is_held_to_what_it_says() -> None:
    source = ">>> import asyncio\n>>> await asyncio.sleep(0, 'late')\n'early'\n"
    test = doctest.DocTestParser().get_doctest(source, {}, "twin", None, 0)
    assert "Expected:\n    'early'\nGot:\n    'late'\n" in run_example(test)


def test_there_are_examples() -> None:
    assert sum(len(test.examples) for name in MODULES for test in examples(name)) > 10


def test_examples_of_public_classes_are_found_once() -> None:
    found = [test.name for name in MODULES for test in examples(name) if test.name.endswith((".Cache", ".Cache.sync"))]
    assert found == ["fleetcache.api.cache.Cache", "fleetcache.api.cache.Cache.sync"]
