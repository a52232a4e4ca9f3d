"""Promise 4: no fault of the server reaches the caller, and a fault costs a call one operation timeout at most.

A call that must load while the server is only late costs one more, so that a short stall is no stampede.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from time import perf_counter
from typing import Any

import pytest

from fleetcache import Cache
from tests.conftest import StartServer
from tests.promises.faults import FAULTS, Fault, as_user
from tests.promises.plain import Plain
from tests.promises.variants import Variant, ours, patient
from tests.support.proxy import Proxy
from tests.support.run import run
from tests.support.servers import Server
from tests.support.timing import timed
from tests.support.waiting import eventually

TIMEOUT = 0.25  # of one operation, in seconds
MARGIN = 0.15  # less than a further timeout, and room for a busy machine
LOADS = ("get_or_set", "decorated")
NOTHING = 0.005  # the most that a call may cost while the instance is offline
BACK = 2.0  # seconds from the server's return until the instance is online


async def load() -> str:
    return "loaded"


def calls(cache: Any, number: int) -> dict[str, Callable[[], Awaitable[object]]]:
    """Return the calls: each verb on its own keys, and on one that near holds. The first call asks the server."""
    decorated = cache.cached(key=f"decorated{number}")(load)
    return {
        "get of nothing": lambda: cache.get(f"nothing{number}"),
        "get": lambda: cache.get("warm"),
        "get_or_set": lambda: cache.get_or_set(f"loaded{number}", load, tags=(f"tag{number}",)),
        "set": lambda: cache.set(f"set{number}", "value", tags=(f"other{number}",)),
        "delete": lambda: cache.delete(f"loaded{number}"),
        "invalidate_tags": lambda: cache.invalidate_tags(f"tag{number}"),
        "decorated": decorated,
    }


async def suffer(cache: Any, fault: Fault, begin: Callable[[], object]) -> list[str]:
    """Return the errors and late answers of all verbs, over several rounds."""
    if not fault.from_start:
        await cache.open()
        await cache.set("warm", "value")
        begin()
    wrong = []
    known: dict[str, float] = {}  # per verb, the shortest call while the instance is offline
    for number in range(4 if fault.silent else 2):
        for verb, call in calls(cache, number).items():
            took, given = await timed(call)
            if isinstance(given, BaseException):
                wrong.append(f"{verb} raised {given!r}")
            most = (2 if verb in LOADS else 1) * TIMEOUT + MARGIN
            if took > most:
                wrong.append(f"{verb} took {took * 1000:.1f} ms, over {most * 1000:.0f}")
            if fault.silent and (number, verb) != (0, "get of nothing"):
                known[verb] = min(took, known.get(verb, took))
    # The shortest of several: a busy machine delays some calls, a verb that waits for the server delays each.
    late = {verb: took for verb, took in known.items() if took > NOTHING}
    return wrong + [f"{verb} took {took * 1000:.1f} ms, over {NOTHING * 1000:.0f}" for verb, took in late.items()]


def suffering(variant: Callable[[str], Any], server: Server, fault: Fault) -> list[str]:
    async def main(url: str, begin: Callable[[], object]) -> list[str]:
        cache = variant(as_user(url, fault.user))
        wrong = await suffer(cache, fault, begin)
        if isinstance(cache, Cache) and fault.reason is not None:
            try:
                await eventually(lambda: cache.status_now().reason == fault.reason)
            except AssertionError:
                wrong.append(f"health says {cache.status_now().brief()}")
        await cache.close()
        return wrong

    with Proxy(server) as proxy, ExitStack() as stack:

        def begin() -> None:
            client = fault.begin(server, proxy)
            if client is not None:
                stack.enter_context(client)

        if fault.from_start:
            begin()
        return run(main(proxy.url if fault.slow else server.url, begin))


@pytest.mark.parametrize("fault", FAULTS)
def test_no_fault_is_the_callers_and_only_a_load_waits_a_second_timeout(
    fresh_server: StartServer, prefix: str, fault: str
) -> None:
    def variant(url: str) -> Cache:
        return ours(url, prefix=prefix, operation_timeout=TIMEOUT, max_staleness=0.6)

    assert suffering(variant, fresh_server(), FAULTS[fault]) == []


@pytest.mark.parametrize("fault", [name for name in FAULTS if not name.startswith("slow")])
def test_a_plain_cache_hands_every_fault_on(one_fresh_server: StartServer, prefix: str, fault: str) -> None:
    server = one_fresh_server()
    wrong = suffering(lambda url: Plain(server, prefix, url=url, timeout=0.1), server, FAULTS[fault])
    assert any("raised" in what for what in wrong), wrong


def test_a_patient_cache_makes_every_caller_wait(one_fresh_server: StartServer, prefix: str) -> None:
    wrong = suffering(lambda url: patient(url, prefix=prefix), one_fresh_server(), FAULTS["slow by 1 s"])
    assert any("took" in what for what in wrong), wrong


def return_late(variant: Variant, server: Server, prefix: str, fault: str, away: float) -> float:
    """Return the seconds over the bound, from the server's return until the instance is online."""

    async def main() -> float:
        cache = variant(server.url, prefix=prefix, operation_timeout=TIMEOUT, max_staleness=0.3)
        await cache.open()
        FAULTS[fault].begin(server, None)  # type: ignore[arg-type] # neither needs the proxy
        await eventually(lambda: cache.status_now().link == "offline")
        await asyncio.sleep(away)
        await asyncio.to_thread(server.restart if fault == "killed" else server.thaw)
        began = perf_counter()
        await eventually(lambda: cache.status_now().status == "healthy")
        late = perf_counter() - began - BACK
        await cache.close()
        return max(0.0, late)

    return run(main())


# The frozen server wakes before or after the instance drops the connection, at three times max_staleness.
@pytest.mark.parametrize(("fault", "away"), [("killed", 0.5), ("frozen", 0.1), ("frozen", 1.5)])
def test_it_is_online_soon_after_the_servers_return(
    fresh_server: StartServer, prefix: str, fault: str, away: float
) -> None:
    # A busy machine may make one try late; a cause in the cache makes both.
    assert 0 in (return_late(ours, fresh_server(), prefix, fault, away) for _ in range(2))


def test_trying_again_ever_more_seldom_finds_the_server_late(one_fresh_server: StartServer, prefix: str) -> None:
    def slow(url: str, **settings: Any) -> Cache:
        cache = Cache(url, **settings)
        cache._engine.link.backoff = lambda _random: BACK + 0.5  # type: ignore[union-attr,method-assign] # the naive part
        return cache

    assert return_late(slow, one_fresh_server(), prefix, "killed", 0.0) > 0
