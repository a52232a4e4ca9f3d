"""The page on logging has every line that the code writes, with its event and its level, and no other."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tests.docs.pages import DOCS

PACKAGE = Path(__file__).parents[2] / "src" / "fleetcache"
PAGE = (DOCS / "logging.md").read_text(encoding="utf-8")
FIELDS = {"event", "reason", "driver", "seconds"}


class Line(NamedTuple):
    event: str
    level: str
    text: str


def lines_of_the_page() -> list[Line]:
    found = re.findall(r"^\| `(\w+)` \| (WARNING|ERROR) \| (`.+?`) \| ", PAGE, re.MULTILINE)
    return [Line(event, level, text) for event, level, texts in found for text in re.findall(r"`([^`]+)`", texts)]


def lines_of_the_code() -> Iterator[Line]:
    """Yield the calls of a ``tell`` and of an adapter's logger whose text stands in the same function."""
    for path in PACKAGE.rglob("*.py"):
        for function in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                for call in ast.walk(function):
                    if isinstance(call, ast.Call):
                        yield from _line(call, function)


def _line(call: ast.Call, function: ast.AST) -> Iterator[Line]:
    name = getattr(call.func, "attr", getattr(call.func, "id", ""))
    if name.strip("_").lower() == "tell" and len(call.args) > 2 and isinstance(call.args[1], ast.Constant):
        text = _text(call.args[2], function)
        if text is not None:
            yield Line(str(call.args[1].value), getattr(call.args[0], "attr", "?"), text)
    elif name == "error" and any(keyword.arg == "extra" for keyword in call.keywords):
        text = _text(call.args[0], function)
        if text is not None:
            yield Line("uncached", "ERROR", text)


def _text(node: ast.expr, function: ast.AST) -> str | None:
    """Return the text of a record as a pattern; ``None`` if another function makes it."""
    if isinstance(node, ast.Constant):
        return None if node.value == "%s" else _pattern(str(node.value))
    if isinstance(node, ast.JoinedStr):
        return "".join(_pattern(str(part.value)) if isinstance(part, ast.Constant) else ".+" for part in node.values)
    texts = [
        assign.value
        for assign in ast.walk(function)
        if isinstance(assign, ast.Assign)
        and assign.lineno < node.lineno
        and isinstance(node, ast.Name)
        and any(isinstance(target, ast.Name) and target.id == node.id for target in assign.targets)
        and isinstance(assign.value, ast.Constant | ast.JoinedStr)
    ]
    return _text(max(texts, key=lambda value: value.lineno), function) if texts else None


def _pattern(text: str) -> str:
    parts = re.split(r"%[-.\d]*[sdfr]", text)
    return ".*".join(re.escape(part) for part in parts)


def texts_in_the_code() -> str:
    """Return all texts of the package, for records whose text another function makes."""
    texts = [
        str(node.value)
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    return "\n".join(texts)


def test_every_line_of_the_code_is_on_the_page() -> None:
    page = lines_of_the_page()
    missing = [
        line
        for line in lines_of_the_code()
        if not any(said[:2] == line[:2] and re.fullmatch(line.text, said.text) for said in page)
    ]
    assert missing == []


def test_every_line_of_the_page_is_in_the_code() -> None:
    code, texts = list(lines_of_the_code()), texts_in_the_code()
    assert len(code) > 15
    for said in lines_of_the_page():
        known = any(said[:2] == line[:2] and re.fullmatch(line.text, said.text) for line in code)
        assert known or said.text.removesuffix(" Set ...") in texts or _made_elsewhere(said, texts), said


def _made_elsewhere(said: Line, texts: str) -> bool:
    """Return True for a doubt about a setting: the code has its middle, but not its names and numbers."""
    middle = re.sub(r"^\S+( \(\w+\) is \d+)?|: \S+$|: a number.*$", "", said.text).strip()
    return said.event == "doubtful_setting" and len(middle) > 20 and middle in texts


def test_no_record_has_another_level() -> None:
    assert {line.level for line in lines_of_the_code()} == {"WARNING", "ERROR"}
