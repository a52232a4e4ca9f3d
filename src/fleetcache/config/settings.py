"""The settings of one cache: read from arguments and environment by the table of variables, checked, and frozen."""

import logging
import os
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal, Self

from msgspec import Struct
from msgspec.structs import force_setattr

from ..errors import ConfigError
from ..log import TELL
from .durations import Duration, config_error
from .environment import DRIVERS, VARIABLES
from .spelling import known
from .url import Address, CredentialProvider

__all__ = ["Codec", "Driver", "Settings", "problems"]

Driver = Literal["auto", "redis", "memory", "embedded", "null"]
Codec = Literal["msgpack", "json", "pickle"]

# Bytes. A smaller number lacks its unit: the near cache would hold some dozens of entries, and no value be stored.
LITTLE_NEAR, LITTLE_VALUE = 16_000, 1_000

_DEFAULTS: dict[str, Any] = {variable.field: variable.default for variable in VARIABLES}
_BY_FIELD = {variable.field: variable for variable in VARIABLES}
# Fields that ``repr`` and Rich never show: they hold a secret, or matter only to an error that names them.
_HIDDEN = frozenset({"url", "signing_keys", "credential_provider", "url_variable"})


class Settings(Struct, frozen=True, kw_only=True):
    """The settings of one cache, checked as a whole. ``VARIABLES`` has the reason for each default.

    Durations are given as seconds, ``timedelta`` or text such as ``"5m"``, and kept in seconds. Sizes are given as
    bytes or text such as ``"32MB"``, and kept in bytes. Each field but the last two has an environment variable.

    Args:
        driver: ``auto``, ``redis``, ``memory``, ``embedded`` or ``null``; default ``auto``: redis with a URL, else
            memory. ``embedded`` starts a server on this host, ``null`` stores nothing.
        url: The server: ``redis://``, ``rediss://`` or ``unix://``.
        prefix: First part of every key on the server; default ``fleetcache``.
        ttl: How long an entry is fresh, 30 days at most; default ``5m``.
        stale: How long after ``ttl`` an entry may still answer while it is loaded again; default ``0``.
        ttl_jitter: Up to this share of its ttl is left out at random where a loader or ``set_many`` stores an entry: a
            number or text such as ``"5%"``; default ``5%``, 0 = none.
        operation_timeout: Longest wait for one operation on the server, 10 s at most; default ``250ms``.
        connect_timeout: Longest whole handshake, 1 minute at most; default ``2s``.
        max_staleness: How far a near answer may be behind the server, 100 ms to 1 minute; default ``2s``.
        offline_ttl: How long the near cache may answer without the server; default ``30s``, 0 = not at all.
        load_wait: Longest wait for another caller's load; default ``30s``.
        load_limit: How long a load may take before it ends for all callers; by default there is no bound.
        max_loads: How many loaders run at once in a process, 0 = any number; default 64 for ``Cache``, 0 for
            ``SyncCache``.
        near_max_items: Entries in the near cache of each process; default ``10000``.
        near_max_bytes: Bytes in the near cache of each process; default ``32MB``, 0 = no near cache.
        max_value_bytes: Larger values are answered and not cached, 512 MB at most; default ``4MB``.
        required: Whether the cache without its server is unhealthy and not ready; default ``false``.
        strict: Whether programming errors raise where they would otherwise be logged; default ``false``.
        trust_restart: Whether entries stay valid after the server restarted or failed over; default ``false``.
        codec: ``msgpack``, ``json`` or ``pickle``, which needs ``signing_keys``; default ``msgpack``.
        signing_keys: Entries are signed with the first key and verified with all; 32 bytes or more each.
        embedded_dir: Where the embedded server makes its private folder; by default in ``XDG_RUNTIME_DIR``, ``TMPDIR``
            or ``/tmp``.
        embedded_max_bytes: Memory of the embedded server; default ``128MB``.
        credential_provider: Gives user and password for every connection, instead of the URL.
        url_variable: The name of the URL's source in errors.

    Raises:
        ConfigError: A setting is wrong, or two settings contradict each other.

    Example:
        >>> Settings(ttl="1h", near_max_bytes="8MiB").ttl
        3600.0
    """

    driver: Driver = _DEFAULTS["driver"]
    url: str | None = None
    prefix: str = _DEFAULTS["prefix"]
    ttl: float = _DEFAULTS["ttl"]
    stale: float = _DEFAULTS["stale"]
    ttl_jitter: float = _DEFAULTS["ttl_jitter"]
    operation_timeout: float = _DEFAULTS["operation_timeout"]
    connect_timeout: float = _DEFAULTS["connect_timeout"]
    max_staleness: float = _DEFAULTS["max_staleness"]
    offline_ttl: float = _DEFAULTS["offline_ttl"]
    load_wait: float = _DEFAULTS["load_wait"]
    load_limit: float | None = None
    max_loads: int | None = None
    near_max_items: int = _DEFAULTS["near_max_items"]
    near_max_bytes: int = _DEFAULTS["near_max_bytes"]
    max_value_bytes: int = _DEFAULTS["max_value_bytes"]
    required: bool = _DEFAULTS["required"]
    strict: bool = _DEFAULTS["strict"]
    trust_restart: bool = _DEFAULTS["trust_restart"]
    codec: Codec = _DEFAULTS["codec"]
    signing_keys: tuple[bytes, ...] = ()
    embedded_dir: str | None = None
    embedded_max_bytes: int = _DEFAULTS["embedded_max_bytes"]
    credential_provider: CredentialProvider | None = None
    url_variable: str = "REDIS_URL"

    if TYPE_CHECKING:
        # Arguments may be of more types than the field then holds; a field's single type cannot express that.
        def __init__(
            self,
            *,
            driver: Driver = ...,
            url: str | None = ...,
            prefix: str = ...,
            ttl: Duration = ...,
            stale: Duration = ...,
            ttl_jitter: float | str = ...,
            operation_timeout: Duration = ...,
            connect_timeout: Duration = ...,
            max_staleness: Duration = ...,
            offline_ttl: Duration = ...,
            load_wait: Duration = ...,
            load_limit: Duration | None = ...,
            max_loads: int | None = ...,
            near_max_items: int = ...,
            near_max_bytes: int | str = ...,
            max_value_bytes: int | str = ...,
            required: bool = ...,
            strict: bool = ...,
            trust_restart: bool = ...,
            codec: Codec = ...,
            signing_keys: tuple[bytes, ...] = ...,
            embedded_dir: str | None = ...,
            embedded_max_bytes: int | str = ...,
            credential_provider: CredentialProvider | None = ...,
            url_variable: str = ...,
        ) -> None: ...

    def __post_init__(self) -> None:
        for _, problem in self._problems():
            raise problem

    def _problems(self) -> Iterator[tuple[str, ConfigError]]:
        """Convert the passed values; yield each wrong field, and each contradiction between fields, with its error."""
        wrong = set()
        for name, variable in _BY_FIELD.items():
            problem = None
            try:
                force_setattr(self, name, variable.parse(getattr(self, name), name=variable.label))
            except ConfigError as error:
                problem = error
            if problem is not None:
                wrong.add(name)
                yield name, problem
                force_setattr(self, name, variable.parse(variable.default, name=variable.label))
        for about, refused in (
            (("driver", "url"), self._driver_problem),
            (("required", "driver", "url"), self._required_problem),
            (("url",), self._url_problem),
            (("codec", "signing_keys"), self._codec_problem),
            (("credential_provider",), self._provider_problem),
        ):
            if not wrong.intersection(about) and (problem := refused()) is not None:
                yield about[0], problem

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [(name, getattr(self, name)) for name in self.__struct_fields__ if name not in _HIDDEN]

    def __repr__(self) -> str:
        return f"Settings({', '.join(f'{name}={value!r}' for name, value in self.__rich_repr__())})"

    def _driver_problem(self) -> ConfigError | None:
        if self.driver != "redis" or self.url:
            return None
        accepted = f"REDIS_URL or CACHE_REDIS_URL (url), or another driver: {DRIVERS}"
        return config_error(_BY_FIELD["driver"].label, self.driver, "needs a URL", accepted)

    def _required_problem(self) -> ConfigError | None:
        if not self.required or self.has_server:
            return None
        accepted = "REDIS_URL (url) with driver auto or redis, driver embedded, or CACHE_REQUIRED=false"
        problem = f"needs a server, and the driver is {self.resolved_driver}"
        return config_error(_BY_FIELD["required"].label, self.required, problem, accepted)

    def _url_problem(self) -> ConfigError | None:
        try:
            _ = self.address  # reads the URL, if the driver uses it, and refuses a malformed URL
        except ConfigError as error:
            return error
        return None

    def _codec_problem(self) -> ConfigError | None:
        if self.codec != "pickle" or self.signing_keys:
            return None
        accepted = "CACHE_SIGNING_KEY (signing_keys) with 32 bytes or more, or another codec: msgpack, json"
        return config_error(_BY_FIELD["codec"].label, self.codec, "needs a signing key", accepted)

    def _provider_problem(self) -> ConfigError | None:
        provider: object = self.credential_provider
        if provider is None or isinstance(provider, CredentialProvider):
            return None
        problem = f"credential_provider is a value of type {type(provider).__name__}"
        return ConfigError(f"{problem}; accepted: an object with get_credentials()")

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None, **overrides: Any) -> Self:
        """Read the environment, once.

        Args:
            environ: The variables; ``os.environ`` by default. An empty variable counts as unset, and names not in the
                table are ignored.
            **overrides: Fields set by the caller instead of the environment.

        Returns:
            The settings.

        Raises:
            ConfigError: A variable is wrong; names the variable, its value and the choices.

        Example:
            >>> Settings.from_env({"REDIS_URL": "redis://cache.example"}).resolved_driver
            'redis'
        """
        variables = os.environ if environ is None else environ
        options: dict[str, Any] = {}
        for variable in VARIABLES:
            value = variables.get(variable.env, "").strip()
            if not value or variable.field in overrides or variable.field in options:
                continue
            options[variable.field] = value
            if variable.field == "url":
                options["url_variable"] = variable.env
        if not {"url", "driver"} & {*options, *overrides} and (other := unread_url(variables)):
            words = "unread url: %s is set, but is not a setting of fleetcache; did you mean CACHE_REDIS_URL?"
            TELL(logging.WARNING, "unread_url", words, other)
        return cls(**known({**options, **overrides}, cls.__struct_fields__, "setting"))

    @classmethod
    def from_url(cls, url: str, **overrides: Any) -> Self:
        """Read one URL, as in ``Cache("redis://localhost")``, and no environment.

        Args:
            url: A server's URL, ``memory://``, ``embedded://`` or ``null://``.
            **overrides: Other fields.

        Returns:
            The settings.

        Raises:
            ConfigError: The URL has none of these forms, or another field is wrong.

        Example:
            >>> Settings.from_url("memory://").driver
            'memory'
        """
        word = str(url).strip().lower()
        if word in ("memory://", "null://", "embedded://"):
            named: dict[str, Any] = {"driver": word.removesuffix("://")}
        else:
            named = {"driver": "redis", "url": url}
        return cls(**known({**named, **overrides}, cls.__struct_fields__, "setting"))

    @property
    def resolved_driver(self) -> Driver:
        """The driver with ``auto`` decided: redis if there is a URL, else memory."""
        if self.driver != "auto":
            return self.driver
        return "redis" if self.url else "memory"

    @property
    def has_server(self) -> bool:
        """True if the driver uses a server, embedded or not."""
        return self.resolved_driver in ("redis", "embedded")

    @property
    def address(self) -> Address | None:
        """The server's address from the URL; None for a driver that takes no URL."""
        if self.resolved_driver != "redis" or self.url is None:
            return None
        return Address.parse(self.url, name=f"{self.url_variable} (url)")

    @property
    def doubts(self) -> list[str]:
        """Warnings about settings that are allowed and probably not intended, without secrets.

        A cache logs each warning once, at its construction.
        """
        said = []
        address = self.address
        if address is not None and address.ignored:
            names = ", ".join(sorted(set(address.ignored)))
            said.append(f"{self.url_variable} has options of other clients, which have no effect here: {names}")
        for field, little in (("near_max_bytes", LITTLE_NEAR), ("max_value_bytes", LITTLE_VALUE)):
            number = getattr(self, field)
            if 0 < number < little and self.resolved_driver != "null":
                variable = _BY_FIELD[field]
                example = f"a number is bytes, {variable.default} would be the default"
                said.append(f"{variable.label} is {number} bytes, which is next to nothing: {example}")
        return said

    @property
    def default_prefix(self) -> bool:
        """True if the prefix is the default: a second service on this server would share the entries."""
        return bool(self.prefix == _DEFAULTS["prefix"])


def unread_url(environ: Mapping[str, str]) -> str | None:
    """Return the name of a variable with a server's URL that no cache reads: other frameworks use this name."""
    value = environ.get("CACHE_URL", "").strip().lower()
    return "CACHE_URL" if value.startswith(("redis", "valkey", "unix:", "sentinel")) else None


def problems(environ: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return every problem that ``Settings.from_env`` would refuse: the variable, and the error's text.

    Example:
        >>> [name for name, _ in problems({"CACHE_TTL": "soon", "REDIS_URL": "http://h", "CACHE_CODEC": "pickle"})]
        ['CACHE_TTL', 'REDIS_URL', 'CACHE_CODEC']
    """
    found: list[tuple[str, str]] = []

    class Examined(Settings, frozen=True, kw_only=True):
        def __post_init__(self) -> None:
            for field, problem in self._problems():
                variable = self.url_variable if field == "url" else _BY_FIELD[field].env
                found.append((variable, str(problem)))

    Examined.from_env(environ)
    return found
