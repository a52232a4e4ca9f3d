"""Templates and arguments: any template is compiled or refused at once, any argument is written or refused by name.

The result is a key, the same each time, and two calls share it only if they are equal.
"""

from contextlib import suppress
from typing import Any

from fleetcache.errors import KeyRuleError
from fleetcache.format.function_keys import FunctionKey
from fleetcache.format.keys import MAX_TAG_BYTES, check_key
from tests.fuzz.source import Source
from tests.fuzz.values import value

__all__ = ["SEEDS", "one_input"]

SEEDS = [bytes([way, *range(0, 250, 5)]) * 2 for way in range(10)]
WORDS = (
    "{a}", "{b}", "{a.id}", "{a.b.c}", "{c}", "{rest}", "{more}", "{", "}", "{{", "}}", "{a!r}", "{a:>9}",
    "{a[0]}", "{0}", "{}", ":", "-",
    ".", ",", "(", "x", "é", "%", "%41", "\ud800", "{a.__class__}", "{a.__class__.__mro__}", "*", " ", "{a",
    "{a}{b}", "x" * 3000,
)  # fmt: skip


def two(a: Any, b: Any = "en") -> None: ...
def many(a: Any, *rest: Any, b: Any = None, **more: Any) -> None: ...
def nothing() -> None: ...


def made(*args: Any, **named: Any) -> Any:
    """Return any key, as a user's key function may."""
    return next(iter((*args, *named.values())), None)


class Holder:
    def method(self, a: Any) -> None: ...


FUNCTIONS: tuple[Any, ...] = (
    two,
    two,
    two,
    many,
    nothing,
    Holder.method,
    Holder().method,
    len,
    dict,
    staticmethod(two),
)


def one_input(data: bytes) -> None:
    """Call one function with one template twice."""
    source = Source(data)
    function = source.pick(FUNCTIONS)
    template: Any = source.pick((None, "{a}:{b}", "k:{a}", "{a}-{b}", source.text(WORDS), source.text(WORDS), made, 5))
    try:
        keys = FunctionKey(function, template)
    except KeyRuleError as error:
        str(error).encode(errors="backslashreplace")
        return
    assert 0 < len(keys.tag("ns:").encode()) <= MAX_TAG_BYTES
    args, other = ([value(source) for _ in range(source.below(4))] for _ in range(2))
    named = {source.pick(("a", "b", "c", "self")): value(source)} if source.chance(3) else {}
    with suppress(KeyRuleError, TypeError):  # TypeError: the arguments do not fit, as in calling it
        key = keys.key(tuple(args), named)
        assert check_key(key) == key
        assert keys.key(tuple(args), named) == key
        if function is two and template in (None, "{a}:{b}", "{a}-{b}") and not named and len(args) == len(other) == 2:
            same = keys.key(tuple(other), {}) == key
            assert same == (spelt(args) == spelt(other)), (args, other)


def spelt(part: Any) -> Any:
    """Return an equal value for values of the same type and content; the order of sets and dicts does not count."""
    if isinstance(part, (list, tuple)):
        return (type(part), *map(spelt, part))
    if isinstance(part, dict):
        return (dict, frozenset((spelt(key), spelt(held)) for key, held in part.items()))
    if isinstance(part, (set, frozenset)):
        return (type(part), frozenset(map(spelt, part)))
    if hasattr(part, "__dataclass_fields__"):
        return (type(part), *(spelt(getattr(part, name)) for name in part.__dataclass_fields__))
    if hasattr(part, "__struct_fields__"):
        return (type(part), *(spelt(getattr(part, name)) for name in part.__struct_fields__))
    return (type(part), repr(part))
