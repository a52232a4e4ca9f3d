"""Where verbs work: one engine, and the prefix, tags and default options of a cache or of a namespace.

The faces of one cache (``Cache``, its namespaces, ``cache.sync``) differ in their scope and share the engine.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from ..config.durations import MAX_TTL, Duration, parse_duration
from ..config.sizes import parse_count
from ..format.keys import ALL_TAG, check_key, check_namespace, check_tags, family_tag
from ..policy.options import MINIMUM_TTL, CallOptions
from .options import ErrorTimes

if TYPE_CHECKING:
    from ..engine.engine import Engine
    from ..policy.declared_errors import DeclaredErrors

__all__ = ["ALL", "Scope"]

ALL = (ALL_TAG,)

# The marks of the ``bypass()`` blocks around this context. A task keeps the marks it was started with. So a mark counts
# only as long as its cache also knows it, which is until the block is left.
BYPASSED: ContextVar[frozenset[object]] = ContextVar("fleetcache_bypassed", default=frozenset())


class Scope:
    """The keys, tags and default options of a cache or of a namespace, over one engine.

    Args:
        root: The engine that the cache was made with; a test may override it.
        prefix: Put before every key.
        tags: Internal tags of every entry, by which ``clear()`` of this scope and of the scopes around it works.
        defaults: The options of a call that names none.
    """

    def __init__(self, root: "Engine", prefix: str, tags: tuple[str, ...], defaults: CallOptions) -> None:
        self.root, self.prefix, self.tags, self.defaults = root, prefix, tags, defaults
        self.key = self._prefixed if prefix else check_key

    @classmethod
    def of(cls, engine: "Engine") -> "Scope":
        """Return the scope of a whole cache."""
        settings = engine.settings
        defaults = CallOptions(
            ttl=settings.ttl,
            stale=settings.stale,
            tags=ALL,
            offline_ttl=settings.offline_ttl,
            load_limit=settings.load_limit,
        )
        return cls(engine, "", ALL, defaults)

    def within(self, name: str, ttl: Duration | None, stale: Duration | None) -> "Scope":
        """Return the scope of a namespace in this scope."""
        path, tags = self.prefix, self.tags
        for part in check_namespace(name, self.prefix).split(":"):
            tags = (*tags, family_tag(path + part))
            path = f"{path}{part}:"
        return Scope(self.root, path, tags, self.options(ttl, stale))

    def _prefixed(self, key: object) -> str:
        return self.prefix + check_key(key)

    def items(self) -> Mapping[str, Any]:
        """Return the near entries of this scope, for the hot path; none if ``policy`` must judge every call."""
        engine = self.root.active
        if engine.closed or engine.bypasses:
            return {}
        return _Prefixed(engine.near.items, self.prefix) if self.prefix else engine.near.items

    def options(
        self,
        ttl: Duration | None = None,
        stale: Duration | None = None,
        tags: Iterable[str] = (),
        *,
        early: bool = False,
        load_timeout: Duration | None = None,
        offline_ttl: Duration | None = None,
        load_limit: Duration | None = None,
        max_loads: int | None = None,
        errors: ErrorTimes | None = None,
        exact: bool = True,
    ) -> CallOptions:
        """Return the checked options of one call; the defaults where the caller gives none."""
        defaults = self.defaults
        return CallOptions(
            ttl=defaults.ttl if ttl is None else parse_duration(ttl, name="ttl", minimum=MINIMUM_TTL, maximum=MAX_TTL),
            stale=defaults.stale if stale is None else parse_duration(stale, name="stale", zero=True, maximum=MAX_TTL),
            tags=self.tags + check_tags(tags) if tags else self.tags,
            offline_ttl=defaults.offline_ttl
            if offline_ttl is None
            else parse_duration(offline_ttl, name="offline_ttl", zero=True, maximum=MAX_TTL),
            early=early,
            load_timeout=None if load_timeout is None else parse_duration(load_timeout, name="load_timeout"),
            load_limit=defaults.load_limit if load_limit is None else parse_duration(load_limit, name="load_limit"),
            max_loads=None if max_loads is None else parse_count(max_loads, name="max_loads", minimum=0),
            jitters=not exact,
            errors=None if errors is None else _declared(errors),
        )

    def bounded(self, offline_ttl: Duration | None) -> CallOptions:
        """Return the defaults with the call's own ``offline_ttl``."""
        return self.defaults if offline_ttl is None else self.options(offline_ttl=offline_ttl)

    @property
    def is_bypassed(self) -> bool:
        """Whether the caller is within a ``bypass()`` block of this cache."""
        bypasses = self.root.active.bypasses
        return bool(bypasses) and not bypasses.isdisjoint(BYPASSED.get())

    @contextmanager
    def bypassed(self) -> Iterator[None]:
        """Bypass the cache in this context, until the block is left."""
        engine, mark = self.root.active, object()
        token = BYPASSED.set(BYPASSED.get() | {mark})
        engine.bypasses.add(mark)
        engine.rebind_faces()
        try:
            yield
        finally:
            engine.bypasses.remove(mark)
            engine.rebind_faces()
            with suppress(ValueError):  # some frameworks leave the block in another context; the first is gone
                BYPASSED.reset(token)


def _declared(errors: Any) -> "DeclaredErrors | None":
    from ..policy.declared_errors import DeclaredErrors  # noqa: PLC0415 - few calls declare errors

    return DeclaredErrors(errors) if errors != {} else None


class _Prefixed(dict[str, Any]):
    """The near cache's items under a prefix. This dict stays empty, so each key is missing and looked up in near."""

    def __init__(self, items: Mapping[str, Any], prefix: str) -> None:
        super().__init__()
        self._all, self._prefix = items, prefix

    def __missing__(self, key: str) -> Any:
        return self._all[self._prefix + key]
