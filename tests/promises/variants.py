"""Variants of the cache that each promise is checked against: the real one, and naive ones that differ in one part.

A naive variant is a plausible wrong design. A check that the variant passes proves nothing.
"""

import asyncio
from collections.abc import Callable
from typing import Any

from fleetcache import Cache
from fleetcache.format.codec import MSGPACK
from fleetcache.near.store import NearEntry
from fleetcache.policy.context import LoadTimes
from fleetcache.policy.lookup import ClaimReply, DecodedValue, EntryState, Lookup
from fleetcache.wire.link_state import Link
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
    """Replace methods of a part."""
    for name, method in methods.items():
        if not hasattr(part, name):
            raise AttributeError(f"{part!r} has no {name}: the naive variant would be none")
        setattr(part, name, method)


def _opened(result: object) -> "asyncio.Future[Any]":
    future = asyncio.get_running_loop().create_future()
    future.set_result(result)
    return future


def nothing(*_: Any, **__: Any) -> None:
    """Do nothing."""


def ours(url: str, **settings: Any) -> Cache:
    """Return the real cache."""
    return Cache(url, **settings)


def no_lease(url: str, **settings: Any) -> Cache:
    """Each miss loads. There is one load per process and key, as most caches promise it."""
    cache = stores_anyway(url, **settings)
    shared = cache._engine.shared

    def acquire(_key: str, placeholder: bytes, *_: object, **__: object) -> Any:
        return _opened(Lookup(EntryState.GRANTED, stamp=placeholder))

    def claim(*_: object, **__: object) -> Any:
        return _opened(ClaimReply(granted=True))

    replace(shared, acquire=acquire, claim=claim)
    return cache


def everlasting_lease(url: str, **settings: Any) -> Cache:
    """A lease lasts ten seconds, even if loads are short."""
    cache = Cache(url, **settings)
    replace(cache._engine.ctx.times, lease=lambda _group: LoadTimes.FIRST)
    return cache


def stores_anyway(url: str, **settings: Any) -> Cache:
    """A loaded value is stored even if the key changed during the load."""
    cache = Cache(url, **settings)
    shared, layout = cache._engine.shared, cache._engine.layout
    swap = shared.swap

    def swap_anyway(key: str, expected: bytes, *rest: Any) -> Any:
        if shared.wire is not None and shared.usable:  # first set the entry to the expected bytes, in the same write
            shared.wire.submit(Call((("SET", layout.entry(key), expected, "PX", 1000),)))
        return swap(key, expected, *rest)

    replace(shared, swap=swap_anyway)
    return cache


def fills_late(url: str, **settings: Any) -> Cache:
    """The coroutine that waited for the reply fills near, not the parser of frames."""
    cache = Cache(url, **settings)

    def fill(token: Any, held: NearEntry) -> bool:
        asyncio.get_running_loop().call_soon(cache._engine.near.put, token.key, held)
        return True

    replace(cache._engine.coherence, fill=fill)
    return cache


def deaf(url: str, **settings: Any) -> Cache:
    """Near ignores the server's pushes."""
    cache = Cache(url, **settings)
    replace(cache._engine.coherence, on_invalidation=nothing, heard_all_tag=nothing)
    return cache


def waits_to_be_told(url: str, **settings: Any) -> Cache:
    """Near drops removed entries only when the push comes, for its own removals too: on a network, after the reply."""
    cache = Cache(url, **settings)
    coherence = cache._engine.coherence
    on_push = coherence.on_invalidation
    replace(
        coherence,
        _forget_target=nothing,
        on_invalidation=lambda keys: asyncio.get_running_loop().call_later(0.05, on_push, keys),
    )
    return cache


def trusts_for_ever(url: str, **settings: Any) -> Cache:
    """Near answers until the entry expires, even if the server is silent."""
    cache = Cache(url, **settings)
    link = cache._engine.link
    assert isinstance(link, Link)
    replace(
        link, bound=lambda _offline_ttl: float("inf"), _settle_trust=lambda: replace(link, trusted_until=float("inf"))
    )
    cache._engine.near.vouch(float("inf"))
    return cache


def forgets_what_it_owes(url: str, **settings: Any) -> Cache:
    """A removal without an acknowledgement is forgotten."""
    cache = Cache(url, **settings)
    replace(cache._engine.coherence.journal, defer=nothing)
    replace(cache._engine.coherence.recent, done=nothing)
    return cache


def trusts_restarts(url: str, **settings: Any) -> Cache:
    """``CACHE_TRUST_RESTART=true``, and the process that removed a key ends before the server is back."""
    cache = Cache(url, **settings | {"trust_restart": True})
    replace(cache._engine.coherence.recent, done=nothing)
    return cache


def patient(url: str, **settings: Any) -> Cache:
    """A call waits for the server for longer than a caller would wait for a cache."""
    return Cache(url, **settings | {"operation_timeout": "500ms", "max_staleness": "10s"})


def hands_out_its_own(url: str, **settings: Any) -> Cache:
    """Near keeps the caller's object, and each caller that joins a load gets the loader's object."""
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
