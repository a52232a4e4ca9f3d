"""One server for these tests: more engines show nothing more of threads and processes."""

from collections.abc import Iterator

import pytest

from tests.support.servers import Server
from tests.support.thread_scene import Scene


@pytest.fixture
def server(one_server: Server) -> Server:
    """Return a server of one engine: to threads and tasks, the replies of all engines are the same."""
    return one_server


@pytest.fixture
def scene() -> Iterator[Scene]:
    """Return a connection whose other end the test has."""
    made = Scene()
    yield made
    made.close()
