"""A Flask extension: one object for all apps of a process, each with the cache that its config describes.

The object has the verbs of ``SyncCache``, even before there is an app. The module also has a health route, and backends
for Flask-Caching and Flask-Session that use the same config. Needs the extra ``flask``.
"""

import json
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import update_wrapper
from typing import TYPE_CHECKING, Any, Literal, Protocol
from weakref import WeakKeyDictionary

try:
    from flask import Blueprint, Flask, Response, current_app, has_app_context
except ModuleNotFoundError as missing:
    raise ModuleNotFoundError(
        "fleetcache.contrib.flask needs Flask, which is not installed: pip install fleetcache[flask]", name=missing.name
    ) from missing

from fleetcache import ConfigError, Health, Settings, SyncCache

if TYPE_CHECKING:
    from . import cachelib as backends

__all__ = ["FleetCache", "cachelib", "caching", "health_blueprint"]

NAME = "fleetcache"  # in app.extensions
CONFIG = "FLEETCACHE_"
_FIELDS = {CONFIG + name.upper(): name for name in Settings.__struct_fields__ if name != "url_variable"}

# The attributes of a decorated function. Flask asks views for more attributes, but looking those up would need an app,
# perhaps before there is one.
_OF_FUNCTIONS = frozenset({"key", "invalidate", "invalidate_all", "refresh", "peek", "uncached"})


class _PerApp:
    """An extension's data for one app: its cache, and the objects made on it."""

    def __init__(self, cache: SyncCache) -> None:
        self.cache = cache
        self.made: WeakKeyDictionary[object, Any] = WeakKeyDictionary()


_App = Callable[[], _PerApp]
_Here = Callable[..., Any]


class _Verbs:
    """The verbs of the current app's cache or namespace, which ``here()`` finds.

    Args:
        app: Returns the current app's ``_PerApp``.
        here: Returns the verbs, for the given app or for the current one.
        nowhere: A null cache. Functions and namespaces are first made on it, so that a mistake in them raises at once
            and not at the first request.
        functions: All decorated functions. ``init_app`` makes each of them for its app, so that a mistake that depends
            on the app's settings raises there.
    """

    def __init__(self, app: "_App", here: "_Here", nowhere: Any, functions: "list[_Here]") -> None:
        self._app, self._here, self._nowhere, self._functions = app, here, nowhere, functions

    def _in_each_app(self, make: Callable[[Any], Any]) -> "_Here":
        """Return a function that finds the current app's result of ``make``, and makes it at the first use there."""

        def here(of: _PerApp | None = None) -> Any:
            app = self._app() if of is None else of
            found = app.made.get(here)
            if found is None:  # two threads may each make an object: both objects work alike
                found = app.made[here] = make(self._here(app))
            return found

        return here

    def namespace(self, name: str, *others: Any, **options: Any) -> "_Verbs":
        """Return a view with its own prefix, defaults and ``clear()``, in each app.

        Args:
            name: Becomes ``name:`` before every key.
            *others: Options in the wrong place, for an error that shows the right spelling.
            **options: ``ttl`` and ``stale``, as for ``SyncCache.namespace``.
        """
        part = self._nowhere.namespace(name, *others, **options)
        return _Verbs(
            self._app, self._in_each_app(lambda verbs: verbs.namespace(name, **options)), part, self._functions
        )

    def cached(self, fn: Any = None, /, *others: Any, **options: Any) -> Any:
        """Cache the results of a ``def`` by its arguments, in each app.

        Args:
            fn: The function, when used without parentheses.
            *others: Options in the wrong place, for an error that shows the right spelling.
            **options: As for ``SyncCache.cached``.
        """
        check = self._nowhere.cached(None, *others, **options)

        def decorate(function: Any) -> _Function:
            check(function)
            here = self._in_each_app(lambda verbs: verbs.cached(**options)(function))
            self._functions.append(here)
            return _Function(function, here)

        return decorate if fn is None else decorate(fn)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        return getattr(self._here(), name)


class _Function:
    """A function, or method, that is cached in each app."""

    def __init__(self, fn: Any, here: Callable[[], Any]) -> None:
        update_wrapper(self, fn)
        self._here = here

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._here()(*args, **kwargs)

    def __get__(self, obj: object | None, owner: type | None = None) -> Any:
        return self if obj is None else self._here().__get__(obj, owner)

    def __reduce__(self) -> str:
        """Pickle by name, as for every function."""
        return str(self.__qualname__)

    def __copy__(self) -> "_Function":
        return self

    def __deepcopy__(self, _memo: object) -> "_Function":
        return self

    def __getattr__(self, name: str) -> Any:
        if name not in _OF_FUNCTIONS:
            raise AttributeError(f"a cached function has no attribute {name!r}")
        return getattr(self._here(), name)


# For type checkers the extension is a SyncCache, because it has the same verbs. At run time it has a cache per app.
if TYPE_CHECKING:
    _Base = SyncCache
else:
    _Base = _Verbs


class FleetCache(_Base):
    """The extension: the verbs of ``SyncCache`` on the cache of the current app.

    Decorated functions and namespaces may be made before there is an app. Outside of an app's context, verbs use the
    only app. With several apps, a verb outside of a context is an error.

    Config: ``FLEETCACHE_URL``, ``FLEETCACHE_PREFIX``, ``FLEETCACHE_TTL`` and so on, for each field of ``Settings``. It
    takes precedence over the environment's ``CACHE_*`` and ``REDIS_URL``.

    Args:
        app: Calls ``init_app(app)`` at once.

    Example:
        >>> from flask import Flask
        >>> cache = FleetCache()
        >>> @cache.cached(ttl="10m", key="square:{n}")
        ... def square(n: int) -> int:
        ...     return n * n
        >>> app = Flask("example")
        >>> app.config["FLEETCACHE_URL"] = "memory://"
        >>> cache.init_app(app)
        >>> with app.app_context():
        ...     print(square(3), cache.get("square:3"))
        9 9
    """

    def __init__(self, app: Flask | None = None) -> None:
        self._only: Flask | None = None
        self._several = False
        self._functions: list[_Here] = []
        # The app's codec is not known yet, so the pickle codec is used here: it rejects the fewest functions.
        self._nowhere = SyncCache(settings=Settings(driver="null", codec="pickle", signing_keys=(bytes(32),)))
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask, **settings: Any) -> None:
        """Give an app its cache. The cache does not connect before its first use.

        Args:
            app: The app. A second call for the same app starts over, with the current config.
            **settings: Fields of ``Settings`` that take precedence over the config.

        Raises:
            ConfigError: A setting is wrong; the text names it, its value and the choices. Or results of a function
                that was decorated before can never be stored with this app's codec.
        """
        begun = _PerApp(_cache(_options(app.config, **settings)))
        for function in self._functions:
            function(begun)
        app.extensions.setdefault(NAME, {})[self] = begun
        self._several = self._several or self._only not in {None, app}
        self._only = app

    def of(self, app: Flask | None = None) -> SyncCache:
        """Return the ``SyncCache`` of an app, e.g. for ``fleetcache.testing.override``.

        Args:
            app: The app; by default the current one.

        Raises:
            RuntimeError: ``init_app`` was not called for the app, or there is no current app.
        """
        if app is None:
            return self._app().cache
        return self._in(app).cache

    def _here(self, of: _PerApp | None = None) -> SyncCache:
        return (self._app() if of is None else of).cache

    def _app(self) -> _PerApp:
        if has_app_context():
            return self._in(current_app)
        if self._only is None:
            raise RuntimeError("this FleetCache has no app yet: call init_app(app)")
        if self._several:
            raise RuntimeError("this FleetCache has several apps: enter one's context by `with app.app_context():`")
        return self._in(self._only)

    def _in(self, app: Flask) -> _PerApp:
        try:
            found: _PerApp = app.extensions[NAME][self]
        except KeyError:
            raise RuntimeError(f"this FleetCache does not know the app {app.name!r}: call init_app(app)") from None
        return found

    def __repr__(self) -> str:
        return f"<{type(self).__name__} apps={'several' if self._several else int(self._only is not None)}>"


# -- health route and backends -----------------------------------------------------------------------------------------


class _Watched(Protocol):
    def health(self) -> Health: ...


def health_blueprint(
    cache: _Watched, *, detail: Literal["brief", "full"] = "brief", path: str = "/healthz"
) -> Blueprint:
    """Return a blueprint with a health route: 503 when the cache is unhealthy, else 200, with ``no-store``.

    Args:
        cache: The extension, or any ``SyncCache``.
        detail: ``brief`` is safe for the public, ``full`` is for a path that only operators reach. Neither shows a
            secret.
        path: The path of the route.

    Raises:
        ConfigError: An unknown ``detail``.

    Example:
        >>> app = Flask("example")
        >>> app.register_blueprint(health_blueprint(SyncCache("memory://")), url_prefix="/ops")
        >>> app.test_client().get("/ops/healthz").json["status"]
        'healthy'
    """
    if detail not in ("brief", "full"):
        raise ConfigError(f"detail = {detail!r} is unknown; accepted: brief, full")
    blueprint = Blueprint(NAME, __name__)

    @blueprint.get(path)
    def healthz() -> Response:
        report = cache.health()
        body = json.dumps(report.as_dict() if detail == "full" else report.brief())
        return Response(body, report.status.http_status, {"Cache-Control": "no-store"}, mimetype="application/json")

    return blueprint


def cachelib(
    app: Flask, key_prefix: str, *, default_timeout: int = 300, near: bool = True, **settings: Any
) -> "backends.FleetCache":
    """Return a cachelib backend set up by an app's config.

    Its pickles are signed with the app's ``SECRET_KEY`` and ``SECRET_KEY_FALLBACKS``.

    Args:
        app: The app with the config.
        key_prefix: Appended to ``FLEETCACHE_PREFIX``; each user of cachelib has its own, such as ``sessions``.
        default_timeout: Seconds.
        near: Whether memory may answer while the server can be asked; ``False`` for sessions, see ``contrib.cachelib``.
        **settings: Fields of ``Settings`` that take precedence over the config.

    Raises:
        ConfigError: A setting is wrong, or there is no ``SECRET_KEY``.

    Example:
        >>> app = Flask("example")
        >>> app.config["SECRET_KEY"] = "from your vault"
        >>> app.config.update(SESSION_TYPE="cachelib", SESSION_CACHELIB=cachelib(app, "sessions", near=False))
    """
    return _backend(app.config, key_prefix, settings, default_timeout=default_timeout, near=near)


def caching(app: Flask, config: Mapping[str, Any], args: list[Any], options: dict[str, Any]) -> "backends.FleetCache":  # noqa: ARG001 - Flask-Caching's way to call it
    """Return a backend for Flask-Caching: ``CACHE_TYPE = "fleetcache.contrib.flask.caching"``.

    ``CACHE_DEFAULT_TIMEOUT``, ``CACHE_KEY_PREFIX`` and ``CACHE_REDIS_URL`` have the same meaning as for Flask-Caching's
    own backends. ``CACHE_OPTIONS`` may hold fields of ``Settings``. The rest is as for ``cachelib``.

    Args:
        app: The app.
        config: The config of the app and of Flask-Caching.
        args: ``CACHE_ARGS``, which must be empty.
        options: ``CACHE_OPTIONS`` and the options of Flask-Caching.

    Raises:
        ConfigError: A setting is wrong, or there is no ``SECRET_KEY``.

    Example:
        >>> app = Flask("example")
        >>> app.config.update(
        ...     SECRET_KEY="from your vault",
        ...     CACHE_TYPE="fleetcache.contrib.flask.caching",
        ...     CACHE_OPTIONS={"prefix": "shop"},
        ... )
    """
    if args:
        raise ConfigError("CACHE_ARGS: this backend takes none; accepted: CACHE_OPTIONS with fields of Settings")
    given = dict(options)
    backend = {
        name: given.pop(name) for name in ("default_timeout", "ignore_delete_many_errors", "near") if name in given
    }
    if not config.get(CONFIG + "URL") and config.get("CACHE_REDIS_URL"):
        given.setdefault("url", config["CACHE_REDIS_URL"])
    return _backend(config, config["CACHE_KEY_PREFIX"] or "caching", given, **backend)


def _backend(
    config: Mapping[str, Any], key_prefix: str, settings: dict[str, Any], **backend: Any
) -> "backends.FleetCache":
    from . import cachelib as backends  # noqa: PLC0415 - it has its own extra

    options = _options(config, **settings)
    secrets = [config.get("SECRET_KEY"), *(config.get("SECRET_KEY_FALLBACKS") or ())]
    options |= backends.pickling(Settings.from_env(**options), key_prefix, secrets)
    return backends.FleetCache(_cache(options), **backend)


# -- set up ------------------------------------------------------------------------------------------------------------

# Apps of one process with equal settings share one near cache and one connection to their server. So a test suite that
# makes an app per test has one connection, not hundreds. In memory, each app has its own cache.
_shared: dict[Settings, SyncCache] = {}


def _options(config: Mapping[str, Any], **given: Any) -> dict[str, Any]:
    """Return the fields of ``Settings`` from an app's config, checked together with the environment."""
    for key in config:
        if key.startswith(CONFIG) and key not in _FIELDS:
            raise ConfigError(f"{key} is not a setting; accepted: {', '.join(_FIELDS)}")
    options = {field: config[key] for key, field in _FIELDS.items() if config.get(key) is not None}
    try:
        options = _with_driver(options | given)
        Settings.from_env(**options)
    except ConfigError as error:
        said = str(error)
        for key, field in _FIELDS.items():
            if field in options and field != "url":  # the error names the URL's variable already
                said = said.replace(f"({field})", f"({field}, {key} in Flask's config)")
        raise ConfigError(said) from None
    return options


def _with_driver(options: dict[str, Any]) -> dict[str, Any]:
    """Return the options with the driver that the URL names; ``memory://`` names one, too."""
    url = options.pop("url", None)
    if not url:
        return options
    read = Settings.from_url(url, url_variable=CONFIG + "URL")
    return {"driver": read.driver, "url": read.url, "url_variable": read.url_variable} | options


def _cache(options: dict[str, Any]) -> SyncCache:
    settings = Settings.from_env(**options)
    found = _shared.get(settings)
    if found is not None and not found.closed:
        return found
    # A cache described by the environment alone is made by ``from_env()``, so that tests replace it by one in memory.
    cache = SyncCache(settings=settings) if options.keys() & {"driver", "url"} else SyncCache.from_env(**options)
    cache.around_refresh(_app_context)
    if settings.has_server:
        _shared[settings] = cache
    return cache


def _app_context() -> AbstractContextManager[Any]:
    """Return a new context of the current app, for a background refresh: its own request may be over."""
    return current_app.app_context() if has_app_context() else nullcontext()
