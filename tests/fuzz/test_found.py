"""Defects that the targets found in parts whose own tests had missed them."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from fleetcache.format.codec import Codecs


@dataclass
class Sum:
    amount: Decimal
    of: Any = None


def test_a_decimal_that_is_no_number_is_a_value_like_any_other() -> None:
    codec_id, payload, back = Codecs("msgpack").encode(Sum(Decimal("NaN"), ["x"]), Sum)
    assert back.amount.is_nan()
    assert Codecs("msgpack").decode(codec_id, payload, Sum).amount.is_nan()
    assert Codecs("msgpack").encode(Sum(Decimal("NaN"), ("a tuple",)), Sum)[2].of == ("a tuple",)
