"""Loads: a loader that gives no awaitable, or no mapping, is named, and holds up no caller."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tests.support.drivers import Driver
from tests.support.run import run

Call = Callable[[Any], Awaitable[Any]]


async def load() -> int:
    return 1


def plain() -> int:
    return 1


async def not_a_mapping(keys: list[str]) -> Any:
    return list(keys)


WRONG_ANSWERS: dict[str, tuple[Call, str]] = {
    "get_or_set": (lambda c: c.get_or_set("k", plain), "plain returned a int, not an awaitable: write it as `async"),
    "refresh": (lambda c: c.refresh("k", plain), "plain returned a int, not an awaitable"),
    "get_or_set_many": (lambda c: c.get_or_set_many(["k"], dict.fromkeys), "returned a dict, not an awaitable"),
    "no mapping": (lambda c: c.get_or_set_many(["k"], not_a_mapping), "must return a mapping, not list"),
}


@pytest.mark.parametrize("name", WRONG_ANSWERS)
def test_a_wrong_loader_is_named_and_holds_nobody_up(driver: Driver, name: str) -> None:
    call, message = WRONG_ANSWERS[name]

    async def main() -> None:
        async with driver.cache() as cache:
            with pytest.raises(TypeError, match=message):
                await call(cache)
            assert await asyncio.wait_for(cache.get_or_set("k", load), timeout=10) == 1

    run(main())
