"""The simulated server answers as real ones do: both get the same random commands, and each reply and push is compared.

A sequence is known by its seed. FLEETCACHE_SEQUENCES sets their number on each engine.
"""

import os

import pytest

from tests.conftest import StartServer
from tests.simulation.truth.comparing import compared, few
from tests.simulation.truth.sequences import sequence
from tests.simulation.truth.steps import Step
from tests.support.servers import Server

# About two seconds on each engine. A run of 5,000 on each found no more than these do.
SEQUENCES = int(os.environ.get("FLEETCACHE_SEQUENCES", "60"))


@pytest.mark.timeout(max(120, SEQUENCES))
def test_random_commands_are_answered_as_by_real_servers(fresh_server: StartServer) -> None:
    server = fresh_server()
    for seed in range(SEQUENCES):
        steps = sequence(seed)
        if compared(server, steps) is not None:
            pytest.fail(f"seed {seed} on {server.engine}:\n{_story(server, steps)}", pytrace=False)


def _story(server: Server, steps: list[Step]) -> str:
    return compared(server, few(server, steps)) or "it did not happen again: does the clock decide?"
