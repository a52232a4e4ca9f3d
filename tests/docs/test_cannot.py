"""The page on values that cannot be cached: both faces refuse each value that the page calls refused."""

import asyncio
import sys
import threading
from collections.abc import Callable
from io import BytesIO
from types import SimpleNamespace
from typing import Any

import pytest

from fleetcache import Cache, CodecError, SyncCache
from tests.support.run import run


class OfMyOwn:
    """A class without a declared type."""


REFUSED: dict[str, Callable[[], Any]] = {
    "generator": lambda: (number for number in [1]),
    "iterator": lambda: iter([1]),
    "map": lambda: map(str, [1]),
    "zip": lambda: zip([1], [2], strict=True),
    "open file": BytesIO,
    "lock": threading.Lock,
    "thread": threading.Thread,
    "function": lambda: run,
    "module": lambda: sys,
    "class": lambda: OfMyOwn,
    "object": OfMyOwn,
    "client": lambda: SimpleNamespace(socket=object()),
    "too large": lambda: "x" * 5_000_000,
    "exception": lambda: ValueError("x"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_value_that_the_page_calls_refused_is_refused(name: str) -> None:
    value = REFUSED[name]()

    async def main() -> None:
        async with Cache("memory://") as cache:
            for held in (value, [value]):
                with pytest.raises(CodecError):
                    await cache.set("key", held)
            assert await cache.get("key") is None

    run(main())
    with SyncCache("memory://") as cache, pytest.raises(CodecError):
        cache.set("key", value)


def test_a_future_is_refused() -> None:
    async def main() -> None:
        async with Cache("memory://") as cache:
            future = asyncio.get_running_loop().create_future()
            with pytest.raises(CodecError):
                await cache.set("key", future)

    run(main())
