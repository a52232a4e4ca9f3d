"""One server for these tests: more engines show nothing more of threads and processes."""

import pytest

from tests.support.servers import Server


@pytest.fixture
def server(one_server: Server) -> Server:
    """Return a server of one engine: to threads and tasks, the replies of all engines are the same."""
    return one_server
