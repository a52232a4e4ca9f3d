"""A user's own types: kept in the form of their functions, known by name, and never imported."""

from dataclasses import dataclass
from typing import Any

import pytest

from fleetcache import register_type
from fleetcache.errors import CodecError, ConfigError
from fleetcache.format import registered_types as registered
from fleetcache.format.codec import MARKED_JSON, MARKED_MSGPACK, MSGPACK, Codecs

CODECS = [Codecs("msgpack"), Codecs("json")]


class Array:
    """Like NumPy's arrays: == returns an array, whose truth value is an error."""

    def __init__(self, *numbers: int) -> None:
        self.numbers = numbers

    def __eq__(self, other: object) -> Any:
        return self

    def __bool__(self) -> bool:
        raise ValueError("the truth of an array")

    __hash__ = None  # type: ignore[assignment]  # as arrays have it


@dataclass
class Packed:
    """msgspec could take the type apart; its registered functions come first all the same."""

    text: str


@dataclass
class Lossy:
    text: str


@dataclass
class Holder:
    array: Array
    more: "list[Packed | Array] | None" = None


register_type(Array, lambda array: list(array.numbers), lambda numbers: Array(*numbers))
register_type(Packed, lambda packed: packed.text.encode(), lambda raw: Packed(raw.decode()))
register_type(Lossy, lambda lossy: lossy.text, lambda text: Lossy(text[:1]))


@pytest.mark.parametrize("codecs", CODECS, ids=repr)
@pytest.mark.parametrize("declared", [Any, list[Any], list[Array]])
def test_a_value_is_kept_with_and_without_a_type(codecs: Codecs, declared: Any) -> None:
    codec_id, payload, back = codecs.encode([Array(1, 2)], declared)
    assert back[0].numbers == (1, 2)
    for read_as in (declared, list[Array]):
        if codec_id in {MARKED_MSGPACK, MARKED_JSON} or read_as is declared:
            assert codecs.decode(codec_id, payload, read_as)[0].numbers == (1, 2)


@pytest.mark.parametrize("codecs", CODECS, ids=repr)
def test_it_may_be_a_field_and_a_member_of_a_union(codecs: Codecs) -> None:
    back = codecs.encode(Holder(Array(1), [Packed("x"), Array(2)]), Holder)[2]
    assert (back.array.numbers, back.more[0], back.more[1].numbers) == ((1,), Packed("x"), (2,))


def test_its_functions_come_before_what_msgspec_would_do() -> None:
    codec_id, payload, back = CODECS[0].encode([Packed("x")], list[Packed])
    assert (codec_id, back) == (MARKED_MSGPACK, [Packed("x")])
    assert b"text" not in payload


@pytest.mark.parametrize("declared", [Any, Lossy])
def test_what_its_functions_lose_is_refused(declared: Any) -> None:
    for codecs in CODECS:
        assert codecs.encode(Lossy("x"), declared)[2] == Lossy("x")
        with pytest.raises(CodecError):
            codecs.encode(Lossy("xy"), declared)


def test_a_process_that_has_not_registered_it_finds_it_unusable(monkeypatch: pytest.MonkeyPatch) -> None:
    for codecs in CODECS:
        codec_id, payload, _ = codecs.encode(Array(1), Any)
        with monkeypatch.context() as elsewhere:
            elsewhere.setattr(registered, "_by_name", {})
            for declared in (Any, list[int], str):
                with pytest.raises(CodecError):
                    codecs.decode(codec_id, payload, declared)


def test_after_the_first_use_it_is_too_late() -> None:
    class Met: ...

    class New: ...

    with pytest.raises(CodecError):
        CODECS[0].encode(Met(), Any)
    with pytest.raises(ConfigError, match="before the first use"):
        register_type(Met, lambda _met: None, lambda _plain: Met())
    register_type(New, lambda _new: None, lambda _plain: New())
    with pytest.raises(ConfigError, match="not a class"):
        register_type("New", str, str)  # type: ignore[arg-type]  # the case


def test_a_plain_value_beside_it_is_written_as_ever() -> None:
    assert CODECS[0].encode(["x", 1], Any)[0] == MSGPACK
