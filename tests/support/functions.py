"""Functions and methods with ``@cached``, for the tests of the decorator."""

from dataclasses import dataclass
from typing import Any

from fleetcache import Cache

__all__ = ["Place", "Service", "counting", "memory"]

memory = Cache("memory://")


@dataclass(frozen=True)
class Place:
    city: str


def counting(cache: Any, **options: Any) -> tuple[Any, list[Any]]:
    """A cached function, and the calls that reached it."""
    calls: list[Any] = []

    async def locate(ip: str, *, precise: bool = False) -> Place:
        """Where an address is."""
        calls.append((ip, precise))
        return Place(f"{ip} {len(calls)}")

    return cache.cached(**{"key": "located:{ip}:{precise}"} | options)(locate), calls


class Service:
    """Its name is its text in keys."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.calls: list[int] = []

    def __cache_key__(self) -> str:
        return self.name

    @memory.cached
    async def user(self, number: int) -> str:
        """One user."""
        self.calls.append(number)
        return f"{self.name} {number} {len(self.calls)}"

    @staticmethod
    @memory.cached
    async def static(number: int) -> int:
        return number + 1

    @classmethod
    @memory.cached(key="class:{number}")
    async def of_class(cls, number: int) -> int:
        return number + 2
