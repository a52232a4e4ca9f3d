"""The quick check: a value with parts of the declared kinds is proven, any other value is compared part by part."""

import dataclasses
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, Literal, TypedDict

import msgspec
import pytest

from fleetcache.format.round_trip import Proof, proof_of
from fleetcache.format.values import JSON_SCALARS, SCALARS
from tests.support.ids import same_everywhere


@dataclasses.dataclass
class Place:
    name: str
    at: tuple[float, float] | None = None


class Row(TypedDict, total=False):
    number: int


@dataclasses.dataclass
class Hooked:
    name: str

    def __post_init__(self) -> None:
        self.name = self.name.upper()


def proof(declared: Any, exact: frozenset[type] = SCALARS) -> Proof | None:
    return proof_of(msgspec.inspect.type_info(declared), exact)


@pytest.mark.parametrize(
    ("declared", "proven", "unproven"),
    [
        (int, 1, True),
        (list[int], [1, 2], [1, True]),
        (list[int], [], (1,)),
        (tuple[int, str], (1, "a"), (1, 2)),
        (dict[str, float], {"a": 1.5}, {"a": 1}),
        (Place, Place("x", (1.0, 2.0)), Place("x", (1, 2))),
        (list[Place | None], [None, Place("x")], ["x"]),
        (Row, {"number": 1}, {"number": 1, "more": 2}),
        (Literal["a", "b"], "a", 1),
        (datetime, datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=timezone(timedelta(hours=1)))),
        (datetime, datetime(2026, 1, 1), datetime(2026, 1, 1, fold=1)),  # noqa: DTZ001 - the case
        (Any, {"a": [1, None]}, {"a": object()}),
    ],
    ids=same_everywhere,
)
def test_kinds_are_looked_at_in_each_part(declared: Any, proven: Any, unproven: Any) -> None:
    look = proof(declared)
    assert look is not None
    assert (look(proven), look(unproven)) == (True, False)


def test_a_field_that_was_added_later_is_seen() -> None:
    look, place = proof(Place), Place("x")
    assert look is not None
    assert look(place)
    place.more = 1  # type: ignore[attr-defined]  # the case
    assert not look(place)


@pytest.mark.parametrize("declared", [Hooked, list[Hooked], dict[bytes, int], dict[float, int]], ids=same_everywhere)
def test_kinds_prove_nothing_where_code_runs_or_keys_change(declared: Any) -> None:
    assert proof(declared) is None


def test_text_has_no_infinity() -> None:
    in_text, in_bytes = proof(list[float], JSON_SCALARS), proof(list[float])
    assert in_text is not None
    assert in_bytes is not None
    assert (in_text([1.5]), in_text([float("inf")]), in_text([float("nan")])) == (True, False, False)
    assert in_bytes([float("inf")])


def test_a_class_may_contain_itself() -> None:
    look = proof(Node)
    assert look is not None
    assert look(Node(1, Node(2)))
    assert not look(Node(1, Node("2")))  # type: ignore[arg-type]  # the case


class Node(msgspec.Struct):
    number: int
    next: "Node | None" = None
