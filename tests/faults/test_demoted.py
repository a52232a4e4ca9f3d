"""A replaced primary that still answers: promises 2, 3 and 5 hold on its successor, in both faces."""

import asyncio
import itertools
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest

from fleetcache import Cache, SyncCache
from fleetcache.config.url import Address
from fleetcache.format.keys import Layout
from fleetcache.near.recent_removals import Recent
from fleetcache.shared.recovery import Recovery
from fleetcache.wire.server_role import Standing
from tests.conftest import StartServer
from tests.support.proxy import Proxy
from tests.support.run import run
from tests.support.servers import Server
from tests.support.waiting import eventually, wait_until

STALENESS = 0.9  # a heartbeat every 0.3 s
NOWHERE = ("127.0.0.1", 1)


class Pair(NamedTuple):
    """A primary, its replica, and one name that leads clients to the current primary."""

    old: Server
    new: Server
    name: Proxy

    def fail_over(self) -> None:
        """Promote the replica and give it the name. The old server still takes itself for the primary."""
        with self.new.client() as client:
            client("REPLICAOF", "NO", "ONE")
        self.name._target, self.name._address = self.new, Address.parse(self.new.url)

    def demote(self) -> None:
        """Make the old server a replica that cannot reach its successor."""
        with self.old.client() as client:
            client("REPLICAOF", *NOWHERE)


@pytest.fixture
def pair(fresh_server: StartServer) -> Iterator[Pair]:
    old, new = (fresh_server("tcp", "--repl-diskless-sync-delay", "0") for _ in range(2))
    with new.client() as client:
        client("REPLICAOF", old.address.host, old.address.port)
        wait_until(lambda: b"master_link_status:up" in client("INFO", "replication"))
    with Proxy(old) as name:
        yield Pair(old, new, name)


def synced(pair: Pair, key: bytes) -> Callable[[], bool]:
    """Return a check that the replica has the key."""

    def has() -> bool:
        with pair.new.client() as client:
            return bool(client("EXISTS", key) == 1)

    return has


OPTIONS: dict[str, Any] = {"operation_timeout": "1s", "max_staleness": STALENESS, "offline_ttl": 0}


# -- promise 3: near is not trusted beside a primary that is none any more ---------------------------------------------


async def _read_on(pair: Pair, prefix: str, patience: float = 10) -> None:
    """A reader on a demoted server sees a value that was written to the successor."""
    async with Cache(pair.name.url, prefix=prefix, **OPTIONS) as writer:
        await writer.set("price", "old", ttl="1h")
    async with Cache(pair.name.url, prefix=prefix, **OPTIONS) as reader:
        assert await reader.get("price") == "old"
        await eventually(synced(pair, Layout(prefix).entry("price")))
        pair.fail_over()
        pair.demote()
        async with Cache(pair.new.url, prefix=prefix, **OPTIONS) as writer:
            await writer.set("price", "new", ttl="1h", strict=True)

        async def sees() -> bool:
            return bool(await reader.get("price") == "new")

        await eventually(sees, timeout=patience)
        assert (await reader.health()).status == "healthy"


def test_a_reader_leaves_a_primary_that_was_demoted(pair: Pair, prefix: str) -> None:
    run(_read_on(pair, prefix))


def test_twin_a_heartbeat_that_only_reads_trusts_it_for_ever(
    pair: Pair, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Standing, "is_known", False)
    with pytest.raises(AssertionError):
        run(_read_on(pair, prefix, patience=4 * STALENESS))


def test_the_same_on_threads(pair: Pair, prefix: str) -> None:
    with SyncCache(pair.name.url, prefix=prefix, **OPTIONS) as writer:
        writer.set("price", "old", ttl="1h")
    with SyncCache(pair.name.url, prefix=prefix, **OPTIONS) as reader:
        assert reader.get("price") == "old"
        wait_until(synced(pair, Layout(prefix).entry("price")))
        pair.fail_over()
        pair.demote()
        with SyncCache(pair.new.url, prefix=prefix, **OPTIONS) as writer:
            writer.set("price", "new", ttl="1h", strict=True)
        wait_until(lambda: reader.get("price") == "new", timeout=10)


def test_until_the_name_moves_health_says_that_it_is_a_replica(pair: Pair, prefix: str) -> None:
    async def scene() -> None:
        async with Cache(pair.name.url, prefix=prefix, **OPTIONS) as cache:
            await cache.set("k", "v")
            pair.demote()
            await eventually(lambda: cache.status_now().reason == "readonly")
            assert await cache.get("k") is None, "offline_ttl is 0"

    run(scene())


# -- promise 5: removals that a replaced primary acknowledged ----------------------------------------------------------


def _forgets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Recent, "missed_by", lambda _self, _history: [])


REMOVALS = ["delete", "set", "invalidate_tags", "clear"]


async def _remove_on_the_old_one(pair: Pair, prefix: str, removal: str) -> Any:
    source = ["before"]

    async def load() -> str:
        return source[0]

    async with Cache(pair.name.url, prefix=prefix, **OPTIONS) as cache:
        await cache.get("k")
        pair.fail_over()
        async with Cache(pair.new.url, prefix=prefix, **OPTIONS) as other:
            await other.get_or_set("k", load, ttl="1h", tags=("tag",))
            source[0] = "after"
            act: dict[str, Callable[[], Any]] = {
                "delete": lambda: cache.delete("k"),
                "set": lambda: cache.set("k", "after", ttl="1h"),
                "invalidate_tags": lambda: cache.invalidate_tags("tag"),
                "clear": cache.clear,
            }
            await act[removal]()
            assert cache.stats().journal == 0, "the old primary acknowledged it"
            pair.name.reset()
            await eventually(lambda: cache.stats().epoch >= 2 and cache.stats().link == "online")
            seen = await other.get_many(["k"], near=False)  # its near copy ends when the push comes
            return str(seen.get("k", source[0]))


@pytest.mark.parametrize("removal", REMOVALS)
def test_what_a_replaced_primary_acknowledged_is_removed_from_its_successor(
    pair: Pair, prefix: str, removal: str
) -> None:
    assert run(_remove_on_the_old_one(pair, prefix, removal)) == "after"


@pytest.mark.parametrize("removal", REMOVALS)
def test_twin_without_repeating_it_stays_there(
    pair: Pair, prefix: str, removal: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _forgets(monkeypatch)
    assert run(_remove_on_the_old_one(pair, prefix, removal)) == "before"


def test_removals_of_threads_are_repeated_too(pair: Pair, prefix: str) -> None:
    source = ["before"]
    with SyncCache(pair.name.url, prefix=prefix, **OPTIONS) as cache:
        cache.get("k")
        pair.fail_over()
        with SyncCache(pair.new.url, prefix=prefix, **OPTIONS) as other:
            other.get_or_set("k", lambda: source[0], ttl="1h")
            other.get_or_set("l", lambda: source[0], ttl="1h")
            source[0] = "after"
            cache.delete_many(["k", "l"])
            pair.name.reset()
            wait_until(lambda: cache.stats().epoch >= 2 and cache.stats().link == "online")
            assert other.get_many(["k", "l"], near=False) == {}


# -- there and back again between two heartbeats -----------------------------------------------------------------------


async def _there_and_back(server: Server, prefix: str, patience: float = 5) -> tuple[Any, Any, int]:
    """Return a key's value in near, one that was removed and is back on the server, and the connections it took."""
    entry = Layout(prefix).entry
    async with Cache(server.url, prefix=prefix, **OPTIONS) as other:
        await other.set("kept", "old", ttl="1h")
    async with Cache(server.url, prefix=prefix, **OPTIONS) as cache:
        with server.client() as client:
            assert await cache.get("kept") == "old"
            await cache.set("removed", "old", ttl="1h")
            blob = client("GET", entry("removed"))
            await cache.delete("removed", strict=True)
            removed_before = cache.stats().replayed
            client.pipeline(
                ("REPLICAOF", *NOWHERE),
                ("REPLICAOF", "NO", "ONE"),
                # The server that this one followed in between did not get the removal.
                ("SET", entry("removed"), blob, "PX", 1_000_000),
            )
            await eventually(lambda: cache.peek("kept") is None, timeout=patience)
            await eventually(lambda: cache.stats().replayed > removed_before, timeout=patience)
            return await cache.get("kept"), await cache.get("removed"), cache.stats().epoch


def test_a_server_with_another_history_is_not_believed(fresh_server: StartServer, prefix: str) -> None:
    assert run(_there_and_back(fresh_server(), prefix)) == ("old", None, 1)


def test_twin_whoever_looks_at_the_role_alone_sees_nothing(
    fresh_server: StartServer, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Recovery, "_change_history", lambda _self, _standing: None)
    with pytest.raises(AssertionError):
        run(_there_and_back(fresh_server(), prefix, patience=2 * STALENESS))


def test_the_first_replica_of_a_primary_disturbs_nobody(
    fresh_server: StartServer, prefix: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The primary's history changes by its first replica: near is dropped once, the link stays, no line is logged."""
    server, replica = (fresh_server("tcp", "--repl-diskless-sync-delay", "0") for _ in range(2))

    async def scene() -> None:
        async with Cache(server.url, prefix=prefix, **OPTIONS) as cache:
            await cache.set("k", "v", ttl="1h")
            with replica.client() as client:
                client("REPLICAOF", server.address.host, server.address.port)
            await eventually(lambda: cache.peek("k") is None, timeout=5)
            assert await cache.get("k") == "v"
            await asyncio.sleep(2 * STALENESS)
            await eventually(lambda: cache.peek("k") == "v")  # not while a heartbeat is late; a dropped copy stays away
            assert (cache.stats().epoch, cache.stats().link) == (1, "online")

    run(scene())
    assert [record.getMessage() for record in caplog.records if record.name == "fleetcache"] == []


# -- servers that say less --------------------------------------------------------------------------------------------


def _asked(client: Any) -> int:
    """Count the INFO commands so far, allowed or not."""
    said: dict[str, str] = {}
    for line in client("INFO", "commandstats").decode().splitlines():
        name, _, numbers = line.partition(":")
        said |= {f"{name} {each.partition('=')[0]}": each.partition("=")[2] for each in numbers.split(",")}
    return int(said.get("cmdstat_info calls", 0)) + int(said.get("cmdstat_info rejected_calls", 0))


@pytest.mark.parametrize("when", ["from the start", "later"])
def test_who_may_not_ask_is_not_for_ever_asking(server: Server, prefix: str, when: str) -> None:
    async def scene() -> None:
        with server.client() as client:
            client("ACL", "SETUSER", "plain", "on", ">secret", "~*", "&*", "+@all")
            if when == "from the start":
                client("ACL", "SETUSER", "plain", "-info")
            url = f"redis://plain:secret@{server.address.host}:{server.address.port}/0"
            async with Cache(url, prefix=prefix, **OPTIONS) as cache:
                await cache.set("k", "v", ttl="1h")
                if when == "later":
                    client("ACL", "SETUSER", "plain", "-info")
                    greeting = cache._engine.recovery._greeting
                    await eventually(lambda: not greeting.is_watched)  # the next heartbeat is refused
                before = _asked(client)
                await asyncio.sleep(3 * STALENESS)
                assert _asked(client) - before == 1, "our own looking"
                await eventually(lambda: cache.peek("k") == "v")  # the key alone confirms
                assert (await cache.health()).status == "healthy"

    run(scene())


def test_what_answers_for_several_servers_in_turn_is_believed_as_it_is(
    server: Server, prefix: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As behind a proxy that asks one of many servers: a cache that forgot all at each heartbeat would be useless."""
    names = itertools.cycle(["one", "two"])
    monkeypatch.setattr(Standing, "of", lambda _reply: Standing("master", next(names), "former"))

    async def scene() -> None:
        async with Cache(server.url, prefix=prefix, **OPTIONS) as cache:
            await cache.get("k")
            await eventually(lambda: "several servers" in caplog.text)
            await cache.set("k", "v", ttl="1h")
            await asyncio.sleep(2 * STALENESS)
            await eventually(lambda: cache.peek("k") == "v")
            assert (await cache.health()).status == "healthy"

    run(scene())
    assert caplog.text.count("several servers") == 1
