"""Settings: any environment, any arguments, any URL are read or refused by name, and a secret is never repeated."""

import traceback
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from fleetcache.config.environment import VARIABLES
from fleetcache.config.settings import Settings
from fleetcache.errors import ConfigError
from tests.fuzz.source import Source

__all__ = ["SEEDS", "one_input"]

SEEDS = [bytes([way, *range(0, 230, 6)]) for way in range(12)]
SECRET = "hunter2hunter2"  # noqa: S105 - stands for a password
SHORT_KEY = "k3y-that-is-too-short"  # a plausible signing key that is refused
WORDS = (
    "redis", "memory", "embedded", "null", "auto", "redis://", "rediss://", "unix://", "memory://",
    f":{SECRET}@", "localhost", ":6379",
    "/0", "?db=1", "5m", "250ms", "1h30m", "30d", "0", "-1", "32MB", "8MiB", "true", "off", "msgpack",
    "pickle", "k" * 32, ",", "/run/x",
    "9" * 400, ".", "e", "inf", "nan", "{", ":", " ", "\0", "\n", "é", "\ud800", "٣",
)  # fmt: skip
ODD: tuple[Any, ...] = (
    None, True, 0, -1, 10**400, 1.5, float("nan"), float("inf"), b"bytes", b"k" * 40, [], {}, (b"k" * 32,
    "x" * 32), (1,), object(), int,
    timedelta.max, timedelta(0), timedelta(seconds=-1), 2**63, [b"k" * 32], "٣",
)  # fmt: skip


def refused_well(make: Callable[[], Settings]) -> None:
    """Make settings, or check that the error can be printed in one line, without the secret."""
    try:
        said = repr(make())
    except ConfigError as error:
        said = "".join(traceback.format_exception(error))
        assert len(str(error)) < 3_000  # noqa: PT017 - taking it is right too; 200 characters of a URL are shown, some of them as ten
        str(error).encode(errors="backslashreplace")
    assert SECRET not in said
    assert SHORT_KEY not in said


def one_input(data: bytes) -> None:
    """Read one environment, one call with arguments, one URL."""
    source = Source(data)
    environ = {source.pick(VARIABLES).env: source.text(WORDS) for _ in range(source.below(6))}
    if source.chance(4):
        environ["CACHE_SIGNING_KEY"] = SHORT_KEY
    refused_well(lambda: Settings.from_env(environ))
    fields: dict[str, Any] = {}
    for _ in range(source.below(4)):
        fields[source.pick(VARIABLES).field] = source.pick(ODD) if source.byte() % 2 else source.text(WORDS)
    refused_well(lambda: Settings(**fields))
    url = source.text(WORDS)
    refused_well(lambda: Settings.from_url(url, **({} if "url" in fields or "driver" in fields else fields)))
