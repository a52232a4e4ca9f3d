"""The log: every record has the same fields, and no text repeats the logger's name."""

import ast
import logging
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from fleetcache.log import Teller

PACKAGE = Path(__file__).parents[2] / "src" / "fleetcache"
PAGE = PACKAGE.parents[1] / "docs" / "logging.md"
FIELDS = {"event", "reason", "driver", "seconds"}
LEVELS = {"debug", "info", "warning", "error", "exception", "critical", "log"}


def test_a_record_has_its_fields_and_is_found_where_it_was_told(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, "fleetcache"):
        Teller("redis")(logging.INFO, "online", "again after %.1f s", 2.0, reason="reset", seconds=2.0)
        Teller()(logging.DEBUG, "quiet", "nothing")
    first, second = (vars(record) for record in caplog.records)
    assert {name: first[name] for name in FIELDS} == {
        "event": "online", "reason": "reset", "driver": "redis", "seconds": 2.0,
    }  # fmt: skip
    assert {name: second[name] for name in FIELDS} == {
        "event": "quiet", "reason": None, "driver": None, "seconds": None,
    }  # fmt: skip
    assert (caplog.records[0].message, first["filename"]) == ("again after 2.0 s", Path(__file__).name)


def logging_calls(tree: ast.AST) -> Iterator[ast.Call]:
    """Yield calls of a logger: ``log.warning(...)``, and calls of a ``tell``."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            name, of = node.func.attr, node.func.value
            if name in LEVELS and isinstance(of, ast.Name) and of.id in {"log", "logger", "logging"}:
                yield node


def test_only_one_place_writes_records_and_adapters_name_the_fields_themselves() -> None:
    """An adapter uses the public API only: it passes ``extra`` by itself."""
    odd = []
    for path in PACKAGE.rglob("*.py"):
        for call in logging_calls(ast.parse(path.read_text())):
            given = any(keyword.arg == "extra" for keyword in call.keywords)
            if path != PACKAGE / "log.py" and not (given and path.parent.name == "contrib"):
                odd.append(f"{path.relative_to(PACKAGE)}:{call.lineno}")
    assert odd == [], "fleetcache.log makes the records: hand a Teller over"


def test_no_text_repeats_the_name_of_the_logger() -> None:
    odd = [
        f"{path.relative_to(PACKAGE)}:{node.lineno}"
        for path in PACKAGE.rglob("*.py")
        if "logging" in path.read_text()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and node.value.startswith("fleetcache: ")
        and path.parent.name != "contrib"  # a warning of Python's has no logger
    ]
    assert odd == []


def events_in_the_code() -> set[str]:
    """Return the events that are passed to a ``tell`` under any name, and those that adapters write."""
    found = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name | ast.Attribute):
                name = node.func.id if isinstance(node.func, ast.Name) else node.func.attr
                told = name.strip("_").lower() == "tell" and len(node.args) > 1
                if told and isinstance(node.args[1], ast.Constant) and isinstance(node.args[1].value, str):
                    found.add(node.args[1].value)
            if isinstance(node, ast.Dict) and path.parent.name == "contrib":
                keys = [key.value if isinstance(key, ast.Constant) else None for key in node.keys]
                if {str(key) for key in keys} >= FIELDS:
                    value = node.values[keys.index("event")]
                    found.add(str(value.value) if isinstance(value, ast.Constant) else "?")
    return found


def test_the_page_has_every_event() -> None:
    page = (PACKAGE.parents[1] / "docs" / "logging.md").read_text()
    table = page.partition("| event | level | text | when |")[2].partition("\n\n")[0]
    assert set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == events_in_the_code()


def told_texts(tree: ast.AST) -> Iterator[tuple[int, str, str]]:
    """Yield line, event and text of each ``tell(level, event, text, ...)``; a text by name is in the lines above."""
    for function in ast.walk(tree):
        if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        named = [
            (node.lineno, target.id, text_of(node.value))
            for node in ast.walk(function)
            if isinstance(node, ast.Assign)
            for target in node.targets
            if isinstance(target, ast.Name)
        ]
        for call in ast.walk(function):
            if not isinstance(call, ast.Call) or len(call.args) < 3:
                continue
            name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
            event, text = call.args[1:3]
            if name.lower().strip("_") == "tell" and isinstance(event, ast.Constant) and isinstance(event.value, str):
                if isinstance(text, ast.Name):
                    above = [said for line, of, said in sorted(named) if of == text.id and line < call.lineno]
                    yield call.lineno, event.value, (above or [""])[-1]
                else:
                    yield call.lineno, event.value, text_of(text)


def text_of(node: ast.expr) -> str:
    """Return the text of a literal, or the text that an f-string begins with."""
    if isinstance(node, ast.JoinedStr):
        node = node.values[0]
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def in_words(event: str) -> str:
    return f"{event.replace('_', ' ')}: "


def test_each_text_begins_with_its_event_in_words() -> None:
    texts = {
        (path, line, event): text
        for path in PACKAGE.rglob("*.py")
        for line, event, text in told_texts(ast.parse(path.read_text()))
    }
    by_caller = {"uwsgi"}  # its texts are held by test_uwsgi
    odd = [
        f"{path.relative_to(PACKAGE)}:{line}: {event}: {text!r}"
        for (path, line, event), text in texts.items()
        if event not in by_caller and not text.startswith(in_words(event))
    ]
    assert odd == []
    assert len(texts) > 15, "the calls are not found any more"


def test_the_page_of_the_log_begins_each_text_with_its_event() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (?:WARNING|ERROR) \| (.*?) \|", PAGE.read_text(), re.MULTILINE)
    assert len(rows) > 15
    texts = [(event, text) for event, cell in rows for text in cell.split("<br>")]
    assert [text for event, text in texts if not text.startswith(f"`{in_words(event)}")] == []


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ('def f():\n    tell(1, "a_b", "a b: c")', ("a_b", "a b: c")),
        ('def f():\n    words = f"a: {b}"\n    self._tell(1, "a", words, b)', ("a", "a: ")),
        ('def f():\n    TELL(1, "a", other)', ("a", "")),
    ],
)
def test_twin_texts_are_found(source: str, expected: tuple[str, str]) -> None:
    assert [found[1:] for found in told_texts(ast.parse(source))] == [expected]
