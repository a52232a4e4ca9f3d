"""For negative twins: that a check can see the bug needs to be shown on one server only."""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.conftest import GetServer, StartServer
from tests.support.servers import Server


@pytest.fixture
def one_server(shared_servers: GetServer) -> Server:
    """A clean Valkey, by TCP. Not to be killed or frozen."""
    return shared_servers("valkey", "tcp")


@pytest.fixture
def one_fresh_server() -> Iterator[StartServer]:
    """Starts Valkey servers that a test may treat as it likes."""
    with ExitStack() as stack:
        yield lambda *arguments, **options: stack.enter_context(Server("valkey", *arguments, **options))
