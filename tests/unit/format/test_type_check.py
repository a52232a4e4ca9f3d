"""A declared type, read by us: the classes that it names, and the values that are of it."""

import dataclasses
import enum
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from typing import Annotated, Any, Generic, Literal, NamedTuple, TypedDict, TypeVar

import msgspec
import pytest

from fleetcache.format.type_check import fit_of

T = TypeVar("T")


@dataclasses.dataclass
class Found:
    name: str


@dataclasses.dataclass
class Closer(Found):
    street: str = ""


@dataclasses.dataclass
class Missing:
    name: str


@dataclasses.dataclass
class Tree(Generic[T]):
    value: T
    below: "list[Tree[T]]"


class Color(enum.Enum):
    RED = 1


class Pair(NamedTuple):
    left: int
    right: str


class Row(TypedDict, total=False):
    number: int


FITS: list[tuple[Any, Any, Any]] = [
    (int, 1, True),
    (float, 1, "1"),
    (Found | Missing, Found("x"), Closer("x")),
    (Found | None, None, Missing("x")),
    (list[Found], [Found("x")], [Missing("x")]),
    (Sequence[int], (1, 2), "12"),
    (Mapping[str, int], {"a": 1}, {"a": "1"}),
    (tuple[int, str], (1, "a"), (1, "a", 2)),
    (tuple[int, ...], (1, 2, 3), (1, "a")),
    (Literal[1, "a"], 1, True),
    (Color, Color.RED, 1),
    (Pair, Pair(1, "a"), (1, "a")),
    (Row, {"number": 1}, {"number": "1"}),
    (Annotated[int, msgspec.Meta(gt=0)], 1, 0),
    (date, date(2026, 1, 1), "2026-01-01"),
    (Tree[int], Tree(1, [Tree(2, [])]), Tree(1, [Tree("2", [])])),
    (Found, Found("x"), Found(5)),  # type: ignore[arg-type]  # the case
]


@pytest.mark.parametrize(("declared", "fits", "does_not"), FITS, ids=repr)
def test_a_value_is_of_its_type_in_each_part(declared: Any, fits: Any, does_not: Any) -> None:
    check = fit_of(declared).check
    assert (check(fits), check(does_not)) == (True, False)


def test_a_type_names_each_class_once() -> None:
    classes = fit_of(dict[str, list[Found | Missing] | Color]).classes
    assert {row.kind for row in classes.values()} == {Found, Missing, Color}
    assert set(classes) == {f"{__name__}.{name}" for name in ("Found", "Missing", "Color")}


def test_an_object_is_made_as_it_was_with_defaults_for_what_it_lacks() -> None:
    row = fit_of(Closer).classes[f"{__name__}.Closer"]
    assert row.write(Closer("x", "y")) == {"name": "x", "street": "y"}
    assert row.read({"name": "x"}) == Closer("x")


@pytest.mark.parametrize("declared", [Callable[[], int], object.__init__, type], ids=repr)
def test_a_type_that_no_bytes_become_is_refused(declared: Any) -> None:
    with pytest.raises(TypeError):
        fit_of(declared)


def test_two_classes_of_one_name_are_told() -> None:
    other = dataclasses.make_dataclass("Found", [("name", str)])
    other.__module__, other.__qualname__ = Found.__module__, Found.__qualname__
    with pytest.raises(TypeError, match="Found"):
        fit_of(Found | other)
