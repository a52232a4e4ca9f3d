"""Every public name stands on a page of the API reference, and every name there can be imported."""

import importlib
import re
import textwrap
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.docs.pages import REFERENCE, ROOT

# A page names an object of the reference on a line of its own.
_NAMED = re.compile(r"^::: ([\w.]+)$", re.MULTILINE)
ON_PAGES = [name for page in REFERENCE for name in _NAMED.findall(page.read_text(encoding="utf-8"))]


def adapters() -> list[str]:
    """Return the modules of contrib that users import: each has an extra of its name."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    folder = ROOT / "src" / "fleetcache" / "contrib"
    return sorted(
        f"fleetcache.contrib.{extra}"
        for extra in extras
        if (folder / f"{extra}.py").exists() or (folder / extra / "__init__.py").exists()
    )


PUBLIC = ["fleetcache", "fleetcache.ops", "fleetcache.testing", *adapters()]


def missing(module: str, named: Iterable[str]) -> Iterator[str]:
    """Yield the public names of a module that no page has."""
    known = set(named)
    yield from (full for name in importlib.import_module(module).__all__ if (full := f"{module}.{name}") not in known)


def found(name: str) -> Any:
    """Return the object that a page names."""
    parts = name.split(".")
    for length in range(len(parts) - 1, 0, -1):
        try:
            value: Any = importlib.import_module(".".join(parts[:length]))
        except ModuleNotFoundError:
            continue
        for part in parts[length:]:
            value = getattr(value, part)
        return value
    raise LookupError(name)


def tools() -> tuple[Any, Any]:
    """Return the tools that make the pages; the other tests here run without them."""
    return importlib.import_module("griffe"), importlib.import_module("docs.tools.reference")


def test_all_adapters_are_looked_at() -> None:
    names = "cachelib django dogpile fastapi flask litestar"
    assert {f"fleetcache.contrib.{name}" for name in names.split()} <= set(PUBLIC)


@pytest.mark.parametrize("module", PUBLIC)
def test_every_public_name_is_on_a_page(module: str) -> None:
    assert list(missing(module, ON_PAGES)) == []


def test_a_name_on_no_page_is_seen() -> None:
    without = [name for name in ON_PAGES if name != "fleetcache.Cache"]
    assert list(missing("fleetcache", without)) == ["fleetcache.Cache"]


@pytest.mark.parametrize("name", ON_PAGES)
def test_a_name_on_a_page_can_be_imported_and_is_documented(name: str) -> None:
    if name != "fleetcache.MISSING":  # its text stands below it in the source, and Python does not keep it
        assert (found(name).__doc__ or "").strip()
    assert found(name) is not None


def test_no_name_is_on_two_pages() -> None:
    assert len(ON_PAGES) == len(set(ON_PAGES))


def test_an_example_becomes_a_section_of_examples() -> None:
    griffe, tool = tools()
    docstring = griffe.Docstring(tool.as_examples("Do it.\n\nExample:\n    >>> 1 + 1\n    2\n"))
    kinds = [section.kind for section in docstring.parse("google")]
    assert kinds == [griffe.DocstringSectionKind.text, griffe.DocstringSectionKind.examples]


def test_parameters_that_serve_messages_alone_are_not_shown(tmp_path: Path) -> None:
    griffe, tool = tools()
    (tmp_path / "sample.py").write_text("def verb(key, *_others, ttl=None, **options): ...\n", encoding="utf-8")
    (tmp_path / "another.py").write_text("def verb(key, *_others, ttl=None, **_unknown): ...\n", encoding="utf-8")
    for module, kept in (("sample", ["key", "ttl", "options"]), ("another", ["key", "ttl"])):
        verb = griffe.load(module, search_paths=[tmp_path])["verb"]
        tool.called_by_users(verb)
        assert [parameter.name for parameter in verb.parameters] == kept


def test_forms_that_only_type_checkers_read_are_not_shown(tmp_path: Path) -> None:
    griffe, tool = tools()
    source = """
        from typing import Any, TypedDict, Unpack, overload
        class Options(TypedDict): ...
        class Verbs:
            @overload
            def verb(self, key: str, **options: Unpack[Options]) -> int: ...
            @overload
            def verb(self, key: int) -> str: ...
            def verb(self, key: Any, ttl: float = 1.0) -> Any: ...
    """
    (tmp_path / "sample.py").write_text(textwrap.dedent(source), encoding="utf-8")
    forms = griffe.load("sample", search_paths=[tmp_path])["Verbs.verb"].overloads
    assert [str(form.returns) for form in forms] == ["int", "str"]
    assert [str(form.returns) for form in tool.shown(forms)] == ["str"]
