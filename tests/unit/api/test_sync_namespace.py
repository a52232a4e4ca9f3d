"""The tests of the verbs, on ``SyncCache`` and its ``aio``: one policy, so the same tests."""

from collections.abc import Callable

import pytest

from fleetcache.engine.threads import connection
from tests.loading.test_broken_off import *  # noqa: F403 - as above
from tests.support.drivers import Driver
from tests.support.servers import Server, Transport
from tests.unit.api.test_namespace import *  # noqa: F403 - as above
from tests.unit.api.test_reads import *  # noqa: F403 - as above
from tests.unit.api.test_reads_lookup import *  # noqa: F403 - as above
from tests.unit.api.test_writes import *  # noqa: F403 - as above
from tests.unit.api.test_writes_errors import *  # noqa: F403 - as above
from tests.unit.policy.test_batch_load import *  # noqa: F403 - as above
from tests.unit.policy.test_batch_reads import *  # noqa: F403 - as above
from tests.unit.policy.test_batches import *  # noqa: F403 - as the first line says
from tests.unit.policy.test_claims import *  # noqa: F403 - as above
from tests.unit.policy.test_counters import *  # noqa: F403 - as above
from tests.unit.policy.test_reading import *  # noqa: F403 - as above
from tests.unit.policy.test_reading_faults import *  # noqa: F403 - as above

pytestmark = pytest.mark.usefixtures("pushes_at_once")


@pytest.fixture(params=["memory on threads", "valkey on threads", "memory on aio", "valkey on aio"])
def driver(request: pytest.FixtureRequest, shared_servers: Callable[[str, Transport], Server], prefix: str) -> Driver:
    """Memory and a server, each used by threads and by tasks."""
    variant: str = request.param
    return Driver(variant, None if variant.startswith("memory") else shared_servers("valkey", "tcp"), prefix)


@pytest.fixture
def server(one_server: Server) -> Server:
    """Return a server of one engine: to threads and tasks, the replies of all engines are the same."""
    return one_server


@pytest.fixture(params=["valkey on threads", "valkey on aio"])
def remote(request: pytest.FixtureRequest, server: Server, prefix: str) -> Driver:
    """The server, used by threads and by tasks."""
    return Driver(request.param, server, prefix)


@pytest.fixture
def pushes_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove the pause after a caller's own read, for tests that look right after a command that causes a push."""
    monkeypatch.setattr(connection, "READ_BY_OTHERS", 0.0001)
