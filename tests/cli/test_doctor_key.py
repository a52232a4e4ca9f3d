"""``fleetcache doctor --key``: the server's entry of one key, in the words of the cache, and never its value."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from fleetcache import Cache, KeyRuleError
from fleetcache.cli.doctor.examination import examine
from fleetcache.cli.doctor.key_report import KeyReport
from fleetcache.cli.doctor.report import Report
from tests.cli.examining import NOWHERE, examined
from tests.conftest import GetServer
from tests.support.run import run
from tests.support.servers import Server
from tests.support.waiting import eventually

Prepare = Callable[[Cache], Awaitable[Any]]


def explained(server: Server, prefix: str, prepare: Prepare | None, key: str = "k", **environ: str) -> KeyReport:
    """Return the doctor's report on a key, after ``prepare`` has used the cache."""

    async def main() -> Report:
        unhurried = {"CACHE_OPERATION_TIMEOUT": "5s", "CACHE_CONNECT_TIMEOUT": "10s"}
        settings = {"REDIS_URL": server.url, "CACHE_PREFIX": prefix, **unhurried, **environ}
        if prepare is not None:
            async with Cache.from_env(settings) as cache:
                await prepare(cache)
        return await examine(settings, key=key, root=NOWHERE)

    report = run(main())
    assert report.key is not None
    return report.key


def test_a_fresh_entry_is_told_with_its_time_size_codec_and_tags(server: Server, prefix: str) -> None:
    async def prepare(cache: Cache) -> None:
        await cache.namespace("n").set("k", ["secret-value"], ttl="1h", stale="5m", tags=["t"])

    about = explained(server, prefix, prepare, "n:k")
    assert (about.key, about.server_key, about.state, about.why) == ("n:k", f"{prefix}:e:n:k", "fresh", "")
    assert about.fresh_for is not None
    assert about.kept_for is not None
    assert 3500 < about.fresh_for <= 3600
    assert about.kept_for == pytest.approx(about.fresh_for + 300 + 10, abs=0.01)
    assert about.stale_for == 300
    assert (about.codec, about.signed, about.payload) == ("msgpack", False, 14)
    assert about.size is not None
    assert about.size > 14
    assert [(tag.name, tag.current) for tag in about.tags] == [("*", True), ("*n", True), ("t", True)]
    assert about.held_for is None
    assert "secret-value" not in str(about.as_dict())


def test_a_tag_that_was_invalidated_is_named_and_the_others_are_current(server: Server, prefix: str) -> None:
    async def prepare(cache: Cache) -> None:
        await cache.set("k", 1, tags=["gone", "here"])
        await cache.invalidate_tags("gone")

    about = explained(server, prefix, prepare)
    assert (about.state, about.why, about.codec) == ("unusable", "tags", "integer")
    assert {tag.name for tag in about.tags if not tag.current} == {"gone"}


def test_a_stale_entry_says_since_when(server: Server, prefix: str) -> None:
    async def prepare(cache: Cache) -> None:
        await cache.set("k", 1, ttl="1ms", stale="1h")

    about = explained(server, prefix, prepare)
    assert about.state == "stale"
    assert about.fresh_for is not None
    assert about.fresh_for < 0


def test_a_key_that_is_not_there_is_said_to_be_none(server: Server, prefix: str) -> None:
    about = explained(server, prefix, None)
    assert (about.state, about.size, about.kept_for, about.tags) == ("none", None, None, ())


def test_a_key_that_somebody_loads_says_how_long_the_right_to_it_is_held(server: Server, prefix: str) -> None:
    with server.client() as client:
        client("SET", f"{prefix}:e:k", b"L" + bytes(16), "PX", 9000)
        about = explained(server, prefix, None)
        assert about.state == "held"
        assert about.held_for is not None
        assert 5 < about.held_for <= 9
        client("DEL", f"{prefix}:e:k")

        async def prepare(cache: Cache) -> None:
            await cache.set("k", 1)
            client("SET", f"{prefix}:c:k", b"C" + bytes(16), "PX", 9000)

        about = explained(server, prefix, prepare)
        assert (about.state, about.held_for is not None) == ("fresh", True)
        client("SET", f"{prefix}:c:k", b"F" + bytes(16) + b"2 9000", "PX", 9000)
        about = explained(server, prefix, None)
        assert (about.state, about.held_for) == ("fresh", None), "the mark of a failed load is no claim"


def test_what_is_not_ours_is_foreign(server: Server, prefix: str) -> None:
    with server.client() as client:
        client("SET", f"{prefix}:e:k", "somebody's", "PX", 9000)
        about = explained(server, prefix, None)
        assert (about.state, about.size, about.codec) == ("foreign", 10, None)
        client("DEL", f"{prefix}:e:k")
        client("LPUSH", f"{prefix}:e:k", "somebody's")
        assert explained(server, prefix, None).state == "fault"


def test_an_entry_signed_by_another_key_is_unusable(server: Server, prefix: str) -> None:
    ours, theirs = "o" * 32, "t" * 32
    about = explained(server, prefix, lambda cache: cache.set("k", 1.5), CACHE_SIGNING_KEY=ours)
    assert (about.state, about.signed) == ("fresh", True)
    report = examined({"REDIS_URL": server.url, "CACHE_PREFIX": prefix, "CACHE_SIGNING_KEY": theirs}, key="k")
    assert report.key is not None
    assert (report.key.state, report.key.why) == ("unusable", "signature")
    assert ours not in str(report.as_dict())
    assert theirs not in str(report.as_dict())


def test_looking_changes_nothing(server: Server, prefix: str) -> None:
    with server.client() as client:

        async def prepare(cache: Cache) -> None:
            await cache.set("k", 1, ttl="1h", tags=["t"])

        explained(server, prefix, prepare)
        before = {key: client("GET", key) for key in client("KEYS", "*")}
        examined({"REDIS_URL": server.url, "CACHE_PREFIX": prefix}, key="k")
        assert {key: client("GET", key) for key in client("KEYS", "*")} == before


def test_without_a_server_it_says_so() -> None:
    for driver in ("memory", "null"):
        about = examined({"CACHE_DRIVER": driver}, key="k").key
        assert about is not None
        assert (about.state, about.why) == ("none", f"no server: the driver is {driver}")


def test_with_the_server_away_there_is_nothing_to_tell(shared_servers: GetServer, prefix: str) -> None:
    url = shared_servers("valkey", "tcp").url.replace("//", "//nobody:wrong@")
    report: Report = examined({"REDIS_URL": url, "CACHE_PREFIX": prefix}, key="k")
    assert report.key is None
    assert report.exit_status == 1


@pytest.mark.parametrize("key", ["", "x" * 9000, "\udc80"])
def test_what_is_no_key_is_refused(key: str) -> None:
    with pytest.raises(KeyRuleError):
        examined({}, key=key)


def test_a_load_under_way_in_an_app_is_seen(server: Server, prefix: str) -> None:
    async def main() -> Report:
        go = asyncio.Event()

        async def slow() -> int:
            await go.wait()
            return 1

        async with Cache(server.url, prefix=prefix, operation_timeout="5s") as cache:
            load = asyncio.create_task(cache.get_or_set("k", slow))
            await eventually(lambda: cache.stats().leases)
            report = await asyncio.to_thread(examined, {"REDIS_URL": server.url, "CACHE_PREFIX": prefix}, key="k")
            go.set()
            assert await load == 1
        return report

    report = run(main())
    assert report.key is not None
    assert report.key.state == "held"
