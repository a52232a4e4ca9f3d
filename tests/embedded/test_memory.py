"""The memory bound of the embedded server is for data: its table of tracked keys takes no room from entries."""

from collections.abc import Callable
from contextlib import ExitStack

from fleetcache.shared.embedded.attach import attach
from fleetcache.shared.embedded.supervisor import KEY_BYTES, READER_BYTES, STEP
from tests.conftest import StartServer
from tests.embedded.home import Home
from tests.support.client import Client
from tests.support.waiting import wait_until

MAX_BYTES = 16_000_000
KEYS, READERS = 8000, 24


def fields(client: Client) -> dict[str, int]:
    lines = client("INFO", "all").decode().splitlines()
    return {name: int(said) for name, _, said in (line.partition(":") for line in lines) if said.isdecimal()}


def read_by_many(clients: list[Client], read: Callable[[], object] = lambda: None) -> None:
    """Store entries, then let one client after the other read all of them; call ``read`` after each."""
    first = clients[0]
    for start in range(0, KEYS, 500):
        first.pipeline(*(("SET", f"entry {start + each}", b"x" * 1000) for each in range(500)))
    for client in clients[1:]:
        client.pipeline(("HELLO", 3), ("CLIENT", "TRACKING", "ON"))
        for start in range(0, KEYS, 1000):
            client.pipeline(*(("GET", f"entry {start + each}") for each in range(1000)))
        read()


def has_followed(client: Client) -> bool:
    """Return True if the bound has grown with the table: the supervisor looks ten times a second, if it has a turn."""
    now = fields(client)
    table = now["tracking_total_keys"] * KEY_BYTES + now["tracking_total_items"] * READER_BYTES
    return now["maxmemory"] >= MAX_BYTES * (1 - STEP) + table


def test_entries_stay_while_more_and_more_processes_read_them(home: Home) -> None:
    with attach(home.folder, MAX_BYTES), ExitStack() as stack:
        clients = [stack.enter_context(home.raw()) for _ in range(READERS + 1)]
        read_by_many(clients, lambda: wait_until(lambda: has_followed(clients[0])))
        after = fields(clients[0])
        assert after["tracking_total_items"] == KEYS * READERS
        assert after["used_memory"] > MAX_BYTES, "the table is small: the test sees nothing"
        assert after["evicted_keys"] == 0
        wait_until(lambda: fields(clients[0])["maxmemory"] > MAX_BYTES)


def test_twin_of_a_bound_that_stands_still_entries_are_evicted(fresh_server: StartServer) -> None:
    server = fresh_server("tcp", "--maxmemory", str(MAX_BYTES), "--maxmemory-policy", "allkeys-lru")
    with ExitStack() as stack:
        clients = [stack.enter_context(server.client()) for _ in range(READERS + 1)]
        read_by_many(clients)
        assert fields(clients[0])["evicted_keys"] > KEYS // 10
