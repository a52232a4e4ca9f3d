"""The values that Django may store, and the pickles that it accepts: those signed with SECRET_KEY."""

import asyncio
import datetime as dt
import pickle
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.contrib.contenttypes.models import ContentType
from django.core.cache import cache
from django.db import connection
from django.test import override_settings
from django.test.utils import CaptureQueriesContext
from django.utils.safestring import SafeString, mark_safe

from fleetcache import MISSING
from fleetcache.contrib.django import cache_of
from tests.frameworks.django_site import SECRET, caches_at, database
from tests.support.servers import Server


@pytest.fixture
def server(shared_servers: Callable[[str, str], Server], prefix: str) -> Iterator[Server]:
    """A clean Valkey with the site's default cache on it, without near, so that every value goes through the server."""
    server = shared_servers("valkey", "tcp")
    with override_settings(CACHES=caches_at(server.url, prefix, OPTIONS={"near_max_bytes": 0})):
        yield server


@pytest.mark.usefixtures("server")
def test_model_instances_and_querysets_come_back_as_they_were() -> None:
    database()
    kinds = ContentType.objects.order_by("pk")
    cache.set_many({"one": kinds.first(), "all": kinds, "some": kinds.only("model").filter(app_label="sessions")})
    with CaptureQueriesContext(connection) as queries:
        found = cache.get_many(["one", "all", "some"])
        assert found["one"].app_label == "contenttypes"
        assert [kind.model for kind in found["all"]] == ["contenttype", "session"]
        assert [kind.model for kind in found["some"]] == ["session"]
    assert len(queries) == 0


@pytest.mark.parametrize("store", ["aset", "aadd", "aget_or_set"])
@pytest.mark.usefixtures("server")
def test_a_task_may_store_a_queryset_that_was_not_asked_yet(store: str) -> None:
    database()

    async def view() -> Any:
        await getattr(cache, store)("all", ContentType.objects.order_by("pk"))
        return await cache.aget("all")

    assert [kind.model for kind in asyncio.run(view())] == ["contenttype", "session"]


@pytest.mark.usefixtures("server")
def test_types_are_kept() -> None:
    values = [mark_safe("<b>"), {1: (2, 3)}, {4}, dt.date(2024, 2, 29), "text", 2**80, True]
    for value in values:
        cache.set("k", value)
        assert (type(cache.get("k")), cache.get("k")) == (type(value), value)
    assert isinstance(values[0], SafeString)


def stored(server: Server, prefix: str) -> tuple[bytes, bytes]:
    """Return the only entry on the server: its key and its bytes."""
    with server.client() as client:
        (key,) = [key for key in client("KEYS", f"{prefix}:e:*") if isinstance(key, bytes)]
        return key, client("GET", key)


class Bomb:
    """An object that tells when it is unpickled."""

    went_off = False

    def __reduce__(self) -> tuple[Any, ...]:
        return _go_off, ()


def _go_off() -> str:
    Bomb.went_off = True
    return "boom"


def test_a_pickle_that_we_did_not_sign_is_not_read(server: Server, prefix: str) -> None:
    cache.set("k", ["payload"])
    key, blob = stored(server, prefix)
    evil, good = pickle.dumps(Bomb(), 5), pickle.dumps(["payload"], 5)
    assert good in blob
    with server.client() as client:
        client("SET", key, blob.replace(good, evil), "PX", 60_000)
    assert cache.get("k", MISSING) is MISSING
    assert not Bomb.went_off


def test_an_entry_under_another_key_is_not_read(server: Server, prefix: str) -> None:
    cache.set("mine", ["mine"])
    key, blob = stored(server, prefix)
    with server.client() as client:
        client("SET", key.replace(b"mine", b"yours"), blob, "PX", 60_000)
    assert cache.get("mine") == ["mine"]
    assert cache.get("yours", MISSING) is MISSING


@pytest.mark.usefixtures("server")
def test_what_another_site_signed_is_absent() -> None:
    cache.set("k", 1)
    with override_settings(SECRET_KEY="another"):  # noqa: S106 - of no use to anybody
        assert fresh_object().get("k") is None


@pytest.mark.usefixtures("server")
def test_a_new_secret_reads_what_the_old_one_signed_while_it_is_a_fallback() -> None:
    cache.set("k", 1)
    with override_settings(SECRET_KEY="new", SECRET_KEY_FALLBACKS=[SECRET]):  # noqa: S106 - of no use to anybody
        backend = fresh_object()
        assert backend.get("k") == 1
        backend.set("k2", 2)
    assert cache.get("k2") is None


def fresh_object() -> Any:
    """Build the object as another process would."""
    from django.core.cache import caches  # noqa: PLC0415 - the proxy above is another object

    return caches.create_connection("default")


@pytest.mark.usefixtures("server")
def test_the_key_is_made_for_this_alone_and_never_shown() -> None:
    settings = cache_of().settings
    (key,) = settings.signing_keys
    assert len(key) == 32
    assert SECRET.encode() not in key
    assert repr(key) not in repr(settings)
    assert SECRET not in repr(cache_of())
