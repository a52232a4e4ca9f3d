"""Puts a defect into the running code, and takes it out again."""

import ast
import inspect
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import CodeType, FunctionType
from unittest.mock import patch

from tests.rules.rule import Exchange, Row, function_of, place
from tests.rules.table import ROWS

__all__ = ["altered", "mutated"]


@contextmanager
def mutated(name: str) -> Iterator[None]:
    """Give the cache one defect, for the block."""
    row = ROWS[name]
    with ExitStack() as stack:
        if isinstance(row.defect, tuple):
            function = function_of(place(row.where)[2])
            stack.enter_context(_code(function, altered(row)))
        else:
            for owner, attribute, new in row.defect():
                stack.enter_context(patch.object(owner, attribute, new))
        yield


@contextmanager
def _code(function: FunctionType, code: CodeType) -> Iterator[None]:
    """Replace a function's code; each holder of the function gets the new code, too."""
    before = function.__code__
    function.__code__ = code
    try:
        yield
    finally:
        function.__code__ = before


def altered(row: Row) -> CodeType:
    """Return the code of the row's symbol, with the defect in its text.

    Raises:
        LookupError: The text is not there exactly once: the rule's code has changed, and so must its row.
    """
    assert isinstance(row.defect, tuple)
    old, new = row.defect
    function = function_of(place(row.where)[2])
    path = inspect.getsourcefile(function)
    assert path is not None
    source = Path(path).read_text(encoding="utf-8")
    lines = source.splitlines(keepends=True)
    first = function.__code__.co_firstlineno
    last = _last_line(source, first)
    body = "".join(lines[first - 1 : last])
    if body.count(old) != 1:
        raise LookupError(f"{row.name}: {old!r} occurs {body.count(old)} times in fleetcache.{row.where}, not once")
    changed = "".join([*lines[: first - 1], body.replace(old, new), *lines[last:]])
    code = _find(compile(changed, path, "exec", dont_inherit=True), function.__qualname__, first)
    if code.co_freevars != function.__code__.co_freevars:
        raise LookupError(f"{row.name}: with {new!r} it needs other names from around it: exchange it as a whole")
    return code


def _last_line(source: str, first: int) -> int:
    """Return the last line of the function that begins there, with its decorators."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            begins = min([node.lineno, *(one.lineno for one in node.decorator_list)])
            if begins == first:
                return node.end_lineno or first
    raise LookupError(f"no function begins in line {first}")


def _find(code: CodeType, qualname: str, first: int) -> CodeType:
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            if inner.co_qualname == qualname and inner.co_firstlineno == first:
                return inner
            if qualname.startswith(inner.co_qualname + ".") or inner.co_name == "<module>":
                try:
                    return _find(inner, qualname, first)
                except LookupError:
                    continue
    raise LookupError(f"no {qualname} in line {first}")


def exchanges(row: Row) -> list[Exchange]:
    """Return the replaced methods of a row without a change of text."""
    return [] if isinstance(row.defect, tuple) else row.defect()
