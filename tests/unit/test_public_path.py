"""Users see the path that they import from: in tracebacks, in pickles, in ``help()``, in the reference."""

import copy
import pickle
import subprocess
import sys
import traceback
import typing
from typing import Any

import pytest
from msgspec import Struct
from msgspec.structs import fields

import fleetcache
from fleetcache import MISSING, FleetcacheError, Found, Health, Keep, NoStore, Settings, Stats

# MISSING is the one name that is neither a class nor a function.
NAMED = [getattr(fleetcache, name) for name in fleetcache.__all__ if name != "MISSING"]
ERRORS = [each for each in NAMED if isinstance(each, type) and issubclass(each, BaseException)]


@pytest.mark.parametrize("each", NAMED, ids=lambda each: str(each.__name__))
def test_a_public_name_is_known_by_its_public_path(each: Any) -> None:
    assert each.__module__ == "fleetcache"
    assert getattr(fleetcache, each.__qualname__) is each
    assert pickle.loads(pickle.dumps(each)) is each  # noqa: S301 - our own bytes


def test_a_class_that_is_not_exported_keeps_its_path() -> None:
    assert fleetcache.Cache("memory://").namespace("users").__class__.__module__ != "fleetcache"


def test_the_class_for_threads_has_its_public_path_as_soon_as_it_is_there() -> None:
    code = "import fleetcache; print(fleetcache.SyncCache)"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout  # noqa: S603 - our own code
    assert said == "<class 'fleetcache.SyncCache'>\n"


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: str(error.__name__))
def test_a_traceback_shows_the_path_that_except_takes(error: type[FleetcacheError]) -> None:
    (line,) = traceback.format_exception_only(error("why"))
    assert line == f"fleetcache.{error.__name__}: why\n"


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: str(error.__name__))
@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda each: pickle.loads(pickle.dumps(each))])  # noqa: S301 - our own bytes
def test_an_error_is_copied_and_pickled_whole(error: type[FleetcacheError], again: Any) -> None:
    before = error("why")
    before.add_note("of the caller")
    after = again(before)
    assert (type(after), after.args, after.__notes__) == (error, ("why",), ["of the caller"])


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda each: pickle.loads(pickle.dumps(each))])  # noqa: S301 - our own bytes
def test_missing_is_one_object_also_copied_and_pickled(again: Any) -> None:
    assert again(MISSING) is MISSING


@pytest.mark.parametrize("struct", [Found, Health, Keep, NoStore, Settings, Stats], ids=lambda each: str(each.__name__))
def test_msgspec_resolves_annotations_by_that_path(struct: type[Struct]) -> None:
    hints = typing.get_type_hints(struct)
    assert hints.keys() >= {field.name for field in fields(struct)}
    assert not any(isinstance(hint, str | typing.ForwardRef) for hint in hints.values())
