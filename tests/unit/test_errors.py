"""The tree of errors: each is caught as a ``FleetcacheError``, and by the built-in error that its kind suggests."""

import inspect

import pytest

import fleetcache
from fleetcache import errors

BUILTINS: dict[str, type[Exception]] = {
    "Closed": RuntimeError,
    "CodecError": TypeError,
    "ConfigError": ValueError,
    "KeyRuleError": ValueError,
    "LoadCycle": RuntimeError,
    "LoadTimeout": TimeoutError,
    "Unavailable": ConnectionError,
}


@pytest.mark.parametrize(("name", "builtin"), BUILTINS.items())
def test_each_error_has_two_bases(name: str, builtin: type[Exception]) -> None:
    kind = getattr(errors, name)
    assert issubclass(kind, errors.FleetcacheError)
    assert issubclass(kind, builtin)


def test_the_table_above_and_the_public_names_are_whole() -> None:
    defined = {name for name, kind in inspect.getmembers(errors, inspect.isclass)}
    assert defined == {*BUILTINS, "FleetcacheError"} == set(errors.__all__)
    assert defined <= set(fleetcache.__all__)


def test_no_error_is_caught_as_another() -> None:
    for name in BUILTINS:
        others = [getattr(errors, other) for other in BUILTINS if other != name]
        assert not issubclass(getattr(errors, name), tuple(others)), name
