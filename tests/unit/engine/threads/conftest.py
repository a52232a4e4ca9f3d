"""One server for these tests: to threads and processes, the replies of all engines are the same."""

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
    """A connection with its other end in the test."""
    made = Scene()
    yield made
    made.close()
