"""Declared errors as data: they are written, and rebuilt only from data of the same form and of declared classes."""

from typing import Any

import pytest

from fleetcache import CodecError, ConfigError, LoadTimeout
from fleetcache.policy.declared_errors import DeclaredErrors


class NotFoundError(Exception):
    """An error with plain args."""


class ChildError(NotFoundError):
    """Another class."""


class ByInitError(Exception):
    """An error whose ``__init__`` takes other arguments than its args, and must not run again."""

    made = 0

    def __init__(self, user: int) -> None:
        super().__init__(f"no user {user}")
        ByInitError.made += 1


class StatusError(Exception):
    """An error with an attribute that its args do not hold."""

    def __init__(self, status: int) -> None:
        super().__init__("refused")
        self.status = status


ERRORS = DeclaredErrors({NotFoundError: "10s", ByInitError: 2, StatusError: 1, OSError: 5})


def test_only_the_class_itself_has_a_time() -> None:
    assert ERRORS.time_of(NotFoundError()) == 10.0
    assert ERRORS.time_of(ChildError()) is None
    assert ERRORS.time_of(FileNotFoundError()) is None
    assert ERRORS.time_of(KeyboardInterrupt()) is None


def test_an_error_comes_back_from_its_args_without_its_init() -> None:
    error = ByInitError(7)
    error.__cause__ = ValueError()
    before = ByInitError.made
    back = ERRORS.rebuilt(ERRORS.written(error))
    assert type(back) is ByInitError
    assert (back.args, str(back)) == (("no user 7",), "no user 7")
    assert (back.__cause__, back.__traceback__, ByInitError.made) == (None, None, before)


def test_an_error_of_the_system_keeps_its_number() -> None:
    back = ERRORS.rebuilt(ERRORS.written(OSError(99999, "odd")))
    assert isinstance(back, OSError)
    assert (back.errno, back.strerror) == (99999, "odd")


def test_an_error_with_attributes_of_its_own_is_not_written() -> None:
    with pytest.raises(CodecError, match="StatusError cannot be stored: it has the attribute status"):
        ERRORS.written(StatusError(429))


def test_notes_are_no_attribute() -> None:
    error = NotFoundError("x")
    error.add_note("asked by a test")
    assert ERRORS.written(error)[1] == ["x"]


NAME = f"{__name__}.NotFoundError"


@pytest.mark.parametrize(
    "data",
    [
        None,
        [],
        [NAME],
        [NAME, "x"],
        [NAME, [], 1],
        [7, []],
        ["builtins.KeyError", []],
        ["os.system", ["x"]],
        {NAME: []},
    ],
)
def test_any_other_data_is_a_miss(data: Any) -> None:
    assert ERRORS.rebuilt(data) is None


def test_a_class_that_no_longer_takes_the_args_is_a_miss() -> None:
    errors = DeclaredErrors({UnicodeDecodeError: 5, BaseExceptionGroupLikeError: 5})
    assert errors.rebuilt([f"{__name__}.BaseExceptionGroupLikeError", ["no exceptions"]]) is None


class BaseExceptionGroupLikeError(ExceptionGroup[Exception]):
    """A class whose ``__new__`` refuses most arguments."""


@pytest.mark.parametrize(
    ("errors", "said"),
    [
        ([NotFoundError], "errors="),
        ({"NotFoundError": 5}, "not a class of exceptions"),
        ({KeyboardInterrupt: 5}, "not a class of exceptions"),
        ({LoadTimeout: 5}, "an error of the cache itself"),
        ({NotFoundError: "soon"}, "errors\\[NotFoundError\\]"),
        ({NotFoundError: 0}, "errors\\[NotFoundError\\]"),
        ({NotFoundError: None}, "errors\\[NotFoundError\\]"),
        ({NotFoundError: 5, type("NotFoundError", (Exception,), {"__module__": __name__}): 5}, "two classes"),
    ],
)
def test_a_wrong_mapping_says_what_is_wrong(errors: Any, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        DeclaredErrors(errors)
