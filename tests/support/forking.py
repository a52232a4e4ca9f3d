"""A forked child that does something and tells what came out, for tests of what a fork leaves intact."""

import json
import os
import signal
import warnings
from collections.abc import Callable
from typing import Any

__all__ = ["in_a_child"]

MAX_SECONDS = 60  # seconds; a child that hangs would outlive the tests and hold their output open


def in_a_child(story: Callable[[], Any]) -> Any:
    """Fork, and return what ``story`` returned in the child, or what it raised."""
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # that the parent has threads is what this is about
        pid = os.fork()
    if pid == 0:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(MAX_SECONDS)
        try:
            said = json.dumps(story())
        except BaseException as error:  # noqa: BLE001 - told to the parent
            said = json.dumps(repr(error))
        os.write(writing, said.encode())
        os._exit(0)  # nothing of the parent's may be torn down here
    os.close(writing)
    with os.fdopen(reading) as pipe:
        said = pipe.read()
    _, status = os.waitpid(pid, 0)
    assert status == 0, f"the child ended with {status}"
    return json.loads(said)
