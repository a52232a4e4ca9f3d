"""Every example in a docstring of the package runs and prints the output shown."""

import ast
import doctest
import importlib
import inspect
import pkgutil
from functools import cache
from types import ModuleType

import pytest

import fleetcache

MODULES = ["fleetcache", *(module.name for module in pkgutil.walk_packages(fleetcache.__path__, "fleetcache."))]


@cache
def classes(module: ModuleType) -> frozenset[str]:
    """Return the names of the classes that the module's file defines."""
    tree = ast.parse(inspect.getsource(module))
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, ast.ClassDef))


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
        said: list[str] = []
        result = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(test, out=said.append)
        assert result.failed == 0, "".join(said)


def test_there_are_examples() -> None:
    assert sum(len(test.examples) for name in MODULES for test in examples(name)) > 10


def test_examples_of_public_classes_are_found_once() -> None:
    found = [test.name for name in MODULES for test in examples(name) if test.name.endswith((".Cache", ".Cache.sync"))]
    assert found == ["fleetcache.api.cache.Cache", "fleetcache.api.cache.Cache.sync"]
