"""Every verb of the cache, each on its own keys: all can be called at once, and each answer means something."""

from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import Any

from fleetcache import Cache, Health
from tests.support.waiting import eventually

__all__ = ["ANSWERS", "CHANGED", "LOADS", "OLD", "calls", "described", "lay_out", "names_of"]

OLD, NEW = "old", "new"

Verb = Callable[[Cache, int], Awaitable[object]]


async def load() -> str:
    return NEW


async def load_many(missing: list[str]) -> dict[str, str]:
    return dict.fromkeys(missing, NEW)


# Keys on the server and in near before the fault; keys on the server only; keys that a verb changes.
NEAR = ("near", "refreshed", "set", "deleted", "several.1", "set.1", "set.2", "deleted.1", "deleted.2")
SHARED = ("shared", "touched", "several.2")
CHANGED = ("set", "deleted", "set.1", "set.2", "deleted.1", "deleted.2", "tagged", "space")


def named(name: str, number: int) -> str:
    """Return a round's own key; ``space`` is the round's own namespace."""
    return f"space{number}:cleared" if name.startswith("space") else f"{name}{number}"


def names_of(names: Iterable[str], rounds: Iterable[int]) -> list[str]:
    """Return the keys of several rounds."""
    return [named(name, number) for number in rounds for name in names]


async def lay_out(writer: Cache, reader: Cache, numbers: range) -> None:
    """Put the old values on the server, and those of ``NEAR`` in the reader's near."""
    values = dict.fromkeys(names_of((*NEAR, *SHARED), numbers), OLD)
    await writer.set_many(values | dict.fromkeys(("foreign", "known"), OLD), strict=True)
    await writer.set("known-tagged", OLD, tags=("known",), strict=True)
    for number in numbers:
        await writer.set(f"tagged{number}", OLD, tags=(f"tag{number}",), strict=True)
        await writer.namespace(f"space{number}").set("cleared", OLD, strict=True)
    wanted = [*names_of((*NEAR, "tagged", "space"), numbers), "foreign"]
    await eventually(lambda: _holds(reader, wanted))


async def _holds(reader: Cache, wanted: list[str]) -> bool:
    return await reader.get_many(wanted) == dict.fromkeys(wanted, OLD)


VERBS: dict[str, Verb] = {
    "get, in near": lambda cache, n: cache.get(f"near{n}"),
    "get": lambda cache, n: cache.get(f"shared{n}"),
    "get_many": lambda cache, n: cache.get_many([f"several.1{n}", f"several.2{n}"]),
    "get_or_set": lambda cache, n: cache.get_or_set(f"loaded{n}", load, tags=(f"loaded-tag{n}",)),
    "decorated": lambda cache, n: cache.cached(key=f"decorated{n}")(load)(),
    "get_or_set_many": lambda cache, n: cache.get_or_set_many([f"loaded.1{n}", f"loaded.2{n}"], load_many),
    "refresh": lambda cache, n: cache.refresh(f"refreshed{n}", load),
    "set": lambda cache, n: cache.set(f"set{n}", NEW, tags=(f"set-tag{n}",)),
    "set_many": lambda cache, n: cache.set_many({f"set.1{n}": NEW, f"set.2{n}": NEW}),
    "add": lambda cache, n: cache.add(f"added{n}", NEW),
    "delete": lambda cache, n: cache.delete(f"deleted{n}"),
    "delete_many": lambda cache, n: cache.delete_many([f"deleted.1{n}", f"deleted.2{n}"]),
    "invalidate_tags": lambda cache, n: cache.invalidate_tags(f"tag{n}"),
    "clear": lambda cache, n: cache.namespace(f"space{n}").clear(),
    "touch": lambda cache, n: cache.touch(f"touched{n}", "1h"),
    "incr": lambda cache, n: cache.incr(f"count{n}"),
    "health": lambda cache, _: cache.health(),
}

LOADS = frozenset({"get_or_set", "decorated", "get_or_set_many", "refresh"})

# All possible answers of each verb, under any fault; the first is the answer without a fault.
_LOOK = ("value", "absent")
_LOOKS = ("2 of 2", "1 of 2", "0 of 2")
_TOLD = ("True", "False")
ANSWERS: dict[str, tuple[str, ...]] = {
    "get, in near": _LOOK,
    "get": _LOOK,
    "get_many": _LOOKS,
    "get_or_set": ("loaded",),
    "decorated": ("loaded",),
    "get_or_set_many": ("2 of 2",),
    "refresh": ("loaded",),
    "set": ("done",),
    "set_many": ("done",),
    "add": _TOLD,
    "delete": _TOLD,
    "delete_many": _LOOKS,
    "invalidate_tags": ("done",),
    "clear": ("done",),
    "touch": _TOLD,
    "incr": ("1", "raises Unavailable"),  # the cache does not guess a count
    "health": ("healthy", "degraded"),
}


def described(verb: str, given: Any) -> str:
    """Describe an answer in a word or two; the same word for the same meaning, for any value."""
    if isinstance(given, BaseException):
        return f"raises {type(given).__name__}"
    if isinstance(given, Health):
        return f"{given.status}"
    if isinstance(given, dict):
        return f"{len(given)} of 2"
    if verb == "delete_many":
        return f"{given} of 2"
    if given is None:
        return "absent" if verb.startswith("get") else "done"
    words = {OLD: "value", NEW: "loaded"}
    return words.get(given, str(given)) if isinstance(given, str) else str(given)


def calls(cache: Any, number: int) -> dict[str, Callable[[], Awaitable[object]]]:
    """Return every verb of one round, ready to be called."""
    return {name: partial(verb, cache, number) for name, verb in VERBS.items()}
