"""The server's address and the credentials: one URL, read once, and shown only without its password.

1. Nothing here prints a password: not ``repr``, not ``safe``, not an error, and not the cause of an error.
2. An ambiguous URL is refused: it probably has a password whose special characters were not encoded.
"""

import re
import socket
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Literal, Protocol, Self, runtime_checkable

from msgspec import Struct

from ..errors import ConfigError

if TYPE_CHECKING:
    import ssl

__all__ = ["BOOLEANS", "Address", "AsyncCredentialProvider", "CredentialProvider"]

DEFAULT_HOST = "localhost"  # the default of every client of these servers
DEFAULT_PORT = 6379  # registered for these servers

_ACCEPTED = (
    "redis://[[user]:password@]host[:port][/db], rediss:// for TLS (or valkey://, valkeys://), "
    "unix://[[user]:password@]/path[?db=n]; "
    "special characters in user, password and path percent-encoded (@ is %40, / is %2F, # is %23, ? is %3F)"
)
_KINDS: dict[str, Literal["tcp", "tls", "unix"]] = {
    "redis": "tcp",
    "rediss": "tls",
    "unix": "unix",
    "valkey": "tcp",
    "valkeys": "tls",  # Valkey's own tools and its hosters write these two
}
_LATER = ("sentinel", "cluster")
_OPTIONS = ("db", "username", "password")
_TLS_OPTIONS = ("ssl_cert_reqs", "ssl_ca_certs", "ssl_certfile", "ssl_keyfile", "ssl_check_hostname")
# The words for true and false, in URLs and in the environment, in upper or lower case.
BOOLEANS = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}
_LAST_PORT = 65_535
_MAX_HOST = 254  # characters, including a final dot; encoding much longer names takes minutes
_MAX_SHOWN = 200  # characters of a wrong URL in a message

# A raw "@" is allowed once, after user and password (rule 2). "#" is never allowed: these URLs have no fragment.
_URL = (
    r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://"
    r"(?:(?P<user>[^:/?#@]*)(?::(?P<password>[^/?#@]*))?@)?"
    r"(?:\[(?P<v6>[^\[\]/?#@]*)\]|(?P<host>[^\[\]:/?#@]*))(?::(?P<port>[0-9]*))?"
    r"(?P<path>/[^?#@]*)?"
    r"(?:\?(?P<query>[^#@]*))?"
)
_SCHEME = r"[A-Za-z][A-Za-z+-]*"
_DB = r"[0-9]{1,9}"
_PLAIN_USER = r"[\w.%-]*"
_NOT_A_PORT = r":(?![0-9]{0,5}(?:/|$)).*"


@runtime_checkable
class CredentialProvider(Protocol):
    """Gives user and password for every new connection, for servers whose passwords expire.

    The providers of redis-py have this interface.
    """

    def get_credentials(self) -> tuple[str, str] | tuple[str]:
        """Return ``(user, password)``, or ``(password,)`` for the default user."""
        ...


@runtime_checkable
class AsyncCredentialProvider(CredentialProvider, Protocol):
    """A provider with an asynchronous method; asyncio then never calls the blocking method."""

    async def get_credentials_async(self) -> tuple[str, str] | tuple[str]:
        """Return what ``get_credentials`` returns."""
        ...


class Address(Struct, frozen=True):
    """One server, as ``Address.parse`` read it from a URL.

    Attributes:
        kind: ``tcp``, ``tls`` or ``unix``.
        host: Name or IP address, without the brackets of IPv6. Not used for ``unix``.
        port: TCP port.
        path: Path of the unix socket, None for ``tcp`` and ``tls``.
        username: User of the server's access list, None for the default user.
        password: Password, or None.
        db: Number of the database.
        ssl_cert_reqs: ``required``, ``optional`` or ``none``.
        ssl_ca_certs: File of the certificate authorities to trust instead of the system's.
        ssl_certfile: File of the client's own certificate.
        ssl_keyfile: File of the certificate's key, if ``ssl_certfile`` does not contain the key.
        ssl_check_hostname: True if the certificate must be valid for ``host``.
        ignored: Options of the URL that only other clients read.
    """

    kind: Literal["tcp", "tls", "unix"] = "tcp"
    host: str = DEFAULT_HOST
    port: int = DEFAULT_PORT
    path: str | None = None
    username: str | None = None
    password: str | None = None
    db: int = 0
    ssl_cert_reqs: Literal["none", "optional", "required"] = "required"
    ssl_ca_certs: str | None = None
    ssl_certfile: str | None = None
    ssl_keyfile: str | None = None
    ssl_check_hostname: bool = True
    ignored: tuple[str, ...] = ()

    @classmethod
    def parse(cls, url: str, *, name: str = "REDIS_URL") -> Self:
        """Read a URL.

        Args:
            url: ``redis://``, ``rediss://`` or ``unix://`` (``valkey://`` and ``valkeys://`` are the first two), with
                user and password percent-encoded or as ``?username=`` and ``?password=``, the database as ``/3`` or
                ``?db=3``, and for ``rediss://`` the TLS options as redis-py names them. Options that only affect other
                clients are ignored.
            name: The variable that held the URL, for the error.

        Returns:
            The address.

        Raises:
            ConfigError: The URL is malformed, of another scheme, or has an unknown option.

        Example:
            >>> Address.parse("rediss://app:pw@cache.example/2").safe
            'rediss://app@cache.example:6379/2'
        """
        return cls(**_Reader(url, name).read())  # type: ignore[arg-type]  # the reader's table is checked by tests

    @property
    def safe(self) -> str:
        """The address in a form that may be shown: without the password, and with the user only if there is a password.

        A user without a password is usually a password whose colon was forgotten.
        """
        from urllib.parse import quote  # noqa: PLC0415 - needed only with a URL

        user = f"{quote(self.username, safe='')}@" if self.username and self.password else ""
        if self.kind == "unix":
            return f"unix://{user}{quote(self.path or '')}?db={self.db}"
        host = "[{}]".format(self.host.replace("%", "%25")) if ":" in self.host else self.host
        return f"{'rediss' if self.kind == 'tls' else 'redis'}://{user}{host}:{self.port}/{self.db}"

    def __repr__(self) -> str:
        return f"Address({self.safe!r})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("", self.safe)]  # the Struct's default would show the password

    def ssl_context(self) -> "ssl.SSLContext | None":
        """Make the TLS context for this address: it verifies the server, unless the URL says otherwise.

        This reads files, which takes some tens of milliseconds: do not call it on an event loop.

        Returns:
            A context, or None without TLS.

        Raises:
            ConfigError: A file of certificates or keys cannot be read.
        """
        if self.kind != "tls":
            return None
        import ssl  # noqa: PLC0415 - costs more than importing this whole package; only TLS needs it

        try:
            context = ssl.create_default_context(cafile=self.ssl_ca_certs)
        except OSError as error:
            raise ConfigError(f"ssl_ca_certs = {self.ssl_ca_certs!r} cannot be read: {error}") from None
        context.check_hostname = self.ssl_check_hostname
        context.verify_mode = ssl.VerifyMode[f"CERT_{self.ssl_cert_reqs.upper()}"]
        try:
            if self.ssl_certfile:  # with an empty pass phrase, or OpenSSL would ask on the terminal and hang the app
                context.load_cert_chain(self.ssl_certfile, self.ssl_keyfile, password="")
        except OSError as error:
            files = f"ssl_certfile = {self.ssl_certfile!r} and ssl_keyfile = {self.ssl_keyfile!r}"
            raise ConfigError(f"{files} cannot be used: {error}") from None
        return context


class _Reader:
    """Reads one URL. It raises only outside ``except``, so that no error with the URL in it is chained."""

    def __init__(self, url: str, name: str) -> None:
        self._name = name
        if not isinstance(url, str):
            raise ConfigError(f"{name} is a value of type {type(url).__name__}, not a URL; accepted: {_ACCEPTED}")
        self._url = url.strip()  # files that hold secrets end in a newline
        self._ignored: list[str] = []

    def read(self) -> dict[str, object]:
        scheme = self._scheme()
        self._one_host()
        found = re.fullmatch(_URL, self._url)
        if found is None or not self._url.isprintable() or " " in self._url:
            raise self._wrong("is malformed")
        kind = _KINDS[scheme]
        place = self._socket(found) if kind == "unix" else self._endpoint(found)
        options = self._query(found["query"] or "", kind)
        return {
            "kind": kind,
            "username": self._who("username", found["user"], options),
            "password": self._who("password", found["password"], options),
            "db": self._db(found["path"] if kind != "unix" else None, options.pop("db", None)),
            **place,
            **self._tls(options),
            "ignored": tuple(self._ignored),
        }

    def _wrong(self, problem: str, accepted: str = _ACCEPTED) -> ConfigError:
        return ConfigError(f"{self._name} = {redact(self._url)!r} {problem}; accepted: {accepted}")

    def _scheme(self) -> str:
        scheme, separator, _ = self._url.partition("://")
        scheme = scheme.lower()
        if separator and scheme.startswith(("redis", "valkey", "sentinel")) and scheme.endswith(_LATER):
            raise self._wrong("is not supported yet: Sentinel and Cluster come with a later release")
        if not separator or scheme not in _KINDS:
            raise self._wrong("does not begin with a known scheme")
        return scheme

    def _one_host(self) -> None:
        authority = re.split("[/?#]", self._url.partition("://")[2], maxsplit=1)[0]
        if "," in authority.rpartition("@")[2]:
            raise self._wrong("names several hosts: Sentinel and Cluster come with a later release", "one host")

    def _who(self, option: str, part: str | None, options: dict[str, str]) -> str | None:
        """Return the user or the password: before the host, or as an option, as some hosters write them."""
        asked = {name for name in (self._decoded(part), options.pop(option, None)) if name}
        if len(asked) > 1:
            raise self._wrong(f"has two different values of {option}, before the host and as ?{option}=", "one of them")
        return asked.pop() if asked else None

    def _decoded(self, part: str | None) -> str:
        from urllib.parse import unquote  # noqa: PLC0415 - needed only with a URL

        with suppress(UnicodeDecodeError):
            return unquote(part or "", errors="strict")
        raise self._wrong("has percent-encoded bytes that are not UTF-8")

    def _endpoint(self, found: re.Match[str]) -> dict[str, object]:
        host = self._decoded(found["v6"] if found["v6"] is not None else found["host"]) or DEFAULT_HOST
        if not (_is_ipv6(host) if found["v6"] is not None else _is_host(host)):
            raise self._wrong("has no valid host")
        digits = found["port"] or str(DEFAULT_PORT)
        port = int(digits) if len(digits) <= len(str(_LAST_PORT)) else 0
        if not 1 <= port <= _LAST_PORT:
            raise self._wrong(f"has a port that is not between 1 and {_LAST_PORT}")
        return {"host": host, "port": port}

    def _socket(self, found: re.Match[str]) -> dict[str, object]:
        path = self._decoded(found["path"])
        if found["host"] or found["v6"] is not None or found["port"] is not None:
            raise self._wrong("has a host: the path of a socket begins with a third slash")
        if len(path) <= 1 or "\0" in path:
            raise self._wrong("has no path of a socket")
        return {"path": path}

    def _query(self, query: str, kind: str) -> dict[str, str]:
        from .url_options import is_of_another_client  # noqa: PLC0415 - needed only with a URL

        choices = (*_OPTIONS, *_TLS_OPTIONS) if kind == "tls" else _OPTIONS
        options: dict[str, str] = {}
        for part in filter(None, query.split("&")):
            option, _, value = part.partition("=")
            if option in _TLS_OPTIONS and kind != "tls":
                raise self._wrong(f"has the option {option}, which needs rediss://")
            if option not in choices and is_of_another_client(option):
                self._ignored.append(option)
                continue
            if option not in choices:
                raise self._wrong(f"has an unknown option {option[:40]!r}", f"the options {', '.join(choices)}")
            if option in options:
                raise self._wrong(f"has the option {option} twice")
            options[option] = self._decoded(value)
            if not options[option] or "\0" in options[option]:
                raise self._wrong(f"has the option {option} without a value")
        return options

    def _db(self, path: str | None, option: str | None) -> int:
        asked = {number for number in ((path or "/")[1:], option) if number}
        if len(asked) > 1:
            raise self._wrong("has two database numbers, in the path and as ?db=")
        number = asked.pop() if asked else "0"
        if not re.fullmatch(_DB, number):
            raise self._wrong(f"has the database {number[:40]!r}", "a number, as /3 or ?db=3")
        return int(number)

    def _tls(self, options: dict[str, str]) -> dict[str, object]:
        asked = options.get("ssl_cert_reqs", "required")
        checks = asked.lower().removeprefix("cert_")  # Celery, often used with the same URL, requires CERT_REQUIRED
        if checks not in ("none", "optional", "required"):
            raise self._wrong(f"has ssl_cert_reqs={asked[:40]!r}", "none, optional, required")
        asked = options.get("ssl_check_hostname", str(checks != "none"))
        hostname = BOOLEANS.get(asked.lower())
        if hostname is None:
            raise self._wrong(f"has ssl_check_hostname={asked[:40]!r}", ", ".join(BOOLEANS))
        if hostname and checks == "none":
            raise self._wrong(
                "asks to check the host name of a certificate that is not verified", "ssl_cert_reqs=required"
            )
        if "ssl_keyfile" in options and "ssl_certfile" not in options:
            raise self._wrong("has ssl_keyfile without ssl_certfile", "both, or ssl_certfile alone with the key in it")
        return {**options, "ssl_cert_reqs": checks, "ssl_check_hostname": hostname}


def redact(url: str) -> str:
    """Show a URL, however malformed, without any part that may be a password.

    Args:
        url: The text that a user set.

    Returns:
        The URL with ``***`` for everything between the user and the last ``@``, for the parts after ``?`` and ``#``,
        and for anything but a number in the place of a port.
    """
    scheme, separator, rest = url.partition("://")
    if not separator or not re.fullmatch(_SCHEME, scheme):
        scheme, separator, rest = "", "", url
    before, at, after = rest.rpartition("@")
    place, mark = re.split("[?#]", after, maxsplit=1)[0], re.search("[?#]", after)
    if not at and not place.startswith("["):
        place = re.sub(_NOT_A_PORT, ":***", place)
    user, colon, _ = before.partition(":")
    who = f"{user}:***@" if colon and re.fullmatch(_PLAIN_USER, user) else "***@" if at else ""
    return f"{scheme}{separator}{who}{place}{mark[0] + '***' if mark else ''}"[:_MAX_SHOWN]


def _is_ipv6(host: str) -> bool:
    number, percent, interface = host.partition("%")
    with suppress(OSError, ValueError):
        return (
            bool(socket.inet_pton(socket.AF_INET6, number)) and bool(interface or not percent) and _is_plain(interface)
        )
    return False


def _is_host(host: str) -> bool:
    """Return True if the resolver accepts the name: for a name it cannot encode, connecting raises ValueError."""
    with suppress(UnicodeError):
        return len(host) <= _MAX_HOST and bool(host.encode("idna")) and _is_plain(host)
    return False


def _is_plain(host: str) -> bool:
    return host.isprintable() and not set(host) & set(" /?#@:[]\\")
