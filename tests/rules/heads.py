"""The rules that the modules open with, read from their docstrings."""

import ast
import re
from pathlib import Path

__all__ = ["SOURCE", "numbered"]

SOURCE = Path(__file__).parents[2] / "src" / "fleetcache"

# A rule begins with its number and ends where the next one begins, or a line that is not indented.
_RULE = re.compile(r"^(\d+)\. (.*(?:\n(?: .*)?$)*)", re.MULTILINE)


def numbered() -> dict[str, str]:
    """The words of each rule by its id: the module's name and the rule's number."""
    return {
        f"{_name(path)}.{number}": " ".join(words.split("::")[0].split())
        for path in sorted(SOURCE.rglob("*.py"))
        for number, words in _RULE.findall(ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "")
    }


def _name(path: Path) -> str:
    parts = path.relative_to(SOURCE).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__") or "fleetcache"
