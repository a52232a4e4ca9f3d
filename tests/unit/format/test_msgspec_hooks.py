"""Types that msgspec asks about: models by their methods, leaves of the standard library, and nothing else."""

from decimal import Decimal
from ipaddress import IPv4Address
from pathlib import PurePosixPath
from typing import Any

import pydantic
import pytest

from fleetcache.errors import CodecError
from fleetcache.format.msgspec_hooks import from_plain, is_model, to_plain


class User(pydantic.BaseModel):
    name: str = pydantic.Field(alias="n")
    secret: str = "pw"  # noqa: S105 - a value of the test


class Liar(User):
    def model_dump_json(self, **_: Any) -> str:
        raise LookupError("pw")


def test_a_model_is_known_by_its_methods() -> None:
    assert is_model(User)
    assert not is_model(User(n="x"))
    assert not is_model(dict)


def test_a_model_goes_and_comes_by_its_field_names() -> None:
    plain = to_plain(User(n="Ada"))
    assert plain == '{"name":"Ada","secret":"pw"}'
    assert from_plain(User, plain) == User(n="Ada")


@pytest.mark.parametrize("value", [IPv4Address("10.0.0.1"), PurePosixPath("/srv")], ids=repr)
def test_a_leaf_goes_as_its_text(value: Any) -> None:
    plain = to_plain(value)
    assert plain == str(value)
    assert from_plain(type(value), plain) == value


@pytest.mark.parametrize(
    ("declared", "plain"),
    [(User, 5), (User, '{"name":5}'), (User, "{"), (Decimal, "1"), (list, []), (int, 1)],
    ids=repr,
)
def test_plain_data_of_another_kind_is_refused(declared: Any, plain: Any) -> None:
    with pytest.raises(CodecError):
        from_plain(declared, plain)


def test_an_error_of_a_model_is_told_without_its_text() -> None:
    for call, arguments in ((to_plain, [Liar(n="x")]), (from_plain, [User, '{"name":["pw"]}'])):
        with pytest.raises(CodecError) as caught:
            call(*arguments)
        assert "pw" not in str(caught.value)
        assert caught.value.__cause__ is None


def test_a_value_of_no_known_type_is_named() -> None:
    with pytest.raises(CodecError, match="object"):
        to_plain(object())
