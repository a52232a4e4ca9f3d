"""The cache's side of its link: calls are allowed while the server answers, and an absence is one from start to end."""

import logging

import pytest

from fleetcache.config.settings import Settings
from fleetcache.engine.aio.engine import AioEngine
from fleetcache.testing import ManualClock
from fleetcache.wire.link_state import Link


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def engine(clock: ManualClock) -> AioEngine:
    """An engine that has not dialed its server."""
    settings = Settings.from_url("redis://user:secret@localhost:1", prefix="shop", operation_timeout=0.5)
    return AioEngine(settings, clock=clock)


@pytest.fixture
def link(engine: AioEngine) -> Link:
    assert isinstance(engine.link, Link)
    return engine.link


def test_calls_are_allowed_while_the_server_answers(engine: AioEngine, link: Link, clock: ManualClock) -> None:
    assert not engine.shared.usable
    link.opened(clock())
    assert not engine.shared.usable
    link.ready(clock(), clock())
    assert engine.shared.usable
    sent_at = clock()
    clock.advance(1.0)
    link.check(sent_at, clock())
    assert not engine.shared.usable


def test_an_absence_begins_when_the_server_falls_silent_and_lasts_until_it_answers(
    engine: AioEngine, link: Link, clock: ManualClock
) -> None:
    link.opened(clock())
    link.ready(clock(), clock())
    assert engine.offline_since is None
    sent_at = clock()
    clock.advance(1.0)
    silent = clock()
    link.check(sent_at, silent)
    clock.advance(60.0)
    link.lost("timeout", clock())
    link.opened(clock())
    assert engine.offline_since == silent
    link.ready(clock(), clock())
    assert engine.offline_since is None


def test_a_forked_child_has_no_absence_of_its_parent(engine: AioEngine, link: Link, clock: ManualClock) -> None:
    link.lost("unreachable", clock())
    assert engine.offline_since == clock()
    engine.after_fork()
    assert engine.offline_since is None


def test_each_first_answer_after_the_first_is_a_reconnect(engine: AioEngine, link: Link, clock: ManualClock) -> None:
    for _ in range(3):
        link.opened(clock())
        link.ready(clock(), clock())
        link.lost("reset", clock())
    assert engine.stats().reconnects == 2


@pytest.mark.parametrize("connected", [False, True])
def test_the_log_names_the_server_and_what_it_does_without_the_password(
    engine: AioEngine, link: Link, clock: ManualClock, caplog: pytest.LogCaptureFixture, connected: bool
) -> None:
    with caplog.at_level(logging.WARNING, "fleetcache"):
        if connected:
            link.opened(clock())
            link.ready(clock(), clock())
        link.lost("unreachable", clock())
    (record,) = caplog.records
    assert ("no longer answers" if connected else "cannot be reached") in record.message
    assert engine.address is not None
    assert engine.address.safe in record.message
    assert "secret" not in record.message


def test_a_connection_that_a_signal_broke_off_here_is_no_outage(
    link: Link, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "fleetcache"):
        link.opened(clock())
        link.ready(clock(), clock())
        link.lost("interrupted", clock())
    assert caplog.records == []
