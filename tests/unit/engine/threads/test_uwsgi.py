"""Under uWSGI the log names the missing options, once and only in a process that needs them."""

import os
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from fleetcache import SyncCache
from fleetcache.engine.threads.uwsgi import uwsgi_warning

PID = 42
HOOKS = {"py-call-uwsgi-fork-hooks": True}


def uwsgi(*, master: int, has_threads: int = 1, options: dict[str, Any] | None = None) -> SimpleNamespace:
    """Return a module as a uWSGI process has it."""
    return SimpleNamespace(masterpid=lambda: master, has_threads=has_threads, opt={"master": True} | (options or {}))


@pytest.mark.parametrize(
    ("module", "option"),
    [
        (uwsgi(master=PID), "py-call-uwsgi-fork-hooks = true"),
        (uwsgi(master=PID, has_threads=0), "enable-threads = true"),
        (uwsgi(master=7, has_threads=0), "enable-threads = true"),
    ],
)
def test_a_missing_option_is_named(module: Any, option: str) -> None:
    warning = str(uwsgi_warning(module, PID))
    assert option in warning
    assert warning.startswith("uwsgi: ")


@pytest.mark.parametrize(
    "module",
    [
        None,
        SimpleNamespace(),  # another module of that name
        uwsgi(master=7),  # in a worker
        uwsgi(master=0),  # without a master
        uwsgi(master=PID, options=HOOKS),
        SimpleNamespace(masterpid=lambda: 7, opt={}),  # a module that does not tell whether it has threads
    ],
)
def test_nothing_is_said_where_nothing_is_wrong(module: Any) -> None:
    assert uwsgi_warning(module, PID) is None


@pytest.mark.parametrize("missing", [True, False])
def test_the_log_has_it_from_the_first_use_on(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, missing: bool
) -> None:
    stand_in = uwsgi(master=os.getpid(), options=None if missing else HOOKS)
    # The real module exists only in processes of uWSGI, and to build it takes a C compiler.
    monkeypatch.setitem(sys.modules, "uwsgi", stand_in)
    with SyncCache("unix:///nowhere", prefix="test") as cache:
        cache.get("k")
        cache.get("k")
    assert caplog.text.count("py-call-uwsgi-fork-hooks") == int(missing)
