"""The Litestar store keeps Litestar's contract, in memory, on a server, and with the server away."""

import logging
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest
from litestar.stores.base import NamespacedStore

from fleetcache import CodecError, KeyRuleError
from fleetcache.contrib.litestar import FleetStore
from fleetcache.testing.server import free_port
from tests.conftest import GetServer
from tests.support.run import run
from tests.support.servers import Server
from tests.support.waiting import eventually

DAY = 86_400
On = Callable[[Callable[[FleetStore], Awaitable[None]]], None]


@pytest.fixture
def server(shared_servers: GetServer) -> Server:
    """One engine is enough: the tests of the core run with all of them."""
    return shared_servers("valkey", "tcp")


def new(server: Server, prefix: str, **options: Any) -> FleetStore:
    return FleetStore(server.url, **{"prefix": prefix, "operation_timeout": "2s", **options})


@pytest.fixture(params=["memory", "server", "json", "beyond near", "away"])
def options(request: pytest.FixtureRequest, prefix: str) -> dict[str, Any]:
    """The options of each kind of cache under a store."""
    kind = request.param
    if kind == "memory":
        return {"cache": "memory://"}
    if kind == "away":
        return {"cache": f"redis://127.0.0.1:{free_port()}", "prefix": prefix, "operation_timeout": "2s"}
    server: Server = request.getfixturevalue("server")
    kinds: dict[str, dict[str, Any]] = {"json": {"codec": "json"}, "beyond near": {"near": False}}
    more = kinds.get(kind, {})
    return {"cache": server.url, "prefix": prefix, "operation_timeout": "2s", **more}


@pytest.fixture
def on(options: dict[str, Any]) -> On:
    """Yield a function that runs an async test body with an open store."""

    def run_on(body: Callable[[FleetStore], Awaitable[None]]) -> None:
        async def main() -> None:
            async with (store := FleetStore(**options)):
                await body(store)

        run(main())

    return run_on


def test_values_are_bytes(on: On) -> None:
    async def body(store: FleetStore) -> None:
        assert isinstance(store, NamespacedStore)
        assert await store.get("k") is None
        assert not await store.exists("k")
        values: list[str | bytes] = [b"raw \x00\xff", b"", "text: ä", "x" * 10_000]
        for value in values:
            for expires_in in (None, 60, timedelta(minutes=1)):
                await store.set("k", value, expires_in)
                assert await store.get("k") == (value.encode() if isinstance(value, str) else value)
                assert await store.exists("k")
        await store.delete("k")
        await store.delete("k")
        assert await store.get("k") is None

    on(body)


def test_any_text_is_a_key(on: On) -> None:
    async def body(store: FleetStore) -> None:
        keys = ["GET/a?b=c&d=ä", "", "*", "..", "x" * 70_000, "x" * 70_001, "\ud800", "digest:" + "0" * 64]
        for number, key in enumerate(keys):
            await store.set(key, str(number))
        for number, key in enumerate(keys):
            assert await store.get(key) == str(number).encode()

    on(body)


def test_it_ends_when_it_was_told_to(on: On) -> None:
    async def body(store: FleetStore) -> None:
        await store.set("k", b"v", timedelta(milliseconds=200))

        async def is_over() -> bool:
            return not await store.exists("k")

        await eventually(is_over)
        for over in (0, -1, timedelta(0)):
            await store.set("k", b"v")
            await store.set("k", b"w", over)
            assert await store.get("k") is None

    on(body)


def test_it_says_when_it_ends(on: On) -> None:
    async def body(store: FleetStore) -> None:
        assert await store.expires_in("k") is None
        await store.set("k", b"v")
        assert await store.expires_in("k") == -1
        await store.set("k", b"v", 10)
        assert await store.expires_in("k") in {10, 9, 8}

    on(body)


def test_longer_than_an_entry_may_live_is_as_long_as_it_may(server: Server, prefix: str) -> None:
    async def main() -> None:
        async with (store := new(server, prefix)):
            with server.client() as raw:
                lives: list[int | timedelta | None] = [None, 400 * DAY, timedelta(days=30)]
                for expires_in in lives:
                    await store.set("k", b"v", expires_in)
                    assert 30 * DAY * 1000 < raw("PTTL", f"{prefix}:e:litestar:k") <= (30 * DAY + 10) * 1000

    run(main())


@pytest.mark.parametrize("renew_for", [2 * DAY, timedelta(days=2), timedelta(days=30), 400 * DAY])
def test_a_read_may_renew_it(server: Server, prefix: str, renew_for: int | timedelta) -> None:
    async def main() -> None:
        async with (store := new(server, prefix)):
            await store.set("k", b"v", 60)
            for unchanged in (None, 0, -5, timedelta(0)):
                assert await store.get("k", unchanged) == b"v"
            left = await store.expires_in("k")
            assert left is not None
            assert left <= 60
            assert await store.get("k", renew_for) == b"v"
            renewed = await store.expires_in("k")
            assert renewed is not None
            assert renewed > 2 * DAY - 30
            assert await store.get("nothing", renew_for) is None

    run(main())


def test_a_read_gives_no_end_to_what_was_stored_without_one(on: On) -> None:
    async def body(store: FleetStore) -> None:
        await store.set("k", b"v")
        assert await store.get("k", 1) == b"v"
        assert await store.expires_in("k") == -1

    on(body)


def test_bytes_are_stored_as_they_are(server: Server, prefix: str) -> None:
    async def main() -> None:
        async with (store := new(server, prefix)):
            value = bytes(range(256))
            await store.set("k", value, 60)
            with server.client() as raw:
                assert raw("GET", f"{prefix}:e:litestar:k").endswith(value)

    run(main())


# -- namespaces --------------------------------------------------------------------------------------------------------


def test_namespaces_have_their_own_keys_and_go_with_their_parents(on: On) -> None:
    async def body(store: FleetStore) -> None:
        child = store.with_namespace("child")
        grandchild, other = child.with_namespace("grandchild"), store.with_namespace("other")
        assert (child.namespace, grandchild.namespace) == ("litestar:child", "litestar:child:grandchild")
        family = {store: b"store", child: b"child", grandchild: b"grandchild", other: b"other"}
        for each, value in family.items():
            await each.set("k", value)
        assert [await each.get("k") for each in family] == list(family.values())
        await store.cache.set("k", "the app's own")
        await child.delete_all()
        assert [await each.get("k") for each in family] == [b"store", None, None, b"other"]
        await store.delete_all()
        assert [await each.get("k") for each in family] == [None] * 4
        assert await store.cache.get("k") == "the app's own"

    on(body)


def test_without_a_namespace_it_is_the_whole_cache(on: On, options: dict[str, Any]) -> None:
    async def body(_: FleetStore) -> None:
        whole = FleetStore(**options, namespace=None)
        async with whole:
            assert whole.with_namespace("sessions").namespace == "sessions"
            await whole.set("k", b"v")
            await whole.cache.set("other", 1)
            await whole.delete_all()
            assert await whole.get("k") is None
            assert await whole.cache.get("other") is None

    on(body)


def test_a_namespace_that_is_none_is_refused() -> None:
    for wrong in ("", "a::b", "x" * 255):
        with pytest.raises(KeyRuleError, match="namespace"):
            FleetStore("memory://").with_namespace(wrong)


# -- in a fleet --------------------------------------------------------------------------------------------------------


def test_another_instance_has_what_one_stores_and_forgets_what_one_removes(server: Server, prefix: str) -> None:
    async def main() -> None:
        async with (one := new(server, prefix)), (other := new(server, prefix)):
            await one.set("k", b"v", 60)
            assert await other.get("k") == b"v"
            assert other.cache.stats().near_items == 1
            await one.delete("k")

            async def is_gone() -> bool:
                return not await other.exists("k")

            await eventually(is_gone)

    run(main())


def test_what_is_written_back_is_read_from_the_server(server: Server, prefix: str) -> None:
    async def main() -> None:
        async with (store := new(server, prefix)), (other := new(server, prefix)):
            exact = store.with_namespace("sessions", near=False)
            assert exact.with_namespace("more").near is False
            held = store.with_namespace("sessions")
            for number in range(20):  # each time right after another instance's write
                await other.with_namespace("sessions").set("k", str(number))
                assert await exact.get("k") == str(number).encode()
            before = store.cache.stats()
            await exact.get("k")
            assert store.cache.stats().shared_hits == before.shared_hits + 1
            await held.get("k")
            assert store.cache.stats().near_hits == before.near_hits + 1

    run(main())


# -- values that do not fit --------------------------------------------------------------------------------------------


def test_what_is_too_large_is_not_kept(on: On, options: dict[str, Any], caplog: pytest.LogCaptureFixture) -> None:
    async def body(_: FleetStore) -> None:
        small = FleetStore(**options, max_value_bytes="1KB")
        async with small:
            await small.set("k", b"old", 60)
            await small.set("k", b"x" * 2000, 60)
            assert await small.get("k") is None
        strict = FleetStore(**options, max_value_bytes="1KB", strict=True)
        async with strict:
            with pytest.raises(CodecError, match="CACHE_MAX_VALUE_BYTES"):
                await strict.set("k", b"x" * 2000, 60)

    on(body)
    errors = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert len(errors) == 1
    assert errors[0].startswith("uncached: a value of Litestar (a value of 2")
