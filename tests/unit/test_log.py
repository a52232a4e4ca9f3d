"""The log: every record has the same fields, and no text repeats the logger's name."""

import ast
import logging
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from fleetcache.log import Teller

PACKAGE = Path(__file__).parents[2] / "src" / "fleetcache"
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
            if path.name != "telling.py" and not (given and path.parent.name == "contrib"):
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
