"""Reads the imports of a package's modules, from their source and without running it."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Import", "imports", "modules"]


@dataclass(frozen=True)
class Import:
    """``module`` (dotted, within the package) imports ``target``.

    Attributes:
        target: Within the package, without its name (``wire.session``); else the full name (``msgspec.json``).
        inside: True if the target is in the package.
        typing_only: True if it stands under ``if TYPE_CHECKING``.
        line: The line of the import.
    """

    module: str
    target: str
    inside: bool
    typing_only: bool
    line: int

    def __str__(self) -> str:
        return f"{self.module}:{self.line} imports {self.target}"


def modules(package: Path) -> dict[str, Path]:
    """Return the file of each module by its name within the package; the package's own ``__init__`` is ``""``."""
    names = {}
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package).with_suffix("").parts
        names[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return names


def imports(package: Path) -> Iterator[Import]:
    """Yield every import of every module, also those inside functions."""
    known = modules(package)
    for module, path in known.items():
        tree = ast.parse(path.read_text())
        home = [package.name, *module.split(".")] if module else [package.name]
        if path.name != "__init__.py":
            home.pop()
        typing_only = _nodes_for_typing(tree)
        for node in ast.walk(tree):
            for target in _targets(node, home):
                inside = target[0] == package.name
                name = _longest_module(target[1:], known) if inside else ".".join(target)
                yield Import(module, name, inside, node in typing_only, getattr(node, "lineno", 0))


def _targets(node: ast.AST, home: list[str]) -> Iterator[list[str]]:
    """Yield full dotted names, as if each imported name were a module; ``_longest_module`` finds out if it is one."""
    if isinstance(node, ast.Import):
        for alias in node.names:
            yield alias.name.split(".")
    elif isinstance(node, ast.ImportFrom):
        start = home[: len(home) - node.level + 1] if node.level else []
        for alias in node.names:
            yield [*start, *(node.module or "").split("."), alias.name] if node.module else [*start, alias.name]


def _longest_module(parts: list[str], known: dict[str, Path]) -> str:
    while parts and ".".join(parts) not in known:
        parts = parts[:-1]
    return ".".join(parts)


def _nodes_for_typing(tree: ast.AST) -> set[ast.AST]:
    found: set[ast.AST] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            for statement in node.body:
                found.update(ast.walk(statement))
    return found
