"""A connection of the thread engine to a socket of the test, without its link thread."""

import socket
import threading
import time
from typing import Any

from fleetcache.config.url import Address
from fleetcache.engine.threads.connection import ThreadConnection
from fleetcache.engine.threads.monitor import Monitor, ThreadFuture
from fleetcache.wire.connection import WireHooks, WireLimits
from fleetcache.wire.link_state import Link
from fleetcache.wire.session import Call

__all__ = ["LONG", "Scene"]

# Longer than any wait here on a busy machine; a broken part waits for all of it.
LONG = 20.0


class Scene:
    """A wire that is online on one end of a connection; the test has the other."""

    def __init__(self, operation_timeout: float = LONG) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.ours = socket.create_connection(listener.getsockname())
            self.peer, _ = listener.accept()
        self.ours.setblocking(False)
        self.peer.settimeout(LONG / 4)  # a call is sent at once
        self.monitor = Monitor()
        self.link = Link(
            0.0, operation_timeout=operation_timeout, max_staleness=LONG, offline_ttl=LONG, on_state=lambda *_: None
        )
        self.wire = ThreadConnection(
            Address(),
            self.link,
            WireLimits(operation_timeout, LONG, LONG, 1_000_000),
            WireHooks(
                on_push=_nothing,
                on_own_push=_nothing,
                on_timeout=_nothing,
                questions=tuple,
                recover=_nothing,
                on_defect=_nothing,
                heartbeat=_nothing,
            ),
            clock=time.monotonic,
            probe=b"probe",
            monitor=self.monitor,
        )
        self.monitor.on_release = self.wire.socket.flush
        self.wire.socket.open(self.ours, None)
        self.wire._poll = self.wire._new_poll(self.ours)
        self.link.opened(time.monotonic())
        self.link.ready(time.monotonic(), time.monotonic())
        self.handled: list[Any] = []

    def ask(self, key: str, patience: float = LONG) -> threading.Thread:
        """Start a thread that sends a call and waits for its reply; return when the call is sent."""

        def main() -> None:
            with self.monitor.locked():
                future = ThreadFuture()
                self.wire.submit(Call((("GET", key),), self.handled.extend, future))
                self.wire.socket.wait(future, patience)

        thread = threading.Thread(target=main, daemon=True)
        thread.start()
        assert self.peer.recv(1000) == b"*2\r\n$3\r\nGET\r\n$1\r\n%b\r\n" % key.encode()
        return thread

    def is_read(self) -> bool:
        """Return True if a thread reads, or is about to."""
        return self.wire.socket.reading.taken

    def close(self) -> None:
        """Close both ends."""
        self.peer.close()
        self.wire.abandon(reset=False)


def _nothing(*_args: Any) -> Any:
    """Take the place of a cache's callback."""
