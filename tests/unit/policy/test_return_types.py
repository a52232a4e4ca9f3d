"""The type that a loader says it returns."""

# Only the annotations of the loaders here matter, so their bodies are empty.
# mypy: disable-error-code="empty-body"

import functools
import gc
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn, TypedDict

import pytest

from fleetcache.policy import return_types as declared
from fleetcache.policy.results import MISSING, Keep, Missing, NoStore
from fleetcache.policy.return_types import declared_type

if TYPE_CHECKING:
    from decimal import Decimal as OnlyForCheckers


@dataclass
class User:
    name: str


class Row(TypedDict):
    name: str


async def plain() -> User: ...
async def listed() -> list[User]: ...
async def nothing() -> None: ...
async def text() -> "User": ...
async def nested_text() -> "dict[str, list[Later]]": ...
async def no_store() -> User | NoStore[User]: ...
async def keep() -> Keep[User]: ...
async def keep_or_none() -> "Keep[User] | NoStore[None]": ...
async def optional() -> User | None: ...
async def row() -> Row: ...
async def bare_keep() -> Keep: ...  # type: ignore[type-arg]  # users write it
async def anything() -> Any: ...
async def an_object() -> object: ...
async def any_or_user() -> Any | NoStore[User]: ...
async def never() -> NoReturn: ...
async def unannotated(): ...  # type: ignore[no-untyped-def]  # noqa: ANN201 - the case
async def hidden() -> "OnlyForCheckers": ...
async def hidden_argument(x: "OnlyForCheckers") -> User: ...
def awaitable() -> Awaitable[User]: ...
def coroutine() -> Coroutine[Any, Any, User | NoStore[User]]: ...
def bare_awaitable() -> Awaitable: ...  # type: ignore[type-arg]  # users write it


class Later: ...


@pytest.mark.parametrize(
    ("loader", "expected"),
    [
        (plain, User),
        (listed, list[User]),
        (nothing, type(None)),
        (text, User),
        (nested_text, dict[str, list[Later]]),
        (no_store, User),
        (keep, User),
        (keep_or_none, User | None),
        (optional, User | None),
        (row, Row),
        (bare_keep, Any),
        (anything, Any),
        (an_object, Any),
        (any_or_user, Any),
        (never, Any),
        (unannotated, Any),
        (hidden, Any),
        (hidden_argument, User),
        (awaitable, User),
        (coroutine, User),
        (bare_awaitable, Any),
        (lambda: 1, Any),
        (len, Any),
        (User, Any),
        (functools.lru_cache(plain), User),
    ],
)
def test_the_declared_type_is_what_the_annotation_says(loader: Callable[..., Any], expected: object) -> None:
    for _ in range(2):  # remembered as it was resolved
        assert declared_type(loader) == expected


class Repository:
    async def load(self) -> User: ...
    async def __call__(self) -> list[User]: ...
    @classmethod
    async def of_class(cls) -> "User": ...
    @staticmethod
    async def static() -> User: ...


def test_methods_partials_and_callable_objects_are_seen_through() -> None:
    repository = Repository()
    assert declared_type(repository.load) is User
    assert declared_type(repository.of_class) is User
    assert declared_type(Repository.static) is User
    assert declared_type(repository) == list[User]
    assert declared_type(functools.partial(functools.partial(plain), 1)) is User
    assert declared_type(functools.partial(repository.load)) is User


def test_wrappers_that_share_their_code_do_not_share_their_type() -> None:
    def retried(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def call() -> Any: ...

        return call

    assert declared_type(retried(text)) is User
    assert declared_type(retried(nested_text)) == dict[str, list[Later]]


def test_functions_made_in_a_loop_keep_their_own_annotations() -> None:
    def make(kind: Any) -> Callable[..., Any]:
        def load() -> list[kind]: ...

        return load

    assert [declared_type(make(kind)) for kind in (int, str, int)] == [list[int], list[str], list[int]]


def test_a_wrapper_of_itself_does_not_hang() -> None:
    def load() -> User: ...

    load.__wrapped__ = load  # type: ignore[attr-defined]  # as a broken decorator would
    assert declared_type(load) is Any


def test_a_loader_is_remembered_only_while_its_code_lives() -> None:
    namespace: dict[str, Any] = {}
    exec("def load() -> int: ...", namespace)  # noqa: S102 - code that can go away
    before = len(declared._resolved)
    assert declared_type(namespace["load"]) is int
    assert len(declared._resolved) == before + 1
    namespace.clear()
    gc.collect()
    assert len(declared._resolved) == before


def test_results_say_what_they_hold() -> None:
    assert NoStore(1).value == 1
    assert Keep("x", ttl="10m") == Keep("x", ttl="10m", stale=None)
    with pytest.raises(AttributeError):
        NoStore(1).value = 2  # type: ignore[misc]  # frozen, as the checker knows too


def test_missing_is_one_of_its_kind() -> None:
    assert repr(MISSING) == "MISSING"
    assert Missing("MISSING") is MISSING
