"""Hints for connections that fail for a reason the system does not name: certificates, the wrong kind of port."""

import ssl
from typing import Final

__all__ = ["PLAIN_TO_TLS", "hinted", "idle_hint", "lost", "tls_hint"]

PLAIN_TO_TLS: Final = "if this port speaks TLS, the URL begins with rediss://"
_TLS_TO_PLAIN: Final = "no TLS answer: is it a plain port (redis://)?"
_UNTRUSTED: Final = (
    "no authority that this host trusts has signed it: ssl_ca_certs=FILE in the URL names the one to trust "
    "(ssl_cert_reqs=none trusts any server)"
)
_OTHER_NAME: Final = (
    "the host in the URL must be a name in the certificate (ssl_check_hostname=false checks only the authority)"
)
_OURS: Final = "the server asks for a client certificate: ssl_certfile=FILE in the URL, and ssl_keyfile=FILE"

# OpenSSL's error numbers for certificates.
_NO_AUTHORITY: Final = frozenset({2, 18, 19, 20, 21})
_NO_NAME: Final = frozenset({62, 63, 64})

# OpenSSL's words for a server without TLS, by version; and the alerts of a server that asks for a client certificate.
_NO_TLS: Final = ("WRONG_VERSION_NUMBER", "UNKNOWN_PROTOCOL", "HTTP_REQUEST", "RECORD_LAYER_FAILURE", "EOF_OCCURRED")
_WANTS_OURS: Final = ("CERTIFICATE_REQUIRED", "HANDSHAKE_FAILURE", "BAD_CERTIFICATE", "ALERT_UNKNOWN_CA")


def tls_hint(error: BaseException, *, shaking: bool = False) -> str:
    """Return a hint at the remedy for a TLS failure, or an empty string.

    Args:
        error: Why the connection failed.
        shaking: Whether it failed in the middle of TLS's own handshake, with a server that never spoke TLS before.

    Example:
        >>> tls_hint(TimeoutError(), shaking=True)
        'no TLS answer: is it a plain port (redis://)?'
    """
    if isinstance(error, ssl.SSLCertVerificationError):
        number = error.verify_code
        return _UNTRUSTED if number in _NO_AUTHORITY else _OTHER_NAME if number in _NO_NAME else ""
    if isinstance(error, ssl.SSLError):
        words = f"{error.reason or ''} {error}".upper().replace(" ", "_")
        if any(word in words for word in _WANTS_OURS):
            return _OURS
        return _TLS_TO_PLAIN if shaking and any(word in words for word in _NO_TLS) else ""
    return _TLS_TO_PLAIN if shaking and isinstance(error, TimeoutError | ConnectionError | EOFError) else ""


def hinted(said: str, hint: str) -> str:
    """Join an error text and its hint.

    Example:
        >>> hinted("no answer", "")
        'no answer'
    """
    return f"{said}; {hint}" if hint else said


def lost(error: BaseException) -> str:
    """Describe why an established connection was lost."""
    return hinted(repr(error), tls_hint(error))


def idle_hint(times: int, idle: float, beat: float) -> str:
    """Return the hint for connections that end while no command is under way.

    Args:
        times: How many connections in a row.
        idle: Seconds without a command before the last of them ended.
        beat: Seconds between two heartbeats.
    """
    return (
        f"closed {times} times in a row after {idle:.2f} s without a command: is there a proxy whose idle timeout is "
        f"below the heartbeat of {beat:.2f} s? Raise that timeout, or lower CACHE_MAX_STALENESS (three heartbeats)"
    )
