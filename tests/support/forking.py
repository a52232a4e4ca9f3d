"""A forked child that runs a story and returns its result, for tests of the state after a fork."""

import json
import os
import signal
import warnings
from collections.abc import Callable
from typing import Any

__all__ = ["in_a_child"]

MAX_SECONDS = 60  # seconds; a child that hangs would outlive the tests and hold their output open


def in_a_child(story: Callable[[], Any]) -> Any:
    """Fork, and return the result of ``story`` in the child, or the text of its error."""
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the tests fork a parent with threads on purpose
        pid = os.fork()
    if pid == 0:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(MAX_SECONDS)
        try:
            said = json.dumps(story())
        except BaseException as error:  # noqa: BLE001 - told to the parent
            said = json.dumps(repr(error))
        os.write(writing, said.encode())
        os._exit(0)  # skips the cleanup: it would touch the parent's state
    os.close(writing)
    with os.fdopen(reading) as pipe:
        said = pipe.read()
    _, status = os.waitpid(pid, 0)
    assert status == 0, f"the child ended with {status}"
    return json.loads(said)
