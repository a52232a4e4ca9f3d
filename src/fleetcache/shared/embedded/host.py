"""One cache's view of the embedded server: its address, and the seat that keeps it alive.

The start happens outside the event loop.
"""

import asyncio
import threading

from ...config.url import Address
from ...wire.handshake import HandshakeError
from .attach import TIMEOUT, attach
from .errors import EmbeddedError
from .folder import Folder
from .locks import FileLock

__all__ = ["Host"]


class Host:
    """The embedded server of one cache.

    Args:
        base: ``CACHE_EMBEDDED_DIR``.
        max_bytes: ``CACHE_EMBEDDED_MAX_BYTES``.

    Attributes:
        address: The server's address, whether a server runs or not.
    """

    def __init__(self, base: str | None, max_bytes: int) -> None:
        self._folder = Folder.choose(base)
        self._max_bytes = max_bytes
        self._seat: FileLock | None = None
        self.address = Address(kind="unix", path=str(self._folder.socket))

    async def ready(self) -> None:
        """Find or start the server for a connection about to be made. A new seat replaces this cache's earlier seat.

        Raises:
            HandshakeError: There is no server; gives the reason.
        """
        given_up = threading.Event()
        try:
            async with asyncio.timeout(TIMEOUT + 1):  # one more second for a thread to become free
                seat = await asyncio.to_thread(attach, self._folder, self._max_bytes, given_up=given_up)
        except EmbeddedError as error:
            raise HandshakeError(error.reason, str(error)) from None
        except TimeoutError:
            raise HandshakeError("timeout", "no thread was free to look for the embedded server") from None
        finally:
            given_up.set()
        self.leave()
        self._seat = seat

    def ready_here(self) -> None:
        """Do the same as ``ready``, in a thread that may block.

        Raises:
            HandshakeError: There is no server; gives the reason.
        """
        try:
            seat = attach(self._folder, self._max_bytes, given_up=threading.Event())
        except EmbeddedError as error:
            raise HandshakeError(error.reason, str(error)) from None
        self.leave()
        self._seat = seat

    def leave(self) -> None:
        """Give up the seat."""
        seat, self._seat = self._seat, None
        if seat is not None:
            seat.close()
