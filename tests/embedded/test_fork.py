"""A forked process has its own seat: the server stays for it after the parent's end."""

import os
import signal

from tests.embedded.home import SOON, Home
from tests.support.waiting import wait_until


def test_a_forked_child_goes_on_with_the_same_server_and_keeps_it(home: Home) -> None:
    parent = home.user()
    assert parent.ask("put", key="k", value="of the parent")
    server = home.server
    child = parent.ask("fork")
    assert child not in {None, parent.pid}
    assert parent.ask("get", key="k") == "of the parent"  # the child answers, on its own connection
    os.kill(parent.pid, signal.SIGKILL)
    assert parent.ask("put", key="k", value="of the child")
    other = home.user()
    assert other.ask("get", key="k") == "of the child"
    other.kill()
    assert home.server == server
    os.kill(child, signal.SIGKILL)
    wait_until(home.is_left, SOON)
