"""What a row of the table of rules is: a rule of the design, its place in the code, a defect there, and what finds it.

A *rule* has an id. The rules at the head of a module have the module's name and their number: ``coherence.2``. Those of
the design that no module opens with are in ``design.py``. A *defect* breaks a rule on purpose, at run time, and in no
other code than the test's. Whoever breaks the rule by mistake is found by the same test or simulation.
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
        name: Of the defect.
        rule: Id of the rule that it breaks.
        breaks: What is wrong then, in one sentence.
        where: Where the rule is kept: ``module:symbol``, below ``fleetcache``.
        defect: Text of the symbol's source and what stands there instead; or a function that returns what is exchanged.
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
        """Whether it is found in virtual time, and not by a test."""
        return "::" not in self.found_by


def place(where: str) -> tuple[Any, str, Any]:
    """The owner, the name and the value of a symbol.

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
    """The function behind a method, a property or a decorated function.

    Raises:
        LookupError: There is none.
    """
    while not isinstance(found, FunctionType):
        inner = getattr(found, "fget", None) or getattr(found, "__func__", None) or getattr(found, "__wrapped__", None)
        if inner is None:
            raise LookupError(f"{found!r} is no function: exchange it as a whole")
        found = inner
    return found
