"""Marks: values that msgpack and JSON have no form for come back as themselves, and a hostile mark raises."""

import math
from typing import Any

import msgspec
import pytest

from fleetcache.format.marks import ClassOf, JsonMarks, Marks, MsgpackMarks
from fleetcache.format.standard_types import NotHeldError

FORMATS = pytest.mark.parametrize("marks", [MsgpackMarks(), JsonMarks()], ids=["msgpack", "json"])


class Point:
    def __init__(self, x: int) -> None:
        self.x = x


CLASSES = {f"{__name__}.Point": ClassOf(Point, lambda point: {"x": point.x}, lambda plain: Point(plain["x"]))}


@FORMATS
@pytest.mark.parametrize(
    "value",
    [
        (1, 2),
        {1, 2},
        {1: {(2, 3): "x"}},
        {"$": 1},
        {"$": {"$": (1,)}},
        2**64,
        -(2**63) - 1,
        b"\x00",
        [1, ("a", b"b")],
        float("inf"),
    ],
    ids=repr,
)
def test_a_value_comes_back_as_itself(marks: Marks, value: Any) -> None:
    assert marks.reader({})(marks.encode(value, {})) == value


@FORMATS
def test_not_a_number_comes_back(marks: Marks) -> None:
    assert math.isnan(marks.reader({})(marks.encode(float("nan"), {})))


@FORMATS
def test_a_class_is_read_by_its_name_among_the_declared_ones(marks: Marks) -> None:
    payload = marks.encode([Point(7)], CLASSES)
    (read,) = marks.reader(CLASSES)(payload)
    assert (type(read), read.x) == (Point, 7)
    assert marks.reader(None)(payload) == [{"x": 7}]  # nothing is declared: plain data
    with pytest.raises(KeyError):
        marks.reader({})(payload)


@FORMATS
def test_a_class_that_nobody_declared_is_not_written(marks: Marks) -> None:
    with pytest.raises(NotHeldError):
        marks.encode([Point(7)], {})


@pytest.mark.parametrize(
    "payload", [b'{"$":["os.system","x"]}', b'{"$":["class",["os.system",{}]]}', b'{"$":[]}', b'{"$":1}']
)
def test_no_text_names_anything_but_the_table(payload: bytes) -> None:
    with pytest.raises((KeyError, ValueError, TypeError)):
        JsonMarks().reader({})(payload)


@pytest.mark.parametrize("code", [0, 99, -1, 5, 6])
def test_no_extension_type_names_anything_but_the_table(code: int) -> None:
    payload = msgspec.msgpack.encode(msgspec.msgpack.Ext(code, msgspec.msgpack.encode(["os.system", 1])))
    with pytest.raises((KeyError, ValueError, TypeError)):
        MsgpackMarks().reader({})(payload)
