"""``import fleetcache``: all public names, no optional module, and no thread before its first use."""

import subprocess
import sys

import pytest

import fleetcache

SEEN = """
import sys, hiredis, msgspec
before = {name.partition(".")[0] for name in sys.modules}
import fleetcache
ours = {name for name in sys.modules if name.startswith("fleetcache.")}
brought = {name.partition(".")[0] for name in sys.modules} - before - sys.stdlib_module_names
print(sorted(brought))
print(sorted(ours & {"fleetcache.api.sync_cache", "fleetcache.engine.threads.connection"}))
print(fleetcache.SyncCache is fleetcache.SyncCache, "fleetcache.engine.threads.connection" in sys.modules)
"""


def test_an_app_of_tasks_imports_neither_threads_nor_what_is_optional() -> None:
    said = subprocess.run([sys.executable, "-c", SEEN], capture_output=True, text=True, check=True).stdout  # noqa: S603 - our own code
    assert said.splitlines() == ["['fleetcache']", "[]", "True True"]


def test_every_public_name_is_there_and_no_other() -> None:
    assert [name for name in fleetcache.__all__ if not hasattr(fleetcache, name)] == []
    with pytest.raises(AttributeError, match="module 'fleetcache' has no attribute 'Cach'"):
        _ = fleetcache.Cach  # type: ignore[attr-defined] # that type checkers see it, too, is part of the test
