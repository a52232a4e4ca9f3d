"""A call and its key: equal calls share one, different calls never do, and nothing is left out silently."""

import functools
import inspect
import re
import subprocess
import sys
from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum, Flag, IntEnum, StrEnum
from ipaddress import ip_address, ip_interface, ip_network
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any, NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
import pydantic
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fleetcache.errors import KeyRuleError
from fleetcache.format.function_keys import FunctionKey


class Color(Enum):
    RED = "red"
    BLUE = "blue"


class Shade(StrEnum):
    RED = "red"


class Level(IntEnum):
    ONE = 1


class Right(Flag):
    READ = 1
    WRITE = 2


class Name(str):
    __slots__ = ()


class Pair(NamedTuple):
    a: int
    b: int


@dataclass(frozen=True)
class User:
    id: object
    seen: object = field(default=None, compare=False)


class Place(msgspec.Struct):
    city: str


class Model(pydantic.BaseModel):
    x: int


class Keyed:
    def __init__(self, key: Any) -> None:
        self.key = key

    def __cache_key__(self) -> Any:
        return self.key


class Opaque: ...


def locate(ip: object, lang: object = "en") -> None: ...
def one(x: object) -> None: ...
def two(a: object, b: object) -> None: ...
def keyword(a: object, /, b: object = 2, *, c: object = 3, d: object) -> None: ...
def variadic(a: object, *rest: object, flag: bool = False, **more: object) -> None: ...
def none() -> None: ...


def key_of(fn: Callable[..., Any], template: str | None, *args: Any, **kwargs: Any) -> str:
    return FunctionKey(fn, template).key(args, kwargs)


def test_a_template_makes_the_key() -> None:
    assert key_of(locate, "geo:{ip}", "1.2.3.4") == "geo:1.2.3.4"
    assert key_of(locate, "geo:{ip}:{lang}!", "::1") == "geo:%3A%3A1:en!"
    assert key_of(locate, "{{geo}}:{ip}", "a b") == "{geo}:a%20b"
    assert key_of(one, "user:{x.id}", User(5)) == "user:5"
    assert key_of(one, "city:{x.id.city}", User(Place("Köln"))) == "city:Köln"
    assert key_of(none, "settings") == "settings"


def test_without_a_template_the_key_is_the_call() -> None:
    module = __name__
    assert key_of(locate, None, "1.2.3.4") == f"{module}.locate(1.2.3.4,en)"
    assert key_of(none, None) == f"{module}.none()"
    assert key_of(variadic, None, 1, "x", flag=True, z=1, y=2) == f"{module}.variadic(1,(x),True,dict(y=2,z=1))"


@pytest.mark.parametrize("template", [None, "k:{a}:{b}:{c}:{d}"])
def test_equal_calls_share_a_key_however_they_are_written(template: str | None) -> None:
    key = FunctionKey(keyword, template)
    keys = {
        key.key((1,), {"d": 4}),
        key.key((1, 2), {"d": 4}),
        key.key((1,), {"b": 2, "c": 3, "d": 4}),
        key.key((1, 2), {"d": 4, "c": 3}),
    }
    assert len(keys) == 1


def test_int_bool_float_and_str_of_one_look_are_four() -> None:
    for template in (None, "k:{x}"):
        key = FunctionKey(one, template)
        assert len({key.key((x,), {}) for x in (1, True, 1.0, "1", "True", "1.0")}) == 6
    assert key_of(one, "k:{x}", "1") == "k:'1'"


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [((), {}), ((1, 2, 3), {"d": 1}), ((1,), {"a": 1, "d": 1}), ((1, 2), {"b": 2, "d": 1}), ((1,), {"x": 1, "d": 2})],
)
def test_wrong_arguments_are_the_functions_own_type_error(args: Any, kwargs: Any) -> None:
    with pytest.raises(TypeError, match="argument"):
        FunctionKey(keyword, None).key(args, kwargs)


VALUES: list[Any] = [
    None, True, False, 0, 1, -1, 10**30, 1.0, 0.5, -0.0, 0.0, 1e22, 1e-7, float("inf"), float("-inf"), float("nan"),
    "", "1", "-1", "1.0", "1e+22", "1e22", "None", "True", "nan", "inf", "-inf", "'1'", "''", "%", "%27", "%31", "é",
    "\ud800",     "b'61'", "[1]", "(1)", "()", "dict()", "a=1", "a,b", "a:b", "a b", "\n", "\0", "\uff11", "²",
    b"", b"a", b"1", [], [1], ["1"], [[1]], ["a,b"], ["a", "b"], (), (1,), ("a", "b"), ((),), {}, {"a": 1}, {"a": "1"},
    {1: "a"}, set(), {1}, {"1"}, {1.0}, frozenset(), frozenset({1}),
    Color.RED, Color.BLUE, Shade.RED, Level.ONE, Right.READ, Right.READ | Right.WRITE, Right(0), Name("1"),
    Name("a"), "a",
    UUID(int=1), str(UUID(int=1)), Decimal(1), Decimal("1.0"), Decimal("NaN"), Pair(1, 2), (1, 2),
    date(2020, 1, 1), datetime(2020, 1, 1), datetime(2020, 1, 1, tzinfo=UTC), datetime(2020, 1, 1, fold=1),  # noqa: DTZ001 - naive on purpose
    datetime(2020, 1, 1, tzinfo=timezone(timedelta(hours=1))), datetime(2020, 1, 1, tzinfo=ZoneInfo("Europe/Berlin")),
    datetime(2020, 1, 1, tzinfo=ZoneInfo("Europe/Paris")), time(1), time(1, tzinfo=UTC), timedelta(1),
    timedelta(0, 1), timedelta(0, 0, 1),
    User(1), User("1"), User(User(1)), Place("a"), Place("1"), Model(x=1), Keyed("a"), Keyed(1), Keyed(("a", 1)),
    OrderedDict(a=1, b=2), OrderedDict(b=2, a=1), defaultdict(int, a=1), "x" * 300, "x" * 301, "x" * 200 + "y",
    ip_address("10.0.0.1"), "10.0.0.1", ip_address("::1"), ip_network("10.0.0.1"), ip_network("10.0.0.0/8"),
    ip_interface("10.0.0.1"), ip_address("fe80::1%eth0"), PurePosixPath("a/b"), PurePosixPath("a b"), Path("a/b"),
    PureWindowsPath("a/b"), "a/b", re.compile("a"), re.compile("a", re.IGNORECASE), re.compile(b"a"), re.compile("1"),
    deque(), deque([1]), deque(["1"]), deque([1], maxlen=3), 1j, complex(0, -1), complex(0, 1.5), complex("nan"),
    int("9" * 4300), -int("9" * 4300),
]  # fmt: skip


@pytest.mark.parametrize("template", [None, "k:{x}", "{x}", "k-{x}-k"])
def test_no_two_of_many_values_share_a_key(template: str | None) -> None:
    key = FunctionKey(one, template)
    seen: dict[str, Any] = {}
    for value in VALUES:
        written = key.key((value,), {})
        assert written not in seen, (value, seen[written])
        seen[written] = value


TEMPLATES = [
    None,
    "k:{a}:{b}",
    "{a}-{b}",
    "{a}.{b}",
    "{a}_{b}",
    "{a}/{b}",
    "{a}x{b}",
    "{a},{b}",
    "{a}({b})",
    "{a}%é{b}",
    "{b} {a}",
]

texts = st.text(st.sampled_from("ab1e+-._%:,()[]='x/2D \\é\ud800TrueNon"), max_size=8)
scalars = st.none() | st.booleans() | st.integers() | st.floats() | texts | st.binary(max_size=3)
hashables = st.recursive(
    scalars, lambda inner: st.tuples(inner, inner) | st.frozensets(inner, max_size=3), max_leaves=5
)
arguments = st.recursive(
    hashables,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(hashables, inner, max_size=3) | st.builds(User, inner),
    max_leaves=6,
)


def identity(value: Any) -> Any:
    """Return equal values exactly for equal types and values, at every depth."""
    if isinstance(value, (list, tuple)):
        return (type(value), tuple(map(identity, value)))
    if isinstance(value, frozenset):
        return (frozenset, frozenset(map(identity, value)))
    if isinstance(value, dict):
        return (dict, frozenset((identity(k), identity(v)) for k, v in value.items()))
    if isinstance(value, User):
        return (User, identity(value.id))
    return (type(value), repr(value))


@pytest.mark.parametrize("template", TEMPLATES)
@given(a=arguments, b=arguments, a2=arguments, b2=arguments)
@example(a="a:b", b="c", a2="a", b2="b:c")
@example(a=1e22, b="+22e5", a2=1, b2="+22e5")
@example(a="a-b", b="c", a2="a", b2="b-c")
@example(a=["a", "b"], b=1, a2=["a,b"], b2=1)
def test_calls_share_a_key_only_if_they_are_the_same(template: str | None, a: Any, b: Any, a2: Any, b2: Any) -> None:
    key = FunctionKey(two, template)
    same_key = key.key((a, b), {}) == key.key((a2, b2), {})
    assert same_key == (identity((a, b)) == identity((a2, b2)))


@pytest.mark.parametrize("template", TEMPLATES)
@given(a=texts, b=texts, data=st.data())
def test_moving_text_from_one_argument_to_the_next_changes_the_key(
    template: str | None, a: str, b: str, data: st.DataObject
) -> None:
    between = {"{a}-{b}": "-", "{a}x{b}": "x", "{a},{b}": ","}.get(template or "", ":")
    whole = a + between + b
    cut = data.draw(st.integers(0, len(whole)))
    a2, b2 = whole[:cut], whole[cut:].removeprefix(between)
    key = FunctionKey(two, template)
    assert (key.key((a, b), {}) == key.key((a2, b2), {})) == ((a, b) == (a2, b2))


@pytest.mark.parametrize("template", [None, "k:{a}:{b}"])
def test_long_arguments_end_in_a_digest(template: str | None) -> None:
    key = FunctionKey(two, template)
    fixed = len(key.key(("", ""), {})) - len("''" * 2)
    written = [key.key(("é" * n, "x" * m), {}) for n in (95, 99, 100, 101, 5000) for m in (1, 2, 9, 10, 11, 3000)]
    assert len(set(written)) == len(written)
    for text in written:
        size = len(text.encode())
        assert size <= fixed + 200 or (size <= fixed + 200 + 33 and text[-33] == "#")
    assert "#" not in key.key(("x" * 100, "x" * 99), {})


def test_keys_are_the_same_in_every_process() -> None:
    code = (
        "from fleetcache.format.function_keys import FunctionKey\n"
        "def f(x): ...\n"
        "print(FunctionKey(f, 'k:{x}').key(({'b', 'a', 'c', 1, 'long' * 99},), {}))"
    )
    runs = [
        subprocess.run([sys.executable, "-c", code], env={"PYTHONHASHSEED": seed}, capture_output=True, check=True)  # noqa: S603 - our own code
        for seed in ("1", "2", "3")
    ]
    assert len({run.stdout for run in runs}) == 1


def test_sets_and_dicts_count_by_what_they_hold() -> None:
    key = FunctionKey(one, None)
    assert key.key(({"a": 1, "b": 2},), {}) == key.key(({"b": 2, "a": 1},), {})
    assert key.key((User(1, seen="today"),), {}) == key.key((User(1),), {})


@pytest.mark.parametrize("value", [Opaque(), [Opaque()], {"a": (Opaque(),)}, User(Opaque())])
def test_an_argument_without_a_text_of_its_own_is_named(value: object) -> None:
    with pytest.raises(KeyRuleError, match=rf"locate: argument 'ip' of type {type(value).__name__} .*Opaque") as caught:
        FunctionKey(locate, None).key((value,), {})
    assert "__cache_key__" in str(caught.value)


def test_values_that_contain_themselves_are_refused() -> None:
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(KeyRuleError, match="argument 'x' of type list"):
        FunctionKey(one, None).key((loop,), {})


@pytest.mark.parametrize(
    "value",
    [
        object,
        Opaque,
        Keyed,
        pytest.param(10**5000, id="huge"),
        bytearray(b"x"),
        memoryview(b"x"),
        lambda: 1,
        re.compile("x" * 1001),
        deque([Opaque()]),
        iter(()),
    ],
)
def test_what_is_not_deterministic_takes_no_part(value: object) -> None:
    with pytest.raises(KeyRuleError):
        FunctionKey(one, None).key((value,), {})


def test_a_missing_attribute_is_named() -> None:
    with pytest.raises(KeyRuleError, match="no attribute 'nick'"):
        FunctionKey(one, "u:{x.nick}").key((User(1),), {})


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("geo:{city}", r"unknown field \{city\}"),
        ("geo:{}", "neither a parameter"),
        ("geo:{0}", "neither a parameter"),
        ("geo:{ip[0]}", "neither a parameter"),
        ("geo:{ip.}", "neither a parameter"),
        ("geo:{ip:>5}", "formats"),
        ("geo:{ip!r}", "conversions"),
        ("geo:{ip", "expected '}'"),
        ("geo:}", "Single '}'"),
        ("{ip}{lang}", "separator"),
        ("{ip}00{lang}", "separator"),
    ],
)
def test_a_bad_template_is_an_error_at_decoration_that_names_the_fields(template: str, said: str) -> None:
    with pytest.raises(KeyRuleError, match=said) as caught:
        FunctionKey(locate, template)
    assert "{ip}, {lang}" in str(caught.value)
    assert "locate" in str(caught.value)


def config(db: object) -> None: ...


class Settings:
    def all(self) -> None: ...
    def one(self, name: str) -> None: ...
    @classmethod
    def of_class(cls) -> None: ...


@pytest.mark.parametrize(
    ("function", "template", "way"),
    [
        (config, "config", "key=lambda db: 'config'"),
        (config, f"config:{1}", "key=lambda db: 'config:1'"),  # an f-string by mistake
        (config, "{{db}}", "key=lambda db: '{db}'"),
        (locate, "geo", "key=lambda *_, **__: 'geo'"),
        (keyword, "k", "key=lambda *_, **__: 'k'"),
        (variadic, "k", "key=lambda *_, **__: 'k'"),
        (Settings.one, "k", "key=lambda self, name: 'k'"),
    ],
)
def test_one_key_for_all_calls_must_be_said_by_a_function(function: Any, template: str, way: str) -> None:
    with pytest.raises(KeyRuleError, match="all calls would share one result") as caught:
        FunctionKey(function, template)
    assert way in str(caught.value)
    call = (Settings(), "name") if function is Settings.one else (1,)
    assert FunctionKey(function, eval(way.removeprefix("key="))).key(call, {})  # noqa: S307 - what the error says


@pytest.mark.parametrize("function", [none, Settings.all, Settings.__dict__["of_class"], Settings().all])
def test_a_function_that_takes_nothing_may_have_one_key(function: Any) -> None:
    self = (Settings(),) if function is Settings.all or isinstance(function, classmethod) else ()
    assert FunctionKey(function, "settings").key(self, {}) == "settings"


# -- decorators below that supply arguments ----------------------------------------------------------------------------


class Database: ...


def with_db(fn: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(fn)
    def call(*args: Any, **kwargs: Any) -> Any:
        return fn(Database(), *args, **kwargs)

    return call


def with_db_by_name(fn: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(fn)
    def call(user_id: int, lang: str = "en") -> Any:
        return fn(Database(), user_id, lang)

    return call


def signed(fn: Callable[..., Any]) -> Callable[..., Any]:
    call: Any = with_db(fn)
    whole = inspect.signature(fn)
    call.__signature__ = whole.replace(parameters=list(whole.parameters.values())[1:])
    return call  # type: ignore[no-any-return]


def user(db: Database, user_id: int, lang: str = "en") -> None: ...


@pytest.mark.parametrize("decorate", [with_db_by_name, signed])
@pytest.mark.parametrize("outer", [lambda fn: fn, functools.lru_cache])
def test_what_a_wrapper_says_of_its_parameters_wins(decorate: Any, outer: Any) -> None:
    key = FunctionKey(outer(decorate(user)), "user:{user_id}:{lang}")
    assert key.key((7,), {}) == key.key((), {"user_id": 7, "lang": "en"}) == "user:7:en"
    assert key.key((7, "de"), {}) == "user:7:de"
    with pytest.raises(TypeError, match="missing a required argument"):
        key.key((), {})


@pytest.mark.parametrize("template", ["user:{user_id}", None])
def test_where_a_decorator_may_supply_arguments_an_error_says_so(template: str | None) -> None:
    key = FunctionKey(with_db(user), template)
    with pytest.raises(KeyRuleError, match="user: the call does not fit its parameters") as caught:
        key.key((7,), {})
    assert 'key=lambda user_id: f"user:{user_id}"' in str(caught.value)
    assert FunctionKey(with_db(user), lambda user_id: f"user:{user_id}").key((7,), {}) == "user:7"


def test_a_template_sees_through_a_wrapper_that_passes_all_on() -> None:
    def retry(fn: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(fn)
        def call(*args: Any, **kwargs: Any) -> Any:
            return fn(*args, **kwargs)

        return call

    key = FunctionKey(retry(retry(locate)), "geo:{ip}")
    assert key.key((), {"ip": "1.2.3.4"}) == key.key(("1.2.3.4", "de"), {}) == "geo:1.2.3.4"


@pytest.mark.parametrize("template", ["", "x" * 9000, 5, b"geo"])
def test_a_template_is_a_key(template: Any) -> None:
    with pytest.raises(KeyRuleError):
        FunctionKey(locate, template)


def test_a_function_may_make_the_key() -> None:
    key = FunctionKey(locate, lambda ip, lang="en": f"{lang}/{ip}")
    assert key.key(("1.2.3.4",), {}) == "en/1.2.3.4"
    assert key.key((), {"ip": "::1", "lang": "de"}) == "de/::1"


@pytest.mark.parametrize("made", ["", None, 5, b"x", "x" * 9000])
def test_what_a_function_makes_must_be_a_key(made: Any) -> None:
    with pytest.raises(KeyRuleError, match="locate: key= gave no key"):
        FunctionKey(locate, lambda *_: made).key((1,), {})


class Repository:
    def load(self, x: object) -> None: ...
    def odd(this, x: object) -> None: ...  # noqa: N805 - the case
    @classmethod
    def of_class(cls, x: object) -> None: ...
    @staticmethod
    def static(x: object) -> None: ...


class KeyedRepository(Repository):
    def __cache_key__(self) -> str:
        return "main"


class KeyedClass(Repository):
    @classmethod
    def __cache_key__(cls) -> str:
        return "v1"


@dataclass(frozen=True)
class DataRepository:
    name: str

    def load(self, x: object) -> None: ...
    def odd(this, x: object) -> None: ...  # noqa: N805 - the case


@pytest.mark.parametrize(
    ("function", "first"),
    [
        (Repository.load, Repository()),
        (Repository.odd, Repository()),
        (Repository.__dict__["of_class"], Repository),
        (DataRepository.load, DataRepository("a")),
        (DataRepository.odd, DataRepository("a")),
        (Repository.__dict__["of_class"], KeyedRepository),
    ],
)
def test_self_never_takes_part_silently(function: Any, first: object) -> None:
    with pytest.raises(KeyRuleError, match="__cache_key__"):
        FunctionKey(function, None).key((first, 1), {})


def test_a_method_with_a_key_of_its_object_or_a_template_is_fine() -> None:
    assert key_of(Repository.load, None, KeyedRepository(), 1).endswith(
        ".Repository.load(" + __name__ + ".KeyedRepository(main),1)"
    )
    assert ".KeyedClass,v1),1)" in FunctionKey(Repository.__dict__["of_class"], None).key((KeyedClass, 1), {})
    assert key_of(Repository.load, "r:{x}", Repository(), 1) == "r:1"
    assert key_of(DataRepository.load, "r:{self.name}:{x}", DataRepository("a"), 1) == "r:a:1"


def test_a_static_method_is_a_function() -> None:
    for static in (Repository.__dict__["static"], Repository.static):
        assert FunctionKey(static, None).key((1,), {}).endswith(".Repository.static(1)")


@pytest.mark.parametrize(
    "fn", [Repository().load, KeyedRepository().load, functools.partial(two, 1), Keyed("x").__cache_key__]
)
def test_what_is_bound_already_needs_a_template(fn: Any) -> None:
    with pytest.raises(KeyRuleError, match="pass key="):
        FunctionKey(fn, None)
    call: dict[str, Any] = {"x": 1} if "load" in repr(fn) else {"b": 1} if "two" in repr(fn) else {}
    assert FunctionKey(fn, lambda **_: "k").key((), call) == "k"


def test_its_repr_tells_the_function() -> None:
    assert repr(FunctionKey(locate, "geo:{ip}")) == "<FunctionKey locate geo:…>"


@pytest.mark.parametrize(
    ("function", "template", "tag"),
    [
        (locate, "geo:{ip}", "**geo:{}"),
        (one, "geo:{x}", "**geo:{}"),  # the same keys, so the same family
        (locate, "geo:{ip}:{lang}", "**geo:{}:{}"),
        (none, "fixed", "**fixed"),
        (locate, None, f"**{__name__}.locate"),
        (locate, lambda *_: "k", f"**{__name__}.locate"),
        (DataRepository.load, "r:{self.name}:{x}", "**r:{}:{}"),
    ],
)
def test_a_familys_tag_is_what_its_keys_have_in_common(function: Any, template: Any, tag: str) -> None:
    assert FunctionKey(function, template).tag("") == tag
    assert FunctionKey(function, template).tag("n:") == f"**n:{tag[2:]}"


def test_a_long_familys_tag_is_cut_and_still_its_own() -> None:
    tags = {FunctionKey(locate, "ä" * length + ":{ip}").tag("") for length in (120, 126, 130, 131, 2000)}
    assert len(tags) == 5
    assert all(len(tag.encode()) <= 255 for tag in tags)
