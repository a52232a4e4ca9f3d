"""Every example in a docstring of the package runs and prints what it says."""

import doctest
import importlib
import pkgutil

import pytest

import fleetcache

MODULES = ["fleetcache", *(module.name for module in pkgutil.walk_packages(fleetcache.__path__, "fleetcache."))]


def examples(name: str) -> list[doctest.DocTest]:
    module = importlib.import_module(name)
    return [test for test in doctest.DocTestFinder().find(module) if test.examples]


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_run(name: str) -> None:
    for test in examples(name):
        said: list[str] = []
        result = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(test, out=said.append)
        assert result.failed == 0, "".join(said)


def test_there_are_examples() -> None:
    assert sum(len(test.examples) for name in MODULES for test in examples(name)) > 10
