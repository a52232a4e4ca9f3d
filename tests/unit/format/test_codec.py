"""A hit equals the miss that stored it, and any bytes raise ``CodecError`` and nothing else."""

import contextlib
import pickle
import re
import subprocess
import sys
from collections import OrderedDict, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from typing import Annotated, Any, Generic, Literal, NamedTuple, NewType, Protocol, TypedDict, TypeVar
from uuid import UUID

import msgspec
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetcache.errors import CodecError
from fleetcache.format import codec
from fleetcache.format.codec import INT, JSON, MARKED_JSON, MARKED_MSGPACK, MSGPACK, PICKLE, Codecs, immutable
from tests.support.ids import same_everywhere

T = TypeVar("T")
UserId = NewType("UserId", int)


class Color(Enum):
    RED = "red"


class Level(IntEnum):
    ONE = 1


class Shade(StrEnum):
    RED = "red"


class Name(str):
    __slots__ = ()


class Big(int): ...


@dataclass
class User:
    id: int
    name: str = "Ada"


@dataclass
class Admin(User):
    rights: tuple[str, ...] = ()


@dataclass(frozen=True)
class Point:
    x: float
    tags: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Holder:
    items: object
    seen: object = field(default=(), compare=False)


@dataclass
class Tree:
    left: "Tree | None" = None
    extra: Any = None


class Place(msgspec.Struct, frozen=True):
    city: str


class Silent(msgspec.Struct, eq=False):
    extra: Any


class Row(TypedDict):
    id: int
    name: str


class Pair(NamedTuple):
    a: int
    b: str


class Box(msgspec.Struct, Generic[T]):
    value: T


class Named(Protocol):
    name: str


class Opaque: ...


class Model(pydantic.BaseModel):
    id: int
    when: datetime | None = None
    nested: "Model | None" = None


class SubModel(Model):
    more: int = 0


class Aliased(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(strict=True)
    out: int = pydantic.Field(serialization_alias="OUT")
    both: int = pydantic.Field(alias="BOTH")
    into: UUID = pydantic.Field(validation_alias="INTO")


class Secret(pydantic.BaseModel):
    password: pydantic.SecretStr


class Excluded(pydantic.BaseModel):
    shown: int
    hidden: int = pydantic.Field(default=0, exclude=True)


@dataclass
class WithModel:
    model: Model


MSG, JSN, PKL = Codecs("msgpack"), Codecs("json"), Codecs("pickle")
NOON = datetime(2020, 1, 1, 12, tzinfo=UTC)


def round_trip(codecs: Codecs, value: object, declared: Any = Any) -> Any:
    """Return the value that later readers get, which must equal the writer's."""
    codec_id, payload, back = codecs.encode(value, declared)
    again = codecs.decode(codec_id, payload, declared)
    assert same(again, back)
    return back


def same(a: object, b: object) -> bool:
    """Return True for equal values and types, at every depth; NaN is NaN."""
    if type(a) is not type(b):
        return False
    if isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict) and isinstance(b, dict):
        return same(list(a.items()), list(b.items()))
    if isinstance(a, Decimal):
        return str(a) == str(b)  # a signaling NaN cannot be compared
    return a == b or (a != a and b != b)  # noqa: PLR0124 - NaN


# -- without a declared type


@pytest.mark.parametrize(
    "value",
    [
        None, True, False, 0, -1, 2**63 - 1, -(2**63), 2**64 - 1, 1.5, float("nan"), float("inf"), -0.0, "", "é", b"",
        b"\xff", [], {}, [1, [2.0, None]], {"a": {"b": [b"x"]}}, {1: "int key", "1": "text key"}, {(1, "a"): 2},
        {None: 1, 1.5: 2}, NOON, [NOON], {"when": NOON}, [float("nan")],
    ],
)  # fmt: skip
def test_plain_values_come_back_as_they_are(value: object) -> None:
    assert same(round_trip(MSG, value), value)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (User(1), "a User would come back as dict: pass type=User or annotate the loader"),
        (Place("x"), "a Place would come back as dict: pass type=Place or annotate the loader"),
        (Model(id=1), "a Model would come back as str: pass type=Model or annotate the loader"),
        (Pair(1, "a"), "a Pair would come back as list: pass type=Pair"),
        (Color.RED, "a Color would come back as str: pass type=Color"),
        (Level.ONE, "a Level would come back as int: pass type=Level"),
        (bytearray(b"x"), "a bytearray would come back as bytes"),
        (Name("x"), "a Name would come back as str: pass a plain str"),
        (Big(1), "a Big would come back as int: pass a plain int"),
        ([User(1)], r"a User inside the list would come back as dict: declare the whole \(type=list\[...\]\)"),
        ({Name("k"): 1}, "a Name would come back as str: pass a plain str"),
        (Opaque(), "an Opaque cannot be stored"),
        ([Opaque()], "an Opaque cannot be stored"),
        (User, "a type cannot be stored"),
        (defaultdict(lambda: 1), "a defaultdict cannot be stored: its default_factory is not a builtin type"),
        pytest.param(10**4300, "an int cannot be stored: it has more than 4,300 digits", id="large"),
        pytest.param([-(10**4300)], "an int cannot be stored: it has more than 4,300 digits", id="low"),
        (re.compile("x" * 1001), "a Pattern cannot be stored: its text is longer than 1,000 bytes"),
        (re.compile("[a-\\u2000]", re.IGNORECASE), "a Pattern cannot be stored: it ignores case and has a range"),
        ([(1, User(1))], "a User inside the list would come back as dict"),
        ("\ud800", "a str cannot be stored"),
        (["\ud800"], "a list cannot be stored"),
    ],
)
def test_what_would_come_back_otherwise_is_refused_with_the_remedy(value: object, said: str) -> None:
    with pytest.raises(CodecError, match=said):
        MSG.encode(value, Any)


@pytest.mark.parametrize("value", [2**64, -(2**63) - 1])
def test_pickle_stores_an_int_that_no_counter_could_be(value: int) -> None:
    codec_id, payload, back = PKL.encode(value, Any)
    assert (codec_id, PKL.decode(codec_id, payload, Any), back) == (PICKLE, value, value)


def test_a_value_that_contains_itself_is_refused() -> None:
    loop: list[Any] = []
    loop.append(loop)
    for codecs in (MSG, JSN):
        with pytest.raises(CodecError):
            codecs.encode(loop, Any)


leaves = (
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text() | st.binary(max_size=20)
    | st.text("a\ud800") | st.datetimes(timezones=st.just(UTC)) | st.datetimes() | st.dates()
    | st.uuids() | st.decimals()
    | st.sampled_from([Color.RED, Level.ONE, Name("n"), Big(3), User(1), Place("p"), Opaque(), Model(id=1)])
)  # fmt: skip
keys = (
    st.text(max_size=5)
    | st.integers()
    | st.floats()
    | st.booleans()
    | st.none()
    | st.sampled_from([Name("k"), Level.ONE])
)
anything = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.tuples(inner)
        | st.dictionaries(keys, inner, max_size=4)
        | st.dictionaries(keys, inner, max_size=3).map(OrderedDict)
    ),
    max_leaves=12,
)


@given(anything)
@pytest.mark.parametrize("codecs", [MSG, JSN], ids=repr)
def test_without_a_type_a_value_comes_back_the_same_or_is_refused(codecs: Codecs, value: object) -> None:
    try:
        back = round_trip(codecs, value)
    except CodecError:
        return
    assert same(back, value)


@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers(-(2**63), 2**63)
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    )
)
@pytest.mark.parametrize("codecs", [MSG, JSN, PKL], ids=repr)
def test_json_like_values_are_never_refused(codecs: Codecs, value: object) -> None:
    assert same(round_trip(codecs, value), value)


@pytest.mark.parametrize("value", [b"x", float("nan"), -float("inf"), [float("nan")], {1: 2}, {"a": {True: 1}}, NOON])
def test_what_json_cannot_hold_is_marked(value: object) -> None:
    assert JSN.encode(value, Any)[0] == MARKED_JSON
    assert same(round_trip(JSN, value), value)


# -- integers, which scripts on the server add to


@pytest.mark.parametrize("codecs", [MSG, JSN, PKL], ids=repr)
@pytest.mark.parametrize("declared", [Any, int])
def test_integers_are_decimal_text(codecs: Codecs, declared: Any) -> None:
    assert codecs.encode(-42, declared) == (INT, b"-42", -42)
    assert codecs.decode(INT, b"-42", declared) == -42


def test_a_bool_is_no_integer() -> None:
    assert MSG.encode(True, Any)[0] == MSGPACK
    assert round_trip(MSG, True) is True


def test_an_integer_read_with_another_type_becomes_it_or_is_refused() -> None:
    assert same(MSG.decode(INT, b"5", float), 5.0)
    assert MSG.decode(INT, b"5", int | None) == 5
    assert MSG.decode(INT, b"1", Level) is Level.ONE
    for declared in (str, bool, User, list[int]):
        with pytest.raises(CodecError):
            MSG.decode(INT, b"5", declared)


@pytest.mark.parametrize(
    "payload",
    [b"", b"-", b" 1", b"1\n", b"1_0", b"+1", b"0x1", b"1.0", b"9" * 20, b"-" + b"9" * 19, b"1" * 5000, "٣".encode()],
)
def test_what_is_no_decimal_number_is_refused(payload: bytes) -> None:
    with pytest.raises(CodecError):
        MSG.decode(INT, payload, Any)


# -- with a declared type

TYPED: list[tuple[Any, Any]] = [
    (User(1, "x"), User),
    ([User(1), User(2)], list[User]),
    ({"a": User(1)}, dict[str, User]),
    (Admin(1, "x", ("all",)), Admin),
    (Place("x"), Place),
    (Tree(Tree(), {"a": [1]}), Tree),
    (Box(5), Box[int]),
    ({"id": 1, "name": "x"}, Row),
    (Pair(1, "a"), Pair),
    ((1, "a"), tuple[int, str]),
    ({1, 2}, set[int]),
    (frozenset({"a"}), frozenset[str]),
    (Color.RED, Color),
    (Level.ONE, Level),
    (Shade.RED, Shade),
    (UUID(int=7), UUID),
    (Decimal("1.10"), Decimal),
    (date(2020, 1, 1), date),
    (datetime(2020, 1, 1), datetime),  # noqa: DTZ001 - naive on purpose
    (NOON, datetime),
    (time(1, 2), time),
    (timedelta(days=1, microseconds=5), timedelta),
    (b"\xff", bytes),
    (1.5, float),
    ("x", str),
    (True, bool),
    (None, type(None)),
    (None, None),
    (None, User | None),
    (User(1), User | None),
    (3, int | str),
    ("a", Literal["a", "b"]),
    (7, UserId),
    (5, Annotated[int, msgspec.Meta(gt=0)]),
    (5, Annotated[int, {"unhashable": True}]),
    ([1, 2], Sequence[int]),
    ({"a": 1}, Mapping[str, int]),
    ({"a": [1, {"b": None}]}, dict[str, Any]),
    ([], list),
    ({"a": [1]}, object),
    ([1], list[object]),
    ([1], T),
    ("x", Named),
    (Model(id=1, when=NOON, nested=Model(id=2)), Model),
    ([Model(id=1), SubModel(id=2)][:1], list[Model]),
    ({"a": Model(id=1)}, dict[str, Model]),
    (WithModel(Model(id=1)), WithModel),
    (None, Model | None),
    (Aliased(out=1, BOTH=2, INTO=UUID(int=3)), Aliased),  # type: ignore[call-arg]  # the aliases are the case
]  # fmt: skip


@pytest.mark.parametrize("codecs", [MSG, JSN, PKL], ids=repr)
@pytest.mark.parametrize(("value", "declared"), TYPED, ids=lambda part: str(part)[:40])
def test_a_value_of_the_declared_type_comes_back_as_it(codecs: Codecs, value: Any, declared: Any) -> None:
    assert same(round_trip(codecs, value, declared), value)


def test_what_the_writer_gets_is_a_copy() -> None:
    value = {"a": [1]}
    for declared in (Any, dict[str, list[int]]):
        back = MSG.encode(value, declared)[2]
        assert back == value
        assert back["a"] is not value["a"]


def test_the_writer_gets_what_the_type_makes_of_the_value() -> None:
    assert same(round_trip(MSG, {"id": 1, "name": "x"}, User), User(1, "x"))
    assert same(round_trip(MSG, 1, float), 1.0)
    assert same(round_trip(MSG, (1, 2), list[int]), [1, 2])
    assert same(round_trip(MSG, {"n": 1}, dict[str, float]), {"n": 1.0})
    assert same(round_trip(MSG, [{"id": 1}], list[User]), [User(1)])


@pytest.mark.parametrize("codecs", [MSG, JSN], ids=repr)
@pytest.mark.parametrize(
    ("value", "declared"),
    [
        ({"name": "x"}, User),
        (User("x"), User),  # type: ignore[arg-type]  # the case
        ("5", int),
        (True, int),
        (None, User),
        (5, Annotated[int, msgspec.Meta(gt=5)]),
        ("c", Literal["a", "b"]),
        ("green", Color),
        (Admin(1, "x", ("all",)), User),
        (Name("x"), str),
        ("\ud800", str),
        ({"user": User(1)}, dict[str, Any]),
        (SubModel(id=1), Model),
        ([SubModel(id=1)], list[Model]),
        (Secret(password=pydantic.SecretStr("hunter2")), Secret),
        (Excluded(shown=1, hidden=2), Excluded),
        ("not a model", Model),
        (Opaque(), Opaque),
        ([Opaque()], list[Opaque]),
        (iter(()), Iterator[int]),
        ("x", "User"),
        (["x"], list["Nowhere"]),  # type: ignore[name-defined]  # noqa: F821 - the case
        (5, 5),
    ],
    ids=same_everywhere,
)
def test_a_value_that_the_declared_type_does_not_hold_is_refused(codecs: Codecs, value: Any, declared: Any) -> None:
    with pytest.raises(CodecError) as caught:
        codecs.encode(value, declared)
    assert "hunter2" not in str(caught.value)


def test_equal_fields_are_enough_where_a_class_has_no_equality() -> None:
    assert round_trip_fields(Silent([1])) == [1]


def round_trip_fields(value: Silent) -> Any:
    return MSG.encode(value, Silent)[2].extra


def test_an_unsupported_type_is_named() -> None:
    with pytest.raises(CodecError, match="Opaque"):
        MSG.decode(MSGPACK, b"\x80", Opaque)
    with pytest.raises(CodecError, match=r"bytes \| str"):
        MSG.decode(MSGPACK, b"\x80", bytes | str)


def test_a_models_own_message_which_shows_values_is_not_repeated() -> None:
    payload = msgspec.msgpack.encode('{"id": "hunter2"}')
    with pytest.raises(CodecError) as caught:
        MSG.decode(MSGPACK, payload, Model)
    assert "hunter2" not in str(caught.value)


def test_an_entry_of_an_older_shape_is_refused() -> None:
    payload = MSG.encode({"id": 1}, Any)[1]
    assert MSG.decode(MSGPACK, payload, User) == User(1)
    with pytest.raises(CodecError):
        MSG.decode(MSGPACK, payload, Row)


@pytest.mark.parametrize("kind", [ValueError, KeyError, RuntimeError])
def test_an_error_of_the_users_own_class_is_a_codec_error(kind: type[Exception]) -> None:
    @dataclass
    class Strict:
        n: int

        def __post_init__(self) -> None:
            if self.n < 0:
                raise kind(self.n)

    assert MSG.decode(MSGPACK, msgspec.msgpack.encode({"n": 1}), Strict) == Strict(1)
    with pytest.raises(CodecError):
        MSG.decode(MSGPACK, msgspec.msgpack.encode({"n": -1}), Strict)


def test_lack_of_memory_is_not_hidden() -> None:
    @dataclass
    class Greedy:
        n: int

        def __post_init__(self) -> None:
            raise MemoryError

    with pytest.raises(MemoryError):
        MSG.decode(MSGPACK, msgspec.msgpack.encode({"n": 1}), Greedy)


# -- bytes of any writer

DECLARED: list[Any] = [Any, *(declared for _, declared in TYPED), "User", Opaque, bytes | str, Iterator[int]]


@pytest.mark.parametrize("name", ["msgpack", "json"])
@given(data=st.data())
def test_whatever_the_bytes_are_only_codec_error_is_raised(
    name: Literal["msgpack", "json"], data: st.DataObject
) -> None:
    codecs = Codecs(name)
    written = data.draw(st.sampled_from([MSG, JSN])).encode(*data.draw(st.sampled_from(TYPED[:38])))[1]
    payload = data.draw(
        st.binary(max_size=60)
        | st.integers(0, len(written)).map(lambda cut: written[:cut])
        | st.tuples(st.integers(0, len(written)), st.binary(max_size=3)).map(
            lambda at: written[: at[0]] + at[1] + written[at[0] :]
        )
    )
    for declared in DECLARED:
        for codec_id in (INT, MSGPACK, JSON, PICKLE, MARKED_MSGPACK, MARKED_JSON, 6, 255):
            with contextlib.suppress(CodecError):
                codecs.decode(codec_id, payload, declared)


@pytest.mark.parametrize(
    "payload",
    [
        b"\x91" * 100_000, b"\x81\x01" * 100_000, b"[" * 100_000, b'{"a":' * 100_000,
        b"\xdd\xff\xff\xff\xff", b"\xdf\xff\xff\xff\xff",
        b"\xdb\xff\xff\xff\xff", b"\xc6\xff\xff\xff\xff", b"\xa2\xff\xff", b"\xc7\x0c\xff" + b"\xff" * 12, b"\xc1", b"",
    ],
    ids=lambda payload: ascii(payload[:6]),
)  # fmt: skip
def test_deep_long_and_broken_bytes_are_refused(payload: bytes) -> None:
    for declared in (Any, list, dict, Tree, list[Model]):
        for codec_id in (MSGPACK, JSON):
            with pytest.raises(CodecError):
                MSG.decode(codec_id, payload, declared)


def test_bytes_may_be_a_view() -> None:
    assert MSG.decode(MSGPACK, memoryview(b"xx\x93\x01\x02\x03")[2:], Any) == [1, 2, 3]
    assert MSG.decode(INT, memoryview(b"xx12")[2:], Any) == 12


def test_each_codec_reads_what_the_other_wrote() -> None:
    for writer, reader in ((MSG, JSN), (JSN, MSG), (MSG, PKL)):
        codec_id, payload, value = writer.encode(User(1), User)
        assert reader.decode(codec_id, payload, User) == value


def test_readers_for_types_made_in_a_loop_do_not_grow_without_bound() -> None:
    codecs = Codecs("msgpack")
    for n in range(codec._MAX_READERS + 10):
        codecs.decode(MSGPACK, b"\x01", Annotated[int, n])
    assert len(codecs._msgpack._readers) <= codec._MAX_READERS


# -- pickle


class Trap:
    def __reduce__(self) -> tuple[Any, ...]:
        return (exec, ("raise AssertionError('executed')",))


@pytest.mark.parametrize("codecs", [MSG, JSN], ids=repr)
def test_a_pickle_is_never_read_unless_asked_for_by_name(codecs: Codecs) -> None:
    with pytest.raises(CodecError, match="CACHE_CODEC=pickle"):
        codecs.decode(PICKLE, pickle.dumps(Trap()), Any)


@pytest.mark.parametrize("value", [(1, {2}), User(1), Color.RED, Name("x"), 1 + 2j, "text", None, [Decimal(1)]])
def test_pickle_keeps_types_by_itself(value: object) -> None:
    assert PKL.encode(value, Any)[0] == PICKLE
    assert same(round_trip(PKL, value), value)


@pytest.mark.parametrize(
    ("value", "declared"),
    [
        ("x", int),
        (User(1), Place),
        ([1], dict[str, int]),
        (None, User),
        (1, str | None),
        ("c", Literal["a"]),
        ("x", Annotated[int, 1]),
    ],
)
def test_a_pickle_of_another_type_is_refused(value: Any, declared: Any) -> None:
    with pytest.raises(CodecError, match="expected"):
        PKL.decode(PICKLE, pickle.dumps(value), declared)
    with pytest.raises(CodecError):
        PKL.encode(value, declared)


@pytest.mark.parametrize("value", [lambda: 1, [sys], (n for n in "ab")])
def test_what_cannot_be_pickled_is_refused(value: object) -> None:
    with pytest.raises(CodecError):
        PKL.encode(value, Any)


@pytest.mark.parametrize("payload", [b"", b"\x80\x05", b"\xff", b"cfleetcache.nowhere\nNothing\n.", b"(((."], ids=ascii)
def test_broken_pickles_are_refused(payload: bytes) -> None:
    whole = pickle.dumps(User(1))
    for broken in (payload, *(whole[:cut] for cut in range(len(whole)))):
        with pytest.raises(CodecError):
            PKL.decode(PICKLE, broken, Any)


# -- unchangeable values


@pytest.mark.parametrize(
    "value",
    [
        None, True, 1, 1.5, "x", b"x", Decimal(1), UUID(int=1), NOON, date(2020, 1, 1), time(1), timedelta(1),
        Color.RED, Level.ONE, (), (1, ("a", None)), frozenset({1}), Pair(1, "a"), Point(1.0), Place("x"), (Point(1.0),),
        Holder((1,)),
    ],
)  # fmt: skip
def test_immutable_values(value: object) -> None:
    assert immutable(value)


class Loose(Point):
    pass


class Tagged(tuple[int, ...]):  # noqa: SLOT001 - without slots it can be changed, which is the case
    pass


def deep_tuple() -> object:
    value: object = ()
    for _ in range(100_000):
        value = (value,)
    return value


@pytest.mark.parametrize(
    "value",
    [
        [], {}, set(), bytearray(), User(1), ([],), (1, {}), Holder([]), Holder((), [1]),
        Silent(1), Model(id=1), Loose(1.0), Tagged(), Opaque(), deep_tuple,
    ],
)  # fmt: skip
def test_values_that_somebody_could_change(value: object) -> None:
    assert not immutable(value() if value is deep_tuple else value)


def test_pydantic_is_not_imported_by_us() -> None:
    code = (
        "import sys; from typing import Any; from fleetcache.format.codec import Codecs\n"
        "c = Codecs('msgpack'); c.encode({'a': 1}, Any); c.encode([1], list[int])\n"
        "class Odd: ...\n"
        "try: c.encode(Odd(), Odd)\n"
        "except TypeError: pass\n"
        "print('pydantic' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)  # noqa: S603 - our own code
    assert run.stdout.strip() == b"False"
