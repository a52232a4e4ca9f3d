"""Outages in the log: a pair of warnings for each, one pair a minute at most, then a count."""

import logging
from collections.abc import Iterator

import pytest

from fleetcache.log import Teller
from fleetcache.telemetry.outages import Outages
from tests.support.clock import ManualClock


class Scene(logging.Handler):
    """Outages on a manual clock, and the log that they write."""

    def __init__(self) -> None:
        super().__init__()
        self.clock, self._records = ManualClock(), list[logging.LogRecord]()
        self.it = Outages(self.clock, Teller("redis"))

    def emit(self, record: logging.LogRecord) -> None:
        self._records.append(record)

    def outage(self, seconds: float = 1.0) -> None:
        self.it.began("reset", "redis://h", "no longer answers (reset)")
        self.clock.advance(seconds)
        self.it.ended(lambda: 3)

    @property
    def lines(self) -> list[str]:
        return [record.getMessage() for record in self._records]

    @property
    def fields(self) -> list[tuple[object, ...]]:
        names = ("levelname", "event", "reason", "driver", "seconds")
        return [tuple(vars(record)[name] for name in names) for record in self._records]


@pytest.fixture
def scene() -> Iterator[Scene]:
    scene, log = Scene(), logging.getLogger("fleetcache")
    level = log.level
    log.setLevel(logging.DEBUG)
    log.addHandler(scene)
    yield scene
    log.removeHandler(scene)
    log.setLevel(level)


GONE = "offline: redis://h no longer answers (reset); this instance serves from its own memory"


def test_the_end_of_an_outage_has_the_level_of_its_beginning(scene: Scene) -> None:
    scene.outage(2.5)
    assert scene.lines == [GONE, "online: redis://h (after 2.5 s); 3 removals replayed"]
    assert scene.fields == [
        ("WARNING", "offline", "reset", "redis", 0.0),
        ("WARNING", "online", "reset", "redis", 2.5),
    ]


def test_the_first_time_online_is_no_news(scene: Scene) -> None:
    scene.it.ended(lambda: 0)
    scene.clock.advance(1000)
    scene.it.check()
    assert scene.lines == []


def test_attempts_that_fail_are_one_outage(scene: Scene) -> None:
    assert scene.it.began("reset", "redis://h", "no longer answers (reset)")
    for _ in range(100):
        scene.clock.advance(1)
        assert not scene.it.began("refused", "redis://h", "cannot be reached (refused)")
        scene.it.check()
    assert scene.lines == [GONE]


def test_a_link_that_flaps_has_one_pair_a_minute_and_then_a_count(scene: Scene) -> None:
    for _ in range(50):
        scene.outage(0.5)
        scene.clock.advance(0.5)
        scene.it.check()
    assert len(scene.lines) == 2
    scene.clock.advance(10)
    scene.it.check()
    (line,) = scene.lines[2:]
    assert line.startswith("unstable: redis://h (reset); it was lost ")
    assert line.endswith(" 49 more times in the last 60 s")
    assert scene.fields[2][:4] == ("WARNING", "unstable", "reset", "redis")
    scene.clock.advance(100)
    scene.it.check()
    assert len(scene.lines) == 3


def test_one_that_goes_on_flapping_tells_the_count_with_the_next_pair(scene: Scene) -> None:
    for _ in range(4):
        scene.outage(1)
    scene.clock.advance(60)
    scene.outage(1)
    offline, online = scene.lines[2:]
    assert offline == f"{GONE}; it was lost 3 more times in the last 64 s"
    assert online == "online: redis://h (after 1.0 s); 3 removals replayed"


def test_an_outage_that_lasts_is_told_though_it_began_in_the_minute_of_another(scene: Scene) -> None:
    scene.outage(1)
    scene.it.began("refused", "redis://h", "no longer answers (refused)")
    for _ in range(58):
        scene.clock.advance(1)
        scene.it.check()
        assert len(scene.lines) == 2
    scene.clock.advance(1)
    scene.it.check()
    assert scene.lines[2:] == [GONE.replace("reset", "refused")]
    scene.clock.advance(5)
    scene.it.ended(lambda: 0)
    assert scene.lines[3:] == ["online: redis://h (after 64.0 s); 0 removals replayed"]


def test_another_loop_or_process_begins_anew(scene: Scene) -> None:
    scene.it.began("reset", "redis://h", "no longer answers (reset)")
    scene.it.forget()
    scene.it.ended(lambda: 0)
    scene.clock.advance(100)
    scene.it.check()
    assert scene.lines == [GONE]
