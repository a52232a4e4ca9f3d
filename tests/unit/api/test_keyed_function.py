"""``@cache.cached``: the keys of calls, methods, and wrong use."""

import asyncio
import inspect
from collections.abc import Callable
from typing import Any

import pytest

from fleetcache import ConfigError, KeyRuleError
from tests.support.functions import Service, counting, memory
from tests.support.run import run

# -- keys ------------------------------------------------------------------------------------------------------------


def key_of(*parts: object, **more: object) -> str:
    return f"made:{parts}:{more}"


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("{ip}", "a%3Ab"),
        ("geo:{ip}:{precise}", "geo:a%3Ab:False"),
        (key_of, "made:('a:b',):{'precise': False}"),
    ],
)
def test_the_key_is_the_templates_or_ones_own(key: Any, expected: str) -> None:
    locate, _ = counting(memory, key=key)
    made = locate.key("a:b") if key is not key_of else locate.key("a:b", precise=False)
    assert made.startswith(expected)


def test_without_a_template_the_key_is_the_name_and_the_arguments() -> None:
    for decorate in (memory.cached, memory.cached(ttl="5m")):
        assert decorate(plainly).key(1) == "tests.unit.api.test_keyed_function.plainly(1)"


async def plainly(number: int) -> int:
    return number


def test_a_template_that_does_not_fit_is_refused_at_decoration() -> None:
    with pytest.raises(KeyRuleError, match="town"):
        counting(memory, key="geo:{town}")


def test_an_argument_without_a_text_of_its_own_is_named_at_the_call() -> None:
    locate, _ = counting(memory)
    with pytest.raises(KeyRuleError, match="ip"):
        locate.key(object())


@pytest.mark.parametrize("arguments", [(), ("a", "b"), (1, 2, 3)])
def test_a_call_that_does_not_fit_is_the_functions_own_error(arguments: tuple[Any, ...]) -> None:
    locate, _ = counting(memory)
    with pytest.raises(TypeError, match="argument"):
        asyncio.run(locate(*arguments))


# -- methods ---------------------------------------------------------------------------------------------------------


def test_a_method_is_cached_for_each_object_by_its_own_text() -> None:
    async def main() -> None:
        a, b, twin = Service("a"), Service("b"), Service("a")
        assert await a.user(1) == await a.user(number=1) == await twin.user(1) == "a 1 1"
        assert await b.user(1) == "b 1 1"
        assert twin.calls == []
        assert a.user.peek(1) == "a 1 1"
        assert await a.user.invalidate(1)
        assert b.user.peek(1) == "b 1 1"
        assert await a.user.refresh(1) == "a 1 2"
        assert await a.user.uncached(1) == "a 1 3"
        assert a.user.key(1) == Service.user.key(a, 1)
        assert await Service.user(a, 1) == "a 1 2"
        assert (a.user.__name__, a.user.__doc__, a.user.__self__) == ("user", "One user.", a)
        anything: Any = Service  # checkers do not see through staticmethod and classmethod
        assert await anything.static(1) == await anything("x").static(1) == 2
        assert await anything.of_class(1) == 3

    run(main())


def test_self_is_never_left_out_silently() -> None:
    class Anonymous:
        @memory.cached
        async def method(self) -> int:
            return 1

    with pytest.raises(KeyRuleError, match="__cache_key__"):
        Anonymous().method.key()


def test_a_bound_method_has_the_signature_without_self() -> None:
    assert str(inspect.signature(Service("a").user)) == "(number: int) -> str"
    assert str(inspect.signature(Service.user)) == "(self, number: int) -> str"


# -- wrong use -------------------------------------------------------------------------------------------------------


loose: Any = memory  # checkers find these, too


def plain() -> int:
    return 1


@pytest.mark.parametrize(
    ("decorate", "message"),
    [
        (lambda: loose.cached(plain), "plain: the async cache needs an `async def`"),
        (lambda: loose.cached(ttl=5)(plain), "plain: the async cache needs an `async def`"),
        (lambda: loose.cached(staticmethod(plain)), "put @cached below @staticmethod"),
        (lambda: loose.cached(ttl=0), "ttl = 0 must be more than zero"),
        (lambda: loose.cached(3), r"@cached\(ttl=3\)"),
        (lambda: loose.cached(True), "async def"),
    ],
)
def test_wrong_use_is_named_at_decoration(decorate: Callable[[], Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        decorate()


def test_an_unknown_option_is_an_error() -> None:
    with pytest.raises(TypeError, match="ttll"):
        loose.cached(ttll=5)
