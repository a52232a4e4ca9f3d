"""Every fault with every verb, on each engine by one transport: the promises hold. ``run`` does all transports."""

import asyncio
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest

from fleetcache import Cache
from fleetcache.wire.link_state import Verdict
from tests.promises.variants import forgets_what_it_owes, ours, replace
from tests.reliability.catalogue import FAULTS
from tests.reliability.limits import Limits
from tests.reliability.play import TRIES, Way, play_all
from tests.support.certs import certificates
from tests.support.engines import engines
from tests.support.run import run
from tests.support.servers import Transport

TRANSPORT: dict[str, Transport] = {"valkey": "tcp", "redis": "tls"}
TURNS = 3  # scenes that are busy at the same time; more would wait for the processor
# Only a person can mend some faults; the real pause is 5 to 10 s.
RETRY_DOOMED = 1.0


async def suffered(
    variant: Callable[..., Cache], server: tuple[str, Transport], names: Iterable[str], *, rounds: int, tries: int
) -> list[str]:
    turns = asyncio.Semaphore(TURNS)
    way = Way(variant, {"max_staleness": 0.6}, most_rounds=rounds, turns=turns, retry_doomed=RETRY_DOOMED)
    limits = partial(Limits.now, doomed=RETRY_DOOMED + 2)
    outcomes = await play_all(names, FAULTS, server, way, limits, tries=tries)
    return [told for outcome in outcomes for told in outcome.broken]


@pytest.fixture(autouse=True)
def _certificates() -> None:
    """Make the certificates before threads need them."""
    certificates()
    certificates("other_ca")


@pytest.mark.parametrize("engine", engines())
def test_no_fault_breaks_a_promise(engine: str, caplog: pytest.LogCaptureFixture) -> None:
    assert run(suffered(ours, (engine, TRANSPORT[engine]), FAULTS, rounds=4, tries=TRIES)) == []
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == []


# -- twins: caches that are naive in one part each --------------------------------------------------------------------


def strict(url: str, **settings: Any) -> Cache:
    """Raises for each failed write."""
    cache = Cache(url, **settings)
    replace(cache, set_many=partial(cache.set_many, strict=True), delete_many=partial(cache.delete_many, strict=True))
    return cache


def patient(url: str, **settings: Any) -> Cache:
    """Waits for an answer for longer than a caller would wait for a cache."""
    return Cache(url, **settings | {"operation_timeout": "1s", "max_staleness": "4s"})


def never_suspects(url: str, **settings: Any) -> Cache:
    """Sends each call to a server that does not answer."""
    cache = Cache(url, **settings)
    replace(cache._engine.link, check=lambda *_: Verdict.KEEP)
    return cache


def tries_seldom(url: str, **settings: Any) -> Cache:
    """Waits long before it checks that a server is back."""
    cache = Cache(url, **settings)
    replace(cache._engine.link, backoff=lambda _random: 5.5)
    return cache


@dataclass(frozen=True)
class Twin:
    """A naive cache, a fault that exposes it in this many rounds, and the words of its failure."""

    variant: Callable[..., Cache]
    fault: str
    rounds: int
    said: str


TWINS = {
    "raises": Twin(strict, "refused", 1, "raises Unavailable"),
    "waits for long": Twin(patient, "frozen", 1, "ms, over"),
    "waits every time": Twin(never_suspects, "frozen", 2, "although the server is known to be away"),
    "is late": Twin(tries_seldom, "thrown out", 1, "s after its end"),
    "forgets what it owes": Twin(forgets_what_it_owes, "refused", 1, "is old"),
}


async def told_of_twins() -> dict[str, list[str]]:
    """Play all twins at once: they wait most of the time."""
    told = (
        suffered(twin.variant, ("valkey", "unix"), [twin.fault], rounds=twin.rounds, tries=1) for twin in TWINS.values()
    )
    return dict(zip(TWINS, await asyncio.gather(*told), strict=True))


def test_each_naive_cache_breaks_the_promise_it_is_naive_about() -> None:
    told = run(told_of_twins())
    assert {name: told[name] for name, twin in TWINS.items() if not any(twin.said in what for what in told[name])} == {}
