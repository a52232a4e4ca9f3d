"""A caller is cancelled at each of its waits: no flight, waiter, token or lease stays, and the link stays up."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from fleetcache import Cache
from fleetcache.shared.store import Shared
from tests.faults.cancelling import cancelled_at
from tests.support.client import Client
from tests.support.run import run
from tests.support.servers import Server
from tests.support.waiting import eventually

# Passes of the loop between the suspension and the cancellation: the caller's flight has gone further by then.
PASSES = (0, 1, 2, 3, 5, 8, 13, 30)

Verb = Callable[[Cache, str], Coroutine[Any, Any, Any]]


async def load() -> str:
    await asyncio.sleep(0)
    await asyncio.sleep(0.0005)
    return "loaded"


async def load_many(keys: list[str]) -> dict[str, str]:
    await asyncio.sleep(0)
    await asyncio.sleep(0.0005)
    return dict.fromkeys(keys, "loaded")


async def spoil_and_load(cache: Cache, key: str) -> None:
    """Load through a claim: there is an entry, but its tag is no longer current."""
    await cache.set(key, "old", tags=(f"tag of {key}",))
    await cache.invalidate_tags(f"tag of {key}")
    await cache.get_or_set(key, load)


VERBS: dict[str, Verb] = {
    "get": lambda cache, key: cache.get(key),
    "get_or_set": lambda cache, key: cache.get_or_set(key, load),
    "get_or_set with tags": lambda cache, key: cache.get_or_set(key, load, tags=(f"tag of {key}",)),
    "get_or_set of an unusable entry": spoil_and_load,
    "refresh": lambda cache, key: cache.refresh(key, load),
    "get_or_set_many": lambda cache, key: cache.get_or_set_many([key, f"{key}-2", f"{key}-3"], load_many),
    "set": lambda cache, key: cache.set(key, "value", tags=(f"tag of {key}",)),
    "add": lambda cache, key: cache.add(key, "value", tags=(f"tag of {key}",)),
    "incr": lambda cache, key: cache.incr(key),
    "touch": lambda cache, key: cache.touch(key, 5),
    "delete": lambda cache, key: cache.delete(key),
    "invalidate_tags": lambda cache, key: cache.invalidate_tags(f"tag of {key}"),
}


async def _cancel_everywhere(server: Server, prefix: str, verb: Verb) -> tuple[int, int]:
    """Return the number of suspensions, and of leases and claims left on the server, after cancelling at each."""
    async with Cache(server.url, prefix=prefix, operation_timeout="2s") as cache:
        suspension = 0
        found = True
        while found:
            suspension += 1
            found = any([await cancelled_at(verb(cache, f"k{suspension}-{n}"), suspension, n) for n in PASSES])
        await eventually(lambda: _nothing_left(cache))
        # A grant may come after the flight has ended, and the cache releases it only then: two round trips.
        await cache.get("another")
        await cache.get("and another")
        assert (cache.stats().link, cache.stats().epoch, cache.stats().journal) == ("online", 1, 0)
        with server.client() as client:
            return suspension - 1, _rights_held(client, prefix)


def _nothing_left(cache: Cache) -> bool:
    stats, coherence = cache.stats(), cache._engine.coherence
    tasks = [task for task in asyncio.all_tasks() if task.get_name() == "fleetcache-load"]
    return stats.flights == 0 and stats.waiters == 0 and not coherence._tokens and not tasks


def _rights_held(client: Client, prefix: str) -> int:
    keys: list[bytes] = client("KEYS", f"{prefix}:[ec]:*")
    values = client("MGET", *keys) if keys else []
    return sum(value is not None and value[:1] in {b"L", b"C"} for value in values)


@pytest.mark.parametrize("verb", VERBS)
def test_a_cancelled_caller_leaves_nothing_behind(server: Server, prefix: str, verb: str) -> None:
    suspensions, held = run(_cancel_everywhere(server, prefix, VERBS[verb]))
    assert suspensions >= 1, "it was never cancelled: this proves nothing"
    assert held == 0


# -- at the two moments that matter most ------------------------------------------------------------------------------


async def _cancel_in_the_loader(server: Server, prefix: str) -> int:
    """Count the leases that stay when the only caller is cancelled while its loader runs."""
    async with Cache(server.url, prefix=prefix, operation_timeout="2s") as cache:
        caller = asyncio.create_task(cache.get_or_set("k", asyncio.Event().wait))
        await eventually(lambda: cache.stats().loads == 1)
        caller.cancel()
        return await _rights_left(cache, server, prefix)


async def _cancel_with_the_grant(server: Server, prefix: str) -> int:
    """Count the leases that stay when the load is cancelled between the reply that grants and its wake-up."""
    async with Cache(server.url, prefix=prefix, operation_timeout="2s") as cache:
        shared: Any = cache._engine.shared
        acquire = shared.acquire

        def acquire_and_cancel(*args: Any, **more: Any) -> Any:
            future = acquire(*args, **more)
            (flight,) = cache._engine.flights.active()

            def cancel(_future: Any) -> None:
                flight.task.cancel()  # as the last caller that leaves does
                caller.cancel()

            future.add_done_callback(cancel)
            return future

        vars(shared)["acquire"] = acquire_and_cancel
        caller = asyncio.create_task(cache.get_or_set("k", load))
        await asyncio.wait((caller,))
        assert cache.stats().leases == 1
        return await _rights_left(cache, server, prefix)


async def _rights_left(cache: Cache, server: Server, prefix: str) -> int:
    await eventually(lambda: _nothing_left(cache))
    await cache.get("another")
    await cache.get("and another")
    with server.client() as client:
        return _rights_held(client, prefix)


MOMENTS = {"in the loader": _cancel_in_the_loader, "with the grant": _cancel_with_the_grant}


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_cancelled_load_gives_its_lease_back(server: Server, prefix: str, moment: str) -> None:
    assert run(MOMENTS[moment](server, prefix)) == 0


@pytest.mark.parametrize("moment", MOMENTS)
def test_twin_without_giving_back_the_lease_stays(
    server: Server, prefix: str, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    monkeypatch.setattr(Shared, "release", lambda _self, _key, _placeholder: None)
    assert run(MOMENTS[moment](server, prefix)) == 1
