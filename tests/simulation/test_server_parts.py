"""The simulated server's own parts: bytes cut anywhere, expiry and eviction on request, the same life by a seed."""

from random import Random

import hiredis
import pytest

from fleetcache.shared.scripts import SCRIPTS
from tests.simulation.server import NotSimulated, SimClient, SimServer


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def packed(*commands: tuple[bytes | str | int, ...]) -> bytes:
    return b"".join(hiredis.pack_command(command) for command in commands)  # type: ignore[arg-type]  # stub: 1-tuple


def talk(client: SimClient, *commands: tuple[bytes | str | int, ...]) -> list[object]:
    client.receive(packed(*commands))
    reader = hiredis.Reader(notEnoughData=client)
    reader.feed(client.take())
    return list(iter(reader.gets, client))


def tracking(server: SimServer) -> SimClient:
    client = server.connect()
    talk(client, ("HELLO", 3), ("CLIENT", "TRACKING", "ON"))
    return client


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def server(clock: Clock) -> SimServer:
    return SimServer(clock, Random(7))


def test_bytes_may_be_cut_anywhere(clock: Clock) -> None:
    sent = packed(
        ("HELLO", 3),
        ("CLIENT", "TRACKING", "ON"),
        ("GET", "k"),
        ("SET", "k", b"\r\n$3\r\n"),
        ("GET", "k"),
        ("PTTL", "k"),
    )
    answers = set()
    for cut in range(len(sent) + 1):
        client = SimServer(clock, Random(7)).connect()
        client.receive(sent[:cut])
        first = client.take()
        client.receive(sent[cut:])
        answers.add(first + client.take())
    assert len(answers) == 1
    whole = SimServer(clock, Random(7)).connect()
    for byte in sent:
        whole.receive(bytes([byte]))
    assert answers == {whole.take()}


def test_what_is_due_is_told_of_only_when_it_is_found(clock: Clock, server: SimServer) -> None:
    client, other = tracking(server), tracking(server)
    for key in "abc":
        talk(client, ("SET", key, "v", "PX", 500), ("GET", key))
    clock.now += 0.5
    assert talk(other, ("GET", "a")) == [b"v"], "to the millisecond it is still there"
    clock.now += 0.001
    assert client.take() == b""
    assert talk(other, ("GET", "a")) == [None, [b"invalidate", [b"a"]]]
    assert [server.expire_due(limit=1), server.expire_due(), server.expire_due()] == [1, 1, 0]
    assert sorted(push[1][0] for push in talk(client)) == [b"a", b"b", b"c"]  # type: ignore[index]  # pushes


def test_a_key_is_evicted_by_name_or_by_chance(server: SimServer) -> None:
    client = tracking(server)
    talk(client, *(("SET", key, "v") for key in "abc"), *(("GET", key) for key in "abc"))
    assert server.evict(b"b") == b"b"
    assert talk(client) == [[b"invalidate", [b"b"]]]
    assert server.evict(b"b") is None
    assert {server.evict(), server.evict()} == {b"a", b"c"}
    assert server.evict() is None


def test_memory_is_kept_under_its_limit_by_the_next_command(clock: Clock) -> None:
    server = SimServer(clock, Random(7), maxmemory=1000)
    client = tracking(server)
    for number in range(50):
        talk(client, ("SET", f"k{number}", "x" * 100), ("GET", f"k{number}"))
    talk(client, ("PING",))
    assert 1 <= len(server.keys) <= 6


def test_a_snapshot_is_of_its_moment_and_a_restart_begins_with_it(clock: Clock, server: SimServer) -> None:
    client = tracking(server)
    talk(client, ("SET", "old", "1"), ("SET", "short", "1", "PX", 10), ("SCRIPT", "LOAD", SCRIPTS["put"].text))
    snapshot, run_id = server.snapshot(), server.run_id
    talk(client, ("SET", "old", "2"), ("SET", "new", "1"))
    clock.now += 1
    server.restart(snapshot)
    assert server.run_id != run_id
    assert client.closed
    again = tracking(server)
    assert again.id == client.id, "numbers begin anew"
    assert talk(again, ("GET", "old"), ("GET", "new"), ("GET", "short")) == [b"1", None, None]
    assert talk(again, ("SCRIPT", "EXISTS", SCRIPTS["put"].sha)) == [[0]]
    server.restart()
    assert talk(tracking(server), ("GET", "old")) == [None]


def test_nothing_comes_from_a_connection_that_is_gone(server: SimServer) -> None:
    gone, there = tracking(server), tracking(server)
    talk(gone, ("GET", "k"))
    gone.receive(packed(("SET", "k", "v"))[:-3])
    gone.drop()
    gone.receive(b"v\r\n")
    assert talk(there, ("GET", "k")) == [None], "half a command is none"
    talk(there, ("SET", "k", "w"))
    assert gone.take() == b""


def test_who_is_killed_loses_what_was_not_yet_sent_and_not_yet_read(server: SimServer) -> None:
    killed, killer = tracking(server), tracking(server)
    killed.receive(packed(("GET", "k"), ("SET", "k", "late"))[:-5])
    assert talk(killer, ("CLIENT", "KILL", "ID", killed.id)) == [1]
    killed.receive(b"late\r\n"[-5:])
    assert (killed.closed, killed.take()) == (True, b"")
    assert talk(killer, ("GET", "k")) == [None]


@pytest.mark.parametrize(
    "command", [("SUBSCRIBE", "c"), ("CLIENT", "TRACKING", "ON", "BCAST"), ("SET", "k", "v", "PXAT", 1), ("INFO",)]
)
def test_what_it_does_not_know_is_loud(server: SimServer, command: tuple[str | int, ...]) -> None:
    with pytest.raises(NotSimulated):
        talk(server.connect(), command)


def test_what_it_is_told_not_to_know_is_answered_as_by_old_servers(server: SimServer) -> None:
    server.state.unknown = frozenset({"HELLO", "CLIENT TRACKING"})
    replies = talk(server.connect(), ("HELLO", 3), ("CLIENT", "TRACKING", "ON"), ("GET", "k"))
    assert [str(reply)[:16] for reply in replies] == ["ERR unknown comm", "ERR unknown subc", "None"]
