"""Calls from inside: a signal handler or a finalizer uses the cache while its thread is in the middle of a rule.

Such a call may neither touch the state of the rules nor wait: see ``engine.threads.monitor``. So

1. The near cache answers, except for entries that a call from inside removed.
2. A removal, a ``set`` and a claim's release are noted, and done when the rule is left; with ``strict`` the call raises
   ``Unavailable``, because nothing is acknowledged yet.
3. Anything that only the server knows is absent: ``get_or_set`` calls its loader and stores nothing, ``add`` and
   ``touch`` return ``False``, no claim is granted, ``incr`` raises ``Unavailable``.
4. ``close()`` is done when the outermost call of the thread is over.
"""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, Protocol

from ...errors import Unavailable
from ...format.keys import Target
from ...near.store import Near
from ...policy.claims import Claims, Grant
from ...policy.context import Budget, PolicyContext
from ...policy.local_writing import LocalWriting
from ...policy.lookup import DecodedValue, EntryState, Lookup
from ...policy.options import CallOptions
from ...policy.reading import LoadRequest, Policy
from ...policy.results import Found, unwrap
from ...policy.writing import Writing
from ...telemetry.stats import Counters
from .monitor import Monitor
from .runtime import call_alone, call_plain

__all__ = ["Inside"]

_AMID = "called by a signal handler or a finalizer in the middle of another call of this thread"


class _Note:
    """A change to be made, and the keys and tags whose near entries are outdated until then."""

    __slots__ = ("_do", "keys", "tags")

    def __init__(self, do: Callable[[], Any], keys: Iterable[str] = (), tags: Iterable[str] = ()) -> None:
        self._do, self.keys, self.tags = do, frozenset(keys), frozenset(tags)

    def do(self) -> None:
        """Make the change. The entries that it puts into the near cache itself are current."""
        self.keys = self.tags = frozenset()
        self._do()


class Interrupted(Protocol):
    """The parts of an engine on threads that a call from inside reads. A forked child builds them again."""

    monitor: Monitor
    near: Near
    ctx: PolicyContext
    policy: Policy
    writing: Writing | LocalWriting
    claims: Claims
    counters: Counters

    async def close(self) -> None:
        """Close the engine."""


class Inside:
    """The verbs of an engine on threads, for calls from inside. It takes the place of the engine's rules."""

    def __init__(self, engine: Interrupted) -> None:
        self._engine = engine
        self.policy = self.batches = self.writing = self.counting = self.claims = self.reporter = self.ports = self

    def _note(self, note: _Note) -> None:
        self._engine.monitor.note(note)
        self._engine.near.strike(note)

    # -- reading -----------------------------------------------------------------------------------------------------

    async def get(self, key: str, declared: Any, options: CallOptions, *, allow_stale: bool) -> DecodedValue | None:
        """Return the entry of the near cache."""
        self._engine.ctx.check_open()
        found = self._engine.policy.near(key, declared, options, allow_stale=allow_stale)
        if found is None:
            self._engine.counters.misses += 1
        return found

    async def get_many(
        self,
        keys: Iterable[str],
        declared: Any,
        options: CallOptions,
        *,
        near: bool = True,  # noqa: ARG002 - the server cannot be asked
    ) -> dict[str, Any]:
        """Return the values of the near cache."""
        found = {key: await self.get(key, declared, options, allow_stale=False) for key in keys}
        return {key: answer.value for key, answer in found.items() if answer is not None}

    async def lookup(self, key: str, declared: Any, options: CallOptions) -> Found[Any] | None:
        """Return the entry of the near cache, with its times."""
        self._engine.ctx.check_open()
        return self._engine.policy.shown(key, declared, options)

    async def look(self, key: str) -> tuple[Lookup, Budget]:  # noqa: ARG002 - as above
        """Return "unavailable": the server cannot be asked."""
        return Lookup(EntryState.UNAVAILABLE, reason="a call from inside"), self._engine.ctx.budget()

    # -- loading -----------------------------------------------------------------------------------------------------

    async def get_or_set(self, asked: LoadRequest) -> Any:
        """Return the value of the near cache, fresh or stale, or else the result of the loader."""
        found = await self.get(asked.key, asked.declared, asked.options, allow_stale=True)
        return await self.refresh(asked) if found is None else found.value

    async def refresh(self, asked: LoadRequest) -> Any:
        """Return the result of the loader, and store nothing."""
        self._engine.ctx.check_open()
        return unwrap(self._load(asked.loader, *asked.args))

    async def get_or_set_many(
        self, keys: Iterable[str], loader: Callable[..., Any], options: CallOptions, declared: Any, _group: str
    ) -> dict[str, Any]:
        """Return the values of the near cache, and the results of the loader for the other keys."""
        wanted = list(keys)
        found = await self.get_many(wanted, declared, options)
        missing = [key for key in wanted if key not in found]
        loaded = self._load(loader, missing) if missing else {}
        return found | {key: unwrap(loaded[key]) for key in missing if key in loaded}

    def _load(self, loader: Callable[..., Any], *args: Any) -> Any:
        self._engine.counters.loads += 1
        try:
            return call_alone(loader, *args)
        except BaseException:
            self._engine.counters.load_failures += 1
            raise

    async def run_loader(self, loader: Callable[..., Any], *args: Any) -> Any:
        """Return the result of the loader, for a caller that bypasses the cache."""
        return call_plain(loader, *args)

    # -- writing -----------------------------------------------------------------------------------------------------

    async def set(self, key: str, value: Any, options: CallOptions, declared: Any, *, strict: bool) -> None:
        """Note the ``set``."""
        await self.set_many({key: value}, options, declared, strict=strict)

    async def set_many(self, values: Mapping[str, Any], options: CallOptions, declared: Any, *, strict: bool) -> None:
        """Note the ``set`` once all values could be encoded."""
        engine = self._engine
        engine.ctx.check_open()
        answers = {key: engine.ctx.entries.encode(value, declared) for key, value in values.items()}
        self._note(_Note(partial(engine.writing.send_set, answers, options), answers))
        _acknowledged(strict=strict)

    async def delete_many(self, keys: Iterable[str], *, strict: bool) -> int:
        """Note the removals; return 0, because no entry is known to be removed."""
        names = list(dict.fromkeys(keys))
        self._remove([("e", key) for key in names], names, (), strict=strict)
        return 0

    async def invalidate(self, tags: Iterable[str], *, strict: bool) -> None:
        """Note the invalidation."""
        names = list(dict.fromkeys(tags))
        self._remove([("t", tag) for tag in names], (), names, strict=strict)

    def _remove(self, targets: list[Target], keys: Iterable[str], tags: Iterable[str], *, strict: bool) -> None:
        self._engine.ctx.check_open()
        self._note(_Note(partial(self._engine.writing.send_removals, targets), keys, tags))
        _acknowledged(strict=strict)

    async def add(self, *_args: Any, strict: bool) -> bool:
        """Return False: only the server knows whether there is an entry."""
        self._engine.ctx.check_open()
        if strict:
            raise Unavailable(f"add: {_AMID}")
        return False

    async def touch(self, *_args: Any) -> bool:
        """Return False, as ``add`` does."""
        return await self.add(strict=False)

    async def incr(self, key: str, *_args: Any, **_options: Any) -> int | None:
        """Raise ``Unavailable``: only the server knows the counter."""
        self._engine.ctx.check_open()
        raise Unavailable(f"incr of {key!r}: {_AMID}")

    # -- claims ------------------------------------------------------------------------------------------------------

    async def acquire(self, *_args: Any, **_options: Any) -> Grant | None:
        """Return ``None``: the server cannot be asked for a claim."""
        self._engine.ctx.check_open()
        return None

    async def is_taken(self, key: str) -> bool:
        """Return True if this process has the claim."""
        return self._engine.claims.has(key)

    def release(self, grant: Grant) -> bool:
        """Note the release of a claim; return whether this process has the claim."""
        if not self._engine.claims.holds(grant):
            return False
        self._note(_Note(partial(self._engine.claims.release, grant)))
        return True

    # -- the cache itself --------------------------------------------------------------------------------------------

    async def first_attempt(self, _timeout: float) -> None:
        """Do nothing: the interrupted call has made the first attempt to connect, or will make it."""

    async def probe(self) -> None:
        """Do nothing: no latency can be measured."""

    async def close(self) -> None:
        """Close the engine when the outermost call is over."""
        engine = self._engine
        engine.monitor.ends.append(lambda: engine.monitor.run(engine.close()))


def _acknowledged(*, strict: bool) -> None:
    if strict:
        raise Unavailable(f"{_AMID}: it is done when that call continues, and cannot be acknowledged before")
