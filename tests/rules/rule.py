"""A row of the table of rules: a rule of the design, its place in the code, a defect there, and the test that finds it.

A *rule* has an id. The rules at the head of a module have the module's name and their number: ``coherence.2``. The
rules that no module opens with are in ``design.py``. A *defect* breaks a rule on purpose, at run time, and only in the
test's code. The same test or simulation finds a change that breaks the rule by mistake.
"""

import importlib
from collections.abc import Callable
from types import FunctionType
from typing import Any, NamedTuple

__all__ = ["SIMULATION", "Defect", "Exchange", "Row", "place"]

Exchange = tuple[Any, str, Any]
"""An owner, the name of its attribute, and what is there instead."""

Defect = tuple[str, str] | Callable[[], list[Exchange]]

SIMULATION = "simulation"
"""Some seed finds it: which one is in ``seeds.json``. Other ways are a plan in ``tests/simulation/found``, as
``plan 1269``, and a test, as ``tests/unit/near/test_store.py::test_x``."""


class Row(NamedTuple):
    """One row.

    Attributes:
        name: The name of the defect.
        rule: Id of the rule that it breaks.
        breaks: The wrong behaviour, in one sentence.
        where: The place of the rule in the code: ``module:symbol``, below ``fleetcache``.
        defect: Text of the symbol's source and its replacement; or a function that returns the replaced methods.
        found_by: ``SIMULATION``, a plan or a test; of a test's parameters one that fails is enough.
    """

    name: str
    rule: str
    breaks: str
    where: str
    defect: Defect
    found_by: str = SIMULATION

    @property
    def simulated(self) -> bool:
        """True if the simulation finds it, False if a test does."""
        return "::" not in self.found_by


def place(where: str) -> tuple[Any, str, Any]:
    """Return the owner, the name and the value of a symbol.

    Raises:
        LookupError: There is no such symbol.
    """
    module, _, path = where.partition(":")
    owner: Any = importlib.import_module(f"fleetcache.{module}" if module else "fleetcache")
    *parents, name = path.split(".")
    try:
        for parent in parents:
            owner = getattr(owner, parent)
        found = vars(owner)[name]
    except (AttributeError, KeyError):
        raise LookupError(f"there is no fleetcache.{where}: has it moved?") from None
    return owner, name, found


def function_of(found: Any) -> FunctionType:
    """Return the function behind a method, a property or a decorated function.

    Raises:
        LookupError: There is none.
    """
    while not isinstance(found, FunctionType):
        inner = getattr(found, "fget", None) or getattr(found, "__func__", None) or getattr(found, "__wrapped__", None)
        if inner is None:
            raise LookupError(f"{found!r} is no function: exchange it as a whole")
        found = inner
    return found
