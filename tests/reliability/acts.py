"""Acts on a server or on the network to it: the beginnings and ends of the faults in ``catalogue``."""

import contextlib
import itertools
import shutil
from collections.abc import Callable

import hiredis

from tests.promises.faults import FAULTS as KNOWN
from tests.reliability.scene import Scene
from tests.support.certs import certificates
from tests.support.proxy import Direction
from tests.support.waiting import wait_until

__all__ = [
    "Act",
    "cut_within",
    "disk_mended",
    "known",
    "load_on",
    "load_slowly",
    "lose_the_primary",
    "newly",
    "nothing",
    "over_our_keys",
    "restart",
    "rights",
    "run_a_script_for_ever",
    "show_another_certificate",
    "show_the_good_one",
    "tell",
]

Act = Callable[[Scene], object]

BYTES = 420  # a connection is cut within this many; the verbs of a round send more


def nothing(_scene: Scene) -> None:
    """Do nothing."""


def tell(*command: str | int) -> Act:
    """Send a command to the server."""
    return lambda scene: scene.tell(*command)


def rights(*rules: str) -> Act:
    """Change the default user's rights; connections stay."""
    return tell("ACL", "SETUSER", "default", *rules)


def newly(act: Act) -> Act:
    """Do ``act``, and end all connections, so that each client meets it."""

    def both(scene: Scene) -> None:
        act(scene)
        scene.throw_out()

    return both


def known(name: str) -> Act:
    """Return a fault that the tests of the promises can begin."""
    return lambda scene: KNOWN[name].begin(scene.server, scene.wire)


# -- away and silent -------------------------------------------------------------------------------------------------


def restart(scene: Scene) -> None:
    scene.restart()


def cut_within(direction: Direction) -> Act:
    """Cut the connection inside its bytes, elsewhere each time: in a head, a length, a value, a line end."""
    places = itertools.count()

    def begin(scene: Scene) -> None:
        # No common divisor, so that each place comes once.
        scene.wire.cut_after(1 + next(places) * 61 % BYTES, direction)

    return begin


# -- states of the server --------------------------------------------------------------------------------------------


def load_slowly(scene: Scene) -> None:
    scene.tell("DEBUG", "POPULATE", 40_000)
    scene.tell("CONFIG", "SET", "loading-process-events-interval-bytes", 1024)
    scene.tell("CONFIG", "SET", "key-load-delay", 500)  # microseconds a key: 20 s in all
    scene.culprit.send(("DEBUG", "RELOAD"))
    scene.until_said(b"loading:1", "INFO", "persistence")


def load_on(scene: Scene) -> None:
    scene.tell("CONFIG", "SET", "key-load-delay", 0)
    scene.until_said(b"loading:0", "INFO", "persistence")


def disk_mended(scene: Scene) -> None:
    shutil.rmtree(scene.server.folder / "dump.rdb")
    scene.tell("CONFIG", "SET", "save", "")


def run_a_script_for_ever(scene: Scene) -> None:
    scene.tell("CONFIG", "SET", "lua-time-limit", 20)
    scene.culprit.send(("EVAL", "while true do end", 0))

    def is_busy() -> bool:
        with contextlib.suppress(hiredis.ReplyError):
            scene.tell("PING")
            return False
        return True

    wait_until(is_busy)


def lose_the_primary(scene: Scene) -> None:
    scene.tell("CONFIG", "SET", "replica-serve-stale-data", "no")
    scene.tell("REPLICAOF", "127.0.0.1", 1)


def show_another_certificate(scene: Scene) -> None:
    scene.server.certs = certificates("other_ca")
    scene.restart()


def show_the_good_one(scene: Scene) -> None:
    scene.server.certs = certificates()
    scene.restart()


def over_our_keys(*command: str) -> Act:
    """Put another value under each key of the cache."""

    def begin(scene: Scene) -> None:
        for key in scene.tell("KEYS", f"{scene.layout.entry('').decode()}*"):
            scene.tell("DEL", key)
            scene.tell(command[0], key, *command[1:])

    return begin
