"""Hints beside a failed connection: the sentence that names the option or the port to look at."""

import ssl

import pytest

from fleetcache.wire.error_hints import hinted, idle_hint, lost, tls_hint


def broken(said: str, reason: str) -> ssl.SSLError:
    error = ssl.SSLError(1, said)
    error.reason = reason
    return error


def unverified(code: int) -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError("certificate verify failed")
    error.verify_code = code
    return error


@pytest.mark.parametrize(
    ("error", "shaking", "said"),
    [
        (unverified(18), False, "ssl_ca_certs=FILE"),
        (unverified(20), True, "ssl_ca_certs=FILE"),
        (unverified(62), False, "ssl_check_hostname=false"),
        (
            broken(
                "[SSL: TLSV13_ALERT_CERTIFICATE_REQUIRED] tlsv13 alert certificate required",
                "TLSV13_ALERT_CERTIFICATE_REQUIRED",
            ),
            False,
            "ssl_certfile=FILE",
        ),
        (broken("[SSL: WRONG_VERSION_NUMBER] wrong version number", "WRONG_VERSION_NUMBER"), True, "redis://"),
        (ConnectionResetError(), True, "redis://"),
        (EOFError(), True, "redis://"),
    ],
    ids=str,
)
def test_the_hint_names_the_option_or_the_port(error: Exception, shaking: bool, said: str) -> None:
    assert said in tls_hint(error, shaking=shaking)


@pytest.mark.parametrize(
    "error",
    [
        unverified(10),  # expired: the words of OpenSSL say it
        broken("[SSL: WRONG_VERSION_NUMBER] wrong version number", "WRONG_VERSION_NUMBER"),
        ConnectionResetError(),
        TimeoutError(),
    ],
    ids=str,
)
def test_outside_the_handshake_nothing_is_guessed(error: Exception) -> None:
    assert tls_hint(error) == ""


def test_a_lost_connection_is_named_with_its_hint() -> None:
    assert lost(ConnectionResetError(104, "reset")) == "ConnectionResetError(104, 'reset')"
    assert lost(unverified(18)).endswith(hinted("", tls_hint(unverified(18))))


def test_an_idle_proxy_is_told_by_count_pause_and_heartbeat() -> None:
    said = idle_hint(3, 1.234, 2.0)
    assert "3 times" in said
    assert "1.23 s" in said
    assert "heartbeat of 2.00 s" in said
    assert "CACHE_MAX_STALENESS" in said
