"""Caches that a promise is held against: ours, and naive ones that differ from it in one part each.

A naive variant is what one would have built without knowing better. A check that it passes proves nothing.
"""

import asyncio
from collections.abc import Callable
from typing import Any

from fleetcache import Cache
from fleetcache.format.codec import MSGPACK
from fleetcache.near.store import NearEntry
from fleetcache.policy.context import LoadTimes
from fleetcache.policy.lookup import ClaimReply, DecodedValue, EntryState, Lookup
from fleetcache.wire.link import Link
from fleetcache.wire.session import Call

__all__ = [
    "Variant",
    "deaf",
    "everlasting_lease",
    "fills_late",
    "forgets_what_it_owes",
    "hands_out_its_own",
    "no_lease",
    "ours",
    "patient",
    "replace",
    "stores_anyway",
    "trusts_for_ever",
    "trusts_restarts",
    "waits_to_be_told",
]

Variant = Callable[..., Cache]


def replace(part: object, **methods: object) -> None:
    """Put other methods in the place of a part's own."""
    for name, method in methods.items():
        if not hasattr(part, name):
            raise AttributeError(f"{part!r} has no {name}: the naive variant would be none")
        setattr(part, name, method)


def _opened(result: object) -> "asyncio.Future[Any]":
    future = asyncio.get_running_loop().create_future()
    future.set_result(result)
    return future


def _then(future: Any, change: Callable[[Any], object]) -> "asyncio.Future[Any] | None":
    if future is None:
        return None
    later: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    def opened(future: "asyncio.Future[Any]") -> None:
        later.set_result(change(future.result()))

    future.add_done_callback(opened)
    return later


def nothing(*_: Any, **__: Any) -> None:
    """Do nothing."""


def ours(url: str, **settings: Any) -> Cache:
    """The cache as it is."""
    return Cache(url, **settings)


def no_lease(url: str, **settings: Any) -> Cache:
    """Whoever finds nothing loads. One load per process and key, as most caches promise it."""
    cache = stores_anyway(url, **settings)
    shared = cache._engine.shared
    look = shared.look

    def acquire(_key: str, placeholder: bytes, *_: object) -> Any:
        return _opened(Lookup(EntryState.GRANTED, stamp=placeholder))

    def claim(key: str, _mark: bytes, _ms: int, declared: Any, token: Any) -> Any:
        return _then(look(key, declared, token), lambda seen: ClaimReply(seen, 0.0, granted=True))

    replace(shared, acquire=acquire, claim=claim)
    return cache


def everlasting_lease(url: str, **settings: Any) -> Cache:
    """A lease is taken for ten seconds, however long loads take."""
    cache = Cache(url, **settings)
    replace(cache._engine.ctx.times, lease=lambda _group: LoadTimes.FIRST)
    return cache


def stores_anyway(url: str, **settings: Any) -> Cache:
    """What was loaded is stored, whatever happened to the key meanwhile."""
    cache = Cache(url, **settings)
    shared, layout = cache._engine.shared, cache._engine.layout
    swap = shared.swap

    def swap_anyway(key: str, expected: bytes, *rest: Any) -> Any:
        if shared.wire is not None and shared.usable:  # whatever is there, in the same write it is what is expected
            shared.wire.submit(Call((("SET", layout.entry(key), expected, "PX", 1000),)))
        return swap(key, expected, *rest)

    replace(shared, swap=swap_anyway)
    return cache


def fills_late(url: str, **settings: Any) -> Cache:
    """Near is filled by the coroutine that waited for the reply, not while frames are parsed."""
    cache = Cache(url, **settings)

    def fill(token: Any, held: NearEntry) -> bool:
        asyncio.get_running_loop().call_soon(cache._engine.near.put, token.key, held)
        return True

    replace(cache._engine.coherence, fill=fill)
    return cache


def deaf(url: str, **settings: Any) -> Cache:
    """Pushes are not listened to."""
    cache = Cache(url, **settings)
    replace(cache._engine.coherence, on_invalidation=nothing, heard_all_tag=nothing)
    return cache


def waits_to_be_told(url: str, **settings: Any) -> Cache:
    """Near forgets when the push comes, our own removals too; over a network that is later than the reply."""
    cache = Cache(url, **settings)
    coherence = cache._engine.coherence
    on_push = coherence.on_invalidation
    replace(
        coherence,
        _forget_target=nothing,
        on_invalidation=lambda frame: asyncio.get_running_loop().call_later(0.05, on_push, frame),
    )
    return cache


def trusts_for_ever(url: str, **settings: Any) -> Cache:
    """Near answers for as long as the entry lives, whether the server can be heard or not."""
    cache = Cache(url, **settings)
    link = cache._engine.link
    assert isinstance(link, Link)
    replace(
        link, bound=lambda _offline_ttl: float("inf"), _settle_trust=lambda: replace(link, trusted_until=float("inf"))
    )
    return cache


def forgets_what_it_owes(url: str, **settings: Any) -> Cache:
    """A removal that nobody acknowledged was bad luck."""
    cache = Cache(url, **settings)
    replace(cache._engine.coherence.journal, defer=nothing)
    replace(cache._engine.coherence.recent, done=nothing)
    return cache


def trusts_restarts(url: str, **settings: Any) -> Cache:
    """``CACHE_TRUST_RESTART=true``, and who removed something does not live to see the server back."""
    cache = Cache(url, **settings | {"trust_restart": True})
    replace(cache._engine.coherence.recent, done=nothing)
    return cache


def patient(url: str, **settings: Any) -> Cache:
    """Waits for the server for longer than anybody would wait for a cache."""
    return Cache(url, **settings | {"operation_timeout": "500ms", "max_staleness": "10s"})


def hands_out_its_own(url: str, **settings: Any) -> Cache:
    """Near keeps the object it was given, and everybody who joins a load gets the loader's."""
    cache = Cache(url, **settings)
    entries = cache._engine.entries
    hold: Callable[..., NearEntry] = entries.near_entry

    def holding(answer: DecodedValue, *life: Any, **more: Any) -> NearEntry:
        held = hold(answer, *life, **more)
        held.value, held.declared = answer.value, answer.declared
        return held

    def encode(value: Any, declared: Any) -> DecodedValue:
        codec, payload, _ = entries.codecs.encode(value, declared)
        return DecodedValue(value, payload, codec or MSGPACK, declared)

    replace(entries, near_entry=holding, copy=lambda answer, *_: answer.value, encode=encode)
    return cache
