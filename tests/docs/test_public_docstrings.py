"""``help()`` of every public name is complete: each parameter has a line, each class and each verb an example.

The framework documents the methods that it declares and an adapter implements. Methods of adapters, ``Server`` and
``Proxy`` need no example each: the example of their class shows how to use them.
"""

import importlib
import inspect
import re
from collections.abc import Iterator
from enum import Enum
from typing import Any

import pytest

from fleetcache import Cache, Settings, SyncCache
from fleetcache.api.cached import CachedFunction
from fleetcache.api.namespace import Namespace
from fleetcache.api.sync_cached import SyncCachedFunction
from fleetcache.api.sync_namespace import SyncNamespace
from fleetcache.config.environment import VARIABLES
from tests.docs.test_api_reference import ON_PAGES, PUBLIC, found

# Objects of these classes come from a cache, a decorator or a switch; users do not call the class.
NOT_CONSTRUCTED = {
    "AioView",
    "CachedEndpoint",
    "CachedFunction",
    "Claim",
    "Explanation",
    "Fault",
    "Mutex",
    "Namespace",
    "SyncCachedFunction",
    "SyncClaim",
    "SyncNamespace",
    "SyncView",
}
PROTOCOLS = {"AsyncCache", "EndpointDecorator", "Watched"}
_SECTIONS = re.compile(r"^(?:Args|Attributes):\n((?: .*\n?|\n)*)", re.MULTILINE)
_LINE = re.compile(r"^ {4}(\*{0,2}\w+): (.*(?:\n {8}.*)*)", re.MULTILINE)
_ENTRY = re.compile(r"^ {4}(\*{0,2}\w+(?:, \*{0,2}\w+)*):", re.MULTILINE)


def documented(text: str) -> set[str]:
    """Return the names that have a line under ``Args:`` or ``Attributes:``."""
    entries = [name for section in _SECTIONS.findall(text) for name in _ENTRY.findall(section)]
    return {name.strip("* ") for entry in entries for name in entry.split(",")}


def parameters(called: Any) -> set[str]:
    """Return the names of the parameters that callers give."""
    try:
        names = inspect.signature(called).parameters
    except ValueError:  # of a class without a signature of its own, such as an enum
        return set()
    return {name for name in names if name not in {"self", "cls"} and not name.startswith("_")}


def callables(name: str) -> Iterator[tuple[str, Any]]:
    """Yield a public object and, for a class of ours, the methods that users call."""
    value = found(name)
    if not inspect.isclass(value):
        if callable(value):
            yield name, value
        return
    if value.__name__ not in NOT_CONSTRUCTED | PROTOCOLS and not issubclass(value, BaseException | Enum):
        yield name, value
    foreign = {method for base in value.__mro__ if _is_foreign(base) for method in vars(base)}
    for base in value.__mro__:
        if base.__module__.partition(".")[0] == "fleetcache":
            for method, raw in vars(base).items():
                called = raw.__func__ if isinstance(raw, classmethod | staticmethod) else raw
                if not method.startswith("_") and method not in {"bind", *foreign} and inspect.isroutine(called):
                    yield f"{name}.{method}", called


def _is_foreign(base: type) -> bool:
    return base.__module__.partition(".")[0] not in {"fleetcache", "builtins", "enum", "msgspec"}


def gaps(name: str, called: Any) -> Iterator[str]:
    """Yield the parameters without a line, and a missing docstring."""
    text = inspect.getdoc(called)
    if not text:
        yield f"{name} has no docstring"
        return
    yield from (f"{name}: {parameter} has no line" for parameter in sorted(parameters(called) - documented(text)))


def without_example(name: str) -> Iterator[str]:
    """Yield a public object without an example, and the methods of a class that have none."""
    value = found(name)
    if inspect.isclass(value):
        texts = {name: value.__doc__}
        if not {"contrib", "testing"} & set(name.split(".")) and value.__name__ not in PROTOCOLS:
            texts |= {where: inspect.getdoc(called) for where, called in callables(name) if where != name}
    else:
        texts = {name: inspect.getdoc(value)} if callable(value) else {}
    yield from (f"{where} has no example" for where, text in texts.items() if "Example:" not in (text or ""))


@pytest.mark.parametrize("name", ON_PAGES)
def test_each_parameter_is_documented(name: str) -> None:
    assert [gap for where, called in callables(name) for gap in gaps(where, called)] == []


@pytest.mark.parametrize("name", ON_PAGES)
def test_each_class_and_verb_has_an_example(name: str) -> None:
    assert list(without_example(name)) == []


def test_every_public_name_is_looked_at() -> None:
    names = {f"{module}.{name}" for module in PUBLIC for name in importlib.import_module(module).__all__}
    assert names <= set(ON_PAGES)
    assert {name.rpartition(".")[2] for name in ON_PAGES} >= NOT_CONSTRUCTED | PROTOCOLS


def test_the_docstring_of_settings_has_each_default() -> None:
    said = {name: re.findall(r"default ``([^`]*)``", text) for name, text in lines_of(Settings).items()}
    for variable in VARIABLES:
        default = str(variable.default).lower() if variable.kind == "boolean" else str(variable.default)
        assert said[variable.field] == ([] if variable.default in (None, "", ()) else [default]), variable.field


# Parameters whose meaning differs for threads.
_OF_THREADS = {"loader", "load_limit", "load_timeout", "url"}


@pytest.mark.parametrize(
    ("tasks", "threads"), [(Cache, SyncCache), (Namespace, SyncNamespace), (CachedFunction, SyncCachedFunction)]
)
def test_threads_are_told_the_same_as_tasks(tasks: type, threads: type) -> None:
    """The docstrings stand twice, for editors read them from the source."""
    compared = 0
    for name in dir(tasks):
        if not name.startswith("_") and inspect.isroutine(getattr(threads, name, None)):
            one, other = lines_of(getattr(tasks, name)), lines_of(getattr(threads, name))
            assert one.keys() == other.keys(), name
            compared += len(one)
            assert [part for part in one if one[part] != other[part] and part not in _OF_THREADS] == [], name
    assert compared > 10


def lines_of(called: Any) -> dict[str, str]:
    """Return the text of each parameter and of each error."""
    text = (inspect.getdoc(called) or "").partition("Example:")[0]
    return {name: " ".join(said.split()) for name, said in _LINE.findall(text)}


def test_twin_a_gap_is_seen() -> None:
    def verb(key: str, *, ttl: int, _hidden: int = 0) -> None:  # noqa: D417 - the gap
        """Do.

        Args:
            key: A key, and
                ttl: not here.

        Raises:
            ttl: Nor here.
        """

    assert list(gaps("verb", verb)) == ["verb: ttl has no line"]
    verb.__doc__ = None
    assert list(gaps("verb", verb)) == ["verb has no docstring"]
