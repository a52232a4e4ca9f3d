"""What the targets found in parts whose own tests would not have thought of it."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest

from fleetcache.codec import Codecs
from fleetcache.errors import CodecError


@dataclass
class Sum:
    amount: Decimal
    of: Any = None


def test_a_decimal_that_is_no_number_is_a_value_like_any_other() -> None:
    codec_id, payload, back = Codecs("msgpack").encode(Sum(Decimal("NaN"), ["x"]), Sum)
    assert back.amount.is_nan()
    assert Codecs("msgpack").decode(codec_id, payload, Sum).amount.is_nan()
    with pytest.raises(CodecError):
        Codecs("msgpack").encode(Sum(Decimal("NaN"), ("a tuple would come back as a list",)), Sum)
