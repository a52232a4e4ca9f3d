"""Plain data given for a declared type loses nothing: it is converted whole, kept exactly, or refused."""

import dataclasses
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

import msgspec
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetcache.errors import CodecError
from fleetcache.format.codec import Codecs
from tests.support.ids import same_everywhere

CODECS = [Codecs("msgpack"), Codecs("json")]
# The least int that no float equals.
ODD = 2**53 + 1


@dataclasses.dataclass
class Price:
    net: float
    name: str = ""
    raw: bytes = b""


@dataclasses.dataclass(frozen=True)
class Place:
    x: int


class Camel(msgspec.Struct, rename="camel", tag=True):
    user_name: str


class Row(msgspec.Struct, array_like=True):
    x: int
    y: float = 0.0


class Pair(NamedTuple):
    a: float
    b: int = 0


class Model(pydantic.BaseModel):
    a: int = 1


@pytest.mark.parametrize("codecs", CODECS, ids=repr)
@pytest.mark.parametrize(
    ("value", "declared", "made"),
    [
        (5, float, 5.0),
        (2**53, float, 2.0**53),
        ({"net": 1}, Price, Price(1.0)),
        ({"net": 1.5, "name": "x"}, Price | None, Price(1.5, "x")),
        ({"userName": "x"}, Camel, Camel("x")),
        ({"userName": "x", "type": "Camel"}, Camel, Camel("x")),
        ([1, 2], Row, Row(1, 2.0)),
        ([1], Pair, Pair(1.0)),
        ([1, 2], set[int], {1, 2}),
        ((1, 2), set[float], {1.0, 2.0}),
        ([[1, 2]], set[tuple[int, int]], {(1, 2)}),
        (["2026-01-02"], frozenset[date], frozenset({date(2026, 1, 2)})),
        ({1, 2}, list[int], [1, 2]),
        (0.1, Decimal, Decimal("0.1")),
        ([0.1], set[Decimal], {Decimal("0.1")}),
        ("2026-01-02T00:00:00.120000000", datetime, datetime(2026, 1, 2, 0, 0, 0, 120000)),  # noqa: DTZ001 - naive on purpose
    ],
    ids=same_everywhere,
)
def test_what_loses_nothing_becomes_the_declared_type(codecs: Codecs, value: Any, declared: Any, made: Any) -> None:
    codec_id, payload, back = codecs.encode(value, declared)
    assert (back, type(back)) == (made, type(made))
    assert codecs.decode(codec_id, payload, declared) == made


@pytest.mark.parametrize("codecs", CODECS, ids=repr)
@pytest.mark.parametrize(
    ("value", "declared"),
    [
        (ODD, float),
        (-ODD, float),
        ([ODD], list[float]),
        ({"k": ODD}, dict[str, float]),
        (Price(ODD), Price),
        ([Price(ODD)], list[Price]),
        (Pair(ODD), Pair),
    ],
    ids=same_everywhere,
)
def test_an_int_that_no_float_equals_is_kept_exactly(codecs: Codecs, value: Any, declared: Any) -> None:
    codec_id, payload, back = codecs.encode(value, declared)
    assert repr(back) == repr(value)
    for reader in CODECS:
        assert repr(reader.decode(codec_id, payload, declared)) == repr(value)


@pytest.mark.parametrize("codecs", CODECS, ids=repr)
@pytest.mark.parametrize(
    ("value", "declared", "said"),
    [
        ({"net": ODD}, Price, r"Price\.net \(int\) would come back as float"),
        ([{"net": ODD}], list[Price], r"list\[\]\.net \(int\)"),
        ([1, ODD], Row, r"Row\.y \(int\) would come back as float"),
        ([ODD], set[float], "a list would come back as set"),
        ([ODD], Pair, "int"),
        ("AAAA", bytes, "str"),
        (["AAAA"], list[bytes], "str"),
        ({"k": "AAAA"}, dict[str, bytes], "str"),
        (["AAAA"], set[bytes], "str|list"),
        ({"net": 1.0, "raw": "AAAA"}, Price, "raw"),
        (Price(1.0, raw="AAAA"), Price, "raw"),  # type: ignore[arg-type]  # the case
        ("AAAA", bytearray, "str"),
        ({"net": 1, "nick": 2}, Price, "a dict would lose keys: the fields of Price are net, name, raw"),
        ([{"net": 1, "nick": 2}], list[Price], r"list\[\] \(dict\) would lose keys"),
        ({"p": {"net": 1, "nick": 2}}, dict[str, Price], "would lose keys"),
        ({"userName": "x", "user_name": "y"}, Camel, "would lose keys"),
        ([1, 2, 3], Row, "Row"),
        ([1, 1], set[int], "a list would come back as set"),
        ((1, 1), frozenset[int], "tuple"),
        ([1, 1.0], set[float], "set"),
        (["1.0", "1.00"], set[Decimal], "set"),
        ([{"x": 1}], set[Place], "set"),
        ("2026-01-02T00:00:00.1234567", datetime, "datetime"),
        ("PT0.1234567S", timedelta, "timedelta"),
        ('{"a": 1, "b": 2}', Model, "Model"),
    ],
    ids=same_everywhere,
)  # fmt: skip
def test_what_would_lose_a_part_is_refused(codecs: Codecs, value: Any, declared: Any, said: str) -> None:
    with pytest.raises(CodecError, match=said) as caught:
        codecs.encode(value, declared)
    assert "nick" not in str(caught.value)  # a key may be secret


NUMBERS = st.one_of(st.integers(-(2**63), 2**63), st.floats(allow_nan=False, allow_infinity=False))


@given(st.lists(NUMBERS))
def test_numbers_given_for_floats_stay_equal(numbers: list[float]) -> None:
    for codecs in CODECS:
        assert codecs.encode(numbers, list[float])[2] == numbers
        assert [part.net for part in codecs.encode([*map(Price, numbers)], list[Price])[2]] == numbers


@given(st.lists(st.integers(-5, 5)))
def test_a_list_given_for_a_set_keeps_its_size(numbers: list[int]) -> None:
    for codecs in CODECS:
        try:
            made = codecs.encode(numbers, set[int])[2]
        except CodecError:
            assert len(set(numbers)) < len(numbers)
        else:
            assert sorted(made) == sorted(numbers)


@given(
    st.dictionaries(st.sampled_from(["net", "name", "raw", "more", "Net", ""]), st.sampled_from([1, "x", b"y", 2.5]))
)
def test_a_dict_given_for_a_class_keeps_its_keys(parts: dict[str, Any]) -> None:
    for codecs in CODECS:
        try:
            made = codecs.encode(parts, Price)[2]
        except CodecError:
            continue
        assert {name: getattr(made, name) for name in parts} == parts
