"""The promises, on threads: the scenes of ``tests/promises``, played by ``SyncCache``."""

import asyncio

import pytest

from fleetcache import Cache, SyncCache
from tests.conftest import GetServer, StartServer
from tests.promises.faults import FAULTS
from tests.promises.test_bounded_staleness import all_directions
from tests.promises.test_never_down import TIMEOUT, return_late, suffering
from tests.promises.test_no_resurrection import frozen, killed, reset, silent, snapshot
from tests.promises.test_one_load import overlap_in
from tests.promises.test_remove_beats_load import held_in_near, removals_while_loading, storm
from tests.promises.test_values import changed_for_others, unlike
from tests.promises.threaded_variants import deaf, forgets_what_it_owes, inline, threaded, trusts_for_ever
from tests.support.proxy import Proxy
from tests.support.run import run
from tests.support.servers import Server
from tests.support.waiting import eventually


@pytest.fixture
def server(one_server: Server) -> Server:
    """Return a server of one engine: to threads and tasks, the replies of all engines are the same."""
    return one_server


@pytest.fixture(params=["tcp", "unix"])
def either(request: pytest.FixtureRequest, shared_servers: GetServer) -> Server:
    """A clean Valkey, by TCP and by its socket. A test must not kill or freeze it."""
    return shared_servers("valkey", request.param)


# -- 1: one load; ``test_stress`` has processes and faults -------------------------------------------------------------


def test_overlapping_batches_load_each_key_once_and_never_wait_in_a_ring(server: Server, prefix: str) -> None:
    assert run(overlap_in(threaded, server, prefix, rounds=4)) == 0


# -- 2: remove beats load ----------------------------------------------------------------------------------------------


def test_a_removal_beats_a_load_that_runs(either: Server, prefix: str) -> None:
    violations = run(removals_while_loading(threaded, either, prefix))
    assert violations == dict.fromkeys(violations, 0)


def test_near_forgets_what_was_removed(server: Server, prefix: str) -> None:
    violations = run(held_in_near(threaded, server, prefix))
    assert violations == dict.fromkeys(violations, 0)


def test_near_that_does_not_listen_keeps_what_others_removed(server: Server, prefix: str) -> None:
    violations = run(held_in_near(deaf, server, prefix))
    assert any(violations.values())


def test_nothing_superseded_stays_after_a_storm(server: Server, prefix: str) -> None:
    assert run(storm(threaded, server, prefix)) == 0


async def reply_and_push_together(server: Server, prefix: str) -> int:
    """Count superseded values in near after replies arrived together with the pushes that outdated them."""
    keys = [f"k{number}" for number in range(10)]
    with Proxy(server) as proxy, SyncCache(proxy.url, prefix=prefix, operation_timeout="5s") as reader:
        async with Cache(server.url, prefix=prefix, operation_timeout="5s") as writer:
            await writer.set_many(dict.fromkeys(keys, "old"), ttl="1m")
            proxy.stall("down")
            reads = asyncio.ensure_future(asyncio.to_thread(reader.get_many, keys, type=str))
            # One write: it has all replies or none.
            await eventually(lambda: proxy.held("down") > len(keys) * len("old"))
            await writer.delete_many(keys, strict=True)
            with server.client() as client:  # the server has written its pushes once it has answered a later command
                client("PING")
            proxy.release("down")
            assert await reads == dict.fromkeys(keys, "old")  # asked before the removal
            await eventually(lambda: proxy.held("down") == 0)
            reader.get("nothing")  # replies come in order: every push has arrived
            return sum(reader.peek(key, type=str) == "old" for key in keys)


def test_a_push_in_one_piece_with_its_reply_is_heeded(server: Server, prefix: str) -> None:
    assert run(reply_and_push_together(server, prefix)) == 0


# -- 3: bounded staleness ----------------------------------------------------------------------------------------------


def test_near_is_bounded_when_the_network_goes_silent(server: Server, prefix: str) -> None:
    wrong = run(all_directions(threaded, server, prefix))
    assert wrong == {case: [] for case in wrong}


def test_near_without_a_horizon_is_not(server: Server, prefix: str) -> None:
    wrong = run(all_directions(trusts_for_ever, server, prefix))
    assert any(wrong.values())


# -- 4: never the reason you are down ----------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", FAULTS)
def test_no_fault_is_the_callers_and_only_a_load_waits_a_second_timeout(
    one_fresh_server: StartServer, prefix: str, fault: str
) -> None:
    wrong = suffering(
        lambda url: inline(url, prefix=prefix, operation_timeout=TIMEOUT, max_staleness=0.6),
        one_fresh_server(),
        FAULTS[fault],
    )
    assert wrong == []


@pytest.mark.parametrize(("fault", "away"), [("killed", 0.5), ("frozen", 1.5)])
def test_it_is_online_soon_after_the_servers_return(
    one_fresh_server: StartServer, prefix: str, fault: str, away: float
) -> None:
    assert 0 in (return_late(threaded, one_fresh_server(), prefix, fault, away) for _ in range(2))


# -- 5: no resurrection ------------------------------------------------------------------------------------------------


def test_removals_while_the_server_was_away_last(one_fresh_server: StartServer, prefix: str) -> None:
    assert killed(threaded, one_fresh_server(save="1 1"), prefix) == []
    assert frozen(threaded, one_fresh_server(), prefix) == []


def test_removals_while_the_network_was_away_last(server: Server, prefix: str) -> None:
    assert silent(threaded, server, prefix, "both") == []
    assert reset(threaded, server, prefix) == []


def test_a_server_that_forgot_removals_is_not_believed(one_fresh_server: StartServer, prefix: str) -> None:
    assert snapshot(threaded, one_fresh_server(save="3600 1000000"), prefix) == []


def test_without_a_journal_what_was_removed_comes_back(server: Server, prefix: str) -> None:
    assert reset(forgets_what_it_owes, server, prefix)


# -- 7: values ---------------------------------------------------------------------------------------------------------


def test_changing_what_was_got_changes_nobodys_copy(server: Server, prefix: str) -> None:
    assert run(changed_for_others(threaded, server, prefix)) == 0


def test_a_hit_equals_a_miss_in_value_and_type(server: Server, prefix: str) -> None:
    assert run(unlike(threaded, server, prefix)) == []
