"""Options of other clients in ``REDIS_URL``: a pool's size is passed over, a way to check TLS never is."""

import pytest

from fleetcache import Cache, ConfigError
from fleetcache.config.url_options import is_of_another_client


@pytest.mark.parametrize(
    "option",
    [
        "socket_timeout",
        "max_connections",
        "maxRetriesPerRequest",
        "health-check-interval",
        "DECODE_RESPONSES",
        "protocol",
    ],
)
def test_options_on_how_another_client_works_are_passed_over(option: str) -> None:
    assert is_of_another_client(option)
    assert Cache(f"redis://localhost:1?{option}=3").settings.driver != "memory"


@pytest.mark.parametrize(
    "option", ["ssl_ciphers", "sslminversion", "password", "username", "db", "host", "port", "path", "master_name", ""]
)
def test_options_on_the_server_the_user_or_tls_are_not(option: str) -> None:
    assert not is_of_another_client(option)


def test_an_option_that_nobody_reads_is_refused_by_name() -> None:
    with pytest.raises(ConfigError, match="ssl_ciphers"):
        Cache("rediss://localhost:1?ssl_ciphers=x")
