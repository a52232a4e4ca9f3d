"""``Cache``: the async face of an engine. It reads the settings, owns the engine, opens and closes it."""

from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from ..config.settings import Settings
from ..engine.aio.engine import AioEngine
from ..engine.aio.other_loops import on_its_loop
from ..engine.engine import Engine
from ..errors import ConfigError
from ..telemetry.health import Health
from .namespace import Namespace
from .scope import Scope

if TYPE_CHECKING:
    from .sync_view import SyncView

__all__ = ["Cache", "describe", "resolve_settings"]


class Cache(Namespace):
    """One coherent cache for every instance of a service: a near cache (L1) here, Redis or Valkey (L2) behind.

    While the server is away, the cache works in memory.

    Args:
        url: ``redis://``, ``rediss://``, ``unix://``, ``memory://``, ``embedded://`` or ``null://``.
        settings: All settings, instead of a URL.
        **overrides: Fields of ``Settings`` in addition to the URL, such as ``prefix="shop"``.

    Raises:
        ConfigError: A setting is wrong; the message names it, its value and the choices.

    Example:
        >>> import asyncio
        >>> from fleetcache import Cache
        >>> async def main() -> None:
        ...     async with Cache("memory://") as cache:
        ...         await cache.set("greeting", "hello", ttl="1m")
        ...         print(await cache.get("greeting"))
        >>> asyncio.run(main())
        hello
    """

    def __init__(self, url: str | None = None, *, settings: Settings | None = None, **overrides: Any) -> None:
        self._use_engine(AioEngine(resolve_settings(type(self).__name__, url, settings, overrides)))

    def _use_engine(self, engine: Engine) -> None:
        self._view: SyncView | None = None
        super().__init__(Scope.of(engine))

    @classmethod
    def _from_engine(cls, engine: Engine) -> Self:
        """Return a cache over an existing engine: ``fleetcache.testing`` makes one with its own clock."""
        cache = cls.__new__(cls)
        cache._use_engine(engine)  # noqa: SLF001 - an object of this class
        return cache

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None, **overrides: Any) -> Self:
        """Return a cache set up by the environment: ``CACHE_DRIVER``, ``REDIS_URL`` and other ``CACHE_*`` variables.

        Args:
            environ: The variables; by default the environment of the process.
            **overrides: Fields of ``Settings`` that win over the environment.

        Raises:
            ConfigError: A variable is wrong; the message names it, its value and the choices.

        Example:
            >>> from fleetcache import Cache
            >>> cache = Cache.from_env({"CACHE_DRIVER": "memory", "CACHE_TTL": "10m"}, prefix="shop")
            >>> cache.settings.ttl, cache.settings.prefix
            (600.0, 'shop')
        """
        cache = cls(settings=Settings.from_env(environ, **overrides))
        if environ is None:
            cache._scope.root.register_from_env()
        return cache

    @property
    def settings(self) -> Settings:
        """The settings of this cache; in a test that overrides it, the settings of the cache in its place."""
        return self._engine.settings

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {describe(self._engine)}>"

    @property
    def sync(self) -> "SyncView":
        """The same cache for other threads: same near cache, flights and link, verbs without ``await``.

        For an async app with ``def`` endpoints in a thread pool. Threads join a load that a task started, and tasks
        join a load that a thread started. A thread's loader runs in that thread. The cache must be open.

        Raises:
            RuntimeError: A verb was called on a thread that runs an event loop, or before the cache was opened.

        Example:
            >>> import asyncio
            >>> from fleetcache import Cache
            >>> async def main() -> None:
            ...     async with Cache("memory://") as cache:
            ...         print(await asyncio.to_thread(cache.sync.get_or_set, "answer", lambda: 42))
            ...         print(await cache.get("answer"))
            >>> asyncio.run(main())
            42
            42
        """
        from .sync_view import SyncView  # noqa: PLC0415 - only apps with threads need it

        if self._view is None:
            self._view = SyncView(self)
        return self._view

    async def open(self) -> None:
        """Connect, or find out that the server cannot be reached now. Optional: the first use connects, too.

        The call returns when the first attempt has ended, or after ``CACHE_CONNECT_TIMEOUT``. A server that cannot be
        reached raises nothing: the cache works in memory until the server is there.

        Raises:
            Closed: After ``close()``.

        Example:
            >>> from fleetcache import Cache
            >>> cache = Cache("memory://")
            >>> await cache.open()
            >>> cache.tried
            True
        """
        if self._engine.closed and self._engine.reopen is not None:
            self._engine.reopen()
        await self._engine.ensure_ready()
        await self._engine.first_attempt(self.settings.connect_timeout)

    async def close(self) -> None:
        """Stop refreshes, release leases, send unacknowledged removals within one operation timeout, and disconnect.

        A second call has no effect. The end of ``async with cache:`` closes the cache, too.

        Example:
            >>> from fleetcache import Cache
            >>> cache = Cache("memory://")
            >>> await cache.close()
            >>> cache.closed, cache.peek("answer")
            (True, None)
        """
        await self._engine.close()

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def closed(self) -> bool:
        """Whether ``close()`` was called."""
        return self._engine.closed

    @property
    def tried(self) -> bool:
        """Whether the first attempt to connect has ended, in success or failure."""
        return self._engine.tried

    async def health(self) -> Health:
        """Return the state of the cache, after a live command to the server: one a second at most for all callers.

        Returns:
            The state, its reason, and its consequences; see ``Health``.

        Example:
            >>> from fleetcache import Cache
            >>> cache = Cache("memory://")
            >>> report = await cache.health()
            >>> report.driver, report.status.value
            ('memory', 'healthy')
        """
        if not self.closed:
            await self._probe()
        return self._engine.reporter.report()

    @on_its_loop()
    async def _probe(self) -> None:
        await self._engine.ensure_ready()
        await self._engine.reporter.probe()

    def status_now(self) -> Health:
        """Return the state of the cache as last known, without awaiting anything.

        Returns:
            The state, its reason, and its consequences; see ``Health``.

        Example:
            >>> from fleetcache import Cache
            >>> Cache("memory://").status_now().driver
            'memory'
        """
        return self._engine.reporter.report()


def resolve_settings(name: str, url: str | None, settings: Settings | None, overrides: dict[str, Any]) -> Settings:
    """Return the settings of a new cache.

    Raises:
        ConfigError: The caller gave neither a URL nor settings, both of them, or overrides in addition to settings.
    """
    if (url is None) == (settings is None):
        raise ConfigError(f"{name} takes either a URL or settings=Settings(...); or use {name}.from_env()")
    if settings is None:
        return Settings.from_url(str(url), **overrides)
    if overrides:
        raise ConfigError(f"{name}: {', '.join(sorted(overrides))} must be given to Settings")
    return settings


def describe(engine: Engine) -> str:
    """Return the driver, address and state of a cache in one line, without secrets."""
    where = f" {engine.address.safe}" if engine.address is not None else ""
    return f"{engine.driver}{where} {engine.stats().link}"
