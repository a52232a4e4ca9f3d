"""The engine on threads: a call from inside touches no rule, a closed engine says so, a forked child starts clean."""

import os

import pytest

from fleetcache import Closed
from fleetcache.config.settings import Settings
from fleetcache.engine.threads.engine import SyncEngine
from fleetcache.engine.threads.reentrant import Inside
from tests.support.forking import in_a_child


@pytest.fixture
def engine() -> SyncEngine:
    return SyncEngine(Settings.from_url("memory://"))


def test_a_call_from_inside_a_rule_gets_the_parts_that_touch_none(engine: SyncEngine) -> None:
    assert engine.rules is engine

    async def rule() -> object:
        async def inside() -> object:
            return await engine.ensure_ready()

        return engine.monitor.run(inside())

    assert isinstance(engine.monitor.run(rule()), Inside)
    assert engine.rules is engine


def test_it_is_ready_at_once_without_a_server_and_never_after_a_close(engine: SyncEngine) -> None:
    assert engine.monitor.run(engine.ensure_ready()) is engine
    assert engine.ready
    engine.monitor.run(engine.close())
    engine.monitor.run(engine.close())
    with pytest.raises(Closed):
        engine.monitor.run(engine.ensure_ready())


def test_a_signal_amid_a_rule_leaves_nothing_in_near(engine: SyncEngine) -> None:
    flight = engine.flights.start("k", ())

    async def broken_off() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        engine.monitor.run(broken_off())
    assert flight.outcome is not None, "callers that joined would wait for ever"
    assert not engine.near.items


def test_a_forked_child_has_parts_of_its_own(engine: SyncEngine) -> None:
    parent = (engine.monitor, engine.pid)

    def looks() -> None:
        engine.check_process()
        assert engine.monitor is not parent[0]
        assert engine.pid == os.getpid() != parent[1]

    with engine.monitor.locked():  # as another thread of the parent may hold it
        assert in_a_child(looks) is None
