"""Values of attrs classes come back as they are: private attributes, converted ones, and members of unions."""

# mypy: disable-error-code="call-arg, misc"
# Whether attrs is there is seen when the test runs, so its decorators say nothing to mypy.

from datetime import date
from typing import Any

import pytest

from fleetcache.format.codec import Codecs

attrs = pytest.importorskip("attrs", reason="attrs is a development package: pip install attrs")


@attrs.define
class Account:
    owner: str
    _limit: int = 5
    extra: Any = None


@attrs.frozen(slots=False)
class Doubled:
    number: int = attrs.field(converter=lambda given: given * 2)
    parts: list[int] = attrs.field(factory=list)


@attrs.define
class Holder:
    held: Account | Doubled


@pytest.mark.parametrize("codecs", [Codecs("msgpack"), Codecs("json")], ids=repr)
@pytest.mark.parametrize(
    ("value", "declared"),
    [
        (Account("Ada", limit=900), Account),
        (Account("Ada", limit=900, extra=(1, date(2026, 1, 2))), Account),
        (Doubled(2), Doubled),
        ([Account("Ada"), Doubled(1, [2])], list[Account | Doubled]),
        (Holder(Doubled(1)), Holder),
    ],
    ids=repr,
)
def test_a_value_of_an_attrs_class_comes_back_as_itself(codecs: Codecs, value: Any, declared: Any) -> None:
    codec_id, payload, back = codecs.encode(value, declared)
    assert type(back) is type(value)
    assert repr(back) == repr(value)
    assert repr(codecs.decode(codec_id, payload, declared)) == repr(value)
