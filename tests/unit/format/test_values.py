"""A stored value comes back equal in value and in type, at any depth, from every codec; or it is refused."""

import dataclasses
import functools
import ipaddress
import itertools
import pathlib
import re
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Collection, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from enum import Enum, Flag, IntEnum
from typing import Annotated, Any, Generic, Literal, NamedTuple, NewType, TypedDict, TypeVar
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
import pydantic
import pytest

from fleetcache import register_type
from fleetcache.errors import CodecError
from fleetcache.format.codec import INT, JSON, MARKED_JSON, MARKED_MSGPACK, MSGPACK, Codecs
from fleetcache.format.round_trip import proof_of
from fleetcache.format.values import JSON_SCALARS, SCALARS, find_change
from tests.support.ids import same_everywhere

T = TypeVar("T")
CODECS = [Codecs("msgpack"), Codecs("json"), Codecs("pickle")]
MARKING = CODECS[:2]
BERLIN = ZoneInfo("Europe/Berlin")
OFFSET = timezone(timedelta(hours=5, minutes=30, seconds=1))
AUTUMN = datetime(2026, 10, 25, 2, 30, tzinfo=BERLIN)
UserId = NewType("UserId", int)


@dataclasses.dataclass
class Shape:
    name: str


@dataclasses.dataclass
class Circle(Shape):
    radius: float


@dataclasses.dataclass
class Gross:
    amount: float

    def __post_init__(self) -> None:
        self.amount *= 2


@dataclasses.dataclass
class Total:
    net: float
    gross: float = dataclasses.field(init=False, default=0.0)

    def __post_init__(self) -> None:
        self.gross = self.net


@dataclasses.dataclass(frozen=True, slots=True)
class Slotted:
    at: datetime
    by: "Shape | Found | None" = None


@dataclasses.dataclass
class Quiet:
    """Equal to every other instance of its class."""

    name: str
    seen: Any = dataclasses.field(default=0, compare=False)


@dataclasses.dataclass(eq=False)
class ByIdentity:
    name: str


@dataclasses.dataclass
class Remembers:
    name: str

    @functools.cached_property
    def upper(self) -> str:
        return self.name.upper()


@dataclasses.dataclass
class Found:
    name: str


@dataclasses.dataclass
class Missing:
    name: str


@dataclasses.dataclass
class Answer:
    result: Found | Missing
    more: list[Found | Missing] = dataclasses.field(default_factory=list)
    by: "Answer | None" = None


@dataclasses.dataclass
class Box(Generic[T]):
    value: T


class Point(msgspec.Struct):
    x: int


class Point3(Point):
    z: int = 0


class Tagged(msgspec.Struct, tag=True):
    x: int


class Pair(NamedTuple):
    a: int
    b: "str | date"


class Row(TypedDict):
    id: int


class Partial(TypedDict, total=False):
    id: int
    by: Found


class Color(Enum):
    RED = "red"


class Level(IntEnum):
    HIGH = 3


class Right(Flag):
    READ = 1
    WRITE = 2


class Cat(pydantic.BaseModel):
    kind: Literal["cat"] = "cat"


class Dog(pydantic.BaseModel):
    kind: Literal["dog"] = "dog"


class Visit(pydantic.BaseModel):
    at: datetime


def late_total() -> Total:
    made = Total(10.0)
    made.gross = 12.0
    return made


def evaluated() -> Remembers:
    made = Remembers("ada")
    assert made.upper == "ADA"
    return made


def same(one: Any, other: Any) -> bool:
    """Return True if value and type are equal: by the printed form, and by the parts that printing leaves out."""
    if type(one) is not type(other):
        return False
    if isinstance(one, (set, frozenset)):
        return bool(one == other)
    if isinstance(one, datetime | time) and (one.fold, one.utcoffset()) != (other.fold, other.utcoffset()):
        return False
    return repr(one) == repr(other)


# Of the standard library: without a declared type and with one.
STANDARD: list[tuple[Any, Any]] = [
    ((1, "a", (2.5, None)), tuple[int, str, tuple[float, None]]),
    ((), tuple[int, ...]),
    ({1, 2}, set[int]),
    (frozenset({"a"}), frozenset[str]),
    (Decimal("1.50"), Decimal),
    (Decimal("NaN"), Decimal),
    (Decimal("-0"), Decimal),
    (date(2026, 1, 2), date),
    (datetime(2026, 1, 2, 3, 4, 5, 6), datetime),  # noqa: DTZ001 - naive on purpose
    (datetime(2026, 1, 2, fold=1), datetime),  # noqa: DTZ001 - as above
    (datetime(2026, 1, 2, tzinfo=UTC), datetime),
    (datetime(2026, 1, 2, tzinfo=OFFSET), datetime),
    (datetime(2026, 1, 2, tzinfo=ZoneInfo("UTC")), datetime),
    (AUTUMN, datetime),
    (AUTUMN.replace(fold=1), datetime),
    (time(1, 2, 3, fold=1), time),
    (time(1, 2, tzinfo=OFFSET), time),
    (time(1, 2, tzinfo=BERLIN), time),
    (timedelta(days=-1, microseconds=5), timedelta),
    (UUID(int=7), UUID),
    (1 + 2j, complex),
    (complex(-0.0, float("inf")), complex),
    (2**64, int),
    (-(2**63) - 1, int),
    (float("nan"), float),
    (-0.0, float),
    (b"\xff", bytes),
    (deque([1, 2], maxlen=5), deque[int]),
    (OrderedDict([("b", 1), ("a", 2)]), OrderedDict[str, int]),
    (Counter("aab"), Counter[str]),
    (defaultdict(list, {"a": [1]}), defaultdict[str, list[int]]),
    (ipaddress.ip_address("10.0.0.1"), ipaddress.IPv4Address),
    (ipaddress.ip_address("fe80::1%eth0"), ipaddress.IPv6Address),
    (ipaddress.ip_network("10.0.0.0/8"), ipaddress.IPv4Network),
    (ipaddress.ip_network("2001:db8::/32"), ipaddress.IPv6Network),
    (ipaddress.ip_interface("10.0.0.1/8"), ipaddress.IPv4Interface),
    (ipaddress.ip_interface("::1/64"), ipaddress.IPv6Interface),
    (pathlib.Path("/tmp/x"), pathlib.Path),  # noqa: S108 - a name only
    (pathlib.PurePosixPath("a/b"), pathlib.PurePath),
    (pathlib.PureWindowsPath("c:/x"), pathlib.PureWindowsPath),
    (re.compile("a+", re.IGNORECASE), re.Pattern),
    (re.compile(rb"\d", re.DOTALL), re.Pattern[bytes]),
    ({"$": 1}, dict[str, int]),
    ({"$": [["tuple", [1]]]}, dict),
    ({1: "a", (1, 2): "b", None: "c"}, dict),
    ({2**70: 1}, dict[int, int]),
]


def inside(value: Any) -> list[Any]:
    """Return the value at several depths."""
    nested = [value, [value], {"k": value}, (1, [value]), [[{"a": [value]}]], {"x": (value, value)}]
    return nested if isinstance(value, (set, dict, list, deque)) else [*nested, {value: 1}, deque([value])]


@pytest.mark.parametrize("codecs", CODECS, ids=repr)
@pytest.mark.parametrize("value", [value for value, _ in STANDARD], ids=same_everywhere)
def test_without_a_type_a_plain_value_comes_back_as_itself(codecs: Codecs, value: Any) -> None:
    for whole in inside(value):
        codec_id, payload, back = codecs.encode(whole, Any)
        assert same(back, whole), (back, whole)
        assert same(codecs.decode(codec_id, payload, Any), whole)


@pytest.mark.parametrize("codecs", CODECS, ids=repr)
@pytest.mark.parametrize(("value", "declared"), STANDARD, ids=same_everywhere)
def test_with_its_type_a_plain_value_comes_back_as_itself(codecs: Codecs, value: Any, declared: Any) -> None:
    for whole, kind in [
        (value, declared),
        ([value], list[declared]),
        (Box(value), Box[declared]),
        ((value,), tuple[declared]),
    ]:
        codec_id, payload, back = codecs.encode(whole, kind)
        assert same(back, whole), (back, whole)
        assert same(codecs.decode(codec_id, payload, kind), whole)


# Of a declared type: values that earlier came back changed, or not at all.
DECLARED: list[tuple[Any, Any]] = [
    (Gross(10.0), Gross),
    (late_total(), Total),
    ({"id": 1, "name": "Ada"}, Row),
    ([{"id": 1, "name": "Ada"}], list[Row]),
    ((1, 2), Sequence[int]),
    ({1, 2}, Collection[int]),
    (frozenset({1}), AbstractSet[int]),
    ((1, 2), Iterable[int]),
    ({"rows": (1, 2)}, Mapping[str, Sequence[int]]),
    (Counter("aab"), dict[str, int]),
    (defaultdict(list, a=[1]), dict[str, list[int]]),
    (OrderedDict(a=1), dict[str, int]),
    (Quiet("a", 5), Quiet),
    (Quiet("a", (1, {2})), Quiet),
    (Slotted(AUTUMN, Found("x")), Slotted),
    (Slotted(datetime(2026, 1, 1, tzinfo=OFFSET)), Slotted | None),
    (Found("Ada"), Found | Missing),
    (Missing("Ada"), Found | Missing),
    (Missing("Ada"), Missing | Found),
    (None, Found | Missing | None),
    ([Found("Ada"), Missing("gone")], list[Found | Missing]),
    ({"a": Circle("c", 2.0), "b": Shape("s")}, dict[str, Shape | Circle]),
    ([Point(1), Point3(1, 2)], list[Point | Point3]),
    (Tagged(1), Tagged | Found),
    (Answer(Found("a"), [Missing("b")], Answer(Missing("c"))), Answer),
    (date(2026, 1, 2), date | datetime),
    (AUTUMN, date | datetime),
    (Decimal("1.50"), str | Decimal),
    ("1.50", str | Decimal),
    (b"x", bytes | str),
    ({1}, list[int] | set[int]),
    ((1,), list[int] | tuple[int, ...]),
    (Dog(), Cat | Dog),
    ("none", Cat | str),
    ([Dog(), Cat()], list[Cat | Dog]),
    (Box(Cat()), Box[Cat | Dog]),
    (Box(Box(Found("x"))), Box[Box[Found | Missing]]),
    (Pair(1, "2026-01-02"), Pair),
    (Pair(1, date(2026, 1, 2)), Pair),
    (Color.RED, Color | Level),
    (Level.HIGH, Color | Level),
    (Right.READ | Right.WRITE, Right | Color),
    (5, UserId | Found),
    (5, Annotated[int, msgspec.Meta(gt=1)] | Found),
    ("a", Literal["a", "b"] | Found),
    ([(1, Found("x"))], list[tuple[int, Found | Missing]]),
]  # fmt: skip


@pytest.mark.parametrize("codecs", MARKING, ids=repr)
@pytest.mark.parametrize(("value", "declared"), DECLARED, ids=same_everywhere)
def test_a_value_of_the_declared_type_comes_back_as_itself(codecs: Codecs, value: Any, declared: Any) -> None:
    codec_id, payload, back = codecs.encode(value, declared)
    assert same(back, value), (back, value)
    assert same(codecs.decode(codec_id, payload, declared), value)
    for other in MARKING:  # a process reads both codecs, with either setting
        assert same(other.decode(codec_id, payload, declared), value)


@dataclasses.dataclass
class Numbered:
    name: str
    number: int = dataclasses.field(default_factory=itertools.count().__next__)


def test_what_a_type_makes_of_plain_data_is_stored() -> None:
    """A default that differs each time is made once: a hit equals the miss."""
    for codecs in MARKING:
        for given, declared in (({"name": "x"}, Numbered), ([{"name": "x"}], list[Numbered])):
            codec_id, payload, back = codecs.encode(given, declared)
            assert codecs.decode(codec_id, payload, declared) == back


def test_a_field_may_have_a_name_that_python_keeps_for_itself() -> None:
    kind = msgspec.defstruct("Lesson", [("class", str)])
    for codecs in MARKING:
        codec_id, payload, _ = codecs.encode(kind("4b"), kind)
        assert codecs.decode(codec_id, payload, kind) == kind("4b")


def test_identity_as_equality_does_not_matter() -> None:
    for codecs in MARKING:
        assert codecs.encode(ByIdentity("x"), ByIdentity)[2].name == "x"


class Unequal:
    """Comparing it is an error, as with the arrays of some libraries."""

    name: str

    def __eq__(self, other: object) -> bool:
        raise TypeError("== is ambiguous")

    def __hash__(self) -> int:
        return 1


@dataclasses.dataclass(eq=False)
class UnequalFields(Unequal):
    name: str


@dataclasses.dataclass(frozen=True, eq=False)
class UnequalMember(Unequal):
    name: str


@dataclasses.dataclass(frozen=True, eq=False)
class UnequalChecked(UnequalMember):
    def __post_init__(self) -> None:
        """Run code of the class, so that kinds alone prove nothing."""


class UnequalRegistered(Unequal):
    def __init__(self, name: str) -> None:
        self.name = name


register_type(UnequalRegistered, encode=lambda made: made.name, decode=UnequalRegistered)


def names_in(value: Any) -> list[str]:
    """Return the names of the objects in a value."""
    if isinstance(value, Box):
        return names_in(value.value)
    parts = value.values() if isinstance(value, dict) else value
    return [value.name] if isinstance(value, Unequal) else [name for part in parts for name in names_in(part)]


def test_an_equality_that_raises_is_not_called() -> None:
    for codecs in MARKING:
        for value, declared in (
            (UnequalFields("x"), UnequalFields),
            ([UnequalFields("x")], list[UnequalFields]),
            ({"k": UnequalFields("x")}, dict[str, UnequalFields | None]),
            (UnequalRegistered("x"), Any),
            (Box(UnequalRegistered("x")), Box[UnequalRegistered]),
            ({UnequalMember("x")}, set[UnequalMember]),
        ):
            codec_id, payload, back = codecs.encode(value, declared)
            assert names_in(back) == names_in(codecs.decode(codec_id, payload, declared)) == ["x"]


def test_where_a_set_calls_it_the_set_is_refused() -> None:
    for codecs in MARKING:
        with pytest.raises(CodecError, match="ambiguous"):
            codecs.encode({UnequalChecked("x")}, set[UnequalChecked])


def test_what_can_be_computed_again_is_no_part_of_a_value() -> None:
    for codecs in MARKING:
        assert codecs.encode(evaluated(), Remembers)[2] == Remembers("ada")


def with_more() -> Found:
    made = Found("x")
    made.extra = 1  # type: ignore[attr-defined]  # the case
    return made


class Private(pydantic.BaseModel):
    name: str
    _seen: int = pydantic.PrivateAttr(default=0)


class Extra(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="allow")
    name: str


def with_private() -> Private:
    made = Private(name="x")
    made._seen = 5
    return made


class Odd(tzinfo):
    """A user's own time zone, whose offset depends on the date."""

    def utcoffset(self, when: datetime | None) -> timedelta | None:
        return None if when is None else timedelta(hours=1)

    def tzname(self, _when: datetime | None) -> str:
        return "odd"

    def dst(self, _when: datetime | None) -> None:
        return None


class Failing(Odd):
    def utcoffset(self, _when: datetime | None) -> timedelta | None:
        raise RuntimeError


class Fixed(Odd):
    def utcoffset(self, _when: datetime | None) -> timedelta:
        return timedelta(hours=2)


@pytest.mark.parametrize("codecs", MARKING, ids=repr)
@pytest.mark.parametrize(
    ("value", "declared", "said"),
    [
        ([Circle("c", 2.0)], list[Shape], r"list\[\] \(Circle\) would come back as Shape: name Circle in"),
        ({"a": Circle("c", 2.0)}, dict[str, Shape], "would come back as Shape"),
        (Circle("c", 2.0), Shape, "a Circle would come back as Shape: name Circle in the declared type"),
        ([Point3(1, 2)], list[Point], "Point3"),
        (Level.HIGH, int, "a Level would come back as int"),
        (Shape(Level.HIGH), Shape, "Shape"),  # type: ignore[arg-type]  # the case
        (Found("x"), Missing, "Found"),
        (Found("x"), dict[str, Any], "Found"),
        (date(2026, 1, 2), str, "a date would come back as str"),
        (with_more(), Found, "a Found would come back with another value"),
        (with_private(), Private, "Private.*with another value"),
        (datetime(2026, 1, 1, tzinfo=Odd()), datetime, "zone"),
        ([datetime(2026, 1, 1, tzinfo=Failing())], Any, "zone"),
        (Visit(at=AUTUMN), Visit, r"Visit.at \(datetime\) would come back with another value"),
        (Missing("x"), Found | Shape, "Missing"),
        (2, Found | Missing, "int"),
    ],
    ids=same_everywhere,
)  # fmt: skip
def test_what_would_come_back_otherwise_is_refused(codecs: Codecs, value: Any, declared: Any, said: str) -> None:
    with pytest.raises(CodecError, match=said) as caught:
        codecs.encode(value, declared)
    assert f"type={type(value).__name__}" not in str(caught.value) or declared is Any


def test_a_model_keeps_what_it_allows_beside_its_fields() -> None:
    value = Extra(name="x", more=5)  # type: ignore[call-arg]  # the case
    for codecs in MARKING:
        assert codecs.encode(value, Extra)[2].model_extra == {"more": 5}


class Patch(pydantic.BaseModel):
    name: str | None = None
    city: str | None = None
    inner: "Patch | None" = None


def test_all_fields_of_a_model_count_as_set_for_every_caller_alike() -> None:
    """The page of values says so: the loader's own caller sees the same as each hit, and ``model_dump()`` is kept."""
    value = Patch(city="Bern", inner=Patch(name="x"))
    for codecs in MARKING:
        codec_id, payload, back = codecs.encode(value, Patch)
        hit = codecs.decode(codec_id, payload, Patch)
        assert hit == back == value
        assert hit.model_dump() == value.model_dump()
        assert hit.model_fields_set == back.model_fields_set == {"name", "city", "inner"}
        assert hit.model_dump(exclude_unset=True) == back.model_dump(exclude_unset=True) == value.model_dump()
    kept = CODECS[2].encode(value, Patch)[2]  # pickle keeps it
    assert kept.model_dump(exclude_unset=True) == {"city": "Bern", "inner": {"name": "x"}}


def test_any_zone_of_one_offset_comes_back_as_a_timezone() -> None:
    visit = Visit.model_validate_json('{"at": "2026-01-01T00:00:00+02:00"}')
    for codecs in MARKING:
        assert codecs.encode(visit, Visit)[2] == visit
        for zone in (visit.at.tzinfo, Fixed()):
            moment = datetime(2026, 1, 1, tzinfo=zone)
            for declared in (Any, datetime):
                back = codecs.encode(moment, declared)[2]
                assert (type(back.tzinfo), back.utcoffset(), back) == (timezone, timedelta(hours=2), moment)


def test_utc_has_the_bytes_of_a_timestamp() -> None:
    assert CODECS[0].encode(datetime(2026, 1, 1, tzinfo=UTC), datetime) == (
        MSGPACK, msgspec.msgpack.encode(datetime(2026, 1, 1, tzinfo=UTC)), datetime(2026, 1, 1, tzinfo=UTC),
    )  # fmt: skip


def test_a_zone_that_this_host_lacks_makes_an_entry_unusable() -> None:
    for codecs in MARKING:
        codec_id, payload, _ = codecs.encode(AUTUMN, datetime)
        for name in (b"Europe/Nowher", b"../../etc/pas", b"/etc/password", b"\0urope/Berlin"):
            with pytest.raises(CodecError):
                codecs.decode(codec_id, payload.replace(b"Europe/Berlin", name), datetime)


def test_what_marks_nothing_costs_nothing() -> None:
    for value in ({"a": [1, "b", None]}, [datetime(2026, 1, 1, tzinfo=UTC)], "x", {"k": b"x"}, {1: 2}):
        assert CODECS[0].encode(value, Any)[:2] == (MSGPACK, msgspec.msgpack.encode(value))
    assert CODECS[1].encode({"a": [1, "b"]}, Any)[:2] == (JSON, b'{"a":[1,"b"]}')
    assert CODECS[0].encode(2**63 - 1, Any)[:2] == (INT, b"9223372036854775807")


def test_the_marks_are_part_of_the_format() -> None:
    """Releases side by side read each other's entries: a mark never changes."""
    ext = msgspec.msgpack.Ext
    plain = msgspec.msgpack.encode
    assert CODECS[0].encode((1, 2), Any)[:2] == (MARKED_MSGPACK, plain(ext(10, plain([1, 2]))))
    assert CODECS[1].encode({"$": {1}}, Any)[1] == b'{"$":["dict",[["$",{"$":["set",[1]]}]]]}'
    marked = b'{"$":["class",["%s.Found",{"name":"x"}]]}' % __name__.encode()
    assert CODECS[1].encode(Found("x"), Found | Missing)[:2] == (MARKED_JSON, marked)
    assert CODECS[1].encode(AUTUMN, Any)[1] == b'{"$":["datetime",["2026-10-25T02:30:00","Europe/Berlin",0]]}'


# -- members of unions


def test_a_member_is_known_by_its_name_and_never_by_its_place() -> None:
    for codecs in (Codecs("msgpack"), Codecs("json")):  # new codecs, because a codec keeps its reader of a type
        codec_id, payload, _ = codecs.encode(Missing("x"), Found | Missing)
        assert codecs.decode(codec_id, payload, Missing | Found) == Missing("x")
        assert codecs.decode(codec_id, payload, Missing) == Missing("x")
        assert codecs.decode(codec_id, payload, Any) == {"name": "x"}
        for declared in (Found | Shape, Found, list[Missing], str):
            with pytest.raises(CodecError):
                codecs.decode(codec_id, payload, declared)


def test_a_member_is_never_imported() -> None:
    payload = b'{"$":["class",["os.PathLike",{"name":"x"}]]}'
    for declared in (Found | Missing, Found, list[Any]):
        with pytest.raises(CodecError):
            MARKING[0].decode(MARKED_JSON, payload, declared)


def test_fields_of_a_member_are_of_their_types() -> None:
    name = f"{__name__}.Found"
    for content in (f'{{"name":5}}', "[]", "5", "{}", "null"):  # noqa: F541 - alike
        payload = f'{{"$":["class",["{name}",{content}]]}}'.encode()
        with pytest.raises(CodecError):
            MARKING[0].decode(MARKED_JSON, payload, Found | Missing)


def test_a_new_field_with_a_default_does_not_make_an_entry_unusable() -> None:
    found = f'{{"$":["class",["{__name__}.Found",{{"name":"x"}}]]}}'
    payload = f'{{"$":["class",["{__name__}.Answer",{{"result":{found}}}]]}}'.encode()
    assert MARKING[0].decode(MARKED_JSON, payload, Answer) == Answer(Found("x"))


def test_two_members_of_one_name_are_told_at_once() -> None:
    other = dataclasses.make_dataclass("Found", [("name", str)])
    other.__module__, other.__qualname__ = Found.__module__, Found.__qualname__
    with pytest.raises(CodecError):
        MARKING[0].encode(Found("x"), Found | other)


def test_what_was_stored_without_a_type_is_read_as_one_that_it_is_of() -> None:
    for codecs in MARKING:
        codec_id, payload, _ = codecs.encode({"at": date(2026, 1, 2), "tags": (1, 2)}, Any)

        @dataclasses.dataclass
        class Entry:
            at: date
            tags: tuple[int, ...]

        globals()["Entry"] = Entry
        assert codecs.decode(codec_id, payload, Entry) == Entry(date(2026, 1, 2), (1, 2))
        with pytest.raises(CodecError):
            codecs.decode(codec_id, payload, dict[str, date])
        assert codecs.decode(*codecs.encode((1, 2), Any)[:2], list[int]) == [1, 2]


@pytest.mark.parametrize(
    "mark",
    [
        '["tuple","abc"]', '["set",5]', '["set",[[1]]]', '["dict",["ab"]]', '["dict",[[[1],2]]]', '["int","1g"]',
        '["int"," 1"]', '["datetime",["2026-01-01","A/B",0]]',
        '["int","' + "f" * 4000 + '"]', '["Decimal",1]', '["Decimal","x"]', '["date","x"]', '["date",1]',
        '["datetime",["2026-01-01","UTC"]]', '["datetime",["2026-01-01",1e99,0]]',
        '["timedelta",["a",1,1]]', '["timedelta",[1]]', '["UUID","x"]', '["UUID",5]', '["complex",["1",2]]',
        '["deque",[[1],"x"]]', '["defaultdict",["os.system",[]]]', '["Pattern",["(",32]]', '["Pattern",["x",128]]',
        '["Pattern",["' + "x" * 1001 + '",32]]', '["IPv4Address",5]', '["IPv4Address","x"]', '["PosixPath",5]',
        '["WindowsPath","x"]',
        '["Pattern",["[a-é]",34]]', '["float","x"]', '["float",1]', '["bytes","x"]', '["class","x"]',
        '["class",["a.B",{}]]',
        '["registered",["a.B",{}]]', '["unknown",1]', "[5,1]", "[10,[1]]", '["tuple"]', "[]", "null", '"tuple"',
        "[null,1]",
    ],
)  # fmt: skip
def test_a_mark_holds_what_its_kind_is_made_of(mark: str) -> None:
    with pytest.raises(CodecError):
        CODECS[1].decode(MARKED_JSON, f'{{"$":{mark}}}'.encode(), Found | Missing if "class" in mark else Any)
    with pytest.raises(CodecError):
        CODECS[1].decode(MARKED_JSON, f'[1,{{"a":{{"$":{mark}}}}}]'.encode(), list[Any])


def test_a_value_has_a_hundred_patterns_at_most() -> None:
    """Compiling patterns is slow, and anyone with write access to the server chooses them."""
    for codecs in MARKING:
        assert len(codecs.encode([re.compile("a")] * 100, Any)[2]) == 100
        with pytest.raises(CodecError):
            codecs.encode([re.compile("a")] * 101, Any)


# -- the quick look


PROVEN: list[tuple[Any, Any]] = [
    ([Found("a"), Found("b")], list[Found]),
    ([datetime(2026, 1, 1, tzinfo=UTC)], list[datetime]),
    ([Point(1)], list[Point]),
    ([{"id": 1}, {"id": 2}], list[Row]),
    ({"id": 1}, Partial),
    ({"id": 1, "by": Found("x")}, Partial),
    ({"a": [1, 2]}, dict[str, list[int]]),
    ((1, "a"), tuple[int, str]),
    ([None, "a"], list[str | None]),
    ({1.5, 2.5}, set[float]),
    ([Color.RED], list[Color]),
    ([Decimal(1), Decimal(2)], list[Decimal]),
    ({"a": {"b": [1, None, "x"]}}, dict[str, Any]),
]  # fmt: skip


@pytest.mark.parametrize("codecs", MARKING, ids=repr)
@pytest.mark.parametrize(("value", "declared"), PROVEN, ids=same_everywhere)
def test_most_values_need_no_comparison(
    codecs: Codecs, value: Any, declared: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def compare(*_args: object) -> None:
        raise AssertionError("the parts were compared")

    monkeypatch.setattr("fleetcache.format.codec.find_change", compare)
    assert same(codecs.encode(value, declared)[2], value)


@pytest.mark.parametrize(
    ("value", "declared"),
    [
        *((given, kind) for given, kind in DECLARED),
        ([1, True], list[int]), ([1.0, 1], list[float]), ([Level.HIGH], list[int]), ({Level.HIGH: 1}, dict[int, int]),
        ({"a": Level.HIGH}, dict[str, int]), ((Level.HIGH, "x"), tuple[int, str]), ([Circle("c", 1.0)], list[Shape]),
        (with_more(), Found), (float("nan"), float | None), ([float("inf")], list[float]), (late_total(), Total),
        (datetime(2026, 1, 1, fold=1), datetime), (AUTUMN, datetime), (time(1, tzinfo=UTC), time),  # noqa: DTZ001 - the case
        ({"id": 1, "name": "Ada"}, Row), ({1.5: 2}, dict[float, int]), (evaluated(), Remembers), (Gross(1.0), Gross),
    ],
    ids=same_everywhere,
)  # fmt: skip
@pytest.mark.parametrize("exact", [SCALARS, JSON_SCALARS], ids=["msgpack", "json"])
def test_what_kinds_do_not_tell_is_not_proven(exact: frozenset[type], value: Any, declared: Any) -> None:
    try:
        proof = proof_of(msgspec.inspect.type_info(declared), exact)
    except TypeError:  # msgspec does not know the type
        return
    module: Any = msgspec.json if exact is JSON_SCALARS else msgspec.msgpack
    try:
        back = module.decode(module.encode(value), type=declared)
    except (msgspec.ValidationError, TypeError):
        return
    assert proof is None or not proof(value) or find_change(value, back) is None
