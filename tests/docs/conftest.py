"""The environment of the examples: empty, or with the server of a test."""

import logging
import os
from collections.abc import Callable, Iterator

import pytest

from tests.conftest import GetServer

Environment = Callable[[str], None]


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch, shared_servers: GetServer, prefix: str) -> Environment:
    """Set the variables that ``Cache.from_env()`` reads: none for ``memory``, a server's for ``shared``."""

    def use(kind: str) -> None:
        for name in os.environ:
            if name.startswith("CACHE_") or "REDIS" in name:
                monkeypatch.delenv(name)
        if kind == "shared":
            monkeypatch.setenv("REDIS_URL", shared_servers("valkey", "tcp").url)
            monkeypatch.setenv("CACHE_PREFIX", prefix)
            # A machine that is busy with other tests must not change the output of a page.
            monkeypatch.setenv("CACHE_OPERATION_TIMEOUT", "5s")

    return use


@pytest.fixture(autouse=True)
def log() -> Iterator[None]:
    """Give the logger its level, handlers and filters back, whatever an example sets."""
    logger = logging.getLogger("fleetcache")
    before = logger.level, logger.propagate, list(logger.handlers), list(logger.filters)
    yield
    logger.setLevel(before[0])
    logger.propagate = before[1]
    for handler in {*logger.handlers} - {*before[2]}:
        logger.removeHandler(handler)
        handler.close()
    logger.filters[:] = before[3]
