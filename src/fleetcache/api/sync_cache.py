"""``SyncCache``: the face of an engine for threads. It has the settings, parts and rules of ``Cache``, and no loop."""

from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from ..config.settings import Settings
from ..engine.threads.engine import SyncEngine
from ..engine.threads.pool import Around
from ..telemetry.health import Health
from .cache import describe, resolve_settings
from .namespace import Namespace
from .runner import InlineRunner
from .scope import Scope
from .sync_namespace import SyncNamespace

if TYPE_CHECKING:
    from .aio_view import AioView

__all__ = ["SyncCache"]


class SyncCache(SyncNamespace):
    """One coherent cache for every instance of a service, for threads: the verbs of ``Cache`` without ``await``.

    Any number of threads may use it. Near hits take no lock. Everything else goes over one connection, which a daemon
    thread of the cache keeps alive from the first use on. After a fork the child starts clean.

    Args:
        url: ``redis://``, ``rediss://``, ``unix://``, ``memory://`` or ``null://``.
        settings: All settings, instead of a URL.
        **overrides: Fields of ``Settings`` in addition to the URL, such as ``prefix="shop"``.

    Raises:
        ConfigError: A setting is wrong; the message names it, its value and the choices.

    Example:
        >>> from fleetcache import SyncCache
        >>> with SyncCache("memory://") as cache:
        ...     cache.set("greeting", "hello", ttl="1m")
        ...     print(cache.get("greeting"))
        hello
    """

    def __init__(self, url: str | None = None, *, settings: Settings | None = None, **overrides: Any) -> None:
        self._use_engine(SyncEngine(resolve_settings(type(self).__name__, url, settings, overrides)))

    def _use_engine(self, engine: SyncEngine) -> None:
        self._root = engine
        self._view: AioView | None = None
        super().__init__(Namespace(Scope.of(engine)), InlineRunner(engine))

    @classmethod
    def _from_engine(cls, engine: SyncEngine) -> Self:
        """Return a cache over an existing engine: ``fleetcache.testing`` makes one with its own clock."""
        cache = cls.__new__(cls)
        cache._use_engine(engine)  # noqa: SLF001 - an object of this class
        return cache

    @property
    def settings(self) -> Settings:
        """The settings of this cache; in a test that overrides it, the settings of the cache in its place."""
        return self._engine.settings

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None, **overrides: Any) -> Self:
        """Return a cache set up by the environment: ``CACHE_DRIVER``, ``REDIS_URL`` and other ``CACHE_*`` variables.

        Args:
            environ: The variables; by default the environment of the process.
            **overrides: Fields of ``Settings`` that win over the environment.

        Raises:
            ConfigError: A variable is wrong; the message names it, its value and the choices.

        Example:
            >>> from fleetcache import SyncCache
            >>> cache = SyncCache.from_env({"CACHE_DRIVER": "memory", "CACHE_TTL": "10m"}, prefix="shop")
            >>> cache.settings.ttl, cache.settings.prefix
            (600.0, 'shop')
        """
        cache = cls(settings=Settings.from_env(environ, **overrides))
        if environ is None:
            cache._root.register_from_env()
        return cache

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {describe(self._engine)}>"

    @property
    def aio(self) -> "AioView":
        """The same cache for tasks of this process: the verbs of ``Cache``, over the same near cache, flights and link.

        For a threaded app with some async views. A task is suspended where a thread would be blocked, so its event loop
        continues to run. Each call may come from another loop. Loaders are ``async def`` and run in a task of that
        loop.

        Example:
            >>> import asyncio
            >>> from fleetcache import SyncCache
            >>> cache = SyncCache("memory://")
            >>> cache.set("answer", 42)
            >>> asyncio.run(cache.aio.get("answer"))
            42
        """
        from .aio_view import AioView  # noqa: PLC0415 - only apps with tasks need it

        if self._view is None:
            self._view = AioView(self)
        return self._view

    def open(self) -> None:
        """Connect, or find out that the server cannot be reached now. Optional: the first use connects, too.

        The call returns when the first attempt has ended, or after ``CACHE_CONNECT_TIMEOUT``. A server that cannot be
        reached raises nothing: the cache works in memory until the server is there.

        Raises:
            Closed: After ``close()``.

        Example:
            >>> from fleetcache import SyncCache
            >>> cache = SyncCache("memory://")
            >>> cache.open()
            >>> cache.tried
            True
        """
        if self._engine.closed and self._engine.reopen is not None:
            self._engine.reopen()
        self._run(self._open())

    async def _open(self) -> None:
        rules = await self._engine.ensure_ready()
        await rules.first_attempt(self.settings.connect_timeout)

    def close(self) -> None:
        """Stop refreshes, release leases, send unacknowledged removals within one operation timeout, and disconnect.

        A second call has no effect. The end of ``with cache:`` closes the cache, too.

        Example:
            >>> from fleetcache import SyncCache
            >>> cache = SyncCache("memory://")
            >>> cache.close()
            >>> cache.closed, cache.peek("answer")
            (True, None)
        """
        self._run(self._close())

    async def _close(self) -> None:
        await self._engine.rules.close()

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def around_refresh(self, around: Around) -> None:
        """Run every background refresh within the context manager that ``around()`` returns.

        A request has a context that the cache's own threads lack. Flask's is ``app.app_context``; for Django, pass a
        context manager that calls ``close_old_connections()`` before and after. Refreshes run only for calls with
        ``stale`` or ``early``.

        Args:
            around: Is called without arguments at each refresh, in the thread that refreshes.

        Example:
            >>> from contextlib import contextmanager
            >>> from fleetcache import SyncCache
            >>> cache = SyncCache("memory://", stale="1m")
            >>> @contextmanager
            ... def fresh_connections():
            ...     yield
            >>> cache.around_refresh(fresh_connections)
        """
        self._root.around.append(around)

    @property
    def closed(self) -> bool:
        """Whether ``close()`` was called."""
        return self._engine.closed

    @property
    def tried(self) -> bool:
        """Whether the first attempt to connect has ended, in success or failure."""
        return self._engine.tried

    def health(self) -> Health:
        """Return the state of the cache, after a live command to the server: one a second at most for all callers.

        Returns:
            The state, its reason, and its consequences; see ``Health``.

        Example:
            >>> from fleetcache import SyncCache
            >>> cache = SyncCache("memory://")
            >>> report = cache.health()
            >>> report.driver, report.status.value
            ('memory', 'healthy')
        """
        if not self.closed:
            self._run(self._probe())
        return self._engine.reporter.report()

    async def _probe(self) -> None:
        rules = await self._engine.ensure_ready()
        await rules.reporter.probe()

    def status_now(self) -> Health:
        """Return the state of the cache as last known, without waiting for anything.

        Returns:
            The state, its reason, and its consequences; see ``Health``.

        Example:
            >>> from fleetcache import SyncCache
            >>> SyncCache("memory://").status_now().driver
            'memory'
        """
        return self._engine.reporter.report()
