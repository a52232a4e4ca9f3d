"""``region.configure("fleetcache", arguments=...)``: the arguments that it accepts, and its errors for the rest."""

import subprocess
import sys
from typing import Any

import pytest
from dogpile.cache import make_region

from fleetcache import ConfigError, SyncCache
from fleetcache.contrib.dogpile import FleetBackend
from fleetcache.testing import override
from tests.conftest import GetServer

KEY = b"k" * 32


def backend_of(region: Any) -> FleetBackend:
    backend = region.actual_backend
    assert isinstance(backend, FleetBackend)
    return backend


def test_from_config_takes_settings_as_text(shared_servers: GetServer, prefix: str) -> None:
    config = {
        "cache.backend": "fleetcache",
        "cache.expiration_time": "60",
        "cache.arguments.url": shared_servers("valkey", "tcp").url,
        "cache.arguments.prefix": prefix,
        "cache.arguments.operation_timeout": "2",
        "cache.arguments.near_max_bytes": "1MB",
        "cache.arguments.lease": "3s",
        "cache.arguments.required": "true",
        "cache.arguments.signing_keys": KEY.decode(),
    }
    region = make_region().configure_from_config(config, "cache.")
    with backend_of(region).cache as cache:
        settings = cache.settings
        assert (settings.operation_timeout, settings.near_max_bytes, settings.required) == (2.0, 1_000_000, True)
        region.set("k", "value")
        assert region.get("k") == "value"


def test_without_arguments_it_is_as_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://cache.example")
    monkeypatch.setenv("CACHE_PREFIX", "from-env")
    monkeypatch.setenv("CACHE_SIGNING_KEY", KEY.decode())
    region = make_region().configure("fleetcache")
    assert backend_of(region).cache.settings.prefix == "from-env"
    with override(backend_of(region).cache):  # and so an app's tests find it in memory
        region.set("k", 1)
        assert region.get("k") == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"ttl": "long"}, r"CACHE_TTL \(ttl\) = 'long' is not a duration; accepted:"),
        ({"lease": 0}, "the argument lease: ttl = 0 must be more than zero; accepted:"),
        ({"operation_timeout": "1h"}, "CACHE_OPERATION_TIMEOUT"),
        ({"url": "http://secret@example"}, "accepted: redis"),
        ({"cache": "redis://localhost"}, "the argument cache = a value of type str; accepted: a SyncCache"),
        ({"cache": SyncCache("null://"), "prefix": "p"}, "is a ready SyncCache: pass prefix where it is made"),
    ],
)
def test_a_wrong_argument_is_named(arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said) as raised:
        make_region().configure("fleetcache", arguments=arguments)
    assert "secret" not in str(raised.value)


def test_an_unknown_argument_is_ignored_with_a_warning() -> None:
    arguments = {"url": "memory://", "distributed_lock": True}
    with pytest.warns(UserWarning, match="ignored: distributed_lock; known are cache, codec,"):
        make_region().configure("fleetcache", arguments=arguments)
    assert arguments == {"url": "memory://", "distributed_lock": True}


def test_without_dogpile_the_error_says_what_to_install() -> None:
    code = "import sys; sys.modules['dogpile.cache'] = sys.modules['dogpile'] = None; import fleetcache.contrib.dogpile"
    ended = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)  # noqa: S603 - our own code
    assert ended.returncode == 1
    assert "pip install fleetcache[dogpile]" in ended.stderr.splitlines()[-1]
